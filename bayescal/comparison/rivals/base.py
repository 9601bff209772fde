"""What a rival model is, and what all rival models of one study share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from markupsafe import Markup
from numpyro import distributions as dist

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.rivals.habits import habit_for
from bayescal.domain import Interval
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import DomainError
from bayescal.likelihood.without_payoffs import Leaning, Place, WithoutPayoffs, places_of
from bayescal.model.hyperpriors import Hyperpriors, default_cost, read_hyperpriors
from bayescal.model.model import Model
from bayescal.model.spec import Plates
from bayescal.model.types import typed_model
from bayescal.policies.base import Policy
from bayescal.policies.habitual import HabitualPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.populations.base import Population
from bayescal.priors.base import Prior
from bayescal.study.load import Study
from bayescal.table.decisions import Decisions
from bayescal.training.recipe import load_model

LAPSES = "; with probability lapse any action, all equally likely"

_GAMES_FOR_SCALE = 200  # games whose payoffs set the scale of the hyperpriors


class NotApplicable(Exception):
    """A rival model does not apply to a study. The message says why, without a full stop at the end."""

    def __init__(self, reason: str):
        super().__init__(reason.rstrip("."))


@dataclass(frozen=True, eq=False)
class Rival:
    """A model of decisions that competes with others on one study.

    A rival of your own is one such object, registered under its name: `RIVALS.register(rival.name, rival)`.

    Attributes:
        name: what it is called everywhere, also in `--only`.
        description: one or two sentences for readers of the report.
        build: makes the model of a study's decisions.

            Raises:
                NotApplicable: the model does not apply to this study.
        formulas: MathML for the report (see `bayescal.comparison.mathml`).
        ingredients: what it is made of; by default a behaviour of its own, with a uniform habit and people alike.
        usual: whether it is fitted unless the whole cross is asked for.

    Example:
        >>> from bayescal.comparison.rivals import RIVALS
        >>> RIVALS["prior only"].description
        'People act out of habit, whatever it pays: every action is drawn from the habit.'
    """

    name: str
    description: str
    build: Callable[["Field"], Model]
    formulas: tuple[Markup, ...] = ()
    ingredients: Ingredients = field(default_factory=lambda: Ingredients(""))
    usual: bool = True

    def __post_init__(self) -> None:
        if not self.ingredients.behaviour:  # a behaviour of its own, that has no variants
            object.__setattr__(self, "ingredients", Ingredients(self.name))


@dataclass(frozen=True, eq=False)
class Field:
    """What all rival models of a study share.

    Attributes:
        study: the study.
        policy: the likelihood of people with costs of their own; None where games are solved exactly.
        decisions: those of the study, in games of as few players as give the same choices.
    """

    study: Study
    policy: Policy | None
    decisions: Decisions

    @classmethod
    def of(cls, study: Study, policy: Policy | None = None) -> "Field":
        """The field of a study, with the study's own policy unless another one is given."""
        if policy is None and study.policy is not None:
            policy = load_model(study.policy, trust=True)  # `load_study` lets no other folder through
        decisions, played = study.decisions, study.decisions.environments
        games = {name: game.reduced for name, game in played.items()}
        if any(games[name] is not game for name, game in played.items()):
            decisions = replace(decisions, environments=games)
        return cls(study, policy, decisions)

    @property
    def games(self) -> list[Environment]:
        return list(self.decisions.environments.values())

    @property
    def game(self) -> Environment:
        """The first game."""
        return self.games[0]

    @property
    def one_shot_games(self) -> list[OneShot]:
        return [g for g in self.games if isinstance(g, OneShot)]

    @property
    def alone(self) -> bool:
        """Whether nobody meets anybody."""
        return all(g.players == 1 for g in self.games)

    @property
    def over_time(self) -> bool:
        return self.decisions.play is not None

    @property
    def has_subjects(self) -> bool:
        """Whether the table says who decided."""
        return "participant" in self.decisions.cells

    @property
    def learned(self) -> LearnedPolicy | None:
        """The policy, where it is a learned one."""
        return self.policy if isinstance(self.policy, LearnedPolicy) else None

    @property
    def policy_habit(self) -> Prior | None:
        """The habit of the policy."""
        return getattr(self.policy, "prior", None)

    @cached_property
    def payoff_scale(self) -> float:
        """The typical spread of payoffs."""
        distinct = {id(g): g for g in self.games[:_GAMES_FOR_SCALE]}.values()
        return float(np.median([float(g.payoff_scale(g.params)) for g in distinct]))

    @property
    def beliefs(self) -> dict[str, float] | None:
        """The study's given beliefs about others' costs."""
        beliefs = self.study.beliefs
        return dict(beliefs) if isinstance(beliefs, Mapping) and not self.alone else None

    @cached_property
    def habit(self) -> Prior | None:
        """The study's own habit, or the policy's, or one that suits the games; None where none does."""
        if self.study.prior is not None:
            return self.study.prior
        own = self.policy_habit
        return own if own is not None and own.parameters else habit_for(self.games)

    def require_habit(self) -> Prior:
        """
        Raises:
            NotApplicable: no habit suits the games.
        """
        if self.habit is None:
            raise NotApplicable(
                f"the actions of {self.game.name} are names without an order or a meaning that games share, so there "
                "is no habit to infer; the study has no habit of its own"
            )
        return self.habit

    def refuse_known_cost(self) -> None:
        """
        Raises:
            NotApplicable: the study fixes the cost of information.
        """
        if self.study.cost is not None:
            raise NotApplicable(
                f"the payoffs of {self.game.name} are inferred in units of the cost "
                f"({', '.join(self.study.parameters)}), so no other cost has a meaning"
            )

    def check_beliefs(self, population: Population) -> None:
        """
        Raises:
            NotApplicable: the study's given beliefs about others are of another kind of population.
        """
        if self.beliefs is not None and sorted(self.beliefs) != sorted(population.parameters):
            raise NotApplicable(
                f"the study's beliefs about others are given for another population than {population.words}"
            )

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The roles of games in which somebody decided."""
        return places_of(self.decisions)

    @property
    def most_decisions(self) -> int:
        """Of one person."""
        people = self.decisions.cells["participant_index"].to_numpy()
        return int(np.bincount(people, self.decisions.counts.sum(axis=1)).max())

    # --- Hyperpriors: the study's own, or the defaults ---

    def habit_hyperpriors(self, habit: Prior) -> Hyperpriors:
        return self._read({f"psi_{n}": d for n, d in habit.default_hyperpriors(self.payoff_scale).items()})

    def cost_hyperprior(self) -> Hyperpriors:
        """Of one cost for everybody."""
        return self._read({"log_cost": default_cost(self.payoff_scale)})

    def population_hyperpriors(self, population: Population) -> dict[str, Any]:
        """Those that the study gives; what it says of one cost for all holds for the median of many."""
        given = self.study.hyperpriors
        chosen = {n: given[n] for n in population.parameters if n in given}
        if "log_cost" in given and "log_mean" in population.parameters:
            chosen.setdefault("log_mean", given["log_cost"])
        return chosen

    def _read(self, defaults: Hyperpriors) -> Hyperpriors:
        return read_hyperpriors({n: x for n, x in self.study.hyperpriors.items() if n in defaults}, defaults)

    def typed(
        self,
        policy: Policy,
        hyperpriors: Hyperpriors,
        description: str,
        *,
        cost: float | None = None,
        beliefs: tuple[Population, Mapping[str, float]] | None = None,
        others: Mapping[str, float] | None = None,
        box: Mapping[str, Interval] | None = None,
        natural: Mapping[str, Interval] | None = None,
    ) -> Model:
        """`typed_model` of the decisions.

        Raises:
            NotApplicable: the policy does not answer for one of the games.
        """
        try:
            return typed_model(
                policy,
                self.decisions,
                hyperpriors,
                description=description,
                cost=cost,
                beliefs=beliefs,
                others=others,
                box=box,
                natural=natural,
            )
        except DomainError as error:
            raise NotApplicable(str(error)) from None

    def without_payoffs(
        self,
        leaning_in: Callable[[tuple[Place, ...]], Leaning],
        hyperpriors: Hyperpriors,
        description: str,
        plates: Plates,
    ) -> Model:
        """The model of choices that no payoff enters.

        Raises:
            NotApplicable: in a game over time nobody is named.
        """
        if self.over_time and not self.has_subjects:
            raise NotApplicable("the table does not say who decided")
        return typed_model(
            HabitualPolicy(self.game),
            self.decisions,
            hyperpriors,
            description=description,
            likelihood=partial(WithoutPayoffs.of, leaning_in),
            plates=plates,
        )


def lapse_hyperprior() -> Hyperpriors:
    """Flat: lapses are all that some rival models have for decisions that they do not foresee."""
    return {"lapse": dist.Uniform(0.0, 1.0)}


def habit_intervals(habit: Prior) -> dict[str, Interval]:
    """By site, where a habit's parameters can be."""
    return {f"psi_{n}": i for n, i in habit.parameters.items()}


def nothing_solves(game: Environment) -> NotApplicable:
    return NotApplicable(
        f"{game.name} cannot be solved exactly: train a policy (`bayescal train`) and give it (--policy)"
    )
