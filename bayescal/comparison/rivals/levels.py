"""What the rivals of limited reasoning share: everybody is of one of a few levels, which are summed out."""

import numpy as np
from numpyro import distributions as dist

from bayescal.comparison.rivals.base import Field, NotApplicable
from bayescal.comparison.rivals.habits import one_of_each
from bayescal.errors import InputError
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.policies.level_k import Kind, LevelKPolicy, dominant
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

HIGHEST = 3  # level, where each has a share of its own: people of higher levels are hardly ever found
HIGHEST_POISSON = 10  # level, where levels are Poisson
LEVEL_0 = "Level 0 plays the habit, whose strength ψ is inferred, and replies depart from it."


def level_policy(field: Field, kind: Kind, highest: int, prior: Prior | None = None) -> LevelKPolicy:
    """The policy of levels up to `highest`, or 1 where the best reply is the same whatever the others do.

    Args:
        prior: the habit, which is the play of level 0 and what replies depart from; uniform by default.

    Raises:
        NotApplicable: the games are not one-shot games of several players, or too large for this kind.
    """
    if field.over_time:
        raise NotApplicable(f"levels are defined for one-shot games, and {field.game.name} is a game over time")
    if field.alone:
        raise NotApplicable(f"{field.game.name} has no others to reason about")
    games = one_of_each(field.one_shot_games)
    levels = 1 if replies_are_the_same(field) else highest
    try:
        policies = [LevelKPolicy(game, kind, prior or Uniform(), levels=levels) for game in games]
    except InputError as error:
        raise NotApplicable(str(error)) from None
    return policies[0]


def habit_of(field: Field, *, inferred: bool) -> tuple[Prior, Hyperpriors, str]:
    """(the habit of level 0, hyperpriors of its parameters, what level 0 plays in words)."""
    if not inferred:
        return Uniform(), {}, "any action"
    habit = field.require_habit()
    psi = field.habit_hyperpriors(habit)
    if not psi:
        raise NotApplicable(f"the habit ({habit.words}) has no parameters to be inferred")
    return habit, psi, f"a {habit.words} habit (parameters inferred), from which replies depart as well"


def replies_are_the_same(field: Field) -> bool:
    """Whether the best reply is the same whatever the others do, in every game."""
    return all(dominant(game) for game in one_of_each(field.one_shot_games))


def share_hyperpriors(policy: LevelKPolicy) -> Hyperpriors:
    """Of the log-odds of each level's share against that of level 0."""
    return {name: dist.Normal(0.0, 1.5) for name in policy.parameters}


def poisson_hyperprior() -> Hyperpriors:
    """Of the mean level: half of it below 1.5, the mean that Camerer, Ho & Chong (2004) find in most games."""
    return {"tau": dist.LogNormal(np.log(1.5), 0.7)}
