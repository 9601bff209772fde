"""A logit without payoffs: what people lean to, with effects of the person and of the game.

With actions that have no order, log-odds against the first action are lean + effect of the game + effect of the person
(of two actions only). On a grid people stay near a place of their own, and like round numbers:

    log p(a) = -(v(a) - centre - effect of the game - effect of the person)² / 2 width² + bonus of round numbers,

with v running from -1 to 1. Effects are normal, and integrated out over people.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import LOG, formula, over, power, sub, text
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival
from bayescal.comparison.rivals.choice_shares import MOST
from bayescal.comparison.rivals.habits import ROUND, some_are_multiples
from bayescal.likelihood.without_payoffs import PLACE, Leaning, Place
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.model import Model
from bayescal.model.spec import Plates
from bayescal.policies.base import Parameters
from bayescal.policies.normal_nodes import normal_nodes

_SD = 4.0  # the largest standard deviation of personal log-odds for which nodes are close enough
_SAFE = 1.5  # by which nodes on a grid are closer than the data's spread asks for


@dataclass(frozen=True, eq=False)
class Logit(Leaning):
    """What people lean to in each place.

    Attributes:
        places: where people decide.
        by_game: whether games differ.
        differ: whether people do.
        information: see `normal_nodes`.
    """

    places: tuple[Place, ...]
    by_game: bool
    differ: bool
    information: float

    @cached_property
    def on_grid(self) -> bool:
        """Whether actions are quantities (of two actions it makes no difference)."""
        return all(p.environment.ordered for p in self.places) and self._width > 2

    @property
    def _width(self) -> int:
        return max(len(p.values) for p in self.places)

    @cached_property
    def roles(self) -> list[str]:
        """The kinds of places: roles of one name with as many actions."""
        return list(dict.fromkeys(map(_role, self.places)))

    @cached_property
    def _role_of(self) -> Int[np.ndarray, " places"]:
        return np.array([self.roles.index(_role(p)) for p in self.places])

    @property
    def _free(self) -> int:
        """Numbers in each place: a location on a grid, else log-odds against the first action."""
        return 1 if self.on_grid else self._width - 1

    @property
    def types(self) -> int:
        return len(self._nodes[0])

    @cached_property
    def _nodes(self) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
        return normal_nodes(self.information) if self.differ else (np.zeros(1), np.zeros(1))

    def log_shares(self, at: Parameters) -> Float[Array, " types"]:
        return jnp.asarray(self._nodes[1])

    @cached_property
    def focal(self) -> list[float]:
        """Multiples of these are round numbers on some grid."""
        return [x for x in ROUND if self.on_grid and any(some_are_multiples(p.values, x) for p in self.places)]

    def log_probs(self, at: Parameters) -> Float[Array, "places types actions"]:
        effect = jnp.asarray(at["lean"]).reshape(len(self.roles), self._free)[self._role_of]
        if self.by_game:
            effect = effect + at["game_sd"] * jnp.asarray(at["game_effect"]).reshape(effect.shape)
        person = jnp.asarray(self._nodes[0]) * (at["person_sd"] if self.differ else 0.0)
        if self.on_grid:
            values, bonus = self._grids
            distance = values[:, None, :] - effect[:, :, None] - person[None, :, None]
            logits = -0.5 * (distance / at["width"]) ** 2
            for k, every in enumerate(self.focal):
                logits = logits + at[f"bonus_{every:g}"] * bonus[k][:, None, :]
        else:
            logits = jnp.concatenate([jnp.zeros((len(self.places), 1)), effect], axis=1)[:, None, :]
            logits = logits + person[None, :, None] * np.arange(self._width)
        there = np.array([np.arange(self._width) < len(p.values) for p in self.places])[:, None, :]
        return jnp.where(there, jax.nn.log_softmax(jnp.where(there, logits, -1e30), axis=-1), -jnp.inf)

    @cached_property
    def _grids(self) -> tuple[Float[np.ndarray, "places actions"], Float[np.ndarray, "kinds places actions"]]:
        """(values from -1 to 1, whether each is a round number, by kind of round number)."""
        values = np.zeros((len(self.places), self._width))
        bonus = np.zeros((len(self.focal), *values.shape))
        for k, place in enumerate(self.places):
            grid = place.values
            values[k, : len(grid)] = scaled(grid, grid)
            for f, every in enumerate(self.focal):
                bonus[f, k, : len(grid)] = np.isclose(grid / every, np.round(grid / every))
        return values, bonus

    @property
    def hyperpriors(self) -> Hyperpriors:
        sites: Hyperpriors = {"lean": dist.Normal(0.0, 1.0 if self.on_grid else 1.5)}
        if self.on_grid:
            sites["width"] = dist.LogNormal(np.log(0.5), 1.0)
            sites |= {f"bonus_{every:g}": dist.Normal(0.0, 1.5) for every in self.focal}
        if self.by_game:
            sites |= {"game_sd": dist.HalfNormal(1.0), "game_effect": dist.Normal(0.0, 1.0)}
        if self.differ:
            sites["person_sd"] = dist.HalfNormal(1.0 if self.on_grid else 2.0)
        return sites

    @property
    def plates(self) -> Plates:
        labels = lambda of: tuple(f"{x} · {k}" if self._free > 1 else x for x in of for k in range(1, self._free + 1))
        plates = {"lean": ("kind_of_role", labels(self.roles))}
        return plates | ({"game_effect": (PLACE, labels([p.label for p in self.places]))} if self.by_game else {})


def scaled(values: Float[np.ndarray, "..."], grid: Float[np.ndarray, " actions"]) -> Float[np.ndarray, "..."]:
    """From -1 at the lowest action of the grid to 1 at the highest."""
    half = (grid[-1] - grid[0]) / 2
    return (values - grid[0]) / half - 1 if half else np.zeros_like(values)


def build(field: Field, *, differ: bool, by_game: bool) -> Model:
    places = field.places
    if differ:
        if not field.has_subjects:
            raise NotApplicable("the table does not say who decided, so nobody can have an effect")
        if any(len(p.values) > 2 and not p.environment.ordered for p in places):
            raise NotApplicable("people who differ in more than two actions without an order have no one leaning")
    if by_game and len(places) < 2:
        raise NotApplicable("only one role of one game was played, so games do not differ")
    leaning = Logit(places, by_game, differ, 0.0)
    if by_game and (free := len(places) * leaning._free) > MOST:
        raise NotApplicable(f"there would be {free:,} effects of games, more than the {MOST} sampled in good time")
    information = (_on_grid(field) if leaning.on_grid else _of_two(field)) if differ else 0.0
    alike = "people differ by a normal effect, which is integrated out" if differ else "people are alike"
    games = "; games differ by a normal effect, partially pooled" if by_game else ""
    return field.without_payoffs(
        partial(Logit, by_game=by_game, differ=differ, information=information),
        leaning.hyperpriors,
        f"A logit without payoffs, with a location for each role: {alike}{games}",
        leaning.plates,
    )


def _of_two(field: Field) -> float:
    """Information in one person's choices between two actions, on an effect of the largest size."""
    return float(field.most_decisions * 0.25 * _SD**2)


