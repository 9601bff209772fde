"""`--where`: which rows of a table to use, in a small language of its own. Nothing in a condition is run as code.

    condition   = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" condition ")" | comparison
    comparison  = operand { ("==" | "!=" | "<" | "<=" | ">" | ">=") operand } | operand ["not"] "in" list
    operand     = column | literal
    list        = "[" literal { "," literal } "]"          (or in round brackets)
    literal     = number | "text" | 'text' | true | false
    column      = a name, or any text in backticks: `group size`

`&`, `|` and `~` may stand for and, or and not.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool

from bayescal.errors import InputError

Literal = float | str | bool
Rows = Bool[np.ndarray, " rows"]

_EXAMPLE = 'write for example "group in [1, 2, 3]" or "treatment == 1 and round <= 20"'
_DEEPEST = 50  # brackets inside brackets
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<text>"[^"]*"|'[^']*')
    | `(?P<quoted>[^`]+)`
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|<|>|[()\[\],&|~])
    )""",
    re.VERBOSE,
)
_WORDS = {"and": "and", "or": "or", "not": "not", "in": "in", "&": "and", "|": "or", "~": "not"}
_BOOLEANS = {"true": True, "false": False}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Token(NamedTuple):
    """A piece of a condition: its kind, what it says, and where it begins."""

    kind: str  # "literal", "column", "sign" (a comparison, a bracket, a comma), "word" (and, or, not, in), "end"
    value: Literal
    at: int


def select_rows(table: pd.DataFrame, where: str, source: str) -> pd.DataFrame:
    """The rows for which a condition holds. A column that holds only numbers is compared as numbers.

    Raises:
        InputError: the condition cannot be read, with the place; it compares a number with a text; or no row meets it.
    """
    selected = _Parser(where, table, source).rows()
    if not selected.any():
        raise InputError(f"--where {where!r} holds for no row of {source}.")
    return table[selected]


@dataclass
class _Parser:
    """A condition that is read from left to right and evaluated on the way."""

    where: str
    table: pd.DataFrame
    source: str

    def rows(self) -> Rows:
        self.tokens = _tokens(self.where)
        self.next, self.depth = 0, 0
        selected = self._condition()
        if self._token.kind != "end":
            raise self._error("this is not expected here", self._token)
        return selected

    @property
    def _token(self) -> Token:
        return self.tokens[self.next]

    def _take(self, *values: str) -> Token | None:
        """The next token if it is one of these words or signs; it is then behind us."""
        token = self._token
        if token.kind not in ("word", "sign") or token.value not in values:
            return None
        self.next += 1
        return token

    def _condition(self) -> Rows:
        rows = self._conjunction()
        while self._take("or"):
            rows = self._conjunction() | rows
        return rows

    def _conjunction(self) -> Rows:
        rows = self._negation()
        while self._take("and"):
            rows = self._negation() & rows
        return rows

    def _negation(self) -> Rows:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error(f"brackets and negations are nested more than {_DEEPEST} deep", self._token)
        if self._take("not"):
            rows = ~self._negation()
        elif self._take("("):
            rows = self._condition()
            if not self._take(")"):
                raise self._error("a bracket is not closed", self._token)
        else:
            rows = self._comparison()
        self.depth -= 1
        return rows

    def _comparison(self) -> Rows:
        left = self._operand()
        negated = self._take("not")
        if self._take("in"):
            inside = self._member_of(left, self._list())
            return ~inside if negated else inside
        rows: Rows | None = None
        while sign := self._take(*_COMPARE):
            if self._token.kind == "sign" and self._token.value == "[" and sign.value in ("==", "!="):
                inside = self._member_of(left, self._list())
                return inside if sign.value == "==" else ~inside
            right = self._operand()
            these = self._compare(left, sign, right)
            rows, left = these if rows is None else rows & these, right
        if rows is None or negated:
            raise self._error('a comparison is expected: ==, !=, <, <=, >, >= or "in"', self._token)
        return rows

    def _operand(self) -> Token:
        token = self._token
        if token.kind not in ("literal", "column"):
            raise self._error("a column, a number or a text in quotes is expected", token)
        self.next += 1
        if token.kind == "column" and token.value not in self.table.columns:
            columns = ", ".join(map(str, self.table.columns))
            raise self._error(f"{self.source} has no column {token.value!r}; its columns are {columns}", token)
        return token

    def _list(self) -> list[Token]:
        opening = self._take("[", "(")
        if opening is None:
            raise self._error('after "in" a list is expected, such as [1, 2, 3]', self._token)
        closing = "]" if opening.value == "[" else ")"
        members: list[Token] = []
        while not self._take(closing):
            if members and not self._take(","):
                raise self._error("a comma or the end of the list is expected", self._token)
            if members and self._take(closing):
                return members
            if self._token.kind != "literal":
                raise self._error("a number or a text in quotes is expected", self._token)
            members.append(self._token)
            self.next += 1
        return members

    def _member_of(self, operand: Token, members: list[Token]) -> Rows:
        rows = np.zeros(len(self.table), bool)
        for member in members:
            rows |= self._compare(operand, Token("sign", "==", operand.at), member)
        return rows

    def _compare(self, left: Token, sign: Token, right: Token) -> Rows:
        a, b = self._values(left), self._values(right)
        if _is_number(a) != _is_number(b):
            column, literal = (left, right) if left.kind == "column" else (right, left)
            holds = "numbers" if _is_number(self._values(column)) else "texts"
            other = "a column of the other kind" if literal.kind == "column" else repr(literal.value)
            raise self._error(f"column {column.value!r} holds {holds} and is compared with {other}", literal)
        compared = _COMPARE[str(sign.value)](a, b)
        return np.broadcast_to(np.asarray(compared, bool), len(self.table))

    def _values(self, operand: Token) -> pd.Series | Literal:
        if operand.kind == "literal":
            return operand.value
        return _as_numbers(self.table[operand.value])

    def _error(self, what: str, token: Token) -> InputError:
        place = "at its end" if token.kind == "end" else f"at {self.where[token.at : token.at + 20]!r}"
        return InputError(f"--where {_shown(self.where)}, {place} (character {token.at + 1}): {what}; {_EXAMPLE}.")


