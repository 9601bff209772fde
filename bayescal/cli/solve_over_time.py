"""`bayescal solve` of a finite game over time: what everybody does in every situation."""

import json
import sys
from typing import Any

import equinox as eqx
import numpy as np

from bayescal.environments.extensive import ExtensiveForm
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
            name: {label: _number(p) for label, p in zip(labels, row, strict=False)}
            for (name, labels), row in zip(_situations(environment, i), solution.strategies[i], strict=False)
        }
        for i, role in enumerate(environment.role_names)
    }
    if as_json:
        residual = _number(solution.residual)
        json.dump({"status": status, "concept": concept, "strategies": found, "residual": residual}, sys.stdout)
        sys.stdout.write("\n")
    else:
        _show(environment, found, status, concept)
    return 0 if converged else 1


def _situations(environment: Any, player: int) -> list[tuple[str, tuple[str, ...]]]:
    """(name, labels of its actions) of each."""
    if isinstance(environment, ExtensiveForm):
        tree = environment.tree
        return list(zip(tree.situations[player], tree.actions[player], strict=True))
    return [(str(s), environment.action_labels[player]) for s in range(environment.states)]


def _number(x: Any) -> float | None:
    return float(x) if np.isfinite(x) else None


def _show(environment: Any, found: dict[str, Any], status: str, concept: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    kind = "situation" if isinstance(environment, ExtensiveForm) else "state"
    for i, (role, rows) in enumerate(found.items()):
        labels = list(environment.action_labels[i])
        table = Table(box=None, header_style="bold", pad_edge=False, title=role, title_justify="left")
        table.add_column(kind)
        for label in labels:
            table.add_column(label, justify="right")
        for name, row in list(rows.items())[:SHOWN]:
            table.add_row(name, *("" if p is None else f"{p:.4f}" for p in row.values()))
        console.print(table)
        if len(rows) > SHOWN:
            console.print(f"… and {len(rows) - SHOWN} more (--json has them all)")
        console.print()
    console.print(f"{environment.name}: {status} ({concept} concept).", highlight=False)
