"""What a model is asked to be, as data: `build_model` and `typed_model` turn these into NumPyro models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bayescal.domain import Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.likelihood.base import CommonLikelihood
from bayescal.likelihood.evidence import Evidence
from bayescal.model.hyperpriors import NOT_IDENTIFIED, Hyperpriors
from bayescal.model.people import Beliefs, PsiLevel, check_beliefs
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.table.decisions import Decisions

# What a user may write is any text: `ModelSpec.check` refuses what is none of these.
Level = str  # "game", "group" or "participant"
Method = str  # "joint", "marginal" or "compressed"


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """The arguments of `build_model`, which documents them.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> bc.build_model(policy, bc.populations.Homogeneous(), study.decisions).spec.private
        False
    """

    policy: Policy
    population: Population
    decisions: Decisions
    method: Method | None = None
    by: Level | None = None
    cost: float | None = None
    parameters: tuple[str, ...] = ()
    prior_parameters: bool | PsiLevel = False
    covariates: str | None = None
    groups: str | None = None
    lapse: bool = False
    learning: bool = False
    beliefs: Beliefs = "consistent"
    hyperpriors: Mapping[str, Any] = field(default_factory=dict)
    payoff_scale: bool = False
    centred: bool | None = None
    evidence: Evidence | None = None

    @property
    def private(self) -> bool:
        """Whether costs are private: drawn from a population rather than known to everybody."""
        return not isinstance(self.population, Homogeneous)

    @property
    def personal(self) -> bool:
        """Whether each participant has a private cost of their own."""
        return self.private and (self.decisions.play is not None or "participant" in self.decisions.cells)

    @property
    def psi_level(self) -> PsiLevel | None:
        """The level at which the habit's parameters are inferred; None where they are not."""
        if self.prior_parameters is False:
            return None
        return "shared" if self.prior_parameters is True else str(self.prior_parameters)

    @property
    def environments(self) -> list[Environment]:
        """The games that were played."""
        return list(self.decisions.environments.values())

    @property
    def habit(self) -> Prior | None:
        """The policy's habit; None if it has none."""
        return getattr(self.policy, "prior", None)

    @property
    def habit_parameters(self) -> dict[str, Interval]:
        """The parameters of the habit that are inferred, with their support."""
        return {} if self.habit is None or self.psi_level is None else dict(self.habit.parameters)

    def check(self) -> None:
        """Refuse a combination that has no meaning.

        Raises:
            InputError: see `build_model`.
        """
        _check_options(self)
        _check_costs(self)
        _check_personal(self)
        _check_parameters(self)
        if self.personal:
            check_beliefs(self.beliefs, self.population)


Plates = Mapping[str, tuple[str, tuple[str, ...]]]  # by site of several numbers, (the dimension, its labels)


@dataclass(frozen=True, eq=False)
class TypedSpec:
    """The arguments of `typed_model`, which documents them.

    Attributes:
        likelihood: of the decisions, where it is not that of the policy.
        plates: by site of several numbers, (the dimension, its labels).
    """

    policy: Policy
    decisions: Decisions
    hyperpriors: Hyperpriors
    description: str
    cost: float | None = None
    beliefs: tuple[Population, Mapping[str, float]] | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    box: Mapping[str, Interval] = field(default_factory=dict)
    natural: Mapping[str, Interval] = field(default_factory=dict)
    likelihood: Callable[[Decisions], CommonLikelihood] | None = None
    plates: Plates = field(default_factory=dict)


def _check_options(spec: ModelSpec) -> None:
    if spec.payoff_scale:
        raise InputError(NOT_IDENTIFIED)
    if spec.method not in (None, "joint", "marginal", "compressed"):
        raise InputError(f'method={spec.method!r}: choose "joint", "marginal" or "compressed".')
    if spec.prior_parameters not in (False, True, "shared", "group", "participant"):
        raise InputError(
            f'prior_parameters={spec.prior_parameters!r}: choose True (or "shared"), "group" or "participant".'
        )


def _check_costs(spec: ModelSpec) -> None:
    by, cost = spec.by, spec.cost
    if spec.private and by is not None and (spec.decisions.play is None or by != "participant"):
        raise InputError(
            f"by={by!r} gives each {by} one cost that everybody knows; a private population has a cost for every "
            "person. Leave out one of the two."
        )
    if cost is not None and (spec.private or by is not None or not cost > 0):
        raise InputError(f"cost={cost}: a known cost is a positive number and one for all; leave out `by` and phi.")


def _check_personal(spec: ModelSpec) -> None:
    """Options that only apply where each participant has a private cost."""
    integrated = spec.method in ("marginal", "compressed")
    wanted = [n for n in ("covariates", "groups", "learning") if getattr(spec, n)]
    wanted += ["beliefs"] if spec.beliefs != "consistent" else []
    wanted += [f"method={spec.method!r}"] if integrated else []
    wanted += [f"prior_parameters={p!r}" for p in [spec.prior_parameters] if p in ("group", "participant")]
    if wanted and not spec.personal:
        why = (
            f"{spec.decisions.source} does not say who decided: it needs a column 'participant'"
            if spec.private
            else "Homogeneous() gives everybody one known cost: give a population such as LogNormal()"
        )
        raise InputError(f"{', '.join(wanted)}: only for people with private costs, but {why}.")
    if spec.prior_parameters == "group" and spec.groups is None:
        raise InputError('prior_parameters="group" needs to know the groups: give groups="…" too.')
    if spec.prior_parameters == "participant" and integrated:
        raise InputError(
            f'prior_parameters="participant" with method={spec.method!r}: only costs are integrated out, not '
            'personal priors; use method="joint".'
        )
    if spec.evidence is not None and spec.method != "compressed":
        raise InputError('evidence is for method="compressed".')


def _check_parameters(spec: ModelSpec) -> None:
    """Parameters of the game and of the habit."""
    for environment in spec.decisions.environments.values():
        unknown = [n for n in spec.parameters if n not in environment.params]
        if unknown:
            raise InputError(
                f"{environment.name} has no parameters {', '.join(unknown)}; it has {', '.join(environment.params)}."
            )
        domain: Any = getattr(spec.policy, "domain", None)  # of learned policies and what stands in for them
        untrained = [n for n in spec.parameters if domain is not None and f"params.{n}" not in domain.names]
        if untrained:
            raise InputError(
                f"{', '.join(untrained)} cannot be inferred with this learned policy, which was trained at one value "
                "only: use ExactPolicy (--policy exact), or train one with it in its domain."
            )
        scaling = environment.payoff_parameters
        if spec.cost is None and scaling and set(scaling) <= set(spec.parameters):
            raise InputError(
                f"{', '.join(scaling)} together are the scale of all payoffs of {environment.name}, and "
                f"{NOT_IDENTIFIED[0].lower()}{NOT_IDENTIFIED[1:]} Give a known cost (cost=1.0), or leave one of "
                "them out."
            )
    if spec.psi_level is not None and not spec.habit_parameters:
        raise InputError(
            f"prior_parameters are asked for, but the prior {type(spec.habit).__name__} has no parameters: use "
            "LogLinear, Focal or a Mixture."
        )
