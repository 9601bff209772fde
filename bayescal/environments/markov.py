"""Finite Markov games: a state that everybody sees, payoffs and transitions that it and the actions decide."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Nested, Number, Numbers
from bayescal.environments.base import Params, Seen, rules
from bayescal.environments.finite import FiniteGame
from bayescal.environments.replay import Fault, Replay
from bayescal.errors import InputError


class Markov(FiniteGame):
    """A game whose state is one of finitely many and is seen by all; every player is a role of its own.

    A subclass gives the two tables. The game has no last round: the discount stands for its end, and `horizon` is
    how long a simulation runs. What a player observes is `{"state": index}`.
    """

    situation_key: ClassVar[str] = "state"
    situation_noun: ClassVar[str] = "state"

    states: int = eqx.field(static=True)
    start: tuple[float, ...] = eqx.field(static=True)  # probabilities of the first state

    @abstractmethod
    def payoff_table(self, params: Params) -> Float[Array, "states players *actions"]:
        """Payoffs in each state after each joint action: one axis of actions for each player."""

    @abstractmethod
    def transition_table(self, params: Params) -> Float[Array, "states *actions states"]:
        """Probability of each next state."""

    @property
    def situation_count(self) -> int:
        return self.states

    def situations_of(self, player: int) -> list[tuple[str, tuple[str, ...]]]:
        return [(str(s), self.action_labels[player]) for s in range(self.states)]

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """The most that any player's own action can change its payoff in one round."""
        table = self.payoff_table(params)
        spreads = [
            jnp.max(jnp.max(table[:, i], axis=1 + i) - jnp.min(table[:, i], axis=1 + i)) for i in range(self.players)
        ]
        spread = jnp.max(jnp.stack(spreads))
        return jnp.where(spread > 0, spread, 1.0)

    def reset(self, key: PRNGKeyArray, params: Params) -> Int[Array, ""]:
        return jax.random.categorical(key, jnp.log(jnp.asarray(self.start))).astype(jnp.int32)

    def step(
        self, key: PRNGKeyArray, state: Int[Array, ""], joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Int[Array, ""], Float[Array, " players"], Bool[Array, ""]]:
        cell = tuple(joint_action[i] for i in range(self.players))
        payoffs = self.payoff_table(params)[(state, slice(None), *cell)]
        chances = self.transition_table(params)[(state, *cell)]
        after = jax.random.categorical(key, jnp.log(chances)).astype(state.dtype)
        return after, payoffs, jnp.asarray(False)

    def observe(self, state: Int[AnyArray, ""], player: int) -> dict[str, AnyArray]:
        return {"state": state}

    def see(self, observation: Seen, params: Params) -> Float[Array, " states"]:
        return jax.nn.one_hot(observation["state"], self.states)

    @property
    def columns(self) -> Mapping[str, str]:
        return {"state": f"the state before the decision, 0 to {self.states - 1}"}

    def record(
        self,
        before: Int[Array, ""],
        joint_action: Int[AnyArray, " players"],
        after: Int[Array, ""],
        params: Params,
    ) -> dict[str, Float[Array, " players"]]:
        return {"state": jnp.full(self.players, before, float)}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """The state is recorded; a number that is none is a fault."""
        recorded = table["state"].to_numpy(float)
        state, wrong = states_of(recorded, self.states)
        faults = [Fault(int(i), "state", float(recorded[i]), float(state[i])) for i in np.flatnonzero(wrong)]
        return Replay({"state": state}, np.isfinite(recorded) & ~wrong, faults)


def states_of(recorded: Float[np.ndarray, " rows"], states: int) -> tuple[np.ndarray, np.ndarray]:
    """(the nearest state of each number, 0 where none is recorded; which numbers are no state)."""
    nearest = np.clip(np.round(np.nan_to_num(recorded)), 0, states - 1).astype(np.int32)
    return nearest, np.isfinite(recorded) & (recorded != nearest)


