"""`bayescal solve` for a finite game over time: every player's strategy in every situation."""

from typing import Literal

import equinox as eqx
import numpy as np
from rich.console import Console
from rich.markup import escape

from bayescal.cli.show import empty_table, print_json, say
from bayescal.cli.solve import remarks
from bayescal.environments.base import Environment
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.discrete import Discrete

SHOWN = 12  # situations of a player that are printed; --json has all


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
    if as_json:
        facts = {"status": solution.message, "concept": concept, "residual": solution.residual}
        facts |= {"stable": bool(solution.stable), "forked": bool(solution.forked)}
        print_json(facts | {"strategies": strategies})
    else:
        _show(environment, strategies)
        say(Console(), f"{environment.name}: {solution.message} ({concept} concept).")
        for sentence in remarks(solution):
            say(Console(), sentence)
    return 0 if converged else 1


def _show(environment: FiniteGame, strategies: dict[str, dict[str, dict[str, float]]]) -> None:
    """A table for each player who moves: a row for each situation, or for each action if situations differ in these."""
    console, noun = Console(), environment.situation_noun
    for role, rows in strategies.items():
        shown = list(rows.items())[:SHOWN]
        actions = list(next(iter(rows.values())))
        if all(list(row) == actions for row in rows.values()):
            table = empty_table(role, [noun], actions)
            for name, row in shown:
                table.add_row(escape(name), *map(_spelled, row.values()))
        else:
            table = empty_table(role, [noun, "action"], ["probability"])
            for name, row in shown:
                for k, (action, p) in enumerate(row.items()):
                    table.add_row("" if k else escape(name), escape(action), _spelled(p))
        console.print(table)
        if len(rows) > SHOWN:
            console.print(f"… and {len(rows) - SHOWN} more (--json has them all)")
        console.print()


def _spelled(p: float) -> str:
    return f"{p:.4f}" if np.isfinite(p) else ""
