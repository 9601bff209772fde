"""Repeated games: a learned policy against the exact solution, and the exact best reply against the learned policy.

Both are found by backward induction. The solution says by how much the likelihood of decisions is off (divergence,
scores, and from these the bias of what is inferred); the best reply, which uses nothing of the solver of equilibria,
says what a player could gain in nats a decision. Both are reported by own cost, inside the domain and at its corners.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.environments.repeated import Repeated
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.training.certificate.exact_reply import reply_gains
from bayescal.training.certificate.measures import (
    Progress,
    budget,
    divergence,
    ignore_progress,
    inferred_names,
    inferred_values,
    moved,
    rounded,
    solved_only,
    spread,
    total_variation,
)
from bayescal.training.facts import Verdict
from bayescal.training.points import Points, corner_points, private_costs, sample_points

COSTS = 5  # own costs, from one end of the box to the other
MOST_CORNERS = 32  # of the reply; the solution is compared at every eighth of them
LIMIT = 3e-3  # nats a decision that a best reply may gain anywhere
SDS, DECISIONS = 0.2, 1000  # a bias of so many posterior sds after so many decisions is too much


def certify_repeated(
    policy: LearnedPolicy, *, points: int, seed: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Both comparisons at `points` points of the domain and at its corners."""
    tell = progress or ignore_progress
    costs = own_costs(policy)
    inside, corners = sample_points(policy, jax.random.key(seed), points), corner_points(policy, MOST_CORNERS)
    few = jax.tree.map(lambda x: x[::8], corners)
    total = points + len(corners.cost) + points + len(few.cost)
    done = 0

    def each(batch: Points, measure: Callable[[Points, PRNGKeyArray], dict[str, Array]]) -> dict[str, np.ndarray]:
        nonlocal done
        found = []
        for i in range(len(batch.cost)):
            tell("measuring", done, total)
            key = jax.random.fold_in(jax.random.key(seed + 1), i)
            found.append(jax.tree.map(np.asarray, measure(jax.tree.map(lambda x, i=i: x[i], batch), key)))
            done += 1
        return {name: np.stack([f[name] for f in found]) for name in found[0]}

    compare = eqx.filter_jit(lambda p, point, key: compare_with_solution(p, point, costs, key))
    replies = eqx.filter_jit(lambda p, point: reply_gains(p, point, jnp.asarray(costs, float))._asdict())
    inner, outer = (each(batch, lambda point, key: compare(policy, point, key)) for batch in (inside, few))
    gains = {w: each(b, lambda point, _: replies(policy, point))["nats"] for w, b in _named(inside, corners)}
    tell("measuring", total, total)
    return {
        "oracle": "exact solution and exact best reply, by backward induction",
        "games": [f"{type(policy.environment).__name__}, {policy.environment.players} players"],
        "points": points,
        **_compared(policy, inner, outer),
        **_replied(costs, gains),
        "limit": LIMIT,
        "bias_limit": SDS,
        "verdict": verdict(gains, inner).value,
    }


def own_costs(policy: LearnedPolicy) -> Float[np.ndarray, " costs"]:
    """Own costs at which a policy is measured."""
    box = policy.cost_interval
    return np.geomspace(box.low, box.high, COSTS)


def compare_with_solution(
    policy: LearnedPolicy, point: Points, costs: Float[np.ndarray, " costs"], key: PRNGKeyArray
) -> dict[str, Array]:
    """Measures of decisions on the path of play, by own cost: means over the rounds of one game."""
    seen = observed(policy, point, jnp.asarray(costs, jnp.result_type(float)), key)
    exact = ExactPolicy(policy.environment, policy.prior, policy.population, nodes=24)
    here = inferred_values(policy, point)

    def choices(p: LearnedPolicy | ExactPolicy, theta: Array) -> Float[Array, "costs rounds actions"]:
        at = moved(policy, point._replace(cost=jnp.asarray(costs, theta.dtype)), theta)
        if isinstance(p, ExactPolicy):
            who = np.repeat(np.arange(len(costs)), policy.environment.horizon)
            flat = {n: x.reshape(who.size) for n, x in seen.items()}
            log_p = p.log_prob_people(flat, who, at.cost, at.phi, at.psi, at.params)
            return log_p.reshape(len(costs), policy.environment.horizon, -1)
        one = lambda seen, cost: p.log_prob_cells(0, seen, cost, at.phi, at.psi, at.params)
        return jax.vmap(one)(seen, at.cost)

    slopes = lambda p: jax.jacfwd(lambda theta: (choices(p, theta),) * 2, has_aux=True)(here)
    (slope, truth), (learned_slope, learned) = slopes(exact), slopes(policy)
    p = jnp.where(jnp.isfinite(truth), jnp.exp(truth), 0.0)
    mean = lambda x: jnp.einsum("cra,crat->ct", p, jnp.where(p[..., None] > 0, x, 0.0)) / truth.shape[1]
    kl = jax.vmap(divergence)(truth, learned)
    return {
        "solved": ~jnp.any(jnp.isnan(truth)),
        "kl": jnp.mean(kl, axis=1),
        "worst": jnp.max(kl, axis=1),
        "tv": jnp.max(jax.vmap(total_variation)(truth, learned), axis=1),
        "bias": mean(learned_slope),
        "information": mean(slope**2),
    }


