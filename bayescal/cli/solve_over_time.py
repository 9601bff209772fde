"""`bayescal solve` for a finite game over time: every player's strategy in every situation."""

from typing import Literal

import equinox as eqx
import numpy as np

from bayescal.cli.show_strategies import show_strategies
from bayescal.environments.base import Environment
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.discrete import Discrete


def solve_over_time(
    environment: Environment,
    costs: list[float] | None,
    types: list[tuple[float, float]] | None,
    concept: Literal["trajectory", "agent"],
    arm: Literal["first", "other"],
    as_json: bool,
) -> int:
    """Solve and print; the exit code: 0 if the solver converged, 1 if not."""
    if costs is not None and len(costs) not in (1, environment.players):
        raise InputError(
            f"--cost has {len(costs)} numbers; {environment.name} has {environment.players} players: give one number "
            "for all, or one per player."
        )
    population = None if types is None else Discrete([c for c, _ in types], [p for _, p in types])
    policy = ExactPolicy(environment, population=population, concept=concept, arm=arm)
    if not isinstance(environment, FiniteGame):
        raise InputError(
            f"{environment.name} has too many situations to print a strategy for each: use `bayescal simulate`."
        )
    cost = None if costs is None else np.asarray(costs if len(costs) > 1 else costs[0])
    solution = eqx.filter_jit(lambda c: policy.solve(c))(cost)
    converged = bool(solution.converged)
    strategies = {
        role: {
            name: {label: float(p) for label, p in zip(labels, row, strict=False)}
            for (name, labels), row in zip(environment.situations_of(i), solution.strategies[i], strict=False)
        }
        for i, role in enumerate(environment.role_names)
        if environment.situations_of(i)  # a player who never moves has no strategy
    }
    show_strategies(environment.name, environment.situation_noun, strategies, solution, concept, as_json)
    return 0 if converged else 1
