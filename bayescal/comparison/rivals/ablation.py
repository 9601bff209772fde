"""Which ingredient of the cost model matters: how costs differ, and which habit people have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.rivals import Rivals, build_rivals, common_cost, different_costs
from bayescal.comparison.rivals.base import Rival
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.populations.gamma import Gamma
from bayescal.populations.log_normal import LogNormal
from bayescal.populations.mixture import Mixture
from bayescal.populations.truncated_normal import TruncatedNormal
from bayescal.study.load import Study

_POPULATIONS: Mapping[str, Population] = MappingProxyType(
    {
        "log-normal": LogNormal(),
        "truncated normal": TruncatedNormal(),
        "gamma": Gamma(),
        "two classes of": Mixture((LogNormal(), LogNormal())),
    }
)


def ablation(study: Study, *, only: Sequence[str] | None = None, policy: Policy | None = None) -> Rivals:
    """The cost model with one ingredient changed at a time.

    Costs (one for all, log-normal, truncated normal, gamma, two classes) are crossed with habits (uniform, or the
    study's with its parameters inferred); where there are groups, each may also have a population of its own.

    Args:
        study: of `load_study`.
        only: some of the names: "COSTS, PRIOR", such as "log-normal costs, uniform prior" and "log-normal costs by
            group, study's prior".
        policy: as in `rivals`.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> found = bc.ablation(study, only=["common cost, uniform prior", "gamma costs, uniform prior"])
        >>> list(found.models)
        ['common cost, uniform prior', 'gamma costs, uniform prior']
    """
    return build_rivals(_variants(), study, only, policy)


def _variants() -> dict[str, Rival]:
    variants: dict[str, Rival] = {}
    for habit, inferred in (("uniform prior", False), ("study's prior", True)):
        in_reports = "the study's habit, its parameters inferred" if inferred else "a uniform habit"
        made_of = Ingredients("equilibrium", habit="inferred" if inferred else "uniform")
        differ = replace(made_of, heterogeneity="people differ")
        add = lambda name, costs, build, made_of, habit=habit, in_reports=in_reports: variants.update(
            {f"{name}, {habit}": Rival(f"{name}, {habit}", f"{costs}, and {in_reports}.", build, (), made_of)}
        )
        build = partial(common_cost.build, inferred_habit=inferred)
        add("common cost", "One cost of information for everybody", build, made_of)
        for kind, population in _POPULATIONS.items():
            add(
                f"{kind} costs",
                f"People differ in their cost of information ({kind} costs)",
                partial(different_costs.build, population=population, inferred_habit=inferred),
                differ,
            )
        add(
            "log-normal costs by group",
            "People differ in their cost of information, and each group has a log-normal population of its own",
            partial(different_costs.build, inferred_habit=inferred, by="group"),
            replace(differ, pooling="by group"),
        )
    return variants
