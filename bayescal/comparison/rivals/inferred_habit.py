"""Private costs of information, and a habit whose strength is inferred."""

from functools import partial

from bayescal.comparison.mathml import LOG_NORMAL
from bayescal.comparison.rivals.base import Rival
from bayescal.comparison.rivals.different_costs import build

INFERRED_HABIT = Rival(
    "different costs, inferred prior",
    "People differ in their cost of information, and depart from habits whose strength ψ is inferred as well.",
    partial(build, inferred_habit=True),
    (LOG_NORMAL,),
)