class MarkovGame(Markov):
    """A Markov game from its tables: `payoffs[state][player][a1]…[an]`, `transitions[state][a1]…[an][next state]`.

    `params = {"payoffs": …, "transitions": …}`, so both can be differentiated.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> pays = np.array([[[0.0, 1.0]], [[2.0, 0.0]]])  # by state, player and action
        >>> goes = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])  # by state, action and next state
        >>> game = bc.MarkovGame(pays, goes, 0.5)
        >>> game.states, game.players
        (2, 1)
    """

    default_payoffs: Float[AnyArray, "states players *actions"] = eqx.field(converter=lambda p: np.asarray(p, float))
    default_transitions: Float[AnyArray, "states *actions states"] = eqx.field(converter=lambda p: np.asarray(p, float))

    def __init__(
        self,
        payoffs: Nested,
        transitions: Nested,
        discount: Number,
        *,
        name: str = "markov-game",
        role_names: Sequence[str] | None = None,
        action_values: Sequence[Numbers] | None = None,
        action_labels: Sequence[Sequence[str]] | None = None,
        start: Numbers | None = None,
        horizon: int = 100,
    ):
        u, p = np.asarray(payoffs, float), np.asarray(transitions, float)
        _check_tables(name, u, p, discount)
        states, players, *sizes = u.shape
        self.default_payoffs, self.default_transitions = u, p
        names = role_names or [f"player {i + 1}" for i in range(players)]
        grid = action_values or [range(n) for n in sizes]
        ordered = action_values is not None
        fields = rules(
            name, dict.fromkeys(names, 1), grid, ordered=ordered, labels=action_labels, horizon=horizon,
            discount=discount,
        )  # fmt: skip
        vars(self).update(fields)
        self.states = states
        self.start = tuple(map(float, np.full(states, 1 / states) if start is None else start))

    @property
    def params(self) -> Params:
        return {"payoffs": self.default_payoffs, "transitions": self.default_transitions}

    def payoff_table(self, params: Params) -> Array:
        return jnp.asarray(params["payoffs"])

    def transition_table(self, params: Params) -> Array:
        return jnp.asarray(params["transitions"])


def _check_tables(name: str, u: np.ndarray, p: np.ndarray, discount: Number) -> None:
    if u.ndim < 3 or u.ndim != u.shape[1] + 2:
        raise InputError(
            f"{name}: the payoffs have shape {u.shape}; give payoffs[state][player][a1]…[an], with one axis of actions "
            "for each player."
        )
    wanted = (u.shape[0], *u.shape[2:], u.shape[0])
    if p.shape != wanted:
        raise InputError(f"{name}: the transitions have shape {p.shape}, where the payoffs call for {wanted}.")
    if not (np.all(np.isfinite(u)) and np.all(np.isfinite(p))):
        raise InputError(f"{name}: payoffs and transitions must be finite numbers.")
    off = np.argwhere((np.abs(p.sum(axis=-1) - 1) > 1e-6) | (p.min(axis=-1) < 0))
    if len(off):
        raise InputError(
            f"{name}: transitions must be probabilities that sum to 1; they do not at [state, actions…] = "
            f"{', '.join(str(x.tolist()) for x in off[:5])}{' and others' if len(off) > 5 else ''}."
        )
    if not 0 <= discount < 1:
        raise InputError(f"{name}: the discount is {discount}; a game without an end needs one from 0 to below 1.")


def dynamic_cournot() -> MarkovGame:
    """Two firms and a market that is good or bad: demand intercept 12 or 8, unit cost 1, quantities 0 to 5, profits
    in tens; the next market is good with probability 0.8 - 0.06 (q1 + q2); discount 0.9."""
    q = np.arange(6.0)
    total = q[:, None] + q[None, :]
    intercept = np.array([8.0, 12.0])[:, None, None]
    margin = np.maximum(intercept - total, 0.0) - 1.0
    payoffs = np.stack([margin * q[:, None], margin * q[None, :]], axis=1) / 10
    good = np.broadcast_to(0.8 - 0.06 * total, (2, 6, 6))
    transitions = np.stack([1 - good, good], axis=-1)
    firms = ("firm 1", "firm 2")
    return MarkovGame(payoffs, transitions, 0.9, name="dynamic-cournot", role_names=firms, action_values=[list(q)])