def _on_grid(field: Field) -> float:
    """Information in one person's choices on a grid, from how people differ in the data."""
    rows = field.decisions.cells
    grids = [[scaled(x, x) for x in map(np.asarray, g.action_values)] for g in field.games]
    n, total, square = np.zeros((3, len(field.decisions.levels("participant"))))
    cells = zip(rows["participant_index"], rows["game_index"], rows["role_index"], field.decisions.counts, strict=True)
    for person, game, role, counts in cells:
        grid = grids[game][role]
        n[person] += counts.sum()
        total[person] += counts[: len(grid)] @ grid
        square[person] += counts[: len(grid)] @ grid**2
    mean = total / n
    step = 2 / max(len(x) - 1 for game in grids for x in game)
    within = max(np.sqrt(max(square.sum() - (n * mean**2).sum(), 0.0) / n.sum()), step / 2)
    return float(field.most_decisions * (_SAFE * mean.std() / within) ** 2)


def _role(place: Place) -> str:
    return f"{place.environment.role_names[place.role]} of {len(place.values)}"


_FORMULA = formula(LOG, over("p", "1−p"), "=", sub("α", text("role")), "+", sub("β", text("game")), "+", sub("ε", "i"))
_NORMAL = formula(sub("ε", "i"), "∼", text("Normal"), "(0,", power("σ", "2"), ")")


def _rival(name: str, description: str, *, differ: bool, by_game: bool, usual: bool = True) -> Rival:
    return Rival(
        name,
        f"No payoffs: {description} On a grid people stay near a location and like round numbers.",
        partial(build, differ=differ, by_game=by_game),
        (_FORMULA, *((_NORMAL,) if differ else ())),
        Ingredients(
            "no payoffs",
            habit="inferred",
            heterogeneity="people differ" if differ else "alike",
            pooling="by game" if by_game else "complete",
            payoffs=False,
        ),
        usual,
    )


LOGIT = _rival(
    "logit without payoffs",
    "each role has log-odds of its own, the same in all games and for everybody.",
    differ=False,
    by_game=False,
    usual=False,
)
LOGIT_PEOPLE = _rival(
    "logit without payoffs, people differ",
    "each role has log-odds of its own, and each person is above or below them by a normal effect.",
    differ=True,
    by_game=False,
)
LOGIT_GAMES = _rival(
    "logit without payoffs, by game",
    "log-odds differ by role and game (partially pooled), and are the same for everybody.",
    differ=False,
    by_game=True,
)
LOGIT_GAMES_PEOPLE = _rival(
    "logit without payoffs, by game, people differ",
    "log-odds differ by role and game (partially pooled), and each person is above or below them by a normal effect.",
    differ=True,
    by_game=True,
)
