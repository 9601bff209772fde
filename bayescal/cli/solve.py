"""`bayescal solve`: one game, one equilibrium, in float64."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayescal.cli.games import find_game, registered_name
from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.errors import InputError
from bayescal.precision import double_precision

if TYPE_CHECKING:
    from bayescal.cli.solve_small import SmallGame, SmallSolution
    from bayescal.environments.base import OneShot
    from bayescal.policies.exact import Solution
    from bayescal.policies.sequential import SequentialSolution
    from bayescal.priors.base import Prior

type Types = list[tuple[float, float]]  # (cost, probability)


@dataclass(frozen=True)
class Question:
    """What `bayescal solve` is asked for: a field for each of its options."""

    game: str
    cost: str | None
    types: str | None
    prior: str | None
    start: str | None
    concept: Literal["trajectory", "agent"]
    arm: Literal["first", "other"]
    every: bool
    trust: bool
    as_json: bool


def solve_game(asked: Question) -> int:
    """Solve and print; the exit code: 0 if the solver converged, 1 if not."""
    if (asked.cost is None) == (asked.types is None):
        found = "neither was" if asked.cost is None else "both were"
        raise InputError(
            f"A game is solved at --cost (known to all) or with --types (private costs); {found} given. Try --cost 1."
        )
    costs = None if asked.cost is None else read_costs(asked.cost)
    types = None if asked.types is None else read_types(asked.types)
    plain = types is None and asked.prior is None and asked.start is None and not asked.every and asked.arm == "first"
    if plain and costs is not None:
        with np.errstate(all="ignore"):  # what is not a number is left to the ordinary solver
            if _solved_small(asked, costs):
                return 0
    from bayescal.environments.base import OneShot

    with double_precision():
        environment = find_game(registered_name(asked.game, asked.trust))
        if environment.over_time:
            if asked.every:
                raise InputError(f"{environment.name} is a game over time: --all is for games that are played once.")
            if asked.prior is not None or asked.start is not None:
                raise InputError(f"{environment.name} is a game over time, which --prior and --start are not for yet.")
            from bayescal.cli.solve_over_time import solve_over_time

            return solve_over_time(environment, costs, types, asked.concept, asked.arm, asked.as_json)
        assert isinstance(environment, OneShot)
        if asked.every:
            if costs is None or asked.start is not None or asked.arm == "other":
                raise InputError("--all takes --cost, and neither --types nor --start nor --arm: leave these out.")
            from bayescal.cli.solve_all import solve_all

            return solve_all(
                environment, by_role_of(environment, costs), habit_of(environment, asked.prior), asked.as_json
            )
        solution = _solve(environment, costs, types, asked.prior, asked.start, asked.arm)
        if asked.as_json:
            print_json(as_dict(environment, solution, typed=types is not None))
        else:
            show(environment, solution, types)
    return 0 if solution.converged else 1


def _solved_small(asked: Question, costs: list[float]) -> bool:
    """Solve and print a small table of payoffs, or a small tree; whether it was done."""
    from bayescal.cli.solve_small import small_game, solve_small

    game = small_game(asked.game)
    if game is None:
        return _solved_small_tree(asked, costs)
    if len(costs) not in (1, len(game.payoffs)):
        return False
    solution = solve_small(game, costs)
    if solution is None:
        return False
    if asked.as_json:
        print_json(as_dict(game, solution, typed=False))
    else:
        show(game, solution, None)
    return True


def _solved_small_tree(asked: Question, costs: list[float]) -> bool:
    from bayescal.cli.show_strategies import show_strategies
    from bayescal.cli.solve_small_tree import small_tree, solve_small_tree

    game = small_tree(asked.game)
    if game is None or len(costs) not in (1, len(game.role_names)):
        return False
    done = solve_small_tree(game, costs, asked.concept)
    if done is None:
        return False
    show_strategies(game.name, "situation", done[1], done[0], asked.concept, asked.as_json)
    return True


def _solve(
    environment: "OneShot",
    costs: list[float] | None,
    types: Types | None,
    prior: str | None,
    start: str | None,
    arm: Literal["first", "other"],
) -> "Solution":
    from bayescal.policies.exact import ExactPolicy
    from bayescal.populations.discrete import Discrete
    from bayescal.priors.empirical import prior_from_rows

    belief = habit_of(environment, prior)
    by_role = None if costs is None else by_role_of(environment, costs)
    near = None
    if start is not None:
        rows = prior_from_rows(read_json(start), environment, start).probabilities
        near = np.zeros(environment.mask.shape)
        near[environment.mask] = np.concatenate([np.asarray(r) for r in rows])
    if types is None:
        policy = ExactPolicy(environment, belief, arm=arm)
        return policy.solve(np.asarray(by_role), start=near)
    policy = ExactPolicy(environment, belief, Discrete([c for c, _ in types], [p for _, p in types]), arm=arm)
    return policy.solve(start=near)


def habit_of(environment: "OneShot", path: str | None) -> "Prior":
    """The habit in a file of probabilities; uniform without one."""
    from bayescal.priors.empirical import prior_from_rows
    from bayescal.priors.uniform import Uniform

    return Uniform() if path is None else prior_from_rows(read_json(path), environment, path)


def by_role_of(environment: "OneShot", costs: list[float]) -> list[float]:
    """Costs by role, from one number for all or one per player."""
    from bayescal.environments.roles import role_of_player

    if len(costs) not in (1, environment.players):
        raise InputError(
            f"--cost has {len(costs)} numbers; {environment.name} has {environment.players} players: give one "
            "number for all, or one per player."
        )
    players = role_of_player(environment.role_counts)
    costs = costs * environment.players if len(costs) == 1 else costs
    by_role = [costs[players.index(r)] for r in range(environment.roles)]
    if any(c != by_role[r] for c, r in zip(costs, players, strict=True)):
        raise InputError(
            f"--cost differs between players, but {environment.name} is solved as a symmetric game, whose "
            "players share one cost: give one number."
        )
    return by_role


def read_costs(text: str) -> list[float]:
    expected = "give a positive number of payoff units per nat for all, or one per player, such as 0.5 or 0.5,2"
    try:
        costs = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--cost is {text!r}, which is not a list of numbers: {expected}.") from None
    if not all(math.isfinite(c) and c > 0 for c in costs):
        raise InputError(f"--cost is {text}: every cost must be positive and finite: {expected}.")
    return costs


def read_types(text: str) -> Types:
    expected = "give pairs [[cost, probability], …] as JSON, for example '[[0.5, 0.3], [2, 0.7]]'"
    from bayescal.reading import parse_json

    rows = parse_json(text, "--types", expected)
    if not isinstance(rows, list) or not all(_is_pair(row) for row in rows):
        raise InputError(f"--types is {text!r}, which is not a list of pairs: {expected}.")
    if not rows:
        raise InputError(f"--types is empty: {expected}.")
    return [(float(cost), float(probability)) for cost, probability in rows]


def _is_pair(row: object) -> bool:
    numbers = isinstance(row, list) and len(row) == 2 and all(isinstance(x, int | float) for x in row)
    return numbers and not any(isinstance(x, bool) for x in row)


def read_json(path: str) -> Any:
    from bayescal.reading import read_json as read

    return read(Path(path), "give a JSON list of probabilities by player")


def as_dict(environment: "OneShot | SmallGame", solution: "Solution | SmallSolution", *, typed: bool) -> dict[str, Any]:
    """The solution by player, each list as long as that player's actions."""
    from bayescal.environments.roles import role_of_player

    strategies, by_type = np.asarray(solution.strategies), np.asarray(solution.strategies_by_type)
    rows, types = [], []
    for role in role_of_player(environment.role_counts):
        n = len(environment.action_values[role])
        rows.append(strategies[role, :n])
        types.append(by_type[role, :, :n])
    return {
        "status": solution.message,
        "strategies": rows,
        "strategies_by_type": types if typed else None,
        "residual": solution.residual,
        "stable": bool(solution.stable),
        "forked": bool(solution.forked),
        "exploitability": np.max(np.asarray(solution.exploitability)),
    }


