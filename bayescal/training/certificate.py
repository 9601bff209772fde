"""How far a learned policy can be trusted: measured, over its domain and at the corners of it.

Where an exact policy exists the learned one is compared with it: divergence, total variation, the slope of the
log-likelihood, and from these an **error budget**. With n decisions, inference about a parameter t with
information I each has sd 1/√(n I); a likelihood whose mean score is b where it should be 0 moves the answer by
b / I. The error stays below a tenth of the sd for all

    n <= 0.01 · I / b².

Where there is none, what is left is how far the policy is from being its own best reply.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayescal.environments.base import OneShot
from bayescal.environments.markov import Markov
from bayescal.environments.own_solution import SolvesItself
from bayescal.policies.amortised import AmortisedPolicy, replace_environment
from bayescal.policies.base import ABSENT
from bayescal.policies.exact import ExactPolicy
from bayescal.precision import double_precision
from bayescal.solvers.path import CONVERGED
from bayescal.training.best_reply import best_reply_gain
from bayescal.training.points import Points, corner_points, sample_points
from bayescal.training.soft_q import SoftQ
from bayescal.training.soft_q_expected import replies, types

SHARE_OF_SD = 0.1


def certify(
    policy: AmortisedPolicy,
    *,
    points: int = 300,
    seed: int = 0,
    ensemble: Sequence[AmortisedPolicy] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure a policy: against the exact one in a one-shot game, against itself in a game over time.

    Args:
        points: how many points of the domain, drawn evenly and anew from `seed`.
        ensemble: policies of other seeds, for their disagreement.
        progress: called with (what, done, in all).

    Example:
        >>> import bayescal as bc
        >>> shop = bc.Newsvendor(orders=range(0, 101, 25), rounds=2)
        >>> policy = bc.AmortisedPolicy(shop, {"cost": (10.0, 1000.0)}, width=8, depth=1)
        >>> measured = bc.certify(policy, points=4)  # nobody has trained it
        >>> sorted(measured["kl"]), measured["kl"]["mean"] > 0.001
        (['max', 'mean', 'median', 'q95'], True)
    """
    if not isinstance(policy.environment, OneShot):
        if has_exact(policy):
            return certify_against_exact_play(policy, games=points, seed=seed, progress=progress)
        return certify_in_play(policy, games=points, seed=seed, ensemble=ensemble)
    tell = progress or (lambda what, done, total: None)
    variants: list[Any] = _some(policy.variants, 5)
    parts: dict[str, list[dict[str, np.ndarray]]] = {"inside": [], "corners": []}
    # Solutions and their slopes are taken in double precision, whatever the network was trained in.
    with double_precision():
        for i, environment in enumerate(variants):
            tell("measuring", i, len(variants))
            own = replace_environment(policy, environment)
            key = jax.random.fold_in(jax.random.key(seed), i)
            measure = eqx.filter_jit(lambda own, batch, ensemble: jax.vmap(lambda p: _measure(own, p, ensemble))(batch))
            others = tuple(replace_environment(e, environment) for e in ensemble)
            share = -(-points // len(variants))
            for where, batch in (("inside", sample_points(own, key, share)), ("corners", corner_points(own))):
                parts[where].append(jax.tree.map(np.asarray, measure(own, batch, others)))
        tell("measuring", len(variants), len(variants))
    joined = {w: jax.tree.map(lambda *x: np.concatenate(x), *p) for w, p in parts.items()}
    inside, corners = joined["inside"], joined["corners"]
    ok = inside["solved"]
    names = _parameters(policy)
    budget = {}
    for i, name in enumerate(names):
        bias, information = inside["bias"][ok, i], inside["information"][ok, i]
        decisions = SHARE_OF_SD**2 * information / np.maximum(bias**2, 1e-30)
        budget[name] = {"median": _round(np.median(decisions)), "worst 5%": _round(np.quantile(decisions, 0.05))}
    slopes = {
        name: {
            "relative error": _round(
                np.sqrt(np.mean(inside["slope_error"][ok, i] ** 2) / np.mean(inside["slope"][ok, i] ** 2))
            ),
            "q95 error": _round(np.quantile(inside["slope_error"][ok, i], 0.95)),
        }
        for i, name in enumerate(names)
    }
    out = {
        "oracle": "exact equilibrium on the principal branch, float64",
        "games": [f"{type(v).__name__}, {v.players} players" for v in variants],
        "points": len(ok),
        "points_solved": int(ok.sum()),
        "corners": len(corners["solved"]),
        "corners_solved": int(corners["solved"].sum()),
        "kl": spread(inside["kl"][ok]),
        "total_variation": spread(inside["tv"][ok]),
        "corner_kl": spread(corners["kl"][corners["solved"]]),
        "corner_total_variation": spread(corners["tv"][corners["solved"]]),
        "nats_per_decision": spread(inside["nats"][ok]),
        "slope_of_log_probability": slopes,
        "decisions_below_a_tenth_of_sd": budget,
        "soft_exploitability": spread(inside["regret"]),
        "bellman_residual": spread(inside["gap"]),
    }
    if ensemble:
        out["ensemble_disagreement_kl"] = spread(inside["disagreement"])
    return out


def certify_in_play(
    policy: AmortisedPolicy, *, games: int, seed: int, ensemble: Sequence[AmortisedPolicy] = (), noises: int = 256
) -> dict[str, Any]:
    """What can be measured without an oracle, in games that the policy plays with itself: how far its values are from
    what they predict (the Bellman residual, averaged over `noises` draws of chance and of the others' actions),
    what a best reply trained against it gains, and how far other seeds of it disagree."""
    player = SoftQ(policy, games=games, everyone=False)  # players of a role differ in nothing
    rounds = min(policy.environment.horizon, 50)

    def visit(game, key):
        on, chance = jax.random.split(key)
        after, done, _ = player._round(policy, policy, on, game)
        draws = jax.vmap(lambda k: player._round(policy, policy, k, game)[2])(jax.random.split(chance, noises))
        found = []
        for role, seen in zip(player._learners.values(), draws["players"], strict=True):
            inputs, known, cost = (jax.tree.map(lambda x: x[0], seen[n]) for n in ("inputs", "known", "cost"))
            target = jnp.mean(seen["target"], axis=0)
            q = policy.values_at(role, inputs, known, game.point.params)
            mask = jnp.asarray(policy.environment.mask[role])
            scale = policy.environment.stake_scale(game.point.params, role)
            residual = jnp.sqrt(jnp.sum(jnp.where(mask, (q - target) ** 2, 0.0)) / jnp.sum(mask)) / scale
            own = jax.nn.log_softmax(jnp.where(mask, q / cost, ABSENT))
            others = [
                jax.nn.log_softmax(jnp.where(mask, e.values_at(role, inputs, known, game.point.params) / cost, ABSENT))
                for e in ensemble
            ]
            gaps = [jnp.sum(jnp.where(mask, jnp.exp(own) * (own - o), 0.0)) for o in others]
            found.append((residual, jnp.max(jnp.stack(gaps)) if gaps else jnp.zeros(())))
        return (after, done), jax.tree.map(lambda *x: jnp.stack(x), *found)

    def play(game, key):
        def go(carry, key):
            game, over = carry
            (after, done), found = visit(game, key)
            return (after, over | done), (found, over)

        return jax.lax.scan(go, (game, jnp.asarray(False)), jax.random.split(key, rounds))[1]

    begin, go = jax.random.split(jax.random.key(seed))
    started = player._begin(begin, games)
    (residual, disagreement), over = jax.jit(jax.vmap(play))(started, jax.random.split(go, games))
    live = ~np.asarray(over)
    out = {
        "oracle": None,
        "games": [f"{type(policy.environment).__name__}, {policy.environment.players} players"],
        "points": games,
        "bellman_residual": spread(np.asarray(residual)[live].ravel()),
    }
    out["best_reply_gain"] = best_reply_gain(policy, seed=seed)
    if ensemble:
        out["ensemble_disagreement_kl"] = spread(np.asarray(disagreement)[live].ravel())
    return out


def has_exact(policy: AmortisedPolicy) -> bool:
    """Whether a game over time is solved exactly, as decision problems of one person are here."""
    env = policy.environment
    return env.players == 1 and isinstance(env, Markov | SolvesItself)


def certify_against_exact_play(
    policy: AmortisedPolicy, *, games: int, seed: int, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, Any]:
    """Compare a policy of one person over time with the exact one, wherever its own play leads: in `games` runs at
    points of the domain, and at its corners. Figures are means over the decisions of a run."""
    tell = progress or (lambda what, done, total: None)
    env = policy.environment
    exact = ExactPolicy(env, policy.prior)
    rounds = env.horizon
    names = _parameters_over_time(policy)

    def watch(point, key):
        """What is seen in one run of the policy, and whether it was still going on."""

        def go(carry, key):
            state, over = carry
            act, chance = jax.random.split(key)
            seen = env.observe(state, 0)
            log_p = policy.log_prob((0, seen), point.cost, point.phi, point.psi, point.params)
            action = jax.random.categorical(act, log_p)[None].astype(jnp.int32)
            after, _, done = env.step(chance, state, action, point.params)
            return (after, over | done), (seen, ~over)

        begin, on = jax.random.split(key)
        start = (env.reset(begin, point.params), jnp.asarray(False))
        return jax.lax.scan(go, start, jax.random.split(on, rounds))[1]

    def choices(which, point, seen, theta):
        """Log-probabilities in every round of a run, at the point moved by theta."""
        moved = dict(zip(names, theta, strict=True))
        pick = lambda kind, old: {n: moved.get(f"{kind}.{n}", x) for n, x in old.items()}
        cost = jnp.ravel(point.cost)[0] * jnp.exp(moved.get("log cost", 0.0))
        psi, params = pick("psi", point.psi), pick("params", point.params)
        return which.log_prob_cells(0, seen, cost, None, psi, params)

    def measure(point, key):
        seen, live = watch(point, key)
        here = _theta_over_time(policy, point)
        slope, truth = _slope_and_value(lambda t: choices(exact, point, seen, t), here)
        learned_slope, other = _slope_and_value(lambda t: choices(policy, point, seen, t), here)
        p = jnp.where(jnp.isfinite(truth), jnp.exp(truth), 0.0)
        share = (live / jnp.sum(live))[:, None]
        kl = _kl(truth, other)
        tv = 0.5 * jnp.sum(jnp.abs(p - jnp.exp(other)), axis=1)
        weigh = lambda x: jnp.sum((share * p)[:, :, None] * jnp.where(p[:, :, None] > 0, x, 0.0), axis=(0, 1))
        return {
            "solved": jnp.all(~jnp.isnan(truth)),
            "kl": jnp.sum(share[:, 0] * kl),
            "worst": jnp.max(jnp.where(live, kl, 0.0)),
            "tv": jnp.max(jnp.where(live, tv, 0.0)),
            "bias": weigh(learned_slope),
            "information": weigh(slope**2),
        }

    with double_precision():
        run = eqx.filter_jit(lambda points, keys: jax.lax.map(lambda x: measure(*x), (points, keys), batch_size=8))
        found = {}
        draws = {"inside": sample_points(policy, jax.random.key(seed), games), "corners": corner_points(policy, 64)}
        for i, (where, points) in enumerate(draws.items()):
            tell("measuring", i, 2)
            keys = jax.random.split(jax.random.key(seed + 1), len(points.cost))
            found[where] = jax.tree.map(np.asarray, run(points, keys))
        tell("measuring", 2, 2)
    inside, corners = found["inside"], found["corners"]
    ok, held = inside["solved"], corners["solved"]
    budget = {}
    for i, name in enumerate(names):
        decisions = SHARE_OF_SD**2 * inside["information"][ok, i] / np.maximum(inside["bias"][ok, i] ** 2, 1e-30)
        budget[name] = {"median": _round(np.median(decisions)), "worst 5%": _round(np.quantile(decisions, 0.05))}
    return {
        "oracle": "exact solution (soft Bellman equation), float64, wherever the policy's own play leads",
        "games": [f"{type(env).__name__}, {rounds} rounds"],
        "points": len(ok),
        "points_solved": int(ok.sum()),
        "corners": len(held),
        "corners_solved": int(held.sum()),
        "kl": spread(inside["kl"][ok]),
        "worst_decision_kl": spread(inside["worst"][ok]),
        "total_variation": spread(inside["tv"][ok]),
        "corner_kl": spread(corners["kl"][held]),
        "corner_total_variation": spread(corners["tv"][held]),
        "decisions_below_a_tenth_of_sd": budget,
    }


def _parameters_over_time(policy: AmortisedPolicy) -> list[str]:
    """What is inferred: the prior's and the game's parameters, and the cost unless they are the scale of payoffs."""
    names = [n for n in policy.domain.names if n.startswith(("psi.", "params."))]
    scaling = {f"params.{n}" for n in policy.environment.payoff_parameters}
    return names if scaling and scaling <= set(names) else ["log cost", *names]


def _theta_over_time(policy: AmortisedPolicy, point: Points) -> Any:
    values = {f"psi.{n}": x for n, x in point.psi.items()} | {f"params.{n}": x for n, x in point.params.items()}
    return jnp.stack([jnp.zeros(()) if n == "log cost" else values[n] for n in _parameters_over_time(policy)])


def oracle_kl(policy: AmortisedPolicy, *, points: int = 100, seed: int = 1) -> Callable[[AmortisedPolicy], float]:
    """A function that tells the mean divergence of policies like this one from the exact solution, solved once here."""
    if not isinstance(policy.environment, OneShot):
        raise TypeError("no exact policy for games over time yet")
    with double_precision():
        batch = sample_points(policy, jax.random.key(seed), points)
        exact, solved = eqx.filter_jit(lambda own, b: jax.vmap(lambda p: _exact(own, p))(b))(policy, batch)

    @eqx.filter_jit
    def mean(policy, batch, exact, solved):
        kl = jax.vmap(lambda p, e: jnp.mean(_kl(e, _log_probs(policy, p))))(batch, exact)
        return jnp.sum(jnp.where(solved, kl, 0.0)) / jnp.sum(solved)

    def tell(policy: AmortisedPolicy) -> float:
        with double_precision():
            return float(mean(policy, batch, exact, solved))

    return tell


def spread(x: np.ndarray) -> dict[str, float]:
    if not len(x):
        return {}
    quantiles = {"mean": np.mean(x), "median": np.median(x), "q95": np.quantile(x, 0.95), "max": np.max(x)}
    return {n: _round(v) for n, v in quantiles.items()}


def _measure(policy: AmortisedPolicy, point: Points, ensemble: Sequence[AmortisedPolicy]) -> dict[str, Any]:
    """Everything about one game."""
    exact, solved = _exact(policy, point)
    learned = _log_probs(policy, point)
    kl = _kl(exact, learned)
    tv = 0.5 * jnp.sum(jnp.abs(jnp.exp(exact) - jnp.exp(learned)), axis=1)
    # What a random decision says of the parameters: its log-probability's slope in each.
    solution = lambda theta: _choice(policy, point, theta, exact=True)
    network = lambda theta: _choice(policy, point, theta, exact=False)
    here = _theta(policy, point)
    slope, log_truth = _slope_and_value(solution, here)
    learned_slope, other = _slope_and_value(network, here)
    truth = jnp.exp(log_truth)
    possible = truth > 0
    weight = jnp.where(possible, truth, 0.0)[:, :, None] / policy.environment.roles
    masked = lambda x: jnp.where(possible[:, :, None], x, 0.0)
    slope, learned_slope = masked(slope), masked(learned_slope)
    costs, weights = types(policy, point)
    q = policy.values(None if policy.private else point.cost, point.phi, point.psi, point.params)
    log_q = policy.log_prior(point.psi)
    reply, p, by_type = replies(policy.environment, q, log_q, costs, weights, point.params)
    scale = policy.environment.payoff_scale(point.params)
    mask = jnp.asarray(policy.environment.mask)
    gap = jnp.where(mask, reply - q, 0.0)
    gap = jnp.where(mask, gap - jnp.sum(p * gap, axis=1, keepdims=True), 0.0)
    # What the best reply to this play would bring more, its information paid for: cost · KL(play || best reply).
    best = jax.nn.log_softmax(log_q[:, None, :] + reply[:, None, :] / costs[:, :, None])
    play = jnp.where(mask[:, None, :], jnp.log(jnp.maximum(by_type, 1e-300)), 0.0)
    regret = costs * jnp.sum(jnp.where(mask[:, None, :], by_type * (play - best), 0.0), axis=2) @ weights
    out = {
        "solved": solved,
        "kl": jnp.max(kl),
        "tv": jnp.max(tv),
        "nats": jnp.sum(weight[:, :, 0] * jnp.where(possible, log_truth - other, 0.0)),
        "slope": jnp.sqrt(jnp.sum(weight * slope**2, axis=(0, 1))),
        "slope_error": jnp.sqrt(jnp.sum(weight * (learned_slope - slope) ** 2, axis=(0, 1))),
        "bias": jnp.sum(weight * learned_slope, axis=(0, 1)),
        "information": jnp.sum(weight * slope**2, axis=(0, 1)),
        "regret": jnp.max(regret) / scale,
        "gap": jnp.sqrt(jnp.max(jnp.sum(p * gap**2, axis=1))) / scale,  # of actions as they are played
    }
    if ensemble:
        out["disagreement"] = jnp.max(jnp.stack([jnp.max(_kl(learned, _log_probs(e, point))) for e in ensemble]))
    return out


def _slope_and_value(f: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """f is an equilibrium to be solved: once for both."""
    return jax.jacfwd(lambda x: (f(x),) * 2, has_aux=True)(x)


def _exact(policy: AmortisedPolicy, point: Points) -> tuple[Any, Any]:
    """(log-probabilities of each role at the point's own cost, whether they were solved)."""
    game: Any = policy.environment
    solver = ExactPolicy(game, policy.prior, policy.population)
    if not policy.private:
        solution = solver.solve(point.cost, psi=point.psi, params=point.params)
        return solution.log_strategies, solution.status == CONVERGED
    solution = solver.solve(phi=point.phi, psi=point.psi, params=point.params)
    tilted = jax.nn.log_softmax(policy.log_prior(point.psi) + solution.expected_payoffs / point.cost)
    return jnp.where(jnp.asarray(policy.environment.mask), tilted, -jnp.inf), solution.status == CONVERGED


def _log_probs(policy: AmortisedPolicy, point: Points) -> Any:
    return policy.log_prob_all(point.cost, point.phi, point.psi, point.params)


def _kl(log_p: Any, log_q: Any) -> Any:
    """By role; where p is zero nothing is lost."""
    possible = jnp.isfinite(log_p) & (log_p > -700)
    difference = jnp.where(possible, log_p, 0.0) - jnp.where(possible & jnp.isfinite(log_q), log_q, 0.0)
    return jnp.sum(jnp.where(possible, jnp.exp(log_p) * difference, 0.0), axis=1)


def _parameters(policy: AmortisedPolicy) -> list[str]:
    """What is inferred from decisions: a known cost (its logarithm), or the population's; and the prior's."""
    names = [n for n in policy.domain.names if n.startswith(("phi.", "psi."))]
    return names if policy.private else ["log cost", *names]


def _theta(policy: AmortisedPolicy, point: Points) -> Any:
    values = {f"phi.{n}": x for n, x in point.phi.items()} | {f"psi.{n}": x for n, x in point.psi.items()}
    return jnp.stack([jnp.zeros(()) if n == "log cost" else values[n] for n in _parameters(policy)])


def _choice(policy: AmortisedPolicy, point: Points, theta: Any, *, exact: bool) -> Any:
    """Log-probabilities of the decision of somebody of whom only theta is known; "log cost" is added to every cost."""
    game: Any = policy.environment
    values = dict(zip(_parameters(policy), theta, strict=True))
    pick = lambda kind, old: {n: values.get(f"{kind}.{n}", x) for n, x in old.items()}
    phi, psi = pick("phi", point.phi), pick("psi", point.psi)
    if policy.private:
        if exact:
            solver = ExactPolicy(game, policy.prior, policy.population)
            return solver.solve(phi=phi, psi=psi, params=point.params).log_strategies
        return policy.log_prob_average(phi, psi, point.params)
    cost = point.cost * jnp.exp(values["log cost"])
    if exact:
        return ExactPolicy(game, policy.prior).log_prob_all(cost, None, psi, point.params)
    return policy.log_prob_all(cost, None, psi, point.params)


def _some(items: Sequence[Any], most: int) -> list[Any]:
    """The first, the last and an even choice between them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _round(x: Any) -> float:
    return float(f"{float(x):.3g}")
