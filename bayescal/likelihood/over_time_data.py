"""The data of games over time: each decision with the observation before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pandas as pd
from jaxtyping import Array, Float, Int

from bayescal.environments.base import Environment
from bayescal.likelihood.choices import Chosen, refuse_impossible
from bayescal.policies.base import Policy
from bayescal.table.decisions import Decisions

_KEYS = ("game", "group", "participant", "role", "action")


class Part(NamedTuple):
    """The decisions of one role of one game.

    A **situation** is an observation together with everything else that the log-probabilities depend on, such as the
    belief group. Each situation is computed once, for any number of decisions.

    Attributes:
        game: index of the game.
        environment, role: the game and the role of all of the decisions.
        here: indices of the decisions.
        situation: index of each decision's situation.
        seen: the observations, by situation.
        by: other columns in which situations differ.
    """

    game: int
    environment: Environment
    role: int
    here: Int[np.ndarray, " decisions"]
    situation: Int[np.ndarray, " decisions"]
    seen: Mapping[str, np.ndarray]
    by: Float[np.ndarray, "situations columns"]

    @property
    def options(self) -> int:
        """Number of actions of the role."""
        return len(self.environment.action_values[self.role])


@dataclass(frozen=True, eq=False)
class OverTimeData:
    """Decisions of games over time.

    Attributes:
        table: the decisions, one per row.
        chosen: index of each action, out of at most `width`.
        participants, person: labels, and index of each decision's person; None if there are no subject identifiers.
        parts: the decisions by game and role.
        source: name of the table, for messages.
    """

    table: pd.DataFrame
    chosen: Int[np.ndarray, " decisions"]
    width: int
    participants: tuple[str, ...]
    person: Int[np.ndarray, " decisions"] | None
    parts: tuple[Part, ...]
    source: str

    @classmethod
    def of(cls, decisions: Decisions, by: Float[np.ndarray, "decisions columns"]) -> "OverTimeData":
        """
        Args:
            by: columns that, with the observation, identify a situation.
        """
        assert decisions.play is not None
        table = decisions.table.iloc[decisions.play.row]
        named = "participant" in table
        game_index, role_index = table["game_index"].to_numpy(), table["role_index"].to_numpy()
        parts = []
        for game, (name, environment) in enumerate(decisions.environments.items()):
            of_game = np.flatnonzero(game_index == game)
            for role in np.unique(role_index[of_game]):
                mine = role_index[of_game] == role
                here = of_game[mine]
                seen = {k: v[mine] for k, v in decisions.play.observations[name].items()}
                first, situation = _distinct(seen, by[here])
                seen = {k: v[first] for k, v in seen.items()}
                parts.append(Part(game, environment, int(role), here, situation, seen, by[here][first]))
        return cls(
            table=table,
            chosen=table["action_index"].to_numpy(np.int32),
            width=decisions.counts.shape[1],
            participants=decisions.levels("participant") if named else (),
            person=table["participant"].cat.codes.to_numpy() if named else None,
            parts=tuple(parts),
            source=decisions.source,
        )

    @property
    def decisions(self) -> Int[np.ndarray, " participants"]:
        """Number of decisions of each person."""
        return np.bincount(self._person, minlength=len(self.participants))

    @property
    def ways(self) -> Float[np.ndarray, " participants"]:
        """Zero: decisions are observed in their order. See `OneShotData.ways`."""
        return np.zeros(len(self.participants))

    @property
    def most_rows(self) -> int:
        """An upper bound that no person's data reach."""
        return 2**62

    @property
    def size(self) -> int:
        """Probabilities computed per draw."""
        return len(self.chosen) * self.width

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """Labels of the dimensions of `observe`."""
        return {"decision": np.arange(len(self.chosen))}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """The columns of the decisions, as (dims, values)."""
        keys = [k for k in _KEYS if k in self.table]
        out = {k: (("decision",), self.table[k].astype(str).to_numpy(dtype=str)) for k in keys}
        return out | {"round": (("decision",), self.table["round"].to_numpy())}

    def chosen_in(self, part: Part) -> Int[np.ndarray, " decisions"]:
        """Action of each decision of a part."""
        return self.chosen[part.here]

    def by_person(
        self, log_p: Float[Array, "decisions nodes"], here: Int[np.ndarray, " decisions"]
    ) -> Float[Array, "participants nodes"]:
        """Sums over each person's decisions; `here` are the indices of these decisions."""
        return jax.ops.segment_sum(log_p, self._person[here], len(self.participants))

    def person_in(self, part: Part) -> Int[np.ndarray, " decisions"]:
        """Person of each decision of a part."""
        return self._person[part.here]

    def observe(self, rows: Sequence[tuple[Int[np.ndarray, " _"], Float[Array, "_ _"]]]) -> None:
        """The NumPyro site of the choices.

        Args:
            rows: (indices of decisions, their log-probabilities), which together cover all decisions.
        """
        log_p = jnp.full((len(self.chosen), self.width), -jnp.inf)
        for here, some in rows:
            log_p = log_p.at[here, : some.shape[1]].set(some)
        with numpyro.plate("decision", len(self.chosen)):
            numpyro.sample("choice", Chosen(log_p), obs=jnp.asarray(self.chosen))

    def of_some(self, people: Int[np.ndarray, " some"]) -> "OverTimeData":
        """The data of a subset of the people, by index."""
        new = np.full(len(self.participants), -1)
        new[people] = np.arange(len(people))
        kept = new[self._person] >= 0
        became = np.cumsum(kept) - 1
        parts = []
        for part in self.parts:
            mine = kept[part.here]
            if mine.any():
                used, situation = np.unique(part.situation[mine], return_inverse=True)
                seen = {k: v[used] for k, v in part.seen.items()}
                here = became[part.here[mine]]
                parts.append(part._replace(here=here, situation=situation.reshape(-1), seen=seen, by=part.by[used]))
        return replace(
            self,
            table=self.table.iloc[kept],
            chosen=self.chosen[kept],
            participants=tuple(self.participants[i] for i in people),
            person=new[self._person[kept]],
            parts=tuple(parts),
        )

    def check_support(self, policies: Sequence[Policy]) -> None:
        """Raises InputError if the habit gives a choice probability zero.

        Args:
            policies: one for each game.
        """
        offenders = []
        for part in self.parts:
            log_prior_of = getattr(policies[part.game], "log_prior_of", None)
            if log_prior_of is not None:
                prior = jax.vmap(lambda seen, part=part, log_q=log_prior_of: log_q(part.role, None, seen))
                log_q = np.asarray(prior(part.seen))[part.situation, self.chosen_in(part)]
                offenders += _described(self.table.iloc[part.here[log_q < -1e29]])
        refuse_impossible(self.source, offenders)

    @property
    def _person(self) -> Int[np.ndarray, " decisions"]:
        assert self.person is not None, "no subject identifiers"
        return self.person


def _distinct(
    seen: Mapping[str, np.ndarray], by: Float[np.ndarray, "decisions columns"]
) -> tuple[Int[np.ndarray, " situations"], Int[np.ndarray, " decisions"]]:
    """(index of the first decision in each distinct situation, situation of each decision)."""
    columns = [np.reshape(x, (len(x), -1)).astype(float) for x in (*seen.values(), by)]
    _, first, situation = np.unique(np.concatenate(columns, axis=1), axis=0, return_index=True, return_inverse=True)
    return first, situation.reshape(-1)


def _described(rows: pd.DataFrame) -> list[str]:
    """One text per row: who decided what in which round."""
    who = rows.get("participant", pd.Series("", rows.index))
    return [f"{p} in round {t}: {a}" for p, t, a in zip(who, rows["round"], rows["action"], strict=True)]