def show(environment: "OneShot | SmallGame", solution: "Solution | SmallSolution", types: Types | None) -> None:
    from rich.markup import escape

    console = stdout_console()
    for role, name in enumerate(environment.role_names):
        many = f" (each of {environment.role_counts[role]})" if environment.role_counts[role] > 1 else ""
        by_cost = [f"cost {cost:g} ({share:.0%})" for cost, share in types or []]
        table = empty_table(f"{name}{many}", ["action"], ["probability", *by_cost])
        for a, label in enumerate(environment.action_labels[role]):
            by_type = [f"{float(row[a]):.4f}" for row in solution.strategies_by_type[role]] if types else []
            table.add_row(escape(label), f"{float(solution.strategies[role, a]):.4f}", *by_type)
        console.print(table)
        console.print()
    gain = float(np.max(np.asarray(solution.exploitability)))
    found = f"A best reply would gain at most {gain:.3g} payoff units." if solution.converged else "Try a higher cost."
    say(console, f"{environment.name}: {solution.message}. {found}")
    for sentence in remarks(solution):
        say(console, sentence)


def remarks(solution: "Solution | SequentialSolution | SmallSolution") -> list[str]:
    """What there is to know of a solution that was found, beside that it is one."""
    if not solution.converged:
        return []
    unstable = "It is not stable: replies to replies lead away from it, so that people may not come to play it."
    forked = "The branch forks on the way here, and the arms may pay differently: see --arm."
    return [unstable] * (not solution.stable) + [forked] * bool(solution.forked)
