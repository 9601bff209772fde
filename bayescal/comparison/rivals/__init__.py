"""The models that compete on one study, one file each: from habit alone and full rationality to levels of reasoning.

All are models of the same decisions on the same grid. A rival model that does not apply to a study is left out, with
the reason. A new rival is one file with a `Rival` and one line below (or `RIVALS.register` from outside the package).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayescal.comparison.rivals.base import Field, NotApplicable, Rival
from bayescal.errors import InputError
from bayescal.model.model import Model
from bayescal.policies.base import Policy
from bayescal.registry import Registry
from bayescal.study.load import Study

_HERE = "bayescal.comparison.rivals"

RIVALS: Registry[Rival] = Registry(
    "rival model",
    {
        "prior only": f"{_HERE}.prior_only:PRIOR_ONLY",
        "rational": f"{_HERE}.rational:RATIONAL",
        "plain RL": f"{_HERE}.plain_rl:PLAIN_RL",
        "common cost": f"{_HERE}.common_cost:COMMON_COST",
        "different costs": f"{_HERE}.different_costs:DIFFERENT_COSTS",
        "different costs, inferred prior": f"{_HERE}.inferred_habit:INFERRED_HABIT",
        "Luce": f"{_HERE}.luce:LUCE",
        "action sampling": f"{_HERE}.action_sampling:ACTION_SAMPLING",
        "payoff sampling": f"{_HERE}.payoff_sampling:PAYOFF_SAMPLING",
        "impulse balance": f"{_HERE}.impulse_balance:IMPULSE_BALANCE",
        "noisy introspection": f"{_HERE}.noisy_introspection:NOISY_INTROSPECTION",
        "level-k": f"{_HERE}.level_k:LEVEL_K",
        "quantal level-k": f"{_HERE}.quantal_level_k:QUANTAL_LEVEL_K",
        "cognitive hierarchy": f"{_HERE}.cognitive_hierarchy:COGNITIVE_HIERARCHY",
        "GR2-L": f"{_HERE}.gr2:GR2_L",
        "GR2-M": f"{_HERE}.gr2:GR2_M",
    },
)


@dataclass(frozen=True, eq=False)
class Rivals:
    """Rival models of one study.

    Attributes:
        models: by name, in the order of the registry.
        left_out: by name, why a rival model does not apply to the study.
    """

    models: dict[str, Model]
    left_out: dict[str, str]


def rivals(study: Study, *, only: Sequence[str] | None = None, policy: Policy | None = None) -> Rivals:
    """Every rival model that applies to a study, as a model of its decisions.

    Args:
        study: of `load_study`.
        only: some of the names in `RIVALS`.
        policy: the likelihood of people with costs of their own, in place of the study's; a learned one is also used
            for "plain RL".

    Raises:
        InputError: `only` has an unknown name, or a habit gives probability zero to what somebody did.

    Example:
        >>> import bayescal as bc
        >>> found = bc.rivals(bc.load_study("selten-chmura"), only=["prior only", "rational"])
        >>> list(found.models)
        ['prior only', 'rational']
    """
    return build_rivals(RIVALS, study, only, policy)


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
    models, left_out = {}, {}
    for name in among:
        if only is not None and name not in only:
            continue
        try:
            models[name] = among[name].build(field)
        except NotApplicable as reason:
            left_out[name] = str(reason)
    return Rivals(models, left_out)


__all__ = ["RIVALS", "Field", "NotApplicable", "Rival", "Rivals", "build_rivals", "rivals"]
