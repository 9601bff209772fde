"""Games over time of one person: comparison with the exact solution, at states reached by the policy's own play."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from bayescal._types import Keys
from bayescal.environments.markov import Markov
from bayescal.environments.own_solution import SolvesItself
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.precision import double_precision
from bayescal.training.certificate.measures import (
    Progress,
    at_both,
    budget,
    divergence,
    ignore_progress,
    inferred_names,
    inferred_values,
    moved,
    slope_and_value,
    solved_only,
    spread,
)
from bayescal.training.points import Points, corner_points, sample_points

_MOST_CORNERS = 64


def has_exact(policy: LearnedPolicy) -> bool:
    """Whether a game over time has an exact solution: decision problems of one person do."""
    env = policy.environment
    return env.players == 1 and isinstance(env, Markov | SolvesItself)


def certify_against_exact_play(
    policy: LearnedPolicy, *, games: int, seed: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Compare a policy of one person over time with the exact one, in `games` runs at points of the domain and at its
    corners. Measures are means over the decisions of a run."""
    tell = progress or ignore_progress
    env = policy.environment
    exact = ExactPolicy(env, policy.prior)
    with double_precision():
        tell("measuring", 0, 1)
        draws = (sample_points(policy, jax.random.key(seed), games), corner_points(policy, _MOST_CORNERS))
        keys = jnp.concatenate([jax.random.split(jax.random.key(seed + 1), len(points.cost)) for points in draws])
        found = at_both(partial(_measure_each, policy, exact, keys), *draws)
        tell("measuring", 1, 1)
    inside, corners = (solved_only(x, x["solved"]) for x in found.values())
    return {
        "oracle": "exact solution (soft Bellman equation), float64, wherever the policy's own play leads",
        "games": [f"{type(env).__name__}, {env.horizon} rounds"],
        "points": len(found["inside"]["solved"]),
        "points_solved": len(inside["solved"]),
        "corners": len(found["corners"]["solved"]),
        "corners_solved": len(corners["solved"]),
        "kl": spread(inside["kl"]),
        "worst_decision_kl": spread(inside["worst"]),
        "total_variation": spread(inside["tv"]),
        "corner_kl": spread(corners["kl"]),
        "corner_total_variation": spread(corners["tv"]),
        "decisions_below_a_tenth_of_sd": budget(inferred_names(policy), inside["bias"], inside["information"]),
    }


@eqx.filter_jit
def _measure_each(policy: LearnedPolicy, exact: ExactPolicy, keys: Keys, points: Points) -> dict[str, Array]:
    return jax.lax.map(lambda x: measure(policy, exact, *x), (points, keys), batch_size=8)


def measure(policy: LearnedPolicy, exact: ExactPolicy, point: Points, key: PRNGKeyArray) -> dict[str, Array]:
    """All measures of one run."""
    seen, live = observed_in_a_run(policy, point, key)
    here = inferred_values(policy, point)
    slope, truth = slope_and_value(lambda theta: choices(exact, moved(policy, point, theta), seen), here)
    learned_slope, learned = slope_and_value(lambda theta: choices(policy, moved(policy, point, theta), seen), here)
    p = jnp.where(jnp.isfinite(truth), jnp.exp(truth), 0.0)
    share = live / jnp.sum(live)
    kl, tv = divergence(truth, learned), 0.5 * jnp.sum(jnp.abs(p - jnp.exp(learned)), axis=1)
    mean = lambda x: jnp.sum((share[:, None] * p)[:, :, None] * jnp.where(p[:, :, None] > 0, x, 0.0), axis=(0, 1))
    return {
        "solved": jnp.all(~jnp.isnan(truth)),
        "kl": jnp.sum(share * kl),
        "worst": jnp.max(jnp.where(live, kl, 0.0)),
        "tv": jnp.max(jnp.where(live, tv, 0.0)),
        "bias": mean(learned_slope),
        "information": mean(slope**2),
    }


def observed_in_a_run(policy: LearnedPolicy, point: Points, key: PRNGKeyArray) -> tuple[PyTree, Bool[Array, " rounds"]]:
    """(observation in each round of one run, whether the game was still on)."""
    env = policy.environment

    def go(carry: tuple[PyTree, Array], key: PRNGKeyArray) -> tuple[tuple[PyTree, Array], tuple[PyTree, Array]]:
        state, over = carry
        act, chance = jax.random.split(key)
        seen = env.observe(state, 0)
        log_p = policy.log_prob((0, seen), point.cost, point.phi, point.psi, point.params)
        action = jax.random.categorical(act, log_p)[None].astype(jnp.int32)
        after, _, done = env.step(chance, state, action, point.params)
        return (after, over | done), (seen, ~over)

    begin, on = jax.random.split(key)
    start = (env.reset(begin, point.params), jnp.asarray(False))
    return jax.lax.scan(go, start, jax.random.split(on, env.horizon))[1]


def choices(policy: LearnedPolicy | ExactPolicy, point: Points, seen: PyTree) -> Float[Array, "rounds actions"]:
    """Log-probabilities in every round of a run."""
    return policy.log_prob_cells(0, seen, jnp.ravel(point.cost)[0], None, point.psi, point.params)
