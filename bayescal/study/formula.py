"""Formulas of covariates, in a small language of their own. Nothing in a formula is run as code.

    formula = ["~"] ["-"] term { ("+" | "-") term }
    term    = "0" | "1" | factor { (":" | "*") factor }
    factor  = column | "C" "(" column ")" | ("log" | "center" | "scale") "(" factor ")"
    column  = a name, or any text in backticks: `years of school`

`formulaic`, which makes the design matrix, evaluates any Python in a formula, and a formula may come from a stranger's
study or fit. So a formula is read here first, and only what is in this language gets further.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from bayescal.errors import InputError

TRANSFORMS = ("log", "center", "scale")
_MOST_TERMS = 200  # a * b * c * … has a term for every set of its factors
_DEEPEST = 20  # transforms in transforms
_TOKEN = re.compile(
    r"\s*(?:`(?P<quoted>[^`'\"\\{}]+)`|(?P<name>[^\W\d]\w*(?![\w.]))|(?P<number>[01](?![\w.]))|(?P<sign>[-~+*:()]))"
)


class Token(NamedTuple):
    """A piece of a formula: its kind, what it says, and where it begins."""

    kind: str  # "name", "quoted", "number", "sign", "end"
    value: str
    at: int


def formula_columns(formula: str) -> list[str]:
    """The columns that a formula of covariates names, sorted.

    Raises:
        InputError: it is not in the language of formulas; the message says where.
    """
    parser = _Parser(formula)
    parser.formula()
    return sorted(parser.columns)


@dataclass
class _Parser:
    """A formula that is read from left to right."""

    text: str
    columns: set[str] = field(default_factory=set)

    def formula(self) -> None:
        self.tokens, self.next, terms = _tokens(self.text), 0, 0
        self._take("~")
        self._take("-")
        while True:
            terms += self._term()
            if terms > _MOST_TERMS:
                raise _error(self.text, self._token, f"it has more than {_MOST_TERMS} terms")
            if not self._take("+", "-"):
                break
        if self._token.kind != "end":
            raise _error(self.text, self._token, "this is not expected here")

    @property
    def _token(self) -> Token:
        return self.tokens[self.next]

    def _take(self, *signs: str) -> bool:
        taken = self._token.kind == "sign" and self._token.value in signs
        self.next += taken
        return taken

    def _term(self) -> int:
        """How many terms it stands for."""
        if self._token.kind == "number":
            self.next += 1
            return 1
        self._factor()
        count = 1
        while self._token.kind == "sign" and self._token.value in ":*":
            count = 2 * count + 1 if self._token.value == "*" else count
            self.next += 1
            self._factor()
        return count

    def _factor(self, depth: int = 0) -> None:
        token = self._token
        if token.kind not in ("name", "quoted"):
            raise _error(self.text, token, "a column is expected")
        self.next += 1
        if token.kind == "quoted" or not self._take("("):
            self.columns.add(token.value)
            return
        if token.value not in ("C", *TRANSFORMS) or depth > _DEEPEST:
            raise _error(self.text, token, "this is no transform, and a formula is data and does not run programs")
        if token.value == "C" and self._token.kind not in ("name", "quoted"):
            raise _error(self.text, self._token, "a column is expected in C()")
        self._factor(depth + 1)
        if not self._take(")"):
            raise _error(self.text, self._token, "a bracket is not closed")


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise _error(
                text,
                Token("sign", text[at], at),
                "this has no meaning, and a formula is data and does not run programs",
            )
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*tokens, Token("end", "", len(text))]


def _error(text: str, token: Token, what: str) -> InputError:
    place = "at its end" if token.kind == "end" else f"at {text[token.at : token.at + 20]!r}"
    shown = text if len(text) <= 200 else f"{text[:200]}…"
    return InputError(
        f"covariates under [model] is {shown!r}, which is no formula: {place} (character {token.at + 1}): {what}. "
        f"Write columns, joined by + : or *, with C() for groups and {', '.join(f'{t}()' for t in TRANSFORMS)} of "
        'numbers, such as "~ treatment + log(age)"; compute anything else as a column of the table.'
    )
