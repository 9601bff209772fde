"""A one-shot game solved by one compiled program, from NumPy arrays to the solution."""

from copy import copy
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef
from jaxtyping import Float

from bayescal._types import AnyArray, Costs, Parameters
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.base import all_params, padded_log_prior
from bayescal.policies.costs import checked_cost, types_of
from bayescal.policies.eager import in_double_precision, in_one_program
from bayescal.policies.one_shot import Arm, Solution, sense_of, solve_one_shot
from bayescal.populations.base import Population
from bayescal.priors.base import Prior


def check_one_shot(env: Environment) -> None:
    """A game over time has other solutions, which other functions find."""
    if not isinstance(env, OneShot):
        raise InputError(f"{env.name} is not a one-shot game: use `ExactPolicy(environment).solve(cost)`.")


def solve_game(
    env: OneShot,
    prior: Prior,
    population: Population | None,
    cost: Costs | None,
    phi: Parameters | None,
    psi: Parameters | None,
    params: Parameters | None,
    start: Float[AnyArray, "roles actions"] | None,
    arm: Arm,
) -> Solution:
    """The equilibrium, see `ExactPolicy.solve`. Games of one kind and shape share a program, whatever their names."""
    given = (env, prior, population, checked_cost(env, cost), phi, psi, params, start, sense_of(arm))
    try:
        return _compiled(*given)
    except InputError:  # of which the sentence would name no game
        return in_double_precision(_solve)(*given)


def _solve(
    env: OneShot,
    prior: Prior,
    population: Population | None,
    cost: Costs | None,
    phi: Parameters | None,
    psi: Parameters | None,
    params: Parameters | None,
    start: Float[AnyArray, "roles actions"] | None,
    sense: Float[AnyArray, ""],
) -> Solution:
    costs, weights = types_of(env, population, cost, phi)
    log_q = jnp.stack([padded_log_prior(env, prior, role, psi, role) for role in range(env.roles)])
    return solve_one_shot(env, log_q, costs, weights, all_params(env, params), start, sense)


@lru_cache(maxsize=512)
def _nameless(structure: PyTreeDef) -> PyTreeDef:
    """The structure of the same arguments with a game that has no names."""
    env, *rest = jax.tree.unflatten(structure, [object()] * structure.num_leaves)
    env, labels = copy(env), tuple(tuple(map(str, range(len(row)))) for row in env.action_labels)
    vars(env).update(name="", role_names=("",) * env.roles, action_labels=labels)
    plain: tuple[Any, ...] = (env, *rest)
    return jax.tree.structure(plain)


_compiled = in_one_program(_solve, _nameless)
