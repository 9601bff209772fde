"""Points of a policy's domain, in the form that a policy takes."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal._types import AnyArray, Parameters
from bayescal.domain import Domain
from bayescal.environments.base import OneShot
from bayescal.policies.learned import LearnedPolicy
from bayescal.priors.uniform import Uniform


class Points(NamedTuple):
    """Games to be played. In a batch every array has a leading dimension.

    `cost` has one entry a role where costs are known. Where they are private it is one own cost to look at, or in games
    being played one a player.
    """

    cost: Float[Array, "..."]
    phi: dict[str, Float[Array, "..."]]
    psi: dict[str, Float[Array, "..."]]
    params: dict[str, Float[Array, "..."]]


def sample_points(
    policy: LearnedPolicy, key: PRNGKeyArray, n: int, *, faces: bool = False, box: Domain | None = None
) -> Points:
    """Points spread evenly over the domain. Known costs are drawn independently for each role; for half of the points
    they are the same for all.

    Args:
        faces: more points near the faces of the domain.
        box: a part of the domain to which they are limited.
    """
    draw, same, cost_key = jax.random.split(key, 3)
    values = (box or policy.domain).sample(draw, (n,), sizes=array_sizes(policy), faces=faces)
    if not policy.private:
        roles = policy.environment.roles
        costs = dict((box or policy.domain).intervals)["cost"]
        own = costs.low * (costs.high / costs.low) ** jax.random.uniform(cost_key, (n, roles))
        together = jax.random.bernoulli(same, 0.5, (n, 1))
        values["cost"] = jnp.where(together, own[:, :1], own)
    return assemble(policy, values, n)


def corner_points(policy: LearnedPolicy, most: int = 256) -> Points:
    """All corners of the domain, or `most` evenly chosen ones. Arrays (payoff tables) get random corners."""
    rng = np.random.default_rng(0)
    names, sizes = policy.domain.names, array_sizes(policy)
    scalars = [n for n in names if n not in sizes]
    total = 2 ** len(scalars)
    chosen = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
    chosen = np.resize(chosen, most) if sizes else chosen
    bits = (chosen[:, None] >> np.arange(len(scalars))) & 1
    boxes = dict(policy.domain.intervals)
    values: dict[str, np.ndarray] = {
        n: np.where(bits[:, i] == 1, boxes[n].high, boxes[n].low).astype(float) for i, n in enumerate(scalars)
    }
    for n, shape in sizes.items():
        values[n] = rng.choice([boxes[n].low, boxes[n].high], size=(len(chosen), *shape))
    if not policy.private:
        values["cost"] = np.repeat(values["cost"][:, None], policy.environment.roles, axis=1)
    return assemble(policy, values, len(chosen))


def assemble(policy: LearnedPolicy, values: Mapping[str, AnyArray], n: int) -> Points:
    """n points from values by the domain's names; other parameters keep their defaults."""
    dtype = jnp.result_type(float)
    part = lambda kind: {
        k.split(".", 1)[1]: jnp.asarray(x, dtype) for k, x in values.items() if k.startswith(f"{kind}.")
    }
    spread = lambda defaults: {
        k: jnp.broadcast_to(jnp.asarray(x, dtype), (n, *np.shape(x))) for k, x in defaults.items()
    }
    return Points(
        jnp.asarray(values["cost"], dtype),
        part("phi"),
        spread(policy.prior.defaults) | part("psi"),
        spread(policy.environment.params) | part("params"),
    )


def array_sizes(policy: LearnedPolicy) -> dict[str, tuple[int, ...]]:
    """Shapes of the array parameters in the domain."""
    shapes = {f"params.{n}": np.shape(x) for n, x in policy.environment.params.items()}
    return {n: s for n, s in shapes.items() if s and n in policy.domain.names}


def private_costs(policy: LearnedPolicy, key: PRNGKeyArray, phi: Parameters) -> Float[Array, " players"]:
    """A cost for every player, from the population, within the domain."""
    assert policy.population is not None
    costs = policy.population.sample(key, phi, (policy.environment.players,))
    return jnp.clip(costs, policy.cost_interval.low, policy.cost_interval.high)


def new_games(
    policy: LearnedPolicy, key: PRNGKeyArray, n: int, *, faces: bool = False, box: Domain | None = None
) -> tuple[PyTree, Points]:
    """States and points of n new games. Private costs are drawn for each player of each game.

    Args:
        faces, box: see `sample_points`.
    """
    env = policy.environment
    draw, own, begin = jax.random.split(key, 3)
    points = sample_points(policy, draw, n, faces=faces, box=box)
    if policy.population is not None:
        sample = lambda k, phi: private_costs(policy, k, phi)
        points = points._replace(cost=jax.vmap(sample)(jax.random.split(own, n), points.phi))
    if isinstance(env, OneShot) and isinstance(policy.prior, Uniform):
        # The relabelled games are played: the policy relabels actions in a standard way (`AmortisedPolicy.values`).
        points = points._replace(params=dict(jax.vmap(lambda p: env.relabel(p)[0])(points.params)))
    return jax.vmap(env.reset)(jax.random.split(begin, n), points.params), points
