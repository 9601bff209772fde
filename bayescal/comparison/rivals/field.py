"""The explanations that compete on one study: from habit alone and full rationality to levels of reasoning.

All are models of the same decisions on the same grid. An explanation that a study does not admit is left out, with the
reason in a sentence.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import equinox as eqx
import numpy as np
import numpyro.distributions as dist

from bayescal import populations
from bayescal.domain import Interval
from bayescal.environments.base import OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.public_goods import PublicGoods
from bayescal.errors import DomainError, InputError
from bayescal.model.build import Model, build_model
from bayescal.model.hyperpriors import (
    Hyperpriors,
    default_cost,
    default_game_parameter,
    inside,
    read_hyperpriors,
)
from bayescal.model.standard import suited
from bayescal.model.types import typed_model
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.habitual import HabitualPolicy
from bayescal.policies.level_k import LevelKPolicy, dominant
from bayescal.policies.rational import RationalPolicy, flat, solvable
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.anchored import Anchored
from bayescal.priors.base import Prior
from bayescal.priors.fixed import Fixed
from bayescal.priors.focal import Focal
from bayescal.priors.log_linear import LogLinear
from bayescal.priors.product import Product
from bayescal.priors.uniform import Uniform
from bayescal.training.recipe import load_model, model_names

NAMES = (
    "prior only", "rational", "plain RL", "common cost", "different costs", "different costs, inferred prior",
    "level-k", "cognitive hierarchy", "GR2-L", "GR2-M",
)  # fmt: skip
HIGHEST = 3  # level of "level-k": people of higher levels are hardly ever found

_MOST_GROUPS = 30  # that have a population each
_COSTS_AT_ONCE, _MOST_UNKNOWNS = 65, 500  # at least so many types of people; unknowns that are solved in no time
_LAPSES = "; with probability lapse any action, all alike"


@dataclasses.dataclass(frozen=True, eq=False)
class Rivals:
    """Models by name, in the order of `NAMES`, and why others are left out."""

    models: dict[str, Model]
    left_out: dict[str, str]


def rivals(study: Any, *, only: Sequence[str] | None = None, policy: Any = None) -> Rivals:
    """Every explanation that a study admits, as a model of its decisions.

    Args:
        study: of `load_study`.
        only: some of the names in `NAMES`.
        policy: the likelihood of people with costs of their own, where it is not the study's; if it is a learned one,
            it is "plain RL" too.

    Raises:
        InputError: a name that is none of the explanations', or a prior that rules out what somebody did.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.comparison.rivals.field import rivals
        >>> found = rivals(bc.load_study("selten-chmura"), only=["prior only", "rational"])
        >>> list(found.models)
        ['prior only', 'rational']
    """
    wanted = _wanted(only, NAMES)
    field = _Field(study, policy)
    makers: dict[str, Callable[[], Model]] = {
        "prior only": field.prior_only,
        "rational": field.rational,
        "plain RL": field.plain_rl,
        "common cost": field.common,
        "different costs": lambda: field.different(field.uniform_policy(LogNormal)),
        "different costs, inferred prior": lambda: field.different(field.habit_policy(LogNormal), inferred=True),
        "level-k": lambda: field.levels("level-k"),
        "cognitive hierarchy": lambda: field.levels("cognitive hierarchy"),
        "GR2-L": lambda: field.levels("GR2-L"),
        "GR2-M": lambda: field.levels("GR2-M"),
    }
    return _made({name: makers[name] for name in wanted})


def ablation(study: Any, *, only: Sequence[str] | None = None, policy: Any = None) -> Rivals:
    """Which part of the explanation matters? Costs (one for all, log-normal, truncated normal as in the paper, gamma,
    two classes) by prior (uniform, or the study's with its parameters inferred); and, where there are groups, the
    population of costs shared by all or one for each group.

    Names are "COSTS, PRIOR", such as "log-normal costs, uniform prior" and "log-normal costs by group, study's prior".

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> found = bc.ablation(study, only=["common cost, uniform prior", "gamma costs, uniform prior"])
        >>> list(found.models)
        ['common cost, uniform prior', 'gamma costs, uniform prior']
    """
    field = _Field(study, policy)
    kinds: dict[str, Any] = {
        "log-normal": LogNormal,
        "truncated normal": populations.TruncatedNormal,
        "gamma": populations.Gamma,
        "two classes of": lambda: populations.Mixture((LogNormal(), LogNormal())),
    }
    makers: dict[str, Callable[[], Model]] = {}
    for prior, inferred in (("uniform prior", False), ("study's prior", True)):
        makers[f"common cost, {prior}"] = lambda inferred=inferred: field.common(inferred=inferred)
        for kind, make in kinds.items():
            which = field.habit_policy if inferred else field.uniform_policy
            makers[f"{kind} costs, {prior}"] = lambda which=which, make=make, inferred=inferred: field.different(
                which(make), inferred=inferred
            )
        which = field.habit_policy if inferred else field.uniform_policy
        makers[f"log-normal costs by group, {prior}"] = lambda which=which, inferred=inferred: field.different(
            which(LogNormal), inferred=inferred, groups=True
        )
    wanted = _wanted(only, tuple(makers))
    return _made({name: makers[name] for name in wanted})


def _wanted(only: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    unknown = [n for n in only or () if n not in names]
    if unknown:
        raise InputError(f"There is no explanation {', '.join(map(repr, unknown))}; there are {', '.join(names)}.")
    return [n for n in names if only is None or n in only]


def _made(makers: Mapping[str, Callable[[], Model]]) -> Rivals:
    models, left_out = {}, {}
    for name, make in makers.items():
        try:
            models[name] = make()
        except _LeftOut as reason:
            left_out[name] = f"{name}: {reason}"
    return Rivals(models, left_out)


class _LeftOut(Exception):
    """Why a study does not admit an explanation."""


class _Field:
    """What all explanations of a study have in common."""

    def __init__(self, study: Any, policy: Any):
        self.study, self.decisions = study, _with_pairs(study.decisions)
        self.games = list(self.decisions.environments.values())
        self.game = self.games[0]
        self.alone = all(g.players == 1 for g in self.games)
        self.over_time = self.decisions.play is not None
        self.named = "participant" in self.decisions.cells
        if policy is None and study.policy is not None:
            policy = load_model(study.policy)
        self.policy = policy
        self.learned = policy if isinstance(policy, AmortisedPolicy) else None
        scales = {id(g): g for g in self.games[:200]}.values()
        self.scale = float(np.median([float(g.payoff_scale(g.params)) for g in scales]))
        fixed = isinstance(study.beliefs, Mapping) and not self.alone
        self.beliefs = dict(study.beliefs) if fixed else None

    # --- The simple ones -------------------------------------------------------------------------------------------

    def prior_only(self) -> Model:
        prior = self.habit or Uniform()
        psi = self._psi(prior)
        told = "its parameters inferred" if psi else "nothing inferred: lapses from it do not show"
        return self._typed(
            HabitualPolicy(self.game, prior),
            psi or self._lapse(),  # samplers need a parameter; a uniform prior is the same with lapses
            f"Habit alone: everybody plays the prior ({_named(prior)}, {told}), whatever it brings",
            natural=_natural(prior),
        )

    def rational(self) -> Model:
        self._refuse_known_cost()
        if not all(map(solvable, self.games)):
            raise _LeftOut(f"nothing solves {self.game.name} exactly; see plain RL, the learned policy at its smallest "
                           "cost")  # fmt: skip
        what = "the Nash equilibrium at the end of the principal branch" if not self.alone else "the optimum"
        return self._typed(
            RationalPolicy(self.game), self._lapse(), f"Full rationality: everybody plays {what}{_LAPSES}"
        )

    def plain_rl(self) -> Model:
        self._refuse_known_cost()
        learned, name = (self.learned, "the policy given") if self.learned is not None else self._from_zoo()
        cost = learned.cost_interval.low
        return self._typed(
            RationalPolicy(self.game, learned=learned),
            self._lapse(),
            f"Plain reinforcement learning: everybody plays {name} at the smallest cost of its box ({cost:g}){_LAPSES}",
        )

    def levels(self, kind: Any) -> Model:
        if self.over_time:
            raise _LeftOut(f"levels are of one-shot games, and {self.game.name} is a game over time")
        if self.alone:
            raise _LeftOut(f"{self.game.name} has no others to reason about")
        alike = all(dominant(g) for g in _one_of_each(self.games))
        if alike and kind.startswith("GR2"):
            raise _LeftOut(
                f"in {self.game.name} the best reply is the same whatever the others do, so replies to what is "
                "imagined are those of the cognitive hierarchy"
            )
        highest = 1 if alike else HIGHEST if kind == "level-k" else 10
        try:
            policies = [LevelKPolicy(g, kind, levels=highest) for g in _one_of_each(self.games)]
        except InputError as error:
            raise _LeftOut(str(error)) from None
        shares: Hyperpriors = (
            {n: dist.Normal(0.0, 1.5) for n in policies[0].parameters}
            if kind == "level-k"
            else {"tau": dist.LogNormal(np.log(1.5), 0.7)}
        )
        own = self._lapse() if kind == "level-k" else self._log_cost()
        return self._typed(policies[0], shares | own, _REASONING[kind].format(highest=highest))

    # --- Costs -----------------------------------------------------------------------------------------------------

    def common(self, *, inferred: bool = False) -> Model:
        """One cost for everybody."""
        if inferred and self.habit is None:
            raise _LeftOut(self.no_habit)
        prior = self.habit if inferred and self.habit is not None else Uniform()
        psi = self._psi(prior)
        games = {n: default_game_parameter(self.game.params[n]) for n in self.study.parameters}
        told = f"a {_named(prior)} prior" + (" (parameters inferred)" if psi else "")
        if self.study.cost is not None:
            return self._typed(
                ExactPolicy(self.game, prior),
                psi | games,
                f"A cost of {self.study.cost:g} for everybody and {told}; {', '.join(games)} of the game inferred",
                cost=float(self.study.cost),
                natural=_natural(prior),
            )
        if self.over_time and not all(map(solvable, self.games)):
            return self._common_learned(inferred)
        beliefs, others = None, "which everybody knows"
        if self.beliefs is not None:
            if psi:
                raise _LeftOut("beliefs about others are given, and are worked out once, with a uniform prior")
            population = self._population(LogNormal)
            beliefs, others = (population, self.beliefs), "and the given beliefs about others"
        elif self.alone:
            others = ""
        policy = ExactPolicy(self.game, prior)
        described = f"One cost for everybody{', ' if others else ''}{others}, and {told}"
        return self._typed(policy, self._log_cost() | psi | games, described, beliefs=beliefs, natural=_natural(prior))

    def _common_learned(self, inferred: bool) -> Model:
        """Of a policy that was trained for people who differ: as little as it can."""
        learned = self.learned
        if learned is None:
            raise _LeftOut(f"nothing solves {self.game.name}: train a policy (`bayescal train`) and give it (--policy)")
        boxes = dict(learned.domain.intervals)
        walls, others, told = learned.cost_interval, None, ""
        if learned.population is not None:
            if not isinstance(learned.population, LogNormal):
                raise _LeftOut(f"the learned policy knows a {_named(learned.population)} population, not one cost")
            mean, sd = boxes["phi.log_mean"], boxes["phi.log_sd"].low
            walls = Interval(max(walls.low, float(np.exp(mean.low))), min(walls.high, float(np.exp(mean.high))))
            others, told = {"phi.log_sd": sd}, f" (others' are believed to spread by {sd:g} in the logarithm)"
        box = {"log_cost": Interval(float(np.log(walls.low)), float(np.log(walls.high)))}
        policy = learned if inferred else _with_flat_prior(learned)
        psi = self._psi(policy.prior)
        box |= {n: boxes[f"psi.{n.removeprefix('psi_')}"] for n in psi}
        sites = {n: inside(n, d, box[n]) if n in box else d for n, d in (self._log_cost() | psi).items()}
        return self._typed(
            policy,
            sites,
            f"One cost for everybody{told} in the learned policy, and a "
            f"{_named(policy.prior) + ' prior (parameters inferred)' if inferred else 'uniform prior'}",
            others=others,
            box=box,
            natural=_natural(policy.prior),
        )

    def uniform_policy(self, population: Callable[[], Population]) -> tuple[Any, Population]:
        """(the likelihood of people who differ and have no habits, their population)."""
        if self.learned is not None and self.learned.private:
            return _with_flat_prior(self.learned), self._population_of(self.learned, population)
        return self._exact(Uniform(), population)

    def habit_policy(self, population: Callable[[], Population]) -> tuple[Any, Population]:
        if self.policy is not None and (self.learned is None or self.learned.private):
            if not self.policy.prior.parameters:
                raise _LeftOut("the prior of the policy has no parameters to be inferred")
            return self.policy, self._population_of(self.policy, population)
        if self.habit is None:
            raise _LeftOut(self.no_habit)
        return self._exact(self.habit, population)

    def _exact(self, prior: Prior, population: Callable[[], Population]) -> tuple[Any, Population]:
        if not all(map(solvable, self.games)):
            if self.learned is not None and self.alone:
                return self.learned if prior is not None else _with_flat_prior(self.learned), population()
            raise _LeftOut(f"nothing solves {self.game.name}: train a policy (`bayescal train`) and give it (--policy)")
        self._refuse_slow()
        drawn = self._population(population)
        return ExactPolicy(self.game, prior, None if self.alone else drawn), drawn

    def _refuse_slow(self) -> None:
        """Finite games over time of several players are solved for everybody's costs at once."""
        game: Any = self.game
        if self.alone or not isinstance(game, FiniteGame):
            return
        unknowns = game.players * game.situation_count * (game.mask.shape[1] - 1) * _COSTS_AT_ONCE
        if unknowns > _MOST_UNKNOWNS:
            raise _LeftOut(
                f"with private costs {game.name} is a system of some {unknowns} unknowns, solved at every step of the "
                "sampler, which takes too long"
            )

    def _population_of(self, policy: Any, population: Callable[[], Population]) -> Population:
        """The one that the policy knows, if it is of the kind that is asked for."""
        asked = population()
        if isinstance(policy, AmortisedPolicy) and policy.private:
            if type(asked) is not type(policy.population):
                raise _LeftOut(
                    f"the learned policy was trained for a {_named(policy.population)} population of others, not for a "
                    f"{_named(asked)} one"
                )
            assert policy.population is not None
            return policy.population
        return self._population(population)

    def _population(self, population: Callable[[], Population]) -> Population:
        asked = population()
        if self.beliefs is not None and sorted(self.beliefs) != sorted(asked.parameters):
            raise _LeftOut(f"the study's beliefs about others are given for another population than {_named(asked)}")
        return asked

    def different(
        self, policy_and_population: tuple[Any, Population], *, inferred: bool = False, groups: bool = False
    ) -> Model:
        """Everybody has a cost of one's own."""
        self._refuse_known_cost()
        policy, population = policy_and_population
        if self.over_time and not self.named:
            raise _LeftOut("the table does not say who decided")
        if isinstance(population, Homogeneous):
            raise _LeftOut("the policy knows one cost for all")
        options: dict[str, Any] = {}
        if self.named:
            options = {
                "method": suited(self.decisions),
                "beliefs": self.study.beliefs or "consistent",
                "lapse": self.study.lapse,
            }
        if groups:
            options["groups"] = self._groups()
        prior = policy.prior
        psi = bool(inferred and prior.parameters)
        build = lambda options: build_model(
            policy, population, self.decisions, prior_parameters=psi, hyperpriors=self._phi(population), **options
        )
        try:
            model = build(options)
        except DomainError as error:
            if options.get("method") != "compressed" or self.learned is not None:
                raise _LeftOut(str(error)) from None
            model = build(options | {"method": "marginal"})  # the posterior is where no hyperprior draw is
        told = f"{_named(prior)} prior (parameters inferred)" if psi else "uniform prior"
        by = " in each group" if groups else ""
        described = f"Everybody has a private cost, drawn from a {_named(population)} population{by}, and a {told}"
        return dataclasses.replace(
            model,
            description="; ".join(filter(None, [described, model.description.partition("; ")[2]])),
        )

    def _groups(self) -> str:
        if not self.named or "group" not in self.decisions.cells:
            raise _LeftOut("the table names no groups of people")
        count = len(self.decisions.levels("group"))
        if not 1 < count <= _MOST_GROUPS:
            raise _LeftOut(f"there are {count} groups, and a population for each is of 2 to {_MOST_GROUPS}")
        return "group"

    def _refuse_known_cost(self) -> None:
        if self.study.cost is not None:
            raise _LeftOut(
                f"the payoffs of {self.game.name} are inferred in units of the cost ({', '.join(self.study.parameters)}"
                "), so no other cost has a meaning"
            )

    # --- What they need --------------------------------------------------------------------------------------------

    @property
    def habit(self) -> Prior | None:
        """The study's own prior, or one that suits its games; None where none does."""
        if self.study.prior is not None:
            return self.study.prior
        own = getattr(self.policy, "prior", None)
        if own is not None and own.parameters:
            return own
        return _sensible(self.games)

    @property
    def no_habit(self) -> str:
        return (
            f"the actions of {self.game.name} are names without an order or a meaning that games share, so there is no "
            "habit to infer; the study has no prior of its own"
        )

    def _psi(self, prior: Prior) -> Hyperpriors:
        defaults = {f"psi_{n}": d for n, d in prior.default_hyperpriors(self.scale).items()}
        own = {n: x for n, x in self.study.hyperpriors.items() if n in defaults}
        return read_hyperpriors(own, defaults)

    def _phi(self, population: Population) -> dict[str, Any]:
        """The study's hyperpriors; what it says of one cost for all it says of the median of many."""
        given = self.study.hyperpriors
        out = {n: given[n] for n in population.parameters if n in given}
        if "log_cost" in given and "log_mean" in population.parameters:
            out.setdefault("log_mean", given["log_cost"])
        return out

    def _log_cost(self) -> Hyperpriors:
        own = {n: x for n, x in self.study.hyperpriors.items() if n == "log_cost"}
        return read_hyperpriors(own, {"log_cost": default_cost(self.scale)})

    @staticmethod
    def _lapse() -> Hyperpriors:
        return {"lapse": dist.Uniform(0.0, 1.0)}  # all that these explanations have for what they do not foresee

    def _typed(self, policy: Any, sites: Hyperpriors, description: str, **options: Any) -> Model:
        try:
            return typed_model(policy, self.decisions, sites, description=description, **options)
        except DomainError as error:
            raise _LeftOut(str(error)) from None

    def _from_zoo(self) -> tuple[AmortisedPolicy, str]:
        for name in model_names():
            policy = _loaded(name)
            if policy is not None and type(policy.environment) is type(self.game) and _plays(policy, self.games):
                return policy, f"the learned policy {name}"
        raise _LeftOut(
            f"the zoo has no learned policy of {self.game.name} as it was played here; `bayescal train` gives one, and "
            "--policy uses it"
        )


_REASONING = {
    "level-k": "Levels of reasoning: everybody is of a level from 0, which plays anything, to {highest}, and gives the "
    "best reply to the level below; the shares of levels are inferred" + _LAPSES,
    "cognitive hierarchy": "Poisson cognitive hierarchy: a person of level 1 to {highest} meets people of all lower "
    "levels (level 0 plays anything) and replies at a common cost of information",
    "GR2-L": "Recursive reasoning GR2-L: a person of level 1 to {highest} imagines what others of the level below do, "
    "and replies to each such case at a common cost of information; levels are Poisson",
    "GR2-M": "Recursive reasoning GR2-M: a person of level 1 to {highest} imagines what others of all lower levels do, "
    "and replies to each such case at a common cost of information; levels are Poisson",
}


def _with_pairs(decisions: Any) -> Any:
    """Public goods games, in which others' number and giving move all one's payoffs alike, as games of two: the same
    choices, and one solver for all sizes."""
    games = decisions.environments
    if not all(isinstance(g, PublicGoods) for g in games.values()):
        return decisions
    pairs = {
        name: PublicGoods(2, mpcr=g.mpcr, endowment=g.endowment, contributions=g.contributions)
        for name, g in games.items()
    }
    return dataclasses.replace(decisions, environments=pairs)


def _one_of_each(games: Sequence[Any]) -> list[Any]:
    """Games that differ in more than their parameters."""
    return list({(type(g), g.role_counts, g.action_values): g for g in games}.values())


def _named(x: Prior | Population) -> str:
    """A prior or a population in words."""
    return x.words


def _natural(prior: Prior) -> dict[str, Interval]:
    return {f"psi_{n}": i for n, i in prior.parameters.items()}


def _with_flat_prior(policy: AmortisedPolicy) -> AmortisedPolicy:
    if policy.prior.flat:
        return policy
    if policy.prior.flat_parameters is None:
        raise _LeftOut(f"the learned policy does not know a uniform prior ({policy.prior.words} is never uniform)")
    psi = flat(policy)
    left = [n for n, x in policy.prior.flat_parameters.items() if psi[n] != x]
    if left:
        raise _LeftOut(f"the learned policy does not know a uniform prior (its {', '.join(left)} cannot be 0)")
    return eqx.tree_at(lambda p: p.prior, policy, Fixed(policy.prior, psi), is_leaf=lambda x: isinstance(x, Prior))


def _sensible(games: Sequence[Any]) -> Prior | None:
    """A habit that suits the games: being near some value and round numbers where actions are quantities, or an
    inclination to one of two actions that mean the same everywhere."""
    if all(g.ordered for g in games):
        grids = [np.asarray(v) for g in _one_of_each(games) for v in g.action_values]
        focal = [Focal(every) for every in (5.0, 10.0) if any(_tells_apart(grid, every) for grid in grids)]
        return Product((Anchored(), *focal)) if focal else Anchored()
    listed = isinstance(games[0], NormalForm)
    two = all(len(v) == 2 for g in games for v in g.action_values)
    same = len({g.action_labels[0] for g in games}) == 1
    return LogLinear() if two and same and not listed else None


def _tells_apart(grid: np.ndarray, every: float) -> bool:
    return 0 < np.sum(np.isclose(grid / every, np.round(grid / every))) < len(grid)


@cache
def _loaded(name: str) -> AmortisedPolicy | None:
    try:
        return load_model(name)
    except InputError:
        return None


def _plays(policy: AmortisedPolicy, games: Sequence[Any]) -> bool:
    try:
        for game in games:
            policy.play(game, policy.population)
    except InputError:
        return False
    return all(isinstance(g, OneShot) == isinstance(policy.environment, OneShot) for g in games)
