"""Luce (power) quantal response equilibrium."""

from collections.abc import Hashable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayescal._types import Costs, Parameters, RoleActions
from bayescal.domain import POSITIVE, Interval
from bayescal.environments.base import Environment, OneShot, shape_key
from bayescal.errors import InputError
from bayescal.policies.eager import in_double_precision
from bayescal.policies.one_shot import unknown_cells
from bayescal.policies.stationary import (
    StationaryPolicy,
    first_role,
    fixed_point,
    one_shot_of_several,
)
from bayescal.precision import double_precision
from bayescal.solvers.places import in_places


class LucePolicy(StationaryPolicy):
    """Choice probabilities are proportional to a power of the expected payoff: p(a) = U(a)^(1/mu) / sum_b U(b)^(1/mu).

    The rule is Luce's (1959), in equilibrium as in Goeree, Holt & Palfrey (2016, ch. 2). A change of the unit of
    payoffs changes nothing (that of logit changes its precision), and a sum added to all payoffs changes choices (those
    of logit stay). Payoffs must not be negative.

    Args:
        environment: a one-shot game of at least two players without negative payoffs, in which every action can pay.

    phi is {"mu": …}: best replies at 0, play at random at infinity. The equilibrium is the one on the branch that
    begins with play at random.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.LucePolicy(bc.get_game("selten-chmura-01"))
        >>> [f"{p:.3f}" for p in policy.probabilities({"mu": 0.2})[:, 0]]  # Up, Left
        ['0.061', '0.547']
    """

    environment: Environment

    def __check_init__(self) -> None:
        check_payoffs([one_shot_of_several("LucePolicy", self.environment)])

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"mu": POSITIVE}

    @in_double_precision
    @eqx.filter_jit
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        env: Any = self.environment
        if phi is None:
            raise InputError('LucePolicy: phi is {"mu": …}, and None was given.')
        mask, cells = jnp.asarray(env.mask), unknown_cells(env)
        precision = 1 / jnp.asarray(phi["mu"], jnp.result_type(float))

        def log_p(v):
            return jax.nn.log_softmax(jnp.where(mask, in_places(v, cells, mask.shape), -jnp.inf), axis=1)

        def reply(v, s, params):
            payoffs = jnp.where(mask, env.expected_payoffs(jnp.exp(log_p(v)), params), 1.0)
            log_payoffs = jnp.log(payoffs)
            return s * (log_payoffs - log_payoffs[:, :1])[cells]

        start = jnp.zeros(len(cells[0]), precision.dtype)
        v = fixed_point(reply, start, precision, self.all_params(params), first_role(env))
        return log_p(v)


def check_payoffs(games: Sequence[OneShot]) -> None:
    """
    Raises:
        InputError: powers of the expected payoffs are not defined in one of the games.
    """
    alike: dict[Hashable, list[Any]] = {}
    for game in games:
        alike.setdefault(shape_key(game), []).append(game)
    for same in alike.values():
        first, params = same[0], jax.tree.map(lambda *x: np.stack(x), *[game.params for game in same])

        def ends(params, first=first):
            tables = [first.joint_table(role, params) for role in range(first.roles)]
            lowest = jnp.min(jnp.stack([t.min() for t in tables]))
            return lowest, jnp.min(jnp.stack([t.max(axis=1).min() for t in tables]))

        with double_precision():
            lowest, best_of_worst = map(np.asarray, jax.jit(jax.vmap(ends))(params))
        for game, low, high in zip(same, lowest, best_of_worst, strict=True):
            if low < 0:
                raise InputError(f"LucePolicy: {game.name} has a payoff of {low:g}; powers need payoffs of 0 or more.")
            if high <= 0:
                raise InputError(f"LucePolicy: {game.name} has an action that never pays; give each a positive payoff.")
