"""Play that is the reply to itself, found along a path from play that replies to nothing.

The concepts of this kind (sampling, impulse balance, Luce) differ in the reply alone. Where the reply is not logit the
path is that of people of whom a share acts at random, all actions equally likely, as everybody knows: the share falls
from one, where play is uniform, to a millionth. So one of several equilibria is chosen by the same rule in every game.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Parameters, RoleActions
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.base import PolicyKind
from bayescal.policies.by_role import ByRole
from bayescal.policies.one_shot import unknown_cells
from bayescal.policies.rational import NEVER
from bayescal.precision import double_precision
from bayescal.solvers.linear import Linear
from bayescal.solvers.path import CONVERGED, follow_path
from bayescal.solvers.places import in_places
from bayescal.solvers.root import implicit_root

Unknowns = Float[Array, " d"]

_LAST = 1e-3  # one action in a million stays random: with none at all some equilibria are double roots
_UNIT = 30.0  # unknowns are probabilities times this, so that steps of the path are as fine as those in logits


def fixed_point(
    reply: Callable[[Unknowns, Float[Array, ""], Any], Unknowns],
    start: Unknowns,
    end: Float[Array, ""],
    theta: Any,
    tie_break: Unknowns,
) -> Unknowns:
    """v = reply(v, end, theta) on the branch that begins at `start`, differentiable in `end` and theta; NaN where the
    branch could not be followed.

    Args:
        reply: at s = 0 it is `start`, whatever v is.
        tie_break: see `follow_path`.
    """
    fixed = jax.lax.stop_gradient(theta)

    def linearise(v, s):
        image = lambda x: (out := reply(x[:-1], x[-1], fixed), out)
        slope, at = jax.jacfwd(image, has_aux=True)(jnp.append(v, s))
        return v - at, Linear(jnp.eye(v.shape[0], dtype=v.dtype) - slope[:, :-1]), -slope[:, -1]

    path = follow_path(linearise, start, jax.lax.stop_gradient(end), tie_break=tie_break)
    residual = lambda v, given: v - reply(v, given[1], given[0])
    v = implicit_root(residual, path.point, (theta, end))
    return jnp.where(path.status == CONVERGED, v, jnp.nan)


def stationary_mixtures(env: OneShot, reply: Callable[[RoleActions, Any], RoleActions], theta: Any) -> RoleActions:
    """Mixtures p = reply(p, theta), at the end of the path from uniform play; NaN where it could not be followed."""
    uniform = jnp.asarray(env.mask / env.mask.sum(axis=1, keepdims=True), jnp.result_type(float))
    cells = unknown_cells(env)

    def mixtures(v):
        rest = in_places(v / _UNIT, cells, uniform.shape)
        return jnp.concatenate([1 - rest.sum(axis=1, keepdims=True), rest[:, 1:]], axis=1)

    def partly(v, s, theta):
        random = (1 - s / _UNIT) ** 2  # a double root is approached like the root of this share
        return _UNIT * (random * uniform + (1 - random) * reply(mixtures(v), theta))[cells]

    end = jnp.full((), _UNIT * (1 - _LAST), uniform.dtype)
    return reply(mixtures(fixed_point(partly, _UNIT * uniform[cells], end, theta, first_role(env))), theta)


def first_role(env: OneShot) -> Unknowns:
    """At a fork: the arm on which the first role that has a choice leaves its first action."""
    rows, _ = unknown_cells(env)
    return jnp.asarray(rows == rows.min(initial=0), jnp.result_type(float))


def log_mixtures(env: OneShot, p: RoleActions) -> RoleActions:
    """Logarithms; `NEVER` for an action that is never chosen, -inf where there is none, NaN where nothing was found."""
    chosen = ~(p <= 1e-15)
    log_p = jnp.where(chosen, jnp.log(jnp.where(chosen, p, 1.0)), NEVER)
    return jnp.where(jnp.asarray(env.mask), log_p, -jnp.inf)


class StationaryPolicy(ByRole):
    """A policy of one-shot games in which nobody pays for information."""

    policy_kind = PolicyKind.STATIONARY
    environment: eqx.AbstractVar[Any]

    def probabilities(self, phi: Parameters | None = None, params: Parameters | None = None) -> RoleActions:
        """The mixture of each role."""
        with double_precision():
            return jnp.exp(self.log_prob_all(None, phi, None, params))


def one_shot_of_several(policy: str, env: Environment) -> OneShot:
    """The game.

    Raises:
        InputError: it is played over time, or by one player.
    """
    if not isinstance(env, OneShot):
        raise InputError(f"{policy}: {env.name} is a game over time; the concept is for one-shot games.")
    if env.players < 2:
        raise InputError(f"{policy}: {env.name} has no others to reply to.")
    return env
