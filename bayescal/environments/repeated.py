"""One-shot games of one role, played round after round by the same people, who see what the others did on average."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Number
from bayescal.environments.base import Environment, OneShot, Params, Seen, rules
from bayescal.environments.market_rounds import beyond, column, earlier, find_rounds, sums_by_round
from bayescal.environments.public_goods import PublicGoods
from bayescal.environments.replay import Replay, contradictions, previous_row
from bayescal.environments.totals import GameOfTotals
from bayescal.errors import InputError


class Repeated(Environment):
    """A game over time whose round is a one-shot game of one role; each sees its own action and the others' mean.

    What a player knows before a decision is then two numbers and the round, and what a round pays is known. Policies
    for these games need to learn (or solve for) only what is not: what a state is worth later, and what others do.

    **What others are believed to have seen.** With two players the other saw the same round from its side. With more,
    the mean does not reveal each of the others' actions: each is believed to have played the mean (`mirrored`).
    """

    @property
    @abstractmethod
    def stage(self) -> OneShot:
        """One round, as a game of its own. It takes the same `params`."""

    @property
    def others_means(self) -> Float[np.ndarray, " columns"]:
        """The others' mean action in each column of the round's joint table."""
        values = np.asarray(self.action_values[0])
        if self.players == 2:
            return values
        rivals = self.players - 1
        return values[0] + (values[1] - values[0]) * np.arange(rivals * (len(values) - 1) + 1) / rivals

    def mirrored(
        self, own: Float[AnyArray, "..."], seen: Float[AnyArray, "..."]
    ) -> tuple[Float[AnyArray, "..."], Float[AnyArray, "..."]]:
        """(own action, mean of the others) as one of the others saw the round in which a player saw (own, seen)."""
        return seen, (own + (self.players - 2) * seen) / (self.players - 1)

    def seen_after(
        self,
        own: Float[AnyArray, "..."],
        seen: Float[AnyArray, "..."],
        played: Int[AnyArray, "..."] | int,
        params: Params,
    ) -> dict[str, AnyArray]:
        """The observation after `played` rounds, of which the last brought these actions. Before the first decision
        the actions are zero."""
        began = (jnp.asarray(played) > 0).astype(jnp.result_type(own))
        shown = jnp.broadcast_arrays(own * began, seen * began, began, jnp.asarray(played))
        return dict(zip(("own", "seen", "began", "round"), shown, strict=True))

    def see(self, observation: Seen, params: Params) -> Float[Array, " numbers"]:
        # What else is observed follows from the actions.
        left = jnp.maximum(self.horizon - observation["round"], 1).astype(jnp.result_type(float))
        low, high = self.action_values[0][0], self.action_values[0][-1]
        level = lambda x: observation["began"] * (2 * (x - low) / (high - low) - 1)
        numbers = [level(observation["own"]), level(observation["seen"]), observation["began"]]
        return jnp.stack([*numbers, left / self.horizon, 1 / left])


class Last(NamedTuple):
    """Rounds played, the actions of the last one and what they paid."""

    round: Int[Array, ""]
    actions: Float[Array, " players"]
    payoffs: Float[Array, " players"]


class RepeatedGame(Repeated):
    """Any one-shot game of one role, repeated: public goods, a beauty contest, a price war.

    Args:
        stage: the round. Its payoffs depend on the others' total alone (`GameOfTotals`, on a grid with equal steps),
            or it has two players.
        rounds: how often the same people meet.
        discount: how much less a payoff of the next round counts.

    Example:
        >>> import bayescal as bc
        >>> game = bc.RepeatedGame(bc.PublicGoods(4, mpcr=0.4), rounds=10)
        >>> game.horizon, game.players, game.over_time
        (10, 4, True)
    """

    game: OneShot

    def __init__(self, stage: OneShot, rounds: int = 10, *, discount: Number = 1.0, name: str | None = None):
        if stage.roles != 1:
            raise InputError(
                f"RepeatedGame: {stage.name} has {stage.roles} roles; give a game of one role, in which all players "
                "have the same actions and payoffs."
            )
        if stage.players > 2 and not (isinstance(stage, GameOfTotals) and stage.by_total):
            raise InputError(
                f"RepeatedGame: {stage.name} has {stage.players} players and no payoffs by the others' total on a grid "
                "with equal steps: give a GameOfTotals on such a grid, or a game of two players."
            )
        if rounds < 1:
            raise InputError(f"RepeatedGame: {rounds} rounds were given; give at least one.")
        self.game = stage
        vars(self).update(
            rules(
                name or f"{stage.name}-repeated",
                {stage.role_names[0]: stage.players},
                [stage.action_values[0]],
                ordered=stage.ordered,
                labels=[stage.action_labels[0]],
                horizon=rounds,
                discount=discount,
            )
        )

    @property
    def stage(self) -> OneShot:
        return self.game

    @property
    def params(self) -> Params:
        return self.game.params

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return self.game.payoff_parameters

    def reset(self, key: PRNGKeyArray, params: Params) -> Last:
        none = jnp.zeros(self.players, jnp.result_type(float))
        return Last(jnp.zeros((), jnp.int32), none, none)

    def step(
        self, key: PRNGKeyArray, state: Last, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Last, Float[Array, " players"], Bool[Array, ""]]:
        actions = jnp.asarray(self.action_values[0], state.actions.dtype)[joint_action]
        payoffs = self.game.payoffs(joint_action, params).astype(actions.dtype)
        after = Last(state.round + 1, actions, payoffs)
        return after, payoffs, after.round >= self.horizon

    def observe(self, state: Last, player: int) -> dict[str, Array]:
        own = state.actions[player]
        return {
            "own": own,
            "seen": (jnp.sum(state.actions) - own) / (self.players - 1),
            "began": (state.round > 0).astype(own.dtype),
            "round": state.round,
        }

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return self.game.payoff_scale(params)

    @property
    def columns(self) -> Mapping[str, str]:
        return {"payoff": "what the player earned in the round (optional, checked)"}

    def record(
        self, before: Last, joint_action: Int[AnyArray, " players"], after: Last, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {"payoff": after.payoffs}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """The round before each decision, where all of its rows are in the table."""
        rounds, value = find_rounds(table), table["value"].to_numpy(float)
        whole = rounds.members == self.players
        total = np.where(whole, sums_by_round(rounds, value), np.nan)
        seen = (total[rounds.of_row] - value) / (self.players - 1)
        faults = beyond(rounds, table, self.horizon)
        faults += contradictions("payoff", column(table, "payoff"), self._paid(table, seen), tolerance)
        before, start = previous_row(table), rounds.played == 0
        last = np.where(before >= 0, value[before], np.nan)
        others = (earlier(total, rounds)[rounds.of_row] - last) / (self.players - 1)
        clean = lambda x: np.where(~start & ~np.isnan(x), x, 0.0)
        observations = {
            "own": clean(last),
            "seen": clean(others),
            "began": (~start).astype(float),
            "round": rounds.played,
        }
        return Replay(observations, start | ~np.isnan(others), faults)

    def _paid(self, table: pd.DataFrame, seen: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """The payoff of each row's own action against the others' mean of the same round; NaN if that is not known."""
        params = {n: jnp.asarray(x, jnp.result_type(float)) for n, x in self.params.items()}
        payoffs = np.asarray(self.game.joint_table(0, params))
        at = np.abs(self.others_means - seen[:, None]).argmin(axis=1)
        return np.where(np.isnan(seen), np.nan, payoffs[table["action_index"].to_numpy(int), at])


def public_goods_repeated(
    players: int = 4, rounds: int = 10, *, mpcr: Number = 0.4, endowment: Number = 20.0, discount: Number = 1.0
) -> RepeatedGame:
    """Public goods with the same others, round after round: who sees what the others gave may give as much.

    Example:
        >>> from bayescal.environments.repeated import public_goods_repeated
        >>> public_goods_repeated(rounds=20).horizon
        20
    """
    stage = PublicGoods(players, mpcr=mpcr, endowment=endowment)
    return RepeatedGame(stage, rounds, discount=discount, name="public-goods-repeated")