def _tokens(where: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while where[at:].strip():
        match = _TOKEN.match(where, at)
        if match is None:
            at += len(where[at:]) - len(where[at:].lstrip())
            raise InputError(
                f"--where {_shown(where)}, at {where[at : at + 20]!r} (character {at + 1}): this cannot be part of a "
                f"condition, which compares columns with numbers and texts; {_EXAMPLE}."
            )
        kind, text = str(match.lastgroup), str(match[match.lastgroup or 0])
        begins = match.start(kind)
        if kind == "number":
            tokens.append(Token("literal", float(text), begins))
        elif kind == "text":
            tokens.append(Token("literal", text[1:-1], begins))
        elif kind == "quoted":
            tokens.append(Token("column", text, begins))
        elif text in _WORDS:
            tokens.append(Token("word", _WORDS[text], begins))
        elif text.lower() in _BOOLEANS:
            tokens.append(Token("literal", _BOOLEANS[text.lower()], begins))
        elif kind == "word":
            tokens.append(Token("column", text, begins))
        else:
            tokens.append(Token("sign", text, begins))
        at = match.end()
    return [*tokens, Token("end", "", len(where))]


def _shown(where: str) -> str:
    """A condition in a message; a long one is cut."""
    return repr(where if len(where) <= 200 else f"{where[:200]}…")


def _is_number(values: pd.Series | Literal) -> bool:
    """True of numbers and of true and false, which are 1 and 0."""
    if isinstance(values, pd.Series):
        return pd.api.types.is_numeric_dtype(values)
    return not isinstance(values, str)


def _as_numbers(column: pd.Series) -> pd.Series:
    """A column of numbers (or of true and false) as such, empty cells as NaN; any other as text."""
    texts = column.astype(str).str.strip()
    if texts.str.lower().isin(["true", "false", ""]).all() and (texts != "").any():
        return texts.str.lower().map({"true": 1.0, "false": 0.0})
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if (numbers.notna() | (texts == "")).all() else column.astype(str)
