"""The likelihood of decisions in games over time: one by one, each given what was seen before it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pandas as pd
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.likelihood.choices import lapsed, refuse_impossible
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.table.decisions import Decisions


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
        # One random number for each decision, where JAX's categorical draws one for each action.
        reached = jnp.cumsum(jnp.exp(self.log_probs), axis=-1)
        shape = sample_shape + self.batch_shape
        mark = jax.random.uniform(key, (*shape, 1), reached.dtype) * reached[..., -1:]
        return jnp.sum(reached <= mark, axis=-1, dtype=jnp.int32)


class Played:
    """The decisions of games over time, one by one.

    Attributes:
        played: who decided what and when.
        chosen: the index of each action among at most `width`.
        parts: the decisions of each role of each game: its `policy`, which of all they are (`here`), and in which of
            the distinct situations (`seen`) each was made (`of`).
    """

    def __init__(self, decisions: Decisions):
        assert decisions.play is not None
        self.played, self.source = decisions.table.iloc[decisions.play.row], decisions.source
        self.chosen = self.played["action_index"].to_numpy(np.int32)
        self.width = decisions.counts.shape[1]
        self.parts: list[Any] = []

    @property
    def coords(self) -> dict[str, Any]:
        return {"decision": np.arange(len(self.chosen))}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Who decided what and when, beside the draws."""
        keys = [k for k in ("game", "group", "participant", "role", "action") if k in self.played]
        out: dict[str, Any] = {k: (("decision",), self.played[k].astype(str).to_numpy(dtype=str)) for k in keys}
        return out | {"round": (("decision",), self.played["round"].to_numpy())}

    @property
    def size(self) -> int:
        return len(self.chosen) * self.width

    def check_support(self) -> None:
        """See `refuse_impossible`."""
        offenders = []
        for part in self.parts:
            if hasattr(part.policy, "log_prior_of"):
                prior = jax.vmap(lambda o, part=part: part.policy.log_prior_of(part.role, None, o))
                log_q = np.asarray(prior(part.seen))[part.of, self.chosen[part.here]]
                offenders += _told_one_by_one(self.played.iloc[part.here[log_q < -1e29]])
        refuse_impossible(self.source, offenders)

    def _observe(self, log_p: Float[Array, "decisions actions"]) -> None:
        with numpyro.plate("decision", len(self.chosen)):
            numpyro.sample("choice", Chosen(log_p), obs=jnp.asarray(self.chosen))


def by_role(decisions: Decisions) -> Iterator[tuple[str, int, Int[np.ndarray, " some"], dict[str, np.ndarray]]]:
    """(game, role, which of the decisions over time are its, what was seen before each)."""
    assert decisions.play is not None
    table = decisions.table.iloc[decisions.play.row]
    game_index, role_index = table["game_index"].to_numpy(), table["role_index"].to_numpy()
    for g, name in enumerate(decisions.environments):
        here = np.flatnonzero(game_index == g)
        for role in np.unique(role_index[here]):
            mine = role_index[here] == role
            yield name, int(role), here[mine], {k: v[mine] for k, v in decisions.play.observations[name].items()}


def distinct(
    seen: Mapping[str, np.ndarray], by: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(what was seen in each distinct situation, the first decision there, the situation of each decision): a
    likelihood is worked out once where nothing differs, `by` included."""
    columns = [np.reshape(x, (len(x), -1)).astype(float) for x in seen.values()]
    columns += [] if by is None else [by.reshape(len(by), -1).astype(float)]
    _, first, of = np.unique(np.concatenate(columns, axis=1), axis=0, return_index=True, return_inverse=True)
    return {k: v[first] for k, v in seen.items()}, first, of.reshape(-1)


class _Part(NamedTuple):
    """See `Played.parts`."""

    policy: Any
    role: int
    here: Int[np.ndarray, " some"]
    of: Int[np.ndarray, " some"]
    seen: dict[str, np.ndarray]  # by distinct situation
    level: Int[np.ndarray, " distinct"] | None  # whose cost it is
    params: Any  # the game's own


class Plays(Played):
    """The decisions of games over time at costs that everybody knows, as a NumPyro model sees them.

    Args:
        by: the level that costs belong to; None where there is one for all.
    """

    def __init__(self, policy: Policy, decisions: Decisions, by: str | None):
        super().__init__(decisions)
        levels = None if by is None else self.played[by].cat.codes.to_numpy(np.int32)
        for environment in decisions.environments.values():
            _refuse_known_costs(environment, by)
        own = {name: play_in(policy, e, None) for name, e in decisions.environments.items()}
        for name, role, here, seen in by_role(decisions):
            level = None if levels is None else levels[here]
            seen, first, of = distinct(seen, level)
            level = None if level is None else level[first]
            self.parts.append(_Part(own[name], role, here, of, seen, level, decisions.environments[name].params))

    def sample(self, cost: Any, phi: Any, psi: Any, params: Mapping[str, Any], lapse: Any = None) -> None:
        log_probs = jnp.full((len(self.chosen), self.width), -jnp.inf)
        for policy, role, here, of, seen, level, own in self.parts:
            each = cost if level is None or jnp.ndim(cost) == 0 else cost[level]
            rows = policy.log_prob_cells(role, seen, each, phi, psi, {**own, **params})
            rows = lapsed(rows, lapse, len(policy.environment.action_values[role]))
            log_probs = log_probs.at[here, : rows.shape[1]].set(rows[of])
        self._observe(log_probs)


def _told_one_by_one(rows: pd.DataFrame) -> list[str]:
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
