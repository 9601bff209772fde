"""Plain reinforcement learning: a learned policy at the smallest cost that it was trained for, with lapses."""

from collections.abc import Sequence
from functools import cache

from bayescal.comparison.mathml import LAPSE
from bayescal.comparison.rivals.base import LAPSES, Field, NotApplicable, Rival, lapse_hyperprior
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.model.model import Model
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.rational import RationalPolicy
from bayescal.training.recipe import load_model, model_names


def build(field: Field) -> Model:
    field.refuse_known_cost()
    learned, name = (field.learned, "the given policy") if field.learned is not None else _from_zoo(field)
    return field.typed(
        RationalPolicy(field.game, learned=learned),
        lapse_hyperprior(),
        f"Plain reinforcement learning: everybody plays {name} at the smallest cost of its trained domain "
        f"({learned.cost_interval.low:g}){LAPSES}",
    )


def _from_zoo(field: Field) -> tuple[LearnedPolicy, str]:
    """(the first shipped policy that plays these games, what it is called)."""
    for name in model_names():
        policy = _loaded(name)
        if policy is not None and _plays(policy, field.games):
            return policy, f"the learned policy {name}"
    raise NotApplicable(
        f"no learned policy is shipped for {field.game.name} as it was played here; `bayescal train` makes one, and "
        "--policy uses it"
    )


@cache
def _loaded(name: str) -> LearnedPolicy | None:
    try:
        return load_model(name)
    except InputError:
        return None


def _plays(policy: LearnedPolicy, games: Sequence[Environment]) -> bool:
    trained_on = policy.environment
    if type(trained_on) is not type(games[0]) or any(g.over_time != trained_on.over_time for g in games):
        return False
    try:
        for game in games:
            policy.play(game, policy.population)
    except InputError:
        return False
    return True


PLAIN_RL = Rival(
    "plain RL",
    "What reinforcement learning arrives at when information is free: the learned policy at the smallest cost that it "
    "was trained for, with lapses.",
    build,
    (LAPSE,),
)
