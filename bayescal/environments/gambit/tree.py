"""Reading .efg: a game tree, whose nodes are listed from the root, each before its children."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move, Node
from bayescal.environments.gambit.tokens import Tokens, distinct, header
from bayescal.environments.limits import ACTIONS, check_depth, check_situations, check_tree
from bayescal.errors import InputError

CHANCE = 0  # as the number of a player; players are numbered from 1


class _Set(NamedTuple):
    """An information set: its name, its actions as the file spells them, and their probabilities if nature moves."""

    name: str
    actions: list[str]
    chances: list[float]


class _Line(NamedTuple):
    """A node: whose information set it is (None at an end), the number of its outcome, and its place in the file."""

    key: tuple[int, int] | None
    outcome: int
    at: int


@dataclass
class _File:
    """What has been read so far."""

    tokens: Tokens
    players: int
    sets: dict[tuple[int, int], _Set] = field(default_factory=dict)  # by player and number
    outcomes: dict[int, tuple[float, ...]] = field(default_factory=dict)
    lines: list[_Line] = field(default_factory=list)


def read_efg(text: str, where: str, name: str) -> ExtensiveForm:
    """The game in the text of an .efg file. Payoffs at inner nodes are added to those of all ends below.

    Args:
        where: the file, for messages.
        name: of the game, if it has no title.

    Raises:
        InputError: at the first fault, with its line.

    Example:
        >>> from bayescal.environments.gambit import read_efg
        >>> lines = ['EFG 2 R "trust" { "sender" "receiver" }', 'p "" 1 1 "begin" { "trust" "keep" } 0']
        >>> lines += ['p "" 2 1 "was trusted" { "share" "keep" } 0', 't "" 1 "" { 2, 2 }', 't "" 2 "" { 0, 4 }']
        >>> game = read_efg("\\n".join([*lines, 't "" 3 "" { 1, 1 }']), "a file", "game")
        >>> game.name, game.situations_of(1)
        ('trust', [('was trusted', ('share', 'keep'))])
    """
    tokens = Tokens(text, where)
    title, players = header(tokens, "EFG", "2")
    tokens.found("text")  # a comment
    file = _File(tokens, len(players))
    missing, width = 1, 2  # nodes that are still to come
    while missing:
        missing += _read_node(file) - 1
        width = max(width, len(file.sets[key].actions) if (key := file.lines[-1].key) else 0)
        check_tree(where, len(file.lines) + missing, width, len(players))
    check_situations(where, len(players), len(file.sets), width)
    tokens.take("end", "the end of the file after the last node of the tree")
    root = _build(file, _paid(file, where))
    try:
        return ExtensiveForm(root, name=title or name, role_names=players)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _read_node(file: _File) -> int:
    """Read one node; how many children it has."""
    tokens = file.tokens
    at = tokens.next.at
    kind = tokens.take("word", "a node (c, p or t)")
    if kind not in ("c", "p", "t"):
        tokens.fail(f"found {kind[:40]!r} where a node is needed: begin its line with c, p or t", at)
    tokens.take("text", "the name of the node in quotes")
    if kind == "t":
        file.lines.append(_Line(None, _read_outcome(file), at))
        return 0
    player = tokens.whole("the number of the player") if kind == "p" else CHANCE
    if kind == "p" and not 1 <= player <= file.players:
        tokens.fail(f"player {player} moves, but players are numbered from 1 to {file.players}", at)
    key = (player, tokens.whole("the number of the information set"))
    _read_set(file, key, at)
    file.lines.append(_Line(key, _read_outcome(file), at))
    return len(file.sets[key].actions)


def _read_set(file: _File, key: tuple[int, int], at: int) -> None:
    """The name and the actions of an information set, which may be left out where they have been given before."""
    tokens, of = file.tokens, f"information set {key[1]}"
    given = tokens.next.kind == "text"
    name = tokens.take("text", "a name") if given else ""
    known = file.sets.get(key)
    if tokens.next.kind != "{":
        if known is None:
            tokens.fail(f"{of} has no actions yet: give its name and its actions at its first node", at)
        return
    new = _read_branches(tokens, name, of) if key[0] == CHANCE else _Set(name, tokens.texts(f"actions of {of}"), [])
    if not 1 <= len(new.actions) <= ACTIONS:
        tokens.fail(f"{of} has {len(new.actions):,} actions, where from 1 to {ACTIONS:,} are possible", at)
    if known is not None and (known.actions, known.chances) != (new.actions, new.chances):
        tokens.fail(f"{of} has other actions or probabilities than at its first node: give each set one list", at)
    file.sets.setdefault(key, new)


def _read_branches(tokens: Tokens, name: str, of: str) -> _Set:
    """`{ "left" 1/3 "right" 2/3 }`; names may be left out."""
    tokens.take("{", f"the branches of {of} in braces")
    actions, chances = [], []
    while tokens.next.kind in ("text", "number"):
        actions.append(tokens.take("text", "a name") if tokens.next.kind == "text" else "")
        chances.append(tokens.number(f"the probability of a branch of {of}"))
        tokens.found(",")
    tokens.take("}", f"a branch or the closing brace of {of}")
    if any(p < 0 for p in chances) or abs(sum(chances) - 1) > 1e-9:
        tokens.fail(
            f"the probabilities of {of} of nature sum to {sum(chances):.10g}: they must be at least 0 and sum to 1"
        )
    return _Set(name, actions, chances)


def _read_outcome(file: _File) -> int:
    """The number of a node's outcome, 0 if it has none. Its name and payoffs need to be given only once."""
    tokens, at = file.tokens, file.tokens.next.at
    number = tokens.whole("the number of the outcome (0 for none)")
    if tokens.next.kind not in ("text", "{"):
        return number
    tokens.found("text")
    if number == 0:
        tokens.fail("outcome 0, which means none, is given payoffs: number outcomes from 1", at)
    if tokens.next.kind == "{":
        payoffs = tokens.payoffs(file.players, f"outcome {number}")
        if file.outcomes.setdefault(number, payoffs) != payoffs:
            tokens.fail(f"outcome {number} has other payoffs than where it came first: number them differently", at)
    return number


