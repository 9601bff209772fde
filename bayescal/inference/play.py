"""The likelihood of decisions in games over time: one by one, each given what was seen before it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from jaxtyping import Array, Float, Int
from numpyro.distributions import constraints

from bayescal.decisions import Decisions
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.inference.choices import lapsed, refuse_impossible
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy
from bayescal.populations.base import Population

_AT_ONCE = 2e7  # probabilities in memory while draws are gone through


class Chosen(dist.Distribution):
    """The index of the action that was chosen, with these log-probabilities; -inf where there is no action."""

    support = constraints.integer_interval(0, np.iinfo(np.int32).max)
    pytree_data_fields = ("log_probs",)

    def __init__(self, log_probs: Float[Array, "*batch actions"]):
        self.log_probs = log_probs
        super().__init__(batch_shape=log_probs.shape[:-1], event_shape=())

    def log_prob(self, value: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        # A sum over a mask: the slope of a look-up is a scatter of constants, which XLA takes seconds to fold.
        chosen = jnp.asarray(value)[..., None] == np.arange(self.log_probs.shape[-1])
        return jnp.sum(jnp.where(chosen, self.log_probs, 0.0), axis=-1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Int[Array, "..."]:
        return jax.random.categorical(key, self.log_probs, shape=sample_shape + self.batch_shape).astype(jnp.int32)


class _Part(NamedTuple):
    """The decisions of one role of one game: which of all they are, in which of the distinct situations each was made
    (what was seen, and whose cost), and the game's own parameters."""

    policy: Any
    role: int
    here: Int[np.ndarray, " some"]
    of: Int[np.ndarray, " some"]
    seen: dict[str, np.ndarray]  # by distinct situation
    level: Int[np.ndarray, " distinct"] | None
    params: Any


def distinct(seen: Mapping[str, np.ndarray], level: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The first of each distinct situation, and the situation of each decision: a likelihood is worked out once."""
    columns = [np.reshape(x, (len(x), -1)).astype(float) for x in seen.values()]
    columns += [] if level is None else [level.reshape(len(level), -1).astype(float)]
    _, first, of = np.unique(np.concatenate(columns, axis=1), axis=0, return_index=True, return_inverse=True)
    return first, of.reshape(-1)


class Plays:
    """The decisions of games over time at costs that everybody knows, as a NumPyro model sees them.

    Args:
        by: the level that costs belong to; None where there is one for all.
    """

    def __init__(self, policy: Policy, decisions: Decisions, by: str | None):
        assert decisions.play is not None
        self.decisions, self.play = decisions, decisions.play
        table = decisions.table.iloc[self.play.row]
        self.chosen = jnp.asarray(table["action_index"].to_numpy(np.int32))
        self.role = table["role_index"].to_numpy(np.int32)
        self.level = None if by is None else table[by].cat.codes.to_numpy(np.int32)
        self.width = decisions.counts.shape[1]
        self.parts: list[_Part] = []  # by game and role
        game_index = table["game_index"].to_numpy()
        for g, (name, environment) in enumerate(decisions.environments.items()):
            _refuse_known_costs(environment, by)
            own = play_in(policy, environment, None)
            here = np.flatnonzero(game_index == g)
            for role in np.unique(self.role[here]):
                mine = self.role[here] == role
                seen = {k: v[mine] for k, v in self.play.observations[name].items()}
                level = None if self.level is None else self.level[here[mine]]
                first, of = distinct(seen, level)
                seen = {k: v[first] for k, v in seen.items()}
                level = None if level is None else level[first]
                self.parts.append(_Part(own, int(role), here[mine], of, seen, level, environment.params))

    @property
    def batch(self) -> int:
        """How many draws can be gone through at once."""
        return int(np.clip(_AT_ONCE / (len(self.chosen) * self.width), 1, 500))

    @property
    def coords(self) -> dict[str, Any]:
        return {"decision": np.arange(len(self.chosen))}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Who decided what and when, beside the draws."""
        table = self.decisions.table.iloc[self.play.row]
        keys = [k for k in ("game", "group", "participant", "role", "action") if k in table]
        out: dict[str, Any] = {k: (("decision",), table[k].astype(str).to_numpy(dtype=str)) for k in keys}
        return out | {"round": (("decision",), table["round"].to_numpy())}

    def sample(self, cost: Any, phi: Any, psi: Any, params: Mapping[str, Any], lapse: Any = None) -> None:
        log_probs = jnp.full((len(self.chosen), self.width), -jnp.inf)
        for policy, role, here, of, seen, level, own in self.parts:
            each = cost if level is None or jnp.ndim(cost) == 0 else cost[level]
            rows = policy.log_prob_cells(role, seen, each, phi, psi, {**own, **params})
            rows = lapsed(rows, lapse, len(policy.environment.action_values[role]))
            log_probs = log_probs.at[here, : rows.shape[1]].set(rows[of])
        with numpyro.plate("decision", len(self.chosen)):
            numpyro.sample("choice", Chosen(log_probs), obs=self.chosen)

    def check_support(self) -> None:
        """No observed action may be impossible under the prior."""
        table = self.decisions.table.iloc[self.play.row]
        offenders = []
        for policy, role, here, of, seen, *_ in self.parts:
            if hasattr(policy, "log_prior_of"):
                prior = jax.vmap(lambda o, policy=policy, role=role: policy.log_prior_of(role, None, o))
                log_q = np.asarray(prior(seen))[of, np.asarray(self.chosen)[here]]
                offenders += told_one_by_one(table.iloc[here[log_q < -1e29]])
        refuse_impossible(self.decisions.source, offenders)


def told_one_by_one(rows: pd.DataFrame) -> list[str]:
    """Who decided what, and when."""
    who = rows.get("participant", pd.Series("", rows.index))
    return [f"{p} in round {t}: {a}" for p, t, a in zip(who, rows["round"], rows["action"], strict=True)]


def _refuse_known_costs(environment: Environment, by: str | None) -> None:
    if by == "participant" and environment.players > 1:
        raise InputError(
            f"by='participant' with costs that everybody knows: the players of {environment.name} would have to know "
            "each other's. Give a population (bayescal.populations.LogNormal()), whose members know only their own."
        )


def play_in(policy: Policy, environment: Environment, population: Population | None) -> Any:
    """The policy in this game and for this population."""
    if isinstance(policy, AmortisedPolicy):
        return policy.play(environment, population)
    changes: dict[str, Any] = {"environment": environment}
    if hasattr(policy, "population"):
        changes["population"] = population
    return dataclasses.replace(policy, **changes)
