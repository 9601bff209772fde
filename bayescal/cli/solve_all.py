"""`bayescal solve --all`: every equilibrium of a small one-shot game that is found."""

from typing import Any

import numpy as np
from rich.markup import escape

from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.environments.base import OneShot, role_of_player
from bayescal.policies.equilibria import Equilibria, NashEquilibrium, equilibria, nash_equilibria
from bayescal.priors.base import Prior


def solve_all(environment: OneShot, costs: list[float], habit: Prior, as_json: bool) -> int:
    """Search and print; the exit code: 0 if no equilibrium is known to be missing, 1 if one is."""
    found = equilibria(environment, np.asarray(costs), prior=habit)
    nash = nash_equilibria(environment) if environment.players == 2 else None
    if as_json:
        print_json(_as_dict(environment, found, nash))
    else:
        _show(environment, found, nash)
    return 0 if found.balanced else 1


def _as_dict(environment: OneShot, found: Equilibria, nash: tuple[NashEquilibrium, ...] | None) -> dict[str, Any]:
    roles = role_of_player(environment.role_counts)
    sizes = [len(environment.action_values[r]) for r in roles]
    at_cost = [
        {
            "strategies": [e.strategies[r, :n] for r, n in zip(roles, sizes, strict=True)],
            "payoffs": [e.payoffs[r] for r in roles],
            "stable": e.stable,
            "principal": e.principal,
            "exploitability": float(np.max(e.exploitability)),
        }
        for e in found
    ]
    without = None
    if nash is not None:
        without = [
            {
                "strategies": [row[:n] for row, n in zip(e.strategies, sizes, strict=True)],
                "payoffs": list(e.payoffs),
                "degenerate": e.degenerate,
            }
            for e in nash
        ]
    return {"equilibria": at_cost, "balanced": found.balanced, "nash": without}


def _show(environment: OneShot, found: Equilibria, nash: tuple[NashEquilibrium, ...] | None) -> None:
    console = stdout_console()
    for role, name in enumerate(environment.role_names):
        table = empty_table(name, ["action"], [_headline(k, e.principal, e.stable) for k, e in enumerate(found, 1)])
        for a, label in enumerate(environment.action_labels[role]):
            table.add_row(escape(label), *[f"{e.strategies[role, a]:.4f}" for e in found])
        table.add_row("payoff", *[f"{e.payoffs[role]:.4g}" for e in found])
        console.print(table)
        console.print()
    many = "1 equilibrium" if len(found) == 1 else f"{len(found)} equilibria"
    missing = "." if found.balanced else ", and at least one is missing: their indices do not add up to 1."
    say(console, f"{environment.name}: {many} found{missing}")
    for e in nash or ():
        rows = ["(" + ", ".join(f"{p:.3g}" for p in row) + ")" for row in e.strategies]
        note = ", degenerate: there may be others near it" if e.degenerate else ""
        say(console, f"Nash equilibrium {' '.join(rows)}, payoffs {e.payoffs[0]:.4g} and {e.payoffs[1]:.4g}{note}.")


def _headline(number: int, principal: bool, stable: bool) -> str:
    words = ["principal"] * principal + ["unstable"] * (not stable)
    return f"{number}" + (f" ({', '.join(words)})" if words else "")
