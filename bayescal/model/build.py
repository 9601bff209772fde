"""From decisions to a NumPyro model."""

from collections.abc import Mapping, Sequence
from typing import Any

from bayescal.likelihood.evidence import Evidence
from bayescal.model import types
from bayescal.model.common_costs import common_costs
from bayescal.model.model import Model
from bayescal.model.people import Beliefs, PsiLevel
from bayescal.model.private_costs import private_costs
from bayescal.model.spec import Level, Method, ModelSpec, TypedSpec
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.table.decisions import Decisions


def build_model(
    policy: Policy,
    population: Population,
    decisions: Decisions,
    *,
    method: Method | None = None,
    by: Level | None = None,
    cost: float | None = None,
    parameters: Sequence[str] = (),
    prior_parameters: bool | PsiLevel = False,
    covariates: str | None = None,
    groups: str | None = None,
    lapse: bool = False,
    learning: bool = False,
    beliefs: Beliefs = "consistent",
    hyperpriors: Mapping[str, Any] | None = None,
    payoff_scale: bool = False,
    centred: bool | None = None,
    evidence: Evidence | None = None,
) -> Model:
    """The NumPyro model of these decisions.

    With a population, each participant has a private cost (a table without participants is read as one decision each by
    many people). With `Homogeneous()` everybody knows everybody's cost: one for all, or one by level.

    Args:
        policy: gives the probabilities of actions; its environment is replaced by each game of the decisions in turn.
        population: of private costs, its parameters phi inferred; a `Mixture` of `LogNormal` gives latent classes.
        method: for private costs. "joint" samples everybody's cost. "marginal" integrates costs out, which gives the
            same posterior and is faster with many people. "compressed" does so on an `Evidence`, in a time that does
            not depend on the number of decisions. None: "marginal" in one-shot games unless priors are personal.
        by: for known costs: one for all (None) or one by game, group or participant, partially pooled:
            log cost ~ Normal(log_cost_mean, log_cost_sd²).
        cost: a known cost, instead of an inferred one.
        parameters: parameters of the game to be inferred as well (sites of that name).
        prior_parameters: infer the habit's parameters psi too (sites `psi_NAME`): one for all (True or "shared"), by
            group, or by participant (partially pooled, `psi_NAME_sd` on the unconstrained scale).
        covariates: of log cost, as a formula: "~ treatment + age" (site `effect`, per unit; hyperprior per sd).
        groups: a column ("group", "game" or a covariate). Each group has its own effect on log cost (site
            `group_effect`), and people meet those of their group.
        lapse: with probability `lapse` a decision is uniformly random.
        learning: log costs move by `drift` from the first round to the last.
        beliefs: about others' costs: those of the people one meets ("consistent"), inferred apart ("free", sites
            `belief_NAME`), or given: {"log_mean": 2.0, "log_sd": 0.5}.
        hyperpriors: by site name; a NumPyro distribution, or numbers as in `read_hyperpriors`.
        payoff_scale: not identified beside a cost; asking for it is an error that says so.
        centred: whether costs are sampled themselves (True) or as offsets from their mean in units of their sd (False).
            The posterior is the same; the first is several times faster where each level has many decisions, the second
            does not diverge where they have few. None: the first where every level has at least 500.
        evidence: for "compressed", if it has been computed already.

    Raises:
        InputError: a level that the data do not have, a hyperprior of a site that does not exist, a habit that gives
            somebody's choice probability zero, options that exclude each other, or a payoff scale.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> model.description
        'ExactPolicy with a Uniform prior and one cost for everybody in all games'
        >>> model.hyperprior_text["log_cost"]
        'Normal(0.587787, 1.5)'
    """
    return from_spec(
        ModelSpec(
            policy,
            population,
            decisions,
            method=method,
            by=by,
            cost=cost,
            parameters=tuple(parameters),
            prior_parameters=prior_parameters,
            covariates=covariates,
            groups=groups,
            lapse=lapse,
            learning=learning,
            beliefs=beliefs,
            hyperpriors=hyperpriors or {},
            payoff_scale=payoff_scale,
            centred=centred,
            evidence=evidence,
        )
    )


def from_spec(spec: ModelSpec | TypedSpec) -> Model:
    """The model that a spec describes.

    Raises:
        InputError: see `build_model`.
    """
    if isinstance(spec, TypedSpec):
        return types.from_spec(spec)
    spec.check()
    return private_costs(spec) if spec.personal else common_costs(spec)
