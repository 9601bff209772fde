"""One round of a repeated game as arrays: what it pays, and where the worth of states is held.

What a state (own last action, others' last mean) is worth afterwards is a smooth function of it, held by its values at
a few nodes. Where there are no more actions than nodes, the nodes are the actions.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import Actions, AnyArray, Parameters, Seen
from bayescal.environments.base import Params
from bayescal.environments.repeated import Repeated
from bayescal.precision import FULL

NODES = 16  # in each direction, at most
LogPrior = Callable[[Seen], Actions]
DEPTH = 8  # of states that others are believed to have seen, one from another, with three players or more


class Nodes(NamedTuple):
    """Where a function of one number is held, and the matrix from its values there to those at `at`."""

    at: Float[np.ndarray, " nodes"]
    spread: Float[np.ndarray, "points nodes"]
    share: Float[np.ndarray, " nodes"]  # weights of a mean over the range


class Stage(NamedTuple):
    """What is known of a round.

    Attributes:
        pays: payoff of each own action, by the others' mean.
        own, seen: nodes for the own action (spread over the actions) and for the others' mean (over its values).
    """

    pays: Float[Array, "actions means"]
    own: Nodes
    seen: Nodes

    @property
    def area(self) -> Float[np.ndarray, "own seen"]:
        """Weights of a mean over all states."""
        return np.outer(self.own.share, self.seen.share)

    @property
    def states(self) -> tuple[Float[np.ndarray, " states"], Float[np.ndarray, " states"]]:
        """(own action, others' mean) at every pair of nodes."""
        own, seen = np.meshgrid(self.own.at, self.seen.at, indexing="ij")
        return own.ravel(), seen.ravel()


def nodes_of(values: Float[np.ndarray, " points"], most: int) -> Nodes:
    """Chebyshev nodes between the ends of `values`; the values themselves where these are no more than `most`."""
    if len(values) <= most:
        return Nodes(values, np.eye(len(values)), np.full(len(values), 1 / len(values)))
    angles = np.pi * (np.arange(most) + 0.5) / most
    unit = lambda x: np.clip(2 * (x - values[0]) / (values[-1] - values[0]) - 1, -1, 1)
    basis = lambda u: np.cos(np.arange(most) * np.arccos(u)[:, None])
    at = values[0] + (values[-1] - values[0]) * (1 + np.cos(angles)) / 2
    share = np.sin(angles) / np.sin(angles).sum()
    return Nodes(at, basis(unit(values)) @ np.linalg.inv(basis(np.cos(angles))), share)


def stage_of(environment: Repeated, params: Params, most: int = NODES) -> Stage:
    """The round of a game with these parameters; `most` nodes in each direction."""
    given = {n: jnp.asarray(x, jnp.result_type(float)) for n, x in params.items()}
    pays = jnp.asarray(environment.stage.joint_table(0, given), jnp.result_type(float))
    actions = np.asarray(environment.action_values[0])
    return Stage(pays, nodes_of(actions, most), nodes_of(environment.others_means, most))


def chances(environment: Repeated, bar: Float[Array, "states actions"]) -> Float[Array, "states means"]:
    """The distribution of the others' mean when each of them plays `bar`."""
    if environment.players == 2:
        return bar
    return jax.vmap(lambda p: environment.stage.joint_chances(0, p[None]))(bar)


class Continuation(NamedTuple):
    """What a round's outcome is worth afterwards: values at nodes (costs, own, seen), discounted."""

    stage: Stage
    worth: Float[Array, "costs own seen"]


def action_values(total: Continuation, met: Float[Array, "states means"]) -> Float[Array, "costs states actions"]:
    """Q of every own action when the others' mean has the distribution `met`: what it pays, and what it leads to."""
    stage, worth = total
    times = partial(jnp.matmul, precision=FULL)
    now = times(met, stage.pays.T)
    near = times(met, jnp.asarray(stage.seen.spread, met.dtype))  # (states, seen nodes)
    by_own = jnp.einsum("sj,gij->gsi", near, worth, precision=FULL)
    return now + times(by_own, jnp.asarray(stage.own.spread.T, met.dtype))


class Chain(NamedTuple):
    """States, and for each of them the index of the state that others are believed to have seen."""

    own: Float[AnyArray, " states"]
    seen: Float[AnyArray, " states"]
    mirror: Int[np.ndarray, " states"]


def node_chain(environment: Repeated, stage: Stage) -> Chain:
    """The nodes first, then the states that are needed to say what others do there."""
    own, seen = stage.states
    if environment.players == 2 and len(stage.own.at) == len(stage.seen.at):
        size = len(stage.own.at)
        return Chain(own, seen, np.arange(size * size).reshape(size, size).T.ravel())
    return chain_of(environment, own, seen)


def chain_of(environment: Repeated, own: Float[AnyArray, " states"], seen: Float[AnyArray, " states"]) -> Chain:
    """These states first, then what others saw, what the others' others saw, …

    With two players the second is the first again. With more the states close in on one that mirrors itself.
    """
    count = len(own)
    parts = [(own, seen)]
    for _ in range(1 if environment.players == 2 else DEPTH - 1):
        parts.append(environment.mirrored(*parts[-1]))
    last = len(parts) - 1
    following = [min(k + 1, last) for k in range(len(parts))] if environment.players > 2 else [1, 0]
    mirror = np.concatenate([np.arange(count) + count * k for k in following])
    xp = jnp if isinstance(own, jax.Array) or isinstance(seen, jax.Array) else np
    return Chain(xp.concatenate([p[0] for p in parts]), xp.concatenate([p[1] for p in parts]), mirror)


def habit_at(
    environment: Repeated,
    log_prior: LogPrior,
    chain: Chain,
    played: Int[Array, ""] | int,
    params: Parameters,
) -> Float[Array, "states actions"]:
    """log q in each of these states after `played` rounds."""
    dtype = jnp.result_type(float)
    one = lambda own, seen: log_prior(environment.seen_after(own, seen, played, params))
    return jax.vmap(one)(jnp.asarray(chain.own, dtype), jnp.asarray(chain.seen, dtype))
