"""One cost of information for everybody: logit quantal response equilibrium."""

from functools import partial

import numpy as np

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, habit_intervals, nothing_solves
from bayescal.comparison.rivals.flat import with_flat_habit
from bayescal.domain import Interval
from bayescal.model.hyperpriors import default_game_parameter, inside
from bayescal.model.model import Model
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.rational import solvable
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.uniform import Uniform


def build(field: Field, *, inferred_habit: bool = False) -> Model:
    """
    Args:
        inferred_habit: whether the study's habit is used, and its parameters inferred, in place of a uniform one.
    """
    habit = field.require_habit() if inferred_habit else Uniform()
    if field.study.cost is None and field.over_time and not all(map(solvable, field.games)):
        return _learned(field, inferred_habit)
    psi = field.habit_hyperpriors(habit)
    games = {n: default_game_parameter(field.game.params[n]) for n in field.study.parameters}
    with_habit = f"a {habit.words} habit" + (" (parameters inferred)" if psi else "")
    policy = ExactPolicy(field.game, habit)
    if field.study.cost is not None:
        return field.typed(
            policy,
            psi | games,
            f"A cost of {field.study.cost:g} for everybody and {with_habit}; {', '.join(games)} of the game inferred",
            cost=float(field.study.cost),
            natural=habit_intervals(habit),
        )
    beliefs, others = None, "" if field.alone else ", which everybody knows"
    if field.beliefs is not None:
        if psi:
            raise NotApplicable("beliefs about others are given, and are solved for once, with a uniform habit")
        population = LogNormal()
        field.check_beliefs(population)
        beliefs, others = (population, field.beliefs), ", and the given beliefs about others"
    return field.typed(
        policy,
        field.cost_hyperprior() | psi | games,
        f"One cost for everybody{others}, and {with_habit}",
        beliefs=beliefs,
        natural=habit_intervals(habit),
    )


def _learned(field: Field, inferred_habit: bool) -> Model:
    """A policy that was trained for people who differ, where they differ as little as it allows."""
    learned = field.learned
    if learned is None:
        raise nothing_solves(field.game)
    domain = dict(learned.domain.intervals)
    costs, others, spread = learned.cost_interval, None, ""
    if learned.population is not None:
        if not isinstance(learned.population, LogNormal):
            raise NotApplicable(f"the learned policy knows a {learned.population.words} population, not one cost")
        mean, sd = domain["phi.log_mean"], domain["phi.log_sd"].low
        costs = Interval(max(costs.low, float(np.exp(mean.low))), min(costs.high, float(np.exp(mean.high))))
        others, spread = {"phi.log_sd": sd}, f" (others' log costs are believed to have a standard deviation of {sd:g})"
    policy = learned if inferred_habit else with_flat_habit(learned)
    psi = field.habit_hyperpriors(policy.prior)
    box = {"log_cost": Interval(float(np.log(costs.low)), float(np.log(costs.high)))}
    box |= {n: domain[f"psi.{n.removeprefix('psi_')}"] for n in psi}
    hyperpriors = field.cost_hyperprior() | psi
    habit = f"{policy.prior.words} habit (parameters inferred)" if inferred_habit else "uniform habit"
    return field.typed(
        policy,
        {n: inside(n, d, box[n]) if n in box else d for n, d in hyperpriors.items()},
        f"One cost for everybody{spread} in the learned policy, and a {habit}",
        others=others,
        box=box,
        natural=habit_intervals(policy.prior),
    )


COMMON_COST = Rival(
    "common cost",
    "Everybody pays the same cost λ for information, and the habit is uniform. In a one-shot game this is the logit "
    "quantal response equilibrium of precision 1/λ.",
    build,
    ingredients=Ingredients("equilibrium"),
)
COMMON_COST_HABIT = Rival(
    "common cost, inferred prior",
    "Everybody pays the same cost λ for information, and departs from habits whose strength ψ is inferred as well.",
    partial(build, inferred_habit=True),
    ingredients=Ingredients("equilibrium", habit="inferred"),
)