def observed(
    policy: LearnedPolicy, point: Points, costs: Float[Array, " costs"], key: PRNGKeyArray
) -> dict[str, Float[Array, "costs rounds"]]:
    """What people with these costs see in each round of a game in which they and everybody else play as the policy
    says. The others' costs are drawn anew in each round."""
    env = policy.environment
    assert isinstance(env, Repeated)
    actions = jnp.asarray(env.action_values[0], costs.dtype)
    params = policy.all_params(point.params)

    def game(cost: Array, key: PRNGKeyArray) -> dict[str, Array]:
        def one_round(last: Array, x: tuple[Array, PRNGKeyArray]) -> tuple[Array, dict[str, Array]]:
            played, key = x
            own_key, redraw = jax.random.split(key)
            others = (jnp.sum(last) - last) / (env.players - 1)
            shown = env.seen_after(last, others, played, params)
            if policy.population is None:  # everybody has the same
                redrawn = jnp.full(env.players, cost)
            else:
                redrawn = private_costs(policy, redraw, point.phi).at[0].set(cost)
            log_p = jax.vmap(lambda s, c: policy.log_prob((0, s), c, point.phi, point.psi, point.params))(
                shown, redrawn
            )
            drawn = jax.random.categorical(own_key, log_p)
            return actions[drawn], jax.tree.map(lambda x: jnp.asarray(x)[0], dict(shown))

        start = jnp.zeros(env.players, costs.dtype)
        return jax.lax.scan(one_round, start, (jnp.arange(env.horizon), jax.random.split(key, env.horizon)))[1]

    return jax.vmap(game)(costs, jax.random.split(key, len(costs)))


def verdict(gains: dict[str, np.ndarray], inner: dict[str, np.ndarray]) -> Verdict:
    """PASS if no best reply gains more than the limit anywhere and the bias is small in 95 % of the box."""
    bias = bias_in_sds(inner["bias"], inner["information"], DECISIONS)[inner["solved"]]
    largest = max(float(g.max()) for g in gains.values())
    small = np.all(np.quantile(bias, 0.95, axis=(0, 1)) <= SDS)
    return Verdict.PASS if largest <= LIMIT and small else Verdict.FAIL


def bias_in_sds(
    bias: Float[np.ndarray, "..."], information: Float[np.ndarray, "..."], decisions: int
) -> Float[np.ndarray, "..."]:
    """How far an estimate is off after so many decisions, in posterior sds."""
    return np.abs(bias) * np.sqrt(decisions / np.maximum(information, 1e-30))


def _named(inside: Points, corners: Points) -> list[tuple[str, Points]]:
    return [("inside", inside), ("corners", corners)]


def _compared(policy: LearnedPolicy, inner: dict[str, np.ndarray], outer: dict[str, np.ndarray]) -> dict[str, Any]:
    names = inferred_names(policy)
    corners = len(outer["solved"])
    inner, outer = (solved_only(found, found["solved"]) for found in (inner, outer))
    sds = bias_in_sds(inner["bias"], inner["information"], DECISIONS).reshape(-1, len(names))
    flat = lambda x: x.reshape(-1, len(names))
    return {
        "points_solved": len(inner["solved"]),
        "corners": corners,
        "corners_solved": len(outer["solved"]),
        "kl": spread(inner["kl"].ravel()),
        "worst_decision_kl": spread(inner["worst"].ravel()),
        "total_variation": spread(inner["tv"].ravel()),
        "corner_kl": spread(outer["kl"].ravel()),
        "corner_total_variation": spread(outer["tv"].ravel()),
        "decisions_below_a_tenth_of_sd": budget(names, flat(inner["bias"]), flat(inner["information"])),
        "bias_in_sds_at_1000_decisions": {
            name: {"median": rounded(np.median(own)), "q95": rounded(np.quantile(own, 0.95))}
            for name, own in zip(names, sds.T, strict=True)
        },
    }


def _replied(costs: Float[np.ndarray, " costs"], gains: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "best_reply_nats": {
            f"{cost:.4g}": {where: spread(found[:, i]) for where, found in gains.items()}
            for i, cost in enumerate(costs)
        }
    }
