"""One-shot games: comparison with the exact equilibrium, at points of the domain and at its corners."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy, replace_environment
from bayescal.policies.one_shot import Solution
from bayescal.precision import double_precision
from bayescal.solvers.path import CONVERGED
from bayescal.training.certificate.measures import (
    Progress,
    at_both,
    budget,
    divergence,
    ignore_progress,
    inferred_names,
    inferred_values,
    moved,
    rounded,
    slope_and_value,
    solved_only,
    spread,
    total_variation,
)
from bayescal.training.mixtures import replies, types_of, values_at_point
from bayescal.training.points import Points, corner_points, sample_points

_MOST_GAMES = 5  # measured, of a policy for games with different numbers of players


def certify_one_shot(
    policy: LearnedPolicy,
    *,
    points: int,
    seed: int,
    ensemble: Sequence[LearnedPolicy] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare a policy with the exact equilibrium (see `certify`)."""
    tell = progress or ignore_progress
    games = evenly_chosen(policy.variants, _MOST_GAMES)
    parts: dict[str, list[dict[str, np.ndarray]]] = {"inside": [], "corners": []}
    # Solutions and their derivatives are computed in double precision.
    with double_precision():
        for i, game in enumerate(games):
            tell("measuring", i, len(games))
            here = replace_environment(policy, game)
            others = tuple(replace_environment(e, game) for e in ensemble)
            inside = sample_points(here, jax.random.fold_in(jax.random.key(seed), i), -(-points // len(games)))
            found = at_both(partial(_measure_each, here, others), inside, corner_points(here))
            for where, measured in found.items():
                parts[where].append(measured)
        tell("measuring", len(games), len(games))
    everywhere = {where: jax.tree.map(lambda *x: np.concatenate(x), *part) for where, part in parts.items()}
    inside, corners = (solved_only(x, x["solved"]) for x in everywhere.values())
    names = inferred_names(policy)
    out = {
        "oracle": "exact equilibrium on the principal branch, float64",
        "games": [f"{type(v).__name__}, {v.players} players" for v in games],
        "points": len(everywhere["inside"]["solved"]),
        "points_solved": len(inside["solved"]),
        "corners": len(everywhere["corners"]["solved"]),
        "corners_solved": len(corners["solved"]),
        "kl": spread(inside["kl"]),
        "total_variation": spread(inside["tv"]),
        "corner_kl": spread(corners["kl"]),
        "corner_total_variation": spread(corners["tv"]),
        "nats_per_decision": spread(inside["nats"]),
        "slope_of_log_probability": {
            name: _slope_errors(slope, error)
            for name, slope, error in zip(names, inside["slope"].T, inside["slope_error"].T, strict=True)
        },
        "decisions_below_a_tenth_of_sd": budget(names, inside["bias"], inside["information"]),
        "soft_exploitability": spread(everywhere["inside"]["regret"]),
        "bellman_residual": spread(everywhere["inside"]["gap"]),
    }
    if ensemble:
        out["ensemble_disagreement_kl"] = spread(everywhere["inside"]["disagreement"])
    return out


def oracle_kl(policy: LearnedPolicy, *, points: int = 100, seed: int = 1) -> Callable[[LearnedPolicy], float]:
    """A function that computes the mean divergence of policies of this shape from the exact solution, which is
    computed once, here."""
    if not isinstance(policy.environment, OneShot):
        raise InputError(f"oracle_kl is for one-shot games; {policy.environment.name} is a game over time.")
    with double_precision():
        batch = sample_points(policy, jax.random.key(seed), points)
        exact, solved = _exact_each(policy, batch)

    def distance(policy: LearnedPolicy) -> float:
        with double_precision():
            return float(_mean_divergence(policy, batch, exact, solved))

    return distance


@eqx.filter_jit
def _exact_each(
    policy: LearnedPolicy, batch: Points
) -> tuple[Float[Array, "points roles actions"], Bool[Array, " points"]]:
    return jax.vmap(lambda p: exact_choices(policy, p))(batch)


@eqx.filter_jit
def _mean_divergence(
    policy: LearnedPolicy,
    batch: Points,
    exact: Float[Array, "points roles actions"],
    solved: Bool[Array, " points"],
) -> Float[Array, ""]:
    kl = jax.vmap(lambda p, e: jnp.mean(divergence(e, learned_choices(policy, p))))(batch, exact)
    return jnp.sum(jnp.where(solved, kl, 0.0)) / jnp.sum(solved)


@eqx.filter_jit
def _measure_each(policy: LearnedPolicy, ensemble: Sequence[LearnedPolicy], batch: Points) -> dict[str, Array]:
    return jax.vmap(lambda point: measure(policy, point, ensemble))(batch)


def measure(policy: LearnedPolicy, point: Points, ensemble: Sequence[LearnedPolicy]) -> dict[str, Array]:
    """All measures of one game."""
    scores, solution = _scores(policy, point)
    exact, solved = _own_choices(policy, point, solution)
    learned = learned_choices(policy, point)
    out = {
        "solved": solved,
        "kl": jnp.max(divergence(exact, learned)),
        "tv": jnp.max(total_variation(exact, learned)),
        **scores,
        **_own_best_reply(policy, point),
    }
    if ensemble:
        gaps = [jnp.max(divergence(learned, learned_choices(e, point))) for e in ensemble]
        out["disagreement"] = jnp.max(jnp.stack(gaps))
    return out


def _scores(policy: LearnedPolicy, point: Points) -> tuple[dict[str, Array], Solution]:
    """What a random decision says of the inferred parameters: the slopes of its log-probability, exact and learned.
    With them the solution, so that a game is solved once."""
    here = inferred_values(policy, point)
    network = lambda theta: _random_person(policy, moved(policy, point, theta))

    def exact(theta: Float[Array, " parameters"]) -> tuple[Array, Solution]:
        solution = _solve(policy, moved(policy, point, theta))
        return solution.log_strategies, solution

    slope, solution = jax.jacfwd(exact, has_aux=True)(here)
    log_truth = solution.log_strategies
    learned_slope, log_learned = slope_and_value(network, here)
    truth = jnp.exp(log_truth)
    possible = truth > 0
    weight = jnp.where(possible, truth, 0.0)[:, :, None] / policy.environment.roles
    masked = lambda x: jnp.where(possible[:, :, None], x, 0.0)
    slope, learned_slope = masked(slope), masked(learned_slope)
    mean = lambda x: jnp.sum(weight * x, axis=(0, 1))
    scores = {
        "nats": jnp.sum(weight[:, :, 0] * jnp.where(possible, log_truth - log_learned, 0.0)),
        "slope": jnp.sqrt(mean(slope**2)),
        "slope_error": jnp.sqrt(mean((learned_slope - slope) ** 2)),
        "bias": mean(learned_slope),
        "information": mean(slope**2),
    }
    return scores, solution


def _own_best_reply(policy: LearnedPolicy, point: Points) -> dict[str, Array]:
    """What the best reply to the policy's play would gain, its information paid for, and how far values are from the
    payoffs that they predict; both as shares of the payoffs' spread."""
    env = policy.environment
    assert isinstance(env, OneShot)
    costs, weights = types_of(policy, point)
    q, log_q = values_at_point(policy, point), policy.log_prior(point.psi)
    reply, p, by_type = replies(env, q, log_q, costs, weights, point.params)
    scale = env.payoff_scale(point.params)
    mask = jnp.asarray(env.mask)
    gap = jnp.where(mask, reply - q, 0.0)
    gap = jnp.where(mask, gap - jnp.sum(p * gap, axis=1, keepdims=True), 0.0)
    # The gain is cost · KL(play || best reply).
    best = jax.nn.log_softmax(log_q[:, None, :] + reply[:, None, :] / costs[:, :, None])
    play = jnp.where(mask[:, None, :], jnp.log(jnp.maximum(by_type, 1e-300)), 0.0)
    regret = costs * jnp.sum(jnp.where(mask[:, None, :], by_type * (play - best), 0.0), axis=2) @ weights
    return {
        "regret": jnp.max(regret) / scale,
        "gap": jnp.sqrt(jnp.max(jnp.sum(p * gap**2, axis=1)))
        / scale,  # of actions weighted by how often they are played
    }


def exact_choices(policy: LearnedPolicy, point: Points) -> tuple[Float[Array, "roles actions"], Bool[Array, ""]]:
    """(log-probabilities of each role at the point's own cost, whether they were solved)."""
    return _own_choices(policy, point, _solve(policy, point))


def _own_choices(
    policy: LearnedPolicy, point: Points, solution: Solution
) -> tuple[Float[Array, "roles actions"], Bool[Array, ""]]:
    if not policy.private:
        return solution.log_strategies, solution.status == CONVERGED
    choices = jax.nn.log_softmax(policy.log_prior(point.psi) + solution.expected_payoffs / point.cost)
    return jnp.where(jnp.asarray(policy.environment.mask), choices, -jnp.inf), solution.status == CONVERGED


def learned_choices(policy: LearnedPolicy, point: Points) -> Float[Array, "roles actions"]:
    return policy.log_prob_all(point.cost, point.phi, point.psi, point.params)


def _solve(policy: LearnedPolicy, point: Points) -> Solution:
    exact = ExactPolicy(policy.environment, policy.prior, policy.population)
    cost, phi = (None, point.phi) if policy.private else (point.cost, None)
    return exact.solve(cost, phi, point.psi, point.params)


def _random_person(policy: LearnedPolicy, point: Points) -> Float[Array, "roles actions"]:
    """Log-probabilities of a random person, given the inferred parameters only."""
    if policy.private:
        return policy.log_prob_all(None, point.phi, point.psi, point.params)
    return policy.log_prob_all(point.cost, None, point.psi, point.params)


def _slope_errors(slope: Float[np.ndarray, " points"], error: Float[np.ndarray, " points"]) -> dict[str, float]:
    return {
        "relative error": rounded(np.sqrt(np.mean(error**2) / np.mean(slope**2))),
        "q95 error": rounded(np.quantile(error, 0.95)),
    }


def evenly_chosen(games: Sequence[Environment], most: int) -> list[Environment]:
    """At most `most` games: the first, the last and evenly spaced ones between."""
    if len(games) <= most:
        return list(games)
    return [games[round(i * (len(games) - 1) / (most - 1))] for i in range(most)]
