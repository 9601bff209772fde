"""The formulas that every report shows."""

from markupsafe import Markup

from bayescal.comparison.mathml import EXP, LOG, formula, over, power, row, sub, total

CHOICE = {  # by whether decisions are linked over time
    kind: formula("π(a|o)=", over(row("q(a|o)", EXP, f"({value}/λ)"), row(total("b"), "q(b|o)", EXP, f"({other}/λ)")))
    for kind, value, other in ((False, "U(o,a)", "U(o,b)"), (True, "Q(o,a)", "Q(o,b)"))
}
AIM = formula(
    Markup("<munder><mi>max</mi><mi>π</mi></munder><mspace width='0.3em'></mspace>"),
    "E[",
    total("t"),
    power("γ", "t"),
    "(",
    row("u(", sub("s", "t"), ",", sub("a", "t"), ")"),
    "−λ",
    LOG,
    over(row("π(", sub("a", "t"), "|", sub("o", "t"), ")"), row("q(", sub("a", "t"), "|", sub("o", "t"), ")")),
    ")]",
)
