"""What the rivals of other concepts of equilibrium share."""

from collections.abc import Callable

from bayescal.comparison.rivals.base import Field, NotApplicable
from bayescal.comparison.rivals.habits import one_of_each
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.model import Model
from bayescal.policies.base import Policy


def games_with_others(field: Field) -> list[OneShot]:
    """One game of each kind and size.

    Raises:
        NotApplicable: the games are played over time, or alone.
    """
    field.refuse_known_cost()
    if field.over_time:
        raise NotApplicable(f"the concept is for one-shot games, and {field.game.name} is a game over time")
    if field.alone:
        raise NotApplicable(f"{field.game.name} has no others to reply to")
    return one_of_each(field.one_shot_games)


def equilibrium_model(field: Field, policy: Callable[[], Policy], hyperpriors: Hyperpriors, description: str) -> Model:
    """The model of a policy.

    Args:
        policy: makes it.

    Raises:
        NotApplicable: the policy refuses a game, or no equilibrium was found in some.
    """
    try:
        return field.typed(policy(), hyperpriors, description)
    except InputError as error:
        raise NotApplicable(str(error)) from None
