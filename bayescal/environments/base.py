"""What a game is: rules only. Who plays, on which grid of actions, for which payoffs."""

import dataclasses
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.counts import CountRecord, statistics_of_counts
from bayescal.environments.joint import check_enumerable, joint_probabilities, payoffs_by_enumeration
from bayescal.environments.replay import Replay
from bayescal.environments.roles import role_of_player
from bayescal.environments.statistics import PlayRecord, Statistic, statistics_of_play
from bayescal.errors import InputError
from bayescal.reading import odd_character

Params = Mapping[str, Any]  # arrays by name, which may be inferred or vmapped over
State = PyTree
Observation = PyTree
Seen = Mapping[str, Any]  # an observation of a game over time: arrays by name


class Environment(eqx.Module):
    """The rules of a game, as pure functions of one game; batching is `vmap` at the boundary.

    Players are grouped in **roles**: players of one role have the same actions, the same payoffs and the same policy.
    In an asymmetric two-player game each player has a role; the twelve firms of a symmetric Cournot market share one.
    Grids of different length are padded to the longest; `mask` marks the actions.

    A game owns everything that is particular to it: payoffs, what players observe, the columns of its data, the
    statistics of its predictive checks, the words of its template. Registering it in `GAMES` gives it a name.

    Example:
        >>> import bayescal as bc
        >>> game = bc.get_game("beer-game")
        >>> game.role_names, game.players, game.horizon
        (('retailer', 'wholesaler', 'distributor', 'factory'), 4, 36)
        >>> game.action_values[0][:4]
        (0.0, 1.0, 2.0, 3.0)
    """

    name: str = eqx.field(static=True)
    role_names: tuple[str, ...] = eqx.field(static=True)
    role_counts: tuple[int, ...] = eqx.field(static=True)  # players in each role
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # by role: the grid that decisions live on
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True)  # by role: what a table may call the actions
    ordered: bool = eqx.field(static=True)  # whether the grid is a quantity (mean, quantiles make sense) or a list
    horizon: int = eqx.field(static=True)
    discount: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if problems := problems_of(self):
            raise InputError(f"{self.name}: {'; '.join(problems)}.")

    @property
    def players(self) -> int:
        return sum(self.role_counts)

    @property
    def roles(self) -> int:
        return len(self.role_counts)

    @property
    def over_time(self) -> bool:
        """Whether a decision depends on what happened before it."""
        return True

    @property
    def solvable(self) -> bool:
        """Whether `ExactPolicy` solves the game."""
        return False

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        """Parameters that together scale all payoffs: if all of them are inferred, no cost is identified."""
        return ()

    @property
    def reduced(self) -> "Environment":
        """The game of fewest players in which everybody chooses as in this one."""
        return self

    @property
    def shared_meaning(self) -> bool:
        """Whether an action of one name means the same in every game of this kind, so that people can have a habit."""
        return True

    @property
    def mask(self) -> Bool[np.ndarray, "roles actions"]:
        """Which cells of the padded grid are actions."""
        sizes = [len(v) for v in self.action_values]
        return np.arange(max(sizes))[None, :] < np.array(sizes)[:, None]

    @property
    def params(self) -> Params:
        """The default parameters of the game as NumPy arrays: every field of the class that is not static."""
        numbers = [f.name for f in dataclasses.fields(self) if not f.metadata.get("static", False)]
        values = {name: getattr(self, name) for name in numbers}
        # A game that is passed to a compiled function holds tracers.
        return {name: x if isinstance(x, Tracer) else np.asarray(x, float) for name, x in values.items()}

    @abstractmethod
    def reset(self, key: PRNGKeyArray, params: Params) -> State:
        """The state before the first decision."""

    @abstractmethod
    def step(
        self, key: PRNGKeyArray, state: State, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[State, Float[Array, " players"], Bool[Array, ""]]:
        """(next state, payoffs, whether the game is over)."""

    @abstractmethod
    def observe(self, state: State, player: int) -> Observation:
        """What a player knows before a decision. In a game over time: a dict of arrays. Habits use these entries:

        - "own": the player's last decision, in the grid's units;
        - "seen": the last public outcome (demand, price, the others' mean), in the grid's units;
        - "began": 0. before the first decision, when "own" and "seen" have no meaning; 1. after it.
        """

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns of recorded play beside participant, group, role, round and action, each with its meaning."""
        return {}

    def named_situations(self, role: int) -> Sequence[tuple[str, tuple[str, ...]]]:
        """(name, labels of the actions) of each situation of a role, if a table's column "situation" holds such names
        and the labels of actions depend on it; else none."""
        return ()

    def record(
        self, before: State, joint_action: Int[AnyArray, " players"], after: State, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        """Those columns for one round: one number per player."""
        return {}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """What each person saw before each recorded decision, rebuilt from the decisions (see `Replay`)."""
        raise NotImplementedError(f"{type(self).__name__} cannot rebuild from a table what people saw.")

    def count_chance(self, table: pd.DataFrame) -> tuple["Environment", float]:
        """The game with its chance probabilities estimated from a table of play, and their log-likelihood."""
        raise InputError(
            f"{self.name}: chance probabilities of a {type(self).__name__} cannot be estimated: leave out `chance`."
        )

    def statistics(self, record: PlayRecord) -> Iterator[Statistic]:
        """The statistics on which predictive checks compare the model with the data.

        Override it to add what matters in this game: `yield from super().statistics(record)`, then yield more.
        """
        yield from statistics_of_play(record)

    @property
    def template_words(self) -> tuple[str, ...]:
        """Paragraphs for the head of a template of dataset.toml: how tables of the original experiments map to it."""
        return ()

    @abstractmethod
    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """The spread of payoffs, a positive number in money: the unit of solvers and networks."""

    def see(self, observation: Observation, params: Params) -> Float[Array, " numbers"]:
        """The observation as input of a network: numbers of order one."""
        leaves = [jnp.ravel(jnp.asarray(x, jnp.result_type(float))) for x in jax.tree.leaves(observation)]
        return jnp.concatenate(leaves) if leaves else jnp.zeros(0)

    def stakes(
        self, params: Params, role: int, costs: Float[Array, " roles"] | None
    ) -> Float[Array, " numbers"] | None:
        """What is at stake for a role, as input of a network in place of the raw parameters: numbers of order one.

        Args:
            costs: by role, where everybody knows them; else None.

        Returns:
            None if the network takes the raw parameters.
        """
        return None

    def relabel(self, params: Params) -> tuple[Params, Int[Array, "roles actions"] | None]:
        """Parameters of the same game with its actions in a standard order, and the new index of each action (None if
        no action moved). A network then learns one of all games that differ only in the order of their actions."""
        return params, None

    def rescale(self, params: Params) -> tuple[Params, Any]:
        """(parameters of the same game with payoffs in a unit of its own, that unit in money).

        With costs in that unit too, everybody chooses as before. A network then learns one of all games that differ
        only in their unit. Games that are in their own unit already stay as they are.
        """
        return params, 1.0

    def stake_scale(self, params: Params, role: int) -> Float[Array, ""]:
        """About the most by which a role's choice changes its payoff: the unit of a network's output for the role."""
        return self.payoff_scale(params)


class OneShot(Environment):
    """A game played once (or over and over with nothing carried from round to round).

    A subclass must define `payoffs` of a joint action; all else is derived from it by enumeration. A game of many
    players overrides `joint_table` and `joint_chances`, or `expected_payoffs`, so that it needs no table of A**n
    payoffs: see `GameOfTotals` for payoffs that depend on a sum.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> game = bc.PublicGoods(4, mpcr=0.4)
        >>> isinstance(game, bc.OneShot), game.over_time
        (True, False)
        >>> game.payoffs(np.array([20, 0, 0, 0]), game.params).tolist()  # one gives everything
        [8.0, 28.0, 28.0, 28.0]
    """

    @abstractmethod
    def payoffs(self, joint_action: Int[AnyArray, " players"], params: Params) -> Float[Array, " players"]:
        """What each player gets when these actions (indices into the grid) are played."""

    def joint_size(self, role: int) -> int:
        """How many payoffs `joint_table` has."""
        return prod(len(self.action_values[r]) for r in (role, *self._others(role)))

    def joint_table(self, role: int, params: Params) -> Float[Array, "actions others"]:
        """Payoff of each of a role's actions against everything that the others may do: here each joint action.

        By default `payoffs` is evaluated at every joint action; override it where fewer columns suffice, together
        with `joint_chances` and `joint_size`.
        """
        check_enumerable(self.name, self.joint_size(role))
        roles = role_of_player(self.role_counts)
        sizes = [len(self.action_values[r]) for r in roles]
        return payoffs_by_enumeration(lambda joint: self.payoffs(joint, params), sizes, roles.index(role))

    def joint_chances(self, role: int, strategies: Float[AnyArray, "roles actions"]) -> Float[Array, " others"]:
        """The probability of each column of `joint_table` when the others play `strategies` independently."""
        strategies = jnp.asarray(strategies)
        return joint_probabilities([strategies[r, : len(self.action_values[r])] for r in self._others(role)])

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        """Payoff of each own action, by role, when everybody else plays `strategies`. Padded cells are finite."""
        rows = [self.joint_table(r, params) @ self.joint_chances(r, strategies) for r in range(self.roles)]
        return jnp.stack([jnp.pad(row, (0, strategies.shape[1] - row.shape[0])) for row in rows])

    def payoff_slopes(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        """d expected_payoffs / d strategies. Override it where a closed form is cheaper than one tangent per cell."""
        return jax.jacfwd(self.expected_payoffs)(jnp.asarray(strategies), params)

    def slope_factors(
        self, params: Params
    ) -> tuple[Float[Array, "m roles actions"], Float[Array, "m roles actions"]] | None:
        """(left, right) with payoff slopes `sum_m left[m, r, a] right[m, s, b]`, up to a term that all own actions a
        share: for games in which m numbers summarise what the others do. Else None."""
        return None

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """The spread of all payoffs in the joint tables."""
        tables = [self.joint_table(role, params) for role in range(self.roles)]
        spread = jnp.max(jnp.stack([jnp.max(t) - jnp.min(t) for t in tables]))
        return jnp.where(spread > 0, spread, 1.0)

    def statistics(self, record: CountRecord) -> Iterator[Statistic]:
        """The statistics on which predictive checks compare the model with the data: functions of counts."""
        yield from statistics_of_counts(record)

    @property
    def over_time(self) -> bool:
        return False

    @property
    def solvable(self) -> bool:
        return True

    # The state of a one-shot game is the round, and a player observes the own role.
    def reset(self, key: PRNGKeyArray, params: Params) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def step(
        self, key: PRNGKeyArray, state: State, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[State, Float[Array, " players"], Bool[Array, ""]]:
        return state + 1, self.payoffs(joint_action, params), state + 1 >= self.horizon

    def observe(self, state: State, player: int) -> int:
        return role_of_player(self.role_counts)[player]

    def see(self, observation: Observation, params: Params) -> Float[Array, " numbers"]:
        return jnp.zeros(0)  # a network gets the role separately

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """In a one-shot game a person observes nothing but the role."""
        return Replay({}, np.ones(len(table), bool))

    def _others(self, role: int) -> list[int]:
        """The roles of the other players of a player of this role."""
        roles = list(role_of_player(self.role_counts))
        roles.remove(role)
        return roles


def rules(
    name: str,
    roles: Mapping[str, int],
    action_values: Sequence[Numbers],
    *,
    ordered: bool,
    labels: Sequence[Sequence[str]] | None = None,
    horizon: int = 1,
    discount: Number = 1.0,
) -> dict[str, Any]:
    """The static fields of an environment, for `vars(self).update(rules(...))` in its `__init__`.

    Args:
        roles: how many players there are of each.
        action_values, labels: by role; one entry serves all.
    """
    values = tuple(tuple(float(v) for v in row) for row in action_values)
    names = tuple(tuple(map(str, row)) for row in labels or ((f"{v:g}" for v in row) for row in values))
    spread = lambda rows: rows * len(roles) if len(rows) == 1 else rows
    return {
        "name": name,
        "role_names": tuple(roles),
        "role_counts": tuple(int(n) for n in roles.values()),
        "action_values": spread(values),
        "action_labels": spread(names),
        "ordered": ordered,
        "horizon": int(horizon),
        "discount": float(discount),
    }


def symmetric_fields(
    name: str, role: str, players: int, action_values: Numbers, *, ordered: bool, labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """The static fields of a one-shot game whose players share one role."""
    named = None if labels is None else [labels]
    return rules(name, {role: players}, [action_values], ordered=ordered, labels=named)


def shape_key(environment: Environment) -> Hashable:
    """Games with the same key differ in their parameters alone, so one compiled solve serves them all."""
    leaves, structure = jax.tree.flatten(environment.params)
    shapes = tuple(np.shape(x) for x in leaves)
    return type(environment), environment.role_counts, environment.action_values, str(structure), shapes


def problems_of(environment: Environment) -> list[str]:
    """What is wrong with the rules, one clause per fault."""
    env, out = environment, []
    by_role = {"role_counts": env.role_counts, "action_values": env.action_values, "action_labels": env.action_labels}
    if not env.role_names:
        return ["there are no roles"]
    if uneven := [name for name, rows in by_role.items() if len(rows) != env.roles or len(rows) != len(env.role_names)]:
        return [f"there are {len(env.role_names)} role names; give one entry of {', '.join(uneven)} for each role"]
    out += [odd for text in (env.name, *env.role_names, *chain(*env.action_labels)) if (odd := odd_character(text))]
    if len({name.strip() for name in env.role_names}) < len(env.role_names) or not all(map(str.strip, env.role_names)):
        out.append(f"the roles are {list(env.role_names[:5])}; give each a name of its own")
    for role, count, values, labels in zip(env.role_names, *by_role.values(), strict=True):
        if count < 1:
            out.append(f"{role} has {count} players; give at least one")
        if not values or not np.all(np.isfinite(values)) or len(set(values)) < len(values):
            out.append(f"the actions of {role} are {list(values[:5])}; give one or more different, finite numbers")
        if len(labels) != len(values) or len({label.strip() for label in labels}) < len(labels):
            out.append(f"{role} has {len(values)} actions and the labels {list(labels[:5])}; give each action its own")
    if env.horizon < 1:
        out.append(f"the horizon is {env.horizon}; give at least one round")
    if not 0 <= env.discount <= 1:
        out.append(f"the discount is {env.discount:g}; give a number from 0 to 1")
    for name, value in env.params.items():
        if not isinstance(value, Tracer) and not np.all(np.isfinite(np.asarray(value, float))):
            out.append(f"{name} is {value if np.ndim(value) == 0 else 'not finite everywhere'}; give finite numbers")
    return out
