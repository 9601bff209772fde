"""A game tree as nested sections, as JSON and TOML have them.

- A move is `{ player = "sender", situation = "begin", actions = { trust = …, keep = … } }`. Moves of one player with
  the same `situation` are one information set; without it, the set is called after the moves that lead there.
- A move of nature is `{ chance = [{ probability = "1/3", then = … }, …] }`; a branch may have a `name`.
- An end is the list of payoffs, one for each role: `[2, 2]`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayescal import schema
from bayescal.environments.game_tree import Chance, End, Move, Node
from bayescal.errors import InputError
from bayescal.plain import joined

if TYPE_CHECKING:
    from bayescal.environments.extensive import ExtensiveForm

DEEPEST = 100  # moves after each other
_NOTHING = End(())  # in the place of what is wrong


def tree_of(content: object, roles: Sequence[str], where: str, name: str) -> "ExtensiveForm":
    """The game of a tree that is written as nested sections.

    Args:
        content: the root.
        where: the file or section, for messages.

    Raises:
        InputError: with every fault and its place.

    Example:
        >>> from bayescal.environments.written_tree import tree_of
        >>> reply = {"player": "receiver", "actions": {"share": [15, 15], "keep": [0, 30]}}
        >>> root = {"player": "sender", "situation": "begin", "actions": {"send": reply, "keep": [10, 10]}}
        >>> game = tree_of(root, ["sender", "receiver"], "game.json", "trust")
        >>> game.situations_of(1)
        [('after send', ('share', 'keep'))]
    """
    from bayescal.environments.extensive import ExtensiveForm

    root = root_of(content, roles, where)
    try:
        return ExtensiveForm(root, name=name, role_names=tuple(roles))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def root_of(content: object, roles: Sequence[str], where: str) -> Node:
    """The root of such a tree; see `tree_of`."""
    reader = _Reader(tuple(roles))
    root = reader.node(content, "tree", ())
    if reader.faults:
        raise InputError(
            f"{where}: {joined(reader.faults)}: write a move as player, situation and actions, a move of nature as "
            "chance, and an end as the list of its payoffs."
        )
    return root


@dataclass
class _Reader:
    roles: tuple[str, ...]
    faults: list[str] = field(default_factory=list)

    def node(self, content: object, place: str, path: tuple[str, ...]) -> Node:
        """What stands at a place, to which the moves on the path lead."""
        if len(path) > DEEPEST:
            self.faults.append(f"more than {DEEPEST} moves follow each other")
            return _NOTHING
        if isinstance(content, list):
            payoffs = schema.list_of(schema.number, len(self.roles))
            return _NOTHING if self._wrong(payoffs, content, place) else End(tuple(content))
        if isinstance(content, Mapping) and "chance" in content:
            return self._chance(content, place, path)
        move = schema.record(
            {"player": schema.one_of(self.roles), "actions": schema.section}, {"situation": schema.text}
        )
        if not isinstance(content, Mapping):
            self._wrong(schema.that(lambda x: False, "a section or a list of payoffs"), content, place)
            return _NOTHING
        if self._wrong(move, content, place):
            return _NOTHING
        actions = {str(a): self.node(x, f"{place}.actions.{a}", (*path, str(a))) for a, x in content["actions"].items()}
        called = content.get("situation", f"after {', '.join(path)}" if path else "begin")
        return Move(self.roles.index(content["player"]), called, actions)

    def _chance(self, content: Mapping[str, object], place: str, path: tuple[str, ...]) -> Node:
        branch = schema.record({"probability": probability, "then": schema.anything}, {"name": schema.text})
        if self._wrong(schema.record({"chance": schema.list_of(branch)}), content, place):
            return _NOTHING
        branches, rows = [], content["chance"]
        assert isinstance(rows, list)
        for i, row in enumerate(rows):
            below = self.node(row["then"], f"{place}.chance[{i}].then", (*path, row.get("name", f"branch {i + 1}")))
            branches.append((_number(row["probability"]), below))
        if abs(sum(p for p, _ in branches) - 1) > 1e-9:
            total = sum(p for p, _ in branches)
            self.faults.append(f"the probabilities in {place}.chance sum to {total:.10g}, where 1 is needed")
        return Chance(tuple(branches))

    def _wrong(self, test: schema.Test, value: object, place: str) -> bool:
        faults = list(test(value, place))
        self.faults += faults
        return bool(faults)


def _number(value: object) -> float:
    """A number, or a ratio such as "1/3"; -1 if it is neither."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}/[0-9]{1,15}", value):
        above, below = map(int, value.split("/"))
        return above / below if below else -1.0
    return float(value) if not list(schema.number(value, "")) else -1.0  # ty: ignore[invalid-argument-type]


probability = schema.that(lambda value: 0 <= _number(value) <= 1, 'a number from 0 to 1 or a ratio such as "1/3"')
