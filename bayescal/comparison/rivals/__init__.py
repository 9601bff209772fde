"""The models that compete on one study, one file each: from habit alone and full rationality to levels of reasoning.

All are models of the same decisions on the same grid. A rival model that does not apply to a study is left out, with
the reason. A new rival is one file with a `Rival` and one line below (or `RIVALS.register` from outside the package).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival
from bayescal.errors import InputError
from bayescal.model.model import Model
from bayescal.policies.base import Policy
from bayescal.registry import Registry
from bayescal.study.load import Study

_HERE = "bayescal.comparison.rivals"

# Names say the behaviour, then what it is made of beyond a uniform prior, people who are alike, and one set of numbers
# for all games. What a model is made of is `Rival.ingredients`.

RIVALS: Registry[Rival] = Registry(
    "rival model",
    {
        "choice shares": f"{_HERE}.choice_shares:CHOICE_SHARES",
        "logit without payoffs": f"{_HERE}.logit:LOGIT",
        "logit without payoffs, people differ": f"{_HERE}.logit:LOGIT_PEOPLE",
        "logit without payoffs, by game": f"{_HERE}.logit:LOGIT_GAMES",
        "logit without payoffs, by game, people differ": f"{_HERE}.logit:LOGIT_GAMES_PEOPLE",
        "random play": f"{_HERE}.random_play:RANDOM_PLAY",
        "prior only": f"{_HERE}.prior_only:PRIOR_ONLY",
        "prior only, people differ": f"{_HERE}.prior_only:PRIOR_ONLY_PEOPLE",
        "rational": f"{_HERE}.rational:RATIONAL",
        "plain RL": f"{_HERE}.plain_rl:PLAIN_RL",
        "common cost": f"{_HERE}.common_cost:COMMON_COST",
        "common cost, inferred prior": f"{_HERE}.common_cost:COMMON_COST_HABIT",
        "common cost, by game": f"{_HERE}.by_game:BY_GAME",
        "common cost, by game, inferred prior": f"{_HERE}.by_game:BY_GAME_HABIT",
        "different costs": f"{_HERE}.different_costs:DIFFERENT_COSTS",
        "different costs, inferred prior": f"{_HERE}.inferred_habit:INFERRED_HABIT",
        "different costs, by game, inferred prior": f"{_HERE}.inferred_habit:BY_GAME_HABIT",
        "different costs, by group": f"{_HERE}.inferred_habit:BY_GROUP",
        "different costs, by group, inferred prior": f"{_HERE}.inferred_habit:BY_GROUP_HABIT",
        "Luce": f"{_HERE}.luce:LUCE",
        "action sampling": f"{_HERE}.action_sampling:ACTION_SAMPLING",
        "payoff sampling": f"{_HERE}.payoff_sampling:PAYOFF_SAMPLING",
        "impulse balance": f"{_HERE}.impulse_balance:IMPULSE_BALANCE",
        "noisy introspection": f"{_HERE}.noisy_introspection:NOISY_INTROSPECTION",
        "level-k": f"{_HERE}.level_k:LEVEL_K",
        "level-k, inferred prior": f"{_HERE}.level_k:LEVEL_K_HABIT",
        "quantal level-k": f"{_HERE}.quantal_level_k:QUANTAL_LEVEL_K",
        "cognitive hierarchy": f"{_HERE}.cognitive_hierarchy:COGNITIVE_HIERARCHY",
        "cognitive hierarchy, inferred prior": f"{_HERE}.cognitive_hierarchy:HIERARCHY_HABIT",
        "cognitive hierarchy, different costs": f"{_HERE}.cognitive_hierarchy:HIERARCHY_COSTS",
        "cognitive hierarchy, different costs, inferred prior": f"{_HERE}.cognitive_hierarchy:HIERARCHY_COSTS_HABIT",
        "GR2-L": f"{_HERE}.gr2:GR2_L",
        "GR2-L, inferred prior": f"{_HERE}.gr2:GR2_L_HABIT",
        "GR2-M": f"{_HERE}.gr2:GR2_M",
        "GR2-M, inferred prior": f"{_HERE}.gr2:GR2_M_HABIT",
    },
)


@dataclass(frozen=True, eq=False)
class Rivals:
    """Rival models of one study.

    Attributes:
        models: by name, in the order of the registry.
        left_out: by name, why a rival model does not apply to the study.
        made_of: by name, the ingredients of the models.
    """

    models: dict[str, Model]
    left_out: dict[str, str]
    made_of: dict[str, Ingredients] = field(default_factory=dict)


def rivals(
    study: Study, *, only: Sequence[str] | None = None, full: bool = False, policy: Policy | None = None
) -> Rivals:
    """The rival models that apply to a study, as models of its decisions.

    Args:
        study: of `load_study`.
        only: some of the names in `RIVALS`; by default the usual ones.
        full: the whole cross of behaviours, habits, heterogeneity and pooling.
        policy: the likelihood of people with costs of their own, in place of the study's; a learned one is also used
            for "plain RL".

    Raises:
        InputError: `only` has an unknown name, or a habit gives probability zero to what somebody did.

    Example:
        >>> import bayescal as bc
        >>> found = bc.rivals(bc.load_study("selten-chmura"), only=["choice shares", "random play"])
        >>> list(found.models)
        ['choice shares', 'random play']
    """
    usual = only if only is not None or full else [name for name in RIVALS if RIVALS[name].usual]
    return build_rivals(RIVALS, study, usual, policy)


def build_rivals(
    among: Registry[Rival] | Mapping[str, Rival],
    study: Study,
    only: Sequence[str] | None,
    policy: Policy | None,
) -> Rivals:
    """The models of those rivals that are asked for, in the order in which they are registered."""
    if unknown := [name for name in only or () if name not in among]:
        raise InputError(f"There is no rival model {', '.join(map(repr, unknown))}; there are {', '.join(among)}.")
    field = Field.of(study, policy)
    models, left_out, made_of = {}, {}, {}
    for name in among:
        if only is not None and name not in only:
            continue
        try:
            models[name] = among[name].build(field)
            made_of[name] = among[name].ingredients
        except NotApplicable as reason:
            left_out[name] = str(reason)
    return Rivals(models, left_out, made_of)


__all__ = ["RIVALS", "Field", "NotApplicable", "Rival", "Rivals", "build_rivals", "rivals"]
