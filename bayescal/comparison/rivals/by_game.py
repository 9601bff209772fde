"""One cost of information for everybody in a game, and costs of games around a common mean (partial pooling)."""

from functools import partial

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import LOG_NORMAL
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, nothing_solves
from bayescal.model.build import build_model
from bayescal.model.model import Model
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.rational import solvable
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.uniform import Uniform

_MOST = 300  # games, each of which has a cost to be sampled


def build(field: Field, *, inferred_habit: bool = False) -> Model:
    """
    Args:
        inferred_habit: whether the study's habit is used, and its parameters inferred, in place of a uniform one.
    """
    field.refuse_known_cost()
    games = len(field.decisions.levels("game"))
    if not 1 < games <= _MOST:
        raise NotApplicable(f"there are {games:,} games; costs by game take 2 to {_MOST}")
    if not all(map(solvable, field.games)):
        raise nothing_solves(field.game)
    if field.beliefs is not None:
        raise NotApplicable("beliefs about others are given, which a cost that everybody knows contradicts")
    if field.study.parameters:
        raise NotApplicable("parameters of the game are inferred, which costs by game would be confounded with")
    habit = field.require_habit() if inferred_habit else Uniform()
    names = ["log_cost_mean", "log_cost_sd", *(f"psi_{n}" for n in habit.parameters)]
    return build_model(
        ExactPolicy(field.game, habit),
        Homogeneous(),
        field.decisions,
        by="game",
        prior_parameters=bool(habit.parameters),
        hyperpriors={n: x for n, x in field.study.hyperpriors.items() if n in names},
    )


BY_GAME = Rival(
    "common cost, by game",
    "Everybody pays the same cost λ for information in a game, and log costs of games are normally distributed around "
    "a common mean. The habit is uniform.",
    build,
    (LOG_NORMAL,),
    Ingredients("equilibrium", pooling="by game"),
)
BY_GAME_HABIT = Rival(
    "common cost, by game, inferred prior",
    "As common cost by game, with habits whose strength ψ is inferred as well.",
    partial(build, inferred_habit=True),
    (LOG_NORMAL,),
    Ingredients("equilibrium", habit="inferred", pooling="by game"),
    usual=False,
)
