"""Private costs of information: heterogeneous quantal response equilibrium."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import LOG_NORMAL
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, nothing_solves
from bayescal.comparison.rivals.flat import with_flat_habit
from bayescal.environments.finite import FiniteGame
from bayescal.errors import DomainError
from bayescal.model.build import build_model
from bayescal.model.model import Model
from bayescal.model.spec import Method
from bayescal.model.standard import suited
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.rational import solvable
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

_MOST_GROUPS = 30  # that have a population each
_TYPES, _MOST_UNKNOWNS = 65, 500  # costs at which private play is solved at once; unknowns that are solved quickly


def build(
    field: Field,
    *,
    population: Population = LogNormal(),  # noqa: B008 - frozen
    inferred_habit: bool = False,
    by: Literal["group", "game"] | None = None,
) -> Model:
    """
    Args:
        population: of costs.
        inferred_habit: whether the study's habit is used, and its parameters inferred, in place of a uniform one.
        by: what has an effect on the log costs of its people, around a common mean: each group or each game.
    """
    field.refuse_known_cost()
    policy, habit, population = _likelihood(field, population, inferred_habit)
    if field.over_time and not field.has_subjects:
        raise NotApplicable("the table does not say who decided")
    if isinstance(population, Homogeneous):
        raise NotApplicable("the policy knows one cost for all")
    groups = None if by is None else _groups(field, by)
    infer_habit = bool(inferred_habit and habit.parameters)

    def build_by(method: Method | None) -> Model:
        return build_model(
            policy,
            population,
            field.decisions,
            method=method,
            prior_parameters=infer_habit,
            groups=groups,
            lapse=field.study.lapse and field.has_subjects,
            beliefs=(field.study.beliefs if field.has_subjects else None) or "consistent",
            hyperpriors=field.population_hyperpriors(population),
        )

    model = _applicable(build_by, suited(field.decisions) if field.has_subjects else None, field.learned is None)
    with_habit = f"{habit.words} habit (parameters inferred)" if infer_habit else "uniform habit"
    effects = "" if by is None else f" with an effect of each {by}"
    described = f"Everybody has a private cost, drawn from a {population.words} population{effects}, and a {with_habit}"
    _, separator, method = model.description.partition("; ")
    return dataclasses.replace(model, description=f"{described}{separator}{method}")


def _applicable(build_by: Callable[[Method | None], Model], method: Method | None, exact: bool) -> Model:
    try:
        return build_by(method)
    except DomainError as error:
        if method != "compressed" or not exact:
            raise NotApplicable(str(error)) from None
        return build_by("marginal")  # the posterior lies where no draw from the hyperpriors does


def _likelihood(field: Field, population: Population, inferred_habit: bool) -> tuple[Policy, Prior, Population]:
    """(the policy of people whose costs differ, its habit, the population as the policy knows it)."""
    learned = field.learned
    if not inferred_habit:
        if learned is not None and learned.private:
            flat = with_flat_habit(learned)
            return flat, flat.prior, _trained_for(learned, population)
        return _exact(field, Uniform(), population)
    if field.policy is not None and (learned is None or learned.private):
        habit = field.policy_habit
        if habit is None or not habit.parameters:
            raise NotApplicable("the habit of the policy has no parameters to be inferred")
        if learned is not None:
            return learned, habit, _trained_for(learned, population)
        field.check_beliefs(population)
        return field.policy, habit, population
    return _exact(field, field.require_habit(), population)


def _exact(field: Field, habit: Prior, population: Population) -> tuple[Policy, Prior, Population]:
    if not all(map(solvable, field.games)):
        if field.learned is None or not field.alone:
            raise nothing_solves(field.game)
        learned = field.learned if habit.parameters else with_flat_habit(field.learned)
        return learned, learned.prior, population
    _refuse_slow(field)
    field.check_beliefs(population)
    return ExactPolicy(field.game, habit, None if field.alone else population), habit, population


def _refuse_slow(field: Field) -> None:
    """Finite games over time of several players are solved for everybody's costs at once."""
    game = field.game
    if field.alone or not isinstance(game, FiniteGame):
        return
    unknowns = game.players * game.situation_count * (game.mask.shape[1] - 1) * _TYPES
    if unknowns > _MOST_UNKNOWNS:
        raise NotApplicable(
            f"with private costs {game.name} is a system of some {unknowns} unknowns, solved at every step of the "
            "sampler, which takes too long"
        )


def _trained_for(policy: LearnedPolicy, population: Population) -> Population:
    """The population that a learned policy was trained for, which must be of the kind that is asked for."""
    trained = policy.population
    assert trained is not None
    if type(trained) is not type(population):
        raise NotApplicable(
            f"the learned policy was trained for a {trained.words} population of others, not for a "
            f"{population.words} one"
        )
    return trained


def _groups(field: Field, by: str) -> str:
    cells = field.decisions.cells
    if not field.has_subjects or by not in cells:
        raise NotApplicable(f"the table names no {by}s of people")
    count = len(field.decisions.levels(by))
    if not 1 < count <= _MOST_GROUPS:
        raise NotApplicable(f"there are {count} {by}s; effects of each take 2 to {_MOST_GROUPS}")
    if cells[["participant", by]].astype(str).drop_duplicates()["participant"].duplicated().any():
        raise NotApplicable(f"people were in several {by}s, so no {by} has people of its own")
    return by


DIFFERENT_COSTS = Rival(
    "different costs",
    "People differ in their cost of information: log costs are normally distributed. The habit is uniform.",
    build,
    (LOG_NORMAL,),
    Ingredients("equilibrium", heterogeneity="people differ"),
)
