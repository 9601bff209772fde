"""Private costs of information with a habit whose strength is inferred, and with effects of groups or games."""

from functools import partial

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import LOG_NORMAL
from bayescal.comparison.rivals.base import Rival
from bayescal.comparison.rivals.different_costs import build

INFERRED_HABIT = Rival(
    "different costs, inferred prior",
    "People differ in their cost of information, and depart from habits whose strength ψ is inferred as well.",
    partial(build, inferred_habit=True),
    (LOG_NORMAL,),
    Ingredients("equilibrium", habit="inferred", heterogeneity="people differ"),
)
_BY_GROUP = "and those of one group more alike: the mean log cost of groups is normal."
BY_GROUP = Rival(
    "different costs, by group",
    f"People differ in their cost of information, {_BY_GROUP} The habit is uniform.",
    partial(build, by="group"),
    (LOG_NORMAL,),
    Ingredients("equilibrium", heterogeneity="people differ", pooling="by group"),
    usual=False,
)
BY_GROUP_HABIT = Rival(
    "different costs, by group, inferred prior",
    f"People differ in their cost of information, {_BY_GROUP} The strength ψ of habits is inferred.",
    partial(build, inferred_habit=True, by="group"),
    (LOG_NORMAL,),
    Ingredients("equilibrium", habit="inferred", heterogeneity="people differ", pooling="by group"),
    usual=False,
)
BY_GAME_HABIT = Rival(
    "different costs, by game, inferred prior",
    "People differ in their cost of information, and those who played one game more alike: the mean log cost of games "
    "is normal. The strength ψ of habits is inferred.",
    partial(build, inferred_habit=True, by="game"),
    (LOG_NORMAL,),
    Ingredients("equilibrium", habit="inferred", heterogeneity="people differ", pooling="by game"),
    usual=False,
)
