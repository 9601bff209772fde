"""What `bayescal solve` prints of a game over time: every player's strategy in every situation."""

from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape

from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.cli.solve import remarks

if TYPE_CHECKING:
    from bayescal.cli.solve_small import SmallSolution
    from bayescal.policies.sequential import SequentialSolution

type Strategies = dict[str, dict[str, dict[str, float]]]  # by role, situation and action

SHOWN = 12  # situations of a player that are printed; --json has all


def show_strategies(
    name: str,
    noun: str,
    strategies: Strategies,
    solution: "SequentialSolution | SmallSolution",
    concept: str,
    as_json: bool,
) -> None:
    """Print the strategies and what there is to know of the solution.

    Args:
        noun: what a situation is called.
    """
    if as_json:
        facts = {"status": solution.message, "concept": concept, "residual": solution.residual}
        facts |= {"stable": bool(solution.stable), "forked": bool(solution.forked)}
        print_json(facts | {"strategies": strategies})
        return
    _show(noun, strategies)
    say(stdout_console(), f"{name}: {solution.message} ({concept} concept).")
    for sentence in remarks(solution):
        say(stdout_console(), sentence)


def _show(noun: str, strategies: Strategies) -> None:
    """A table for each player who moves: a row for each situation, or for each action if situations differ in these."""
    console = stdout_console()
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
