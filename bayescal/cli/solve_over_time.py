"""`bayescal solve` of a finite game over time: what everybody does in every situation."""

from typing import Any

import equinox as eqx
import numpy as np

from bayescal.cli.show import empty_table, print_json
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.discrete import Discrete

SHOWN = 12  # situations of a player that are printed; --json has all


def solve_over_time(
    environment: Any, costs: list[float] | None, pairs: Any, concept: str, x64: bool, as_json: bool
) -> int:
    if costs is not None and len(costs) not in (1, environment.players):
        raise InputError(
            f"--cost has {len(costs)} numbers; {environment.name} has {environment.players} players: give one number "
            "for all, or one per player."
        )
    population = None if pairs is None else Discrete([c for c, _ in pairs], [p for _, p in pairs])
    chosen = "agent" if concept == "agent" else "trajectory"
    policy = ExactPolicy(environment, population=population, concept=chosen)
    cost = None if costs is None else np.asarray(costs if len(costs) > 1 else costs[0])
    solution = eqx.filter_jit(lambda c: policy.solve(c))(cost)
    converged = bool(solution.converged)
    status = solution.message + ("" if converged or x64 else "; try --x64")
    found = {
        role: {
            name: {label: float(p) for label, p in zip(labels, row, strict=False)}
            for (name, labels), row in zip(environment.situations_of(i), solution.strategies[i], strict=False)
        }
        for i, role in enumerate(environment.role_names)
    }
    if as_json:
        told = {"status": status, "concept": concept, "strategies": found, "residual": solution.residual}
        print_json(told)
    else:
        _show(environment, found, status, concept)
    return 0 if converged else 1


def _show(environment: Any, found: dict[str, Any], status: str, concept: str) -> None:
    from rich.console import Console

    console = Console()
    for i, (role, rows) in enumerate(found.items()):
        table = empty_table(role, [environment.situation_noun], environment.action_labels[i])
        for name, row in list(rows.items())[:SHOWN]:
            table.add_row(name, *(f"{p:.4f}" if np.isfinite(p) else "" for p in row.values()))
        console.print(table)
        if len(rows) > SHOWN:
            console.print(f"… and {len(rows) - SHOWN} more (--json has them all)")
        console.print()
    console.print(f"{environment.name}: {status} ({concept} concept).", highlight=False)
