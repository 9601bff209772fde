"""Reading .agg: an action-graph game, in which the payoff of an action depends on how many people chose its neighbours.

Sizes come first: players, nodes (actions, which players may share), function nodes (0 here; they are refused), how
many nodes each player can choose, and which. Then each node's neighbours, and each node's payoffs by configuration:
how many players chose each neighbour, given that somebody chose the node. The game becomes a table of payoffs.
"""

import re
from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from bayescal.environments.gambit.tokens import Tokens
from bayescal.environments.joint import LARGEST_TABLE
from bayescal.environments.limits import ACTIONS, PLAYERS_OF_TABLE
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.payoffs import check_payoffs

type Configuration = tuple[int, ...]  # how many chose each neighbour

COMPLETE, MAPPING = 0, 1  # kinds of payoffs: all configurations in order; each with its payoff


def read_agg(text: str, where: str, name: str) -> NormalForm:
    """The game in the text of an .agg file without function nodes.

    Raises:
        InputError: at the first fault, with its line.

    Example:
        >>> from bayescal.environments.gambit import read_agg
        >>> game = read_agg("#AGG\\n2 2 0\\n2 2\\n0 1\\n0 1\\n1 0\\n1 1\\n0 5 3\\n0 2 1", "a file", "crowd")
        >>> game.default_payoffs[0].tolist()  # alone one gets 5 or 2, together 3 or 1
        [[3.0, 5.0], [2.0, 1.0]]
    """
    # Comments and brackets become spaces, so that lines keep their numbers.
    tokens = Tokens(re.sub(r"(?m)^\s*#.*$|[\[\]]", " ", text), where)
    if not text.startswith("#AGG"):
        tokens.fail("the file does not begin with #AGG: write it there if this is an action-graph game")
    players, nodes = tokens.whole("the number of players"), tokens.whole("the number of action nodes")
    if not 1 <= players <= PLAYERS_OF_TABLE or not 1 <= nodes <= ACTIONS:
        tokens.fail(
            f"there are {players:,} players and {nodes:,} action nodes, where from 1 to {PLAYERS_OF_TABLE} and "
            f"{ACTIONS:,} are possible"
        )
    if tokens.whole("the number of function nodes") > 0:
        tokens.fail("games with function nodes are not read: save the game as .nfg in Gambit")
    sets = _action_sets(tokens, players, nodes)
    cells = prod(map(len, sets))
    if cells * players > LARGEST_TABLE:
        tokens.fail(f"there would be {cells * players:,} payoffs, and at most {LARGEST_TABLE:,} are possible")
    graph = [_indices(tokens, tokens.whole(f"the number of neighbours of node {k}"), nodes) for k in range(nodes)]
    payoffs = [_payoffs(tokens, k, graph[k], sets) for k in range(nodes)]
    tokens.take("end", "the end of the file after the payoffs of the last node")
    tensor = np.zeros((players, cells))
    for cell, chosen in enumerate(product(*sets)):
        count = np.bincount(chosen, minlength=nodes)
        for i, node in enumerate(chosen):
            tensor[i, cell] = payoffs[node][tuple(map(int, count[graph[node]]))]
    labels = [list(map(str, own)) for own in sets]
    return NormalForm(check_payoffs(tensor.reshape(players, *map(len, sets)), where), name=name, action_labels=labels)


def _action_sets(tokens: Tokens, players: int, nodes: int) -> list[list[int]]:
    """By player, the nodes that can be chosen."""
    sizes = [tokens.whole(f"the number of actions of player {i + 1}") for i in range(players)]
    out = [_indices(tokens, size, nodes) for size in sizes]
    for i, own in enumerate(out):
        if not own or len(set(own)) < len(own):
            tokens.fail(f"the actions of player {i + 1} are {own[:10]}: give one or more different nodes")
    if unused := set(range(nodes)) - {node for own in out for node in own}:
        tokens.fail(f"nobody can choose node {min(unused)}: leave it out")
    return out


def _indices(tokens: Tokens, count: int, nodes: int) -> list[int]:
    out = []
    for _ in range(min(count, nodes + 1)):
        out.append(tokens.whole("the number of a node"))
        if out[-1] >= nodes:
            tokens.fail(f"found node {out[-1]}, but nodes are numbered from 0 to {nodes - 1}")
    if count > nodes:
        tokens.fail(f"a list has {count:,} nodes, and there are only {nodes:,}")
    return out


def _payoffs(tokens: Tokens, node: int, neighbours: list[int], sets: list[list[int]]) -> dict[Configuration, float]:
    """By configuration, the payoff of a node."""
    possible = _configurations(tokens, node, neighbours, sets)
    kind = tokens.whole(f"the kind of the payoffs of node {node}")
    of = f"a payoff of node {node}"
    if kind == COMPLETE:
        return {configuration: tokens.number(of) for configuration in possible}
    if kind != MAPPING:
        tokens.fail(f"payoffs of kind {kind} are not read: save the game as .nfg in Gambit")
    count = tokens.whole(f"the number of configurations of node {node}")
    found: dict[Configuration, float] = {}
    for _ in range(min(count, LARGEST_TABLE)):
        configuration = tuple(tokens.whole(f"a configuration of node {node}") for _ in neighbours)
        found[configuration] = tokens.number(of)
    if missing := [configuration for configuration in possible if configuration not in found]:
        tokens.fail(f"node {node} has no payoff for the configuration {list(missing[0])}: add it")
    return found


def _configurations(tokens: Tokens, node: int, neighbours: Sequence[int], sets: list[list[int]]) -> list[Configuration]:
    """All that can come about when somebody chooses the node, in lexicographical order."""
    place = {n: [k for k, x in enumerate(neighbours) if x == n] for n in neighbours}
    out: set[Configuration] = set()
    for chooser in (i for i, own in enumerate(sets) if node in own):
        reached = {_with((0,) * len(neighbours), place.get(node, []))}
        for i, own in enumerate(sets):
            if i != chooser:
                steps = {tuple(place.get(n, [])) for n in own}
                reached = {_with(c, step) for c in reached for step in steps}
            if len(reached) > LARGEST_TABLE:
                tokens.fail(f"node {node} has more than {LARGEST_TABLE:,} configurations, which are the most possible")
        out |= reached
    return sorted(out)


def _with(configuration: Configuration, at: Sequence[int]) -> Configuration:
    out = list(configuration)
    for k in at:
        out[k] += 1
    return tuple(out)
