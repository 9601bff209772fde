"""Reading .nfg: a game in normal form, whose payoffs are listed with the first player's strategy varying fastest."""

from math import prod

import numpy as np
from jaxtyping import Float

from bayescal.environments.gambit.tokens import Tokens, distinct, header
from bayescal.environments.joint import LARGEST_TABLE
from bayescal.environments.limits import ACTIONS, PLAYERS_OF_TABLE
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.payoffs import check_payoffs


def read_nfg(text: str, where: str, name: str) -> NormalForm:
    """The game in the text of a .nfg file.

    Args:
        where: the file, for messages.
        name: of the game, if it has no title.

    Raises:
        InputError: at the first fault, with its line.

    Example:
        >>> from bayescal.environments.gambit import read_nfg
        >>> game = read_nfg('NFG 1 R "pennies" { "row" "column" } { 2 2 } 1 -1 -1 1 -1 1 1 -1', "a file", "game")
        >>> game.name, game.default_payoffs[0].tolist()
        ('pennies', [[1.0, -1.0], [-1.0, 1.0]])
    """
    tokens = Tokens(text, where)
    title, players = header(tokens, "NFG", "1")
    if len(players) > PLAYERS_OF_TABLE:
        tokens.fail(f"there are {len(players)} players, and a table of payoffs can have at most {PLAYERS_OF_TABLE}")
    labels = _strategies(tokens, len(players))
    sizes = [len(row) for row in labels]
    cells = prod(sizes)
    if cells * len(players) > LARGEST_TABLE:
        tokens.fail(f"there are {cells * len(players):,} payoffs, and at most {LARGEST_TABLE:,} can be read")
    tokens.found("text")  # a comment
    rows = _by_outcome(tokens, cells, len(players)) if tokens.next.kind == "{" else _listed(tokens, cells, len(players))
    tokens.take("end", f"the end of the file after the payoffs of {cells:,} outcomes")
    tensor = np.array([rows[:, i].reshape(sizes, order="F") for i in range(len(players))])
    return NormalForm(
        check_payoffs(tensor, where), name=title or name, role_names=players, action_labels=list(map(distinct, labels))
    )


def _strategies(tokens: Tokens, players: int) -> list[list[str]]:
    """By player, labels of the strategies, of which a file may give the number only."""
    tokens.take("{", "the strategies in braces")
    out = []
    for i in range(players):
        if tokens.next.kind == "{":
            out.append(tokens.texts(f"strategies of player {i + 1}"))
        else:
            count = tokens.whole(f"the number of strategies of player {i + 1}")
            tokens.found(",")
            out.append([str(k + 1) for k in range(min(count, ACTIONS + 1))])
        if not 1 <= len(out[-1]) <= ACTIONS:
            many = "more" if out[-1] else "no strategies"
            tokens.fail(f"player {i + 1} has {many}, where from 1 to {ACTIONS:,} strategies are possible")
    tokens.take("}", f"the closing brace after the strategies of {players} players")
    return out


def _listed(tokens: Tokens, cells: int, players: int) -> Float[np.ndarray, "cells players"]:
    """One payoff after the other."""
    row = lambda k: [tokens.payoff(i, f"outcome {k + 1} of {cells:,}") for i in range(players)]
    return np.array([row(k) for k in range(cells)])


def _by_outcome(tokens: Tokens, cells: int, players: int) -> Float[np.ndarray, "cells players"]:
    """Outcomes with their payoffs, then the number of the outcome of each cell; number 0 pays nothing."""
    tokens.take("{", "the list of outcomes in braces")
    outcomes = [(0.0,) * players]
    while tokens.found("{"):
        tokens.take("text", "the name of the outcome in quotes")
        outcomes.append(tuple(tokens.payoff(i, f"outcome {len(outcomes)}") for i in range(players)))
        tokens.take("}", f"the closing brace after {players} payoffs of outcome {len(outcomes) - 1}")
        tokens.found(",")
    tokens.take("}", "another outcome or the closing brace of the outcomes")
    out = np.zeros((cells, players))
    for k in range(cells):
        number = tokens.whole(f"the number of the outcome in cell {k + 1} of {cells:,}")
        if number >= len(outcomes):
            tokens.fail(f"cell {k + 1} has outcome {number}, but there are outcomes 1 to {len(outcomes) - 1} only")
        out[k] = outcomes[number]
        tokens.found(",")
    return out