def _paid(file: _File, where: str) -> list[tuple[float, ...]]:
    """By node, the sum of the payoffs on the way to it."""
    out: list[tuple[float, ...]] = []
    above = [((0.0,) * file.players, 1)]  # (payoffs so far, children still to come) of each node on the way
    for key, outcome, at in file.lines:
        while not above[-1][1]:
            above.pop()
        so_far, left = above[-1]
        above[-1] = (so_far, left - 1)
        if outcome and outcome not in file.outcomes:
            file.tokens.fail(f"outcome {outcome} has no payoffs anywhere: give its name and payoffs once", at)
        if outcome:
            so_far = tuple(x + y for x, y in zip(so_far, file.outcomes[outcome], strict=True))
        out.append(so_far)
        if key:
            above.append((so_far, len(file.sets[key].actions)))
            check_depth(where, len(above))
    return out


def _build(file: _File, paid: list[tuple[float, ...]]) -> Node:
    """The root, built from the last node to the first."""
    keys = list(file.sets)
    names: dict[tuple[int, int], str] = {}
    for player in range(1, file.players + 1):
        own = [key for key in keys if key[0] == player]
        names |= zip(own, distinct([file.sets[key].name or f"set {key[1]}" for key in own]), strict=True)
    labels = {key: distinct(file.sets[key].actions) for key in keys}
    built: list[Node] = []
    for (key, _, _), payoffs in zip(reversed(file.lines), reversed(paid), strict=True):
        if key is None:
            built.append(End(payoffs))
            continue
        children = [built.pop() for _ in labels[key]]
        if key[0] == CHANCE:
            built.append(Chance(tuple(zip(file.sets[key].chances, children, strict=True))))
        else:
            built.append(Move(key[0] - 1, names[key], dict(zip(labels[key], children, strict=True))))
    return built[0]
