"""The words of a Gambit file: texts in quotes, numbers, braces, commas and single words, each with its line."""

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, NoReturn

from bayescal.errors import InputError
from bayescal.reading import odd_character

type Kind = Literal["text", "number", "word", "{", "}", ",", "end"]

# A quotation mark after a backslash does not end a text.
_TOKEN = re.compile(
    r"""\s*+(?:"(?P<text>.*?)(?<!\\)"
    |(?P<number>[+-]?(?:[0-9]++/[0-9]++|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?))(?![\w./+-])
    |(?P<word>[A-Za-z]\w*+)|(?P<mark>[{},])|(?P<end>\Z))""",
    re.DOTALL | re.VERBOSE | re.ASCII,
)
_DIGITS = 400  # of a whole number; a float has at most 309


class Token(NamedTuple):
    kind: Kind
    value: str
    at: int  # where it ends in the file


class Tokens:
    """A file as a sequence of tokens, of which `next` is the one that has not been taken yet.

    Example:
        >>> from bayescal.environments.gambit.tokens import Tokens
        >>> tokens = Tokens('"a title" { 1/4, 2e3 }', "game.nfg")
        >>> tokens.take("text", "a title"), tokens.payoffs(2, "an outcome")
        ('a title', (0.25, 2000.0))
    """

    def __init__(self, text: str, where: str):
        self.text, self.where, self.at = text, where, 0
        if odd_character(text):
            number, line = next((i, x) for i, x in enumerate(text.split("\n"), 1) if odd_character(x))
            raise InputError(f"{where}, line {number}: {odd_character(line)}: write it without.")
        self.next = self._read(0)

    def take(self, kind: Kind, wanted: str) -> str:
        """The value of the next token, which must be of this kind.

        Args:
            wanted: what should be there, for the error: "the title in quotes".
        """
        token = self.next
        if token.kind != kind:
            self.fail(f"found {_shown(token)} where {wanted} is needed", token.at)
        self._pass()
        return token.value

    def found(self, kind: Kind) -> bool:
        """Whether the next token is of this kind; then it is taken."""
        if self.next.kind != kind:
            return False
        self._pass()
        return True

    def number(self, wanted: str) -> float:
        """An integer, a decimal or a ratio such as 1/3, which must be finite."""
        text = self.take("number", wanted)
        above, _, below = text.partition("/")
        if below:
            if max(len(above), len(below)) > _DIGITS or not int(below):
                self.fail(f"{text[:40]} is not a number that {wanted} can be: write another ratio or a decimal")
            value = _ratio(int(above), int(below))
        else:
            value = float(text)
        if not math.isfinite(value):
            self.fail(f"{text[:40]} is too large for {wanted}: write a smaller number")
        return value

    def whole(self, wanted: str) -> int:
        """A whole number from 0 to a billion."""
        text = self.take("number", wanted)
        if not text.isdigit() or len(text) > 9:
            self.fail(f"found {text[:40]} where {wanted}, a whole number, is needed")
        return int(text)

    def texts(self, wanted: str) -> list[str]:
        """`{ "a" "b" }`"""
        self.take("{", f"the list of {wanted} in braces")
        out = []
        while self.next.kind == "text":
            out.append(self.take("text", wanted))
            self.found(",")
        self.take("}", f"a text or the closing brace of the {wanted}")
        return out

    def payoffs(self, players: int, wanted: str) -> tuple[float, ...]:
        """`{ 1, 2 }`, or without commas."""
        self.take("{", f"the list of payoffs of {wanted} in braces")
        out = tuple(self.payoff(i, wanted) for i in range(players))
        self.take("}", f"the closing brace after {players} payoffs of {wanted}")
        return out

    def payoff(self, player: int, wanted: str) -> float:
        """A payoff, and the comma behind it if there is one."""
        value = self.number(f"the payoff of player {player + 1} in {wanted}")
        self.found(",")
        return value

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """An InputError that names the file and the line.

        Args:
            at: where in the file, if not at the last token that was taken.
        """
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        raise InputError(f"{self.where}, line {line}: {reason}.")

    def _pass(self) -> None:
        self.at = self.next.at
        self.next = self._read(self.at)

    def _read(self, start: int) -> Token:
        match = _TOKEN.match(self.text, start)
        if match is None:
            rest = self.text[start:].lstrip()
            self.fail(
                f"{rest.split(maxsplit=1)[0][:40]!r} is neither a number, a word, a brace, a comma, nor a text between "
                "two quotation marks: correct it",
                len(self.text) - len(rest),
            )
        kind = match.lastgroup
        value = match[kind] if kind else ""
        if kind == "text":
            value = value.replace('\\"', '"')
        return Token(value if kind == "mark" else kind, value, match.end())  # ty: ignore[invalid-argument-type]


def header(tokens: Tokens, word: str, version: str) -> tuple[str, list[str]]:
    """(title, names of the players)"""
    advice = f"such a file begins with {word} {version} R and its title"
    if tokens.take("word", f"the word {word}") != word:
        tokens.fail(f"the file does not begin with {word}: {advice}")
    if tokens.take("number", f"version {version}") != version:
        tokens.fail(f"only version {version} can be read: {advice}")
    if tokens.take("word", "R or D") not in ("R", "D"):
        tokens.fail(f"the data are neither R nor D: {advice}")
    title = tokens.take("text", "the title in quotes")
    players = tokens.texts("names of the players")
    if not players:
        tokens.fail("there are no players: name at least one")
    return " ".join(title.split()), distinct(players, "player ")


def distinct(names: Sequence[str], empty: str = "") -> list[str]:
    """Names that differ: an empty one becomes its number, a repeated one gets a number behind it.

    Example:
        >>> from bayescal.environments.gambit.tokens import distinct
        >>> distinct(["", "up", "up"])
        ['1', 'up', 'up (2)']
    """
    plain = [" ".join(name.split()) or f"{empty}{i + 1}" for i, name in enumerate(names)]
    taken, count = set(plain), dict.fromkeys(plain, 0)
    return [_free(name, taken, count) for name in plain]


def _free(name: str, taken: set[str], count: dict[str, int]) -> str:
    """The name at its first use; later the name with the next number that is free."""
    count[name] += 1
    if count[name] == 1:
        return name
    while (numbered := f"{name} ({count[name]})") in taken:
        count[name] += 1
    taken.add(numbered)
    return numbered


def _ratio(above: int, below: int) -> float:
    try:
        return above / below
    except OverflowError:
        return math.inf


def _shown(token: Token) -> str:
    if token.kind == "end":
        return "the end of the file"
    return repr(token.value if len(token.value) <= 40 else f"{token.value[:39]}…")
