"""Writing games in Gambit's formats."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import jax
import numpy as np
from jaxtyping import Float

from bayescal.environments.base import OneShot, role_of_player
from bayescal.environments.extensive import CHANCE, END, ExtensiveForm
from bayescal.environments.joint import check_enumerable
from bayescal.environments.normal_form import NormalForm


def to_nfg(game: OneShot) -> str:
    """A game played once as the text of a .nfg file. Players of one role get numbers.

    Raises:
        InputError: its table of payoffs would be too large.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.environments.gambit import to_nfg
        >>> print(to_nfg(bc.NormalForm([[[1, 2], [3, 4]], [[0, 0.5], [0, 1]]])), end="")
        NFG 1 R "game" { "player 1" "player 2" }
        { { "0" "1" } { "0" "1" } }
        ""
        1 0
        3 0
        2 0.5
        4 1
    """
    roles = role_of_player(game.role_counts)
    payoffs = _payoffs(game, [len(game.action_values[r]) for r in roles])
    names = [
        name if count == 1 else f"{name} {k + 1}"
        for name, count in zip(game.role_names, game.role_counts, strict=True)
        for k in range(count)
    ]
    lines = [f"NFG 1 R {_quoted(game.name)} {_list(names)}"]
    lines += [f"{{ {' '.join(_list(game.action_labels[r]) for r in roles)} }}", '""']
    lines += [" ".join(map(_number, row)) for row in payoffs]
    return "\n".join(lines) + "\n"


def _payoffs(game: OneShot, sizes: Sequence[int]) -> Float[np.ndarray, "cells players"]:
    """By joint action, the first player's fastest."""
    check_enumerable(game.name, int(np.prod(sizes, dtype=object)) * len(sizes))
    if isinstance(game, NormalForm):
        return np.stack([np.ravel(u, order="F") for u in np.asarray(game.default_payoffs)], axis=1)
    joint = np.stack([np.ravel(a, order="F") for a in np.indices(sizes)], axis=1)
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(lambda a: game.payoffs(a, game.params))(joint))


def to_efg(game: ExtensiveForm) -> str:
    """A game tree as the text of an .efg file.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.environments.extensive import End, Move
        >>> from bayescal.environments.gambit import to_efg
        >>> root = Move(0, "begin", {"in": End((1.5,)), "out": End((0,))})
        >>> print(to_efg(bc.ExtensiveForm(root, name="entry", role_names=["firm"])), end="")
        EFG 2 R "entry" { "firm" }
        ""
        p "" 1 1 "begin" { "in" "out" } 0
        t "" 1 "" { 1.5 }
        t "" 2 "" { 0 }
    """
    lines = [f"EFG 2 R {_quoted(game.name)} {_list(game.role_names)}", '""', *_nodes(game)]
    return "\n".join(lines) + "\n"


def _nodes(game: ExtensiveForm) -> Iterator[str]:
    tree, payoffs = game.tree, np.asarray(game.default_payoffs)
    waiting = [0]
    while waiting:
        h = waiting.pop()
        player, situation = int(tree.mover[h]), int(tree.situation[h])
        children = [int(c) for c in tree.children[h] if c >= 0]
        if player == END:
            number = int(tree.end[h])
            yield f't "" {number + 1} "" {{ {", ".join(map(_number, payoffs[number]))} }}'
        elif player == CHANCE:
            odds = exact_chances(tree.chances[h, : len(children)].tolist())
            branches = " ".join(f'"{b + 1}" {p}' for b, p in enumerate(odds))
            yield f'c "" {h + 1} "" {{ {branches} }} 0'
        else:
            name, labels = game.situations_of(player)[situation]
            yield f'p "" {player + 1} {situation + 1} {_quoted(name)} {_list(labels)} 0'
        waiting += reversed(children)


def exact_chances(chances: Sequence[float]) -> list[Fraction]:
    """Probabilities as fractions that sum to 1 exactly, as Gambit requires.

    Example:
        >>> from bayescal.environments.gambit.write import exact_chances
        >>> [str(p) for p in exact_chances([1 / 3, 2 / 3])]
        ['1/3', '2/3']
    """
    simple = [Fraction(float(p)).limit_denominator(1_000_000) for p in chances]
    if sum(simple) == 1 and all(abs(float(f) - p) <= 1e-15 for f, p in zip(simple, chances, strict=True)):
        return simple
    first = [Fraction(float(p)) for p in chances[:-1]]
    return [*first, 1 - sum(first, Fraction(0))]


def _number(value: float) -> str:
    """With all its digits, a whole number without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _list(names: Sequence[str]) -> str:
    return f"{{ {' '.join(map(_quoted, names))} }}"


def _quoted(name: str) -> str:
    """In quotation marks. A backslash before a quotation mark would hide it."""
    spaced = f"{name} " if name.endswith("\\") else name
    return '"{}"'.format(spaced.replace('\\"', "'").replace('"', '\\"'))
