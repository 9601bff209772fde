"""Formulas as MathML, which browsers display by themselves."""

import re

from markupsafe import Markup, escape

Piece = str | Markup  # text is split into letters, numbers and signs; markup is taken as it is

_TOKEN = re.compile(r"[A-Za-zλπψφστμεκθρℓ]|\d+(?:\.\d+)?|\S")


def formula(*pieces: Piece) -> Markup:
    """A formula on a line of its own."""
    return Markup('<math display="block">{}</math>').format(row(*pieces))


def row(*pieces: Piece) -> Markup:
    return Markup("<mrow>{}</mrow>").format(Markup("").join(map(_markup, pieces)))


def sub(base: Piece, below: Piece) -> Markup:
    return Markup("<msub>{}{}</msub>").format(_one(base), _one(below))


def power(base: Piece, above: Piece) -> Markup:
    return Markup("<msup>{}{}</msup>").format(_one(base), _one(above))


def over(top: Piece, bottom: Piece) -> Markup:
    return Markup("<mfrac>{}{}</mfrac>").format(_one(top), _one(bottom))


def total(below: Piece) -> Markup:
    """A sum over something."""
    return Markup("<munder><mo>∑</mo>{}</munder>").format(_one(below))


def word(text: str) -> Markup:
    """A name of several letters: exp, log, max."""
    return Markup("<mi>{}</mi><mo>&#8289;</mo>").format(text)


def text(words: str) -> Markup:
    return Markup("<mtext>{}</mtext>").format(words)


def _markup(piece: Piece) -> Markup:
    if isinstance(piece, Markup):
        return piece
    return Markup("").join(_token(token) for token in _TOKEN.findall(piece))


def _token(token: str) -> Markup:
    kind = "mn" if token[0].isdigit() else "mi" if token.isalpha() else "mo"
    return Markup(f"<{kind}>{escape(token)}</{kind}>")


def _one(piece: Piece) -> Markup:
    return row(piece)


EXP = word("exp")
LOG = Markup("<mspace width='0.17em'></mspace>") + word("log")
ARGMAX = Markup("<munder><mi>argmax</mi><mi>a</mi></munder><mspace width='0.3em'></mspace>")
# Formulas that several rival models share.
LAPSE = formula("p(a)=(1−ε)π(a)+", over("ε", text("number of actions")))
LOG_NORMAL = formula(LOG, sub("λ", "i"), "∼", text("Normal"), "(μ,", power("σ", "2"), ")")
POISSON = (sub("g", "h"), "∝", over(power("τ", "h"), "h!"))
