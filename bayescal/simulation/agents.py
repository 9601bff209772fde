"""People drawn from a posterior, for a simulation of your own."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status
from bayescal.simulation.costs import NOBODY_INSIDE, box_of_costs, draw_cost
from bayescal.simulation.given import Numbers, check_box, is_count, population_of, read_params, read_psi
from bayescal.simulation.solved import choice_tables, has_table, situation

RESAMPLE = ("population", "people")


class Agents(eqx.Module):
    """n people who decide as a fit predicts, with its posterior uncertainty.

        agents = Agents.from_fit(fit, policy, n=1000, seed=1)
        actions = agents.act(key, observation)          # in your model: (n,) indices into the grid
        quantities = agents.grid()[actions]

    A frozen pytree of arrays: `act` and `log_prob` are pure functions that may be jitted, vmapped and scanned over.
    Where everybody's cost is known to all, an agent takes the others' costs to equal its own, as the fitted model does.

    Attributes:
        cost: each agent's own, in payoff units per nat.
        phi: each agent's beliefs about the others' costs, where those are private.
        psi: each agent's parameters of the prior.
        draw: the posterior draw (chain by chain) that each agent comes from.
        population: the population that each agent belongs to, if several were asked for.
        person: whose cost it is, by index into `people`, if people were resampled.
        params: of the game that they take themselves to be in, apart from those that were inferred.
        inferred: parameters of the game that were inferred, by agent.
        status: of the fit: whether it can be trusted.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid(draws=100))
        >>> agents = bc.Agents.from_fit(fit, policy, n=1000, seed=1)
        >>> import jax
        >>> actions = agents.act(jax.random.key(0), role="row")  # in your model, once a decision is due
        >>> len(agents), 0.9 < float((actions == 1).mean()) < 1.0  # mostly Down
        (1000, True)
    """

    policy: Policy
    cost: Float[Array, " n"]
    phi: dict[str, Float[Array, " n"]] | None
    psi: dict[str, Float[Array, " n"]]
    params: dict[str, Float[Array, "..."]]
    inferred: dict[str, Float[Array, " n"]]
    choices: Float[Array, "n roles situations actions"] | None
    draw: Int[Array, " n"]
    population: Int[Array, " n"] | None
    person: Int[Array, " n"] | None
    people: tuple[str, ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @classmethod
    def from_fit(
        cls,
        fit: Fit,
        policy: Policy,
        *,
        n: int,
        seed: int = 0,
        populations: int | None = None,
        resample: str = "population",
        cost: float | None = None,
        params: Mapping[str, Numbers] | None = None,
    ) -> "Agents":
        """Draw n agents, each from one draw of the posterior. They differ as people differ, and by the uncertainty
        that the data leave.

        Args:
            policy: of the fit, or another for the same game (a faster one, or one without bounds).
            n: how many. More agents leave the first ones unchanged.
            populations: how many populations of n agents each, one after another. All agents of one population come
                from the same draw of the posterior, so outcomes that differ between populations show how uncertain
                the outcome of a whole market is. Among agents from separate draws that uncertainty averages out.
            resample: "population": new people, with costs from the inferred population (the log-normal of
                hierarchical fits, the policy's population where costs are private, the one cost of pooled fits).
                "people": the people who were observed (or the games or groups whose costs were inferred), in turn.
            cost: everybody's, for a fit in which the cost was known instead of inferred.
            params: parameters of the game to change: a tax, a larger market. The same seed gives the same people.
                Parameters that were inferred otherwise keep the values of each agent's draw.

        Raises:
            InputError: a fit that lacks what the policy needs, or costs outside a learned policy's trained domain.
                New people are drawn inside it, as in the fitted model; inferred costs are never moved there.
        """
        sizes = {"n": n, "populations": 1 if populations is None else populations}
        if small := [f"{name} is {x!r}" for name, x in sizes.items() if not is_count(x)]:
            raise InputError(f"{'; '.join(small)}: give a whole number of at least 1.")
        if resample not in RESAMPLE:
            raise InputError(f'resample is {resample!r}: choose "population" (new people) or "people" (the observed).')
        sites = _Sites(fit)
        crowd, member = np.divmod(np.arange(n * (populations or 1)), n)
        pick, noise = _keys(seed, crowd, member if populations is None else np.zeros_like(member), member)
        draw = np.asarray(jax.vmap(lambda k: jax.random.randint(k, (), 0, sites.draws))(pick))
        person, people = None, ()
        if cost is not None:
            own = _known_cost(cost, sites, resample, len(draw))
        elif resample == "people":
            costs, people = sites.by_level("cost")
            person = member % len(people)
            own = costs[draw, person]
        else:
            own = _new_costs(policy, sites, draw, noise)
        others = population_of(policy)
        phi = None if others is None else {p: sites.number(p)[draw] for p in others.parameters}
        psi = {p: np.full(len(draw), x) for p, x in read_psi(policy, None).items()}
        psi |= {p: sites.number(f"psi_{p}")[draw] for p in psi if f"psi_{p}" in sites}
        game = read_params(policy.environment, params)
        inferred = {p: sites.number(p)[draw] for p in game if p in sites.latent and p not in (params or {})}
        check_box(policy, own, phi, psi, game | inferred)
        as_array = lambda x: jnp.asarray(x, jnp.result_type(float))
        own, phi, psi, game, inferred = jax.tree.map(as_array, (own, phi, psi, game, inferred))
        choices = None
        if has_table(policy):
            choices = jnp.asarray(choice_tables(policy, own, phi, psi, game, inferred))
        return cls(
            policy=policy,
            cost=own,
            phi=phi,
            psi=psi,
            params=game,
            inferred=inferred,
            choices=choices,
            draw=jnp.asarray(draw),
            population=None if populations is None else jnp.asarray(crowd),
            person=None if person is None else jnp.asarray(person),
            people=people,
            status=fit.status,
        )

    def __len__(self) -> int:
        return self.cost.shape[0]

    def act(self, key: PRNGKeyArray, observation: PyTree = None, role: int | str = 0) -> Int[Array, " n"]:
        """Everybody's decision, as indices into the grid of the role's actions.

        Args:
            observation: what is seen, by name as the game's `observe` returns it: each array for one (all see the
                same) or with one row an agent. None in one-shot games.
            role: by index or name.
        """
        return _draw(key, self.log_prob(observation, role))

    def log_prob(self, observation: PyTree = None, role: int | str = 0) -> Float[Array, "n actions"]:
        """Log-probabilities of everybody's actions."""
        return self._log_prob(self._seen(observation), self._role(role))

    @eqx.filter_jit
    def _log_prob(self, seen: PyTree, role: int) -> Float[Array, "n actions"]:
        actions = len(self.policy.environment.action_values[role])
        if self.choices is not None:
            rows = jnp.broadcast_to(situation(self.policy, seen), (len(self),))
            return self.choices[jnp.arange(len(self)), role, rows, :actions]
        ask = lambda seen, cost, phi, psi, own: self.policy.log_prob((role, seen), cost, phi, psi, self.params | own)
        in_axes = jax.tree.map(lambda x, like: 0 if x.ndim > like.ndim else None, seen, self._shown)
        each = (self.cost, self.phi, self.psi, self.inferred)
        return jax.vmap(ask, in_axes=(in_axes, 0, 0, 0, 0))(seen, *each)[:, :actions]

    def grid(self, role: int | str = 0) -> Float[Array, " actions"]:
        """What the indices stand for: quantities, prices, …"""
        return jnp.asarray(self.policy.environment.action_values[self._role(role)])

    def table(self) -> pd.DataFrame:
        """One row an agent: the posterior draw it comes from, its cost (and whose), phi, psi, inferred parameters."""
        columns: dict[str, Any] = {} if self.population is None else {"population": np.asarray(self.population)}
        columns["draw"] = np.asarray(self.draw)
        if self.person is not None:
            columns["person"] = np.array(self.people, object)[np.asarray(self.person)]
        columns["cost"] = np.asarray(self.cost)
        columns |= {name: np.asarray(x) for name, x in (self.phi or {}).items()}
        columns |= {f"psi_{name}": np.asarray(x) for name, x in self.psi.items()}
        columns |= {f"params_{name}": np.asarray(x) for name, x in self.inferred.items()}
        return pd.DataFrame(columns).rename_axis("agent")

    def _role(self, role: int | str) -> int:
        names = self.policy.environment.role_names
        index = names.index(role) if role in names else role
        if not isinstance(index, int | np.integer) or not 0 <= index < len(names):
            raise InputError(f"role is {role!r}; {self.policy.environment.name} has {', '.join(names)}.")
        return int(index)

    @property
    def _shown(self) -> PyTree:
        """Shapes and types of what one person observes."""
        env = self.policy.environment
        return jax.eval_shape(lambda params: env.observe(env.reset(jax.random.key(0), params), 0), self.params)

    def _seen(self, observation: PyTree) -> PyTree:
        """The observation as arrays of the game's types: for one, or with a row an agent."""
        env = self.policy.environment
        if isinstance(env, OneShot):
            if observation is not None:
                raise InputError(f"{env.name} is decided without seeing anything: leave the observation out.")
            return None
        shown = self._shown
        if jax.tree.structure(observation) != jax.tree.structure(shown):
            found = f"has {', '.join(map(str, observation))}" if isinstance(observation, dict) else "is no such dict"
            wanted = ", ".join(shown) if isinstance(shown, dict) else "one array"
            raise InputError(f"In {env.name} what is seen is {wanted}; the observation {found}.")

        def read(path: tuple[object, ...], x: Numbers, like: jax.ShapeDtypeStruct) -> Array:
            x = jnp.asarray(x, like.dtype)
            if x.shape not in (like.shape, (len(self), *like.shape)):
                raise InputError(
                    f"The observation{jax.tree_util.keystr(path)} has shape {x.shape}: give {like.shape}, seen by all, "
                    f"or {(len(self), *like.shape)}, one row an agent."
                )
            return x

        return jax.tree_util.tree_map_with_path(read, observation, shown)


@jax.jit
def _draw(key: PRNGKeyArray, log_prob: Float[Array, "n actions"]) -> Int[Array, " n"]:
    return jax.random.categorical(key, log_prob)


def _keys(
    seed: int, crowd: Int[np.ndarray, " n"], picker: Int[np.ndarray, " n"], member: Int[np.ndarray, " n"]
) -> tuple[Key[Array, " n"], Key[Array, " n"]]:
    """Two keys for each agent: one for its posterior draw, which all with the same picker share, and its own."""
    start, noise = jax.random.split(jax.random.key(seed))
    fold = lambda key: jax.vmap(lambda c, m: jax.random.fold_in(jax.random.fold_in(key, c), m))
    return fold(start)(crowd, picker), fold(noise)(crowd, member)


def _known_cost(cost: float, sites: "_Sites", resample: str, n: int) -> Float[np.ndarray, " n"]:
    if "log_cost" in sites or "log_cost_mean" in sites or resample == "people":
        raise InputError("cost is for a fit in which it was known, but this one has costs of its own: leave it out.")
    return np.full(n, float(cost))


def _new_costs(
    policy: Policy, sites: "_Sites", draw: Int[np.ndarray, " n"], keys: Key[Array, " n"]
) -> Float[np.ndarray, " n"]:
    """Own costs of people from the population of each posterior draw."""
    population, box = population_of(policy), box_of_costs(policy)
    if population is not None:
        phi = {p: jnp.asarray(sites.number(p)[draw]) for p in population.parameters}
        cost = np.asarray(jax.vmap(lambda k, phi: draw_cost(population, k, phi, box))(keys, phi), float)
        if np.isnan(cost).any():
            raise InputError(f"The fit: {NOBODY_INSIDE}")
        return cost
    if "log_cost_mean" in sites:
        mean, sd = sites.number("log_cost_mean")[draw], sites.number("log_cost_sd")[draw]
        low, high = (-np.inf, np.inf) if box is None else (np.log(box.low), np.log(box.high))
        cut = lambda k, low, high: jax.random.truncated_normal(k, low, high)
        z = np.asarray(jax.vmap(cut)(keys, jnp.asarray((low - mean) / sd), jnp.asarray((high - mean) / sd)), float)
        # Rounding may put a draw just outside.
        return np.exp(np.clip(mean + sd * z, low, high))
    if "log_cost" not in sites:
        raise InputError("The fit has no log_cost: if its cost was known, give that (cost=1.0).")
    return np.exp(sites.number("log_cost")[draw])


class _Sites:
    """The draws of a fit's posterior by site, chain after chain."""

    def __init__(self, fit: Fit):
        self.posterior = fit.tree["posterior"].to_dataset().transpose("chain", "draw", ...)
        self.latent = set(fit.tree["log_prior"].data_vars) if "log_prior" in fit.tree else set()
        self.draws = self.posterior.sizes["chain"] * self.posterior.sizes["draw"]

    def __contains__(self, name: str) -> bool:
        return name in self.posterior

    def number(self, name: str) -> Float[np.ndarray, " draws"]:
        """A site that is one number."""
        if name not in self or self.posterior[name].ndim > 2:
            has = ", ".join(str(n) for n, x in self.posterior.data_vars.items() if x.ndim == 2)
            raise InputError(
                f"The fit has no {name}, which this policy's people are drawn from; it has {has}. Give the policy that "
                "it was fitted with (the same population and prior)."
            )
        return self.posterior[name].to_numpy().reshape(-1).astype(float)

    def by_level(self, name: str) -> tuple[Float[np.ndarray, "draws levels"], tuple[str, ...]]:
        """A site that is one number for each person, game or group, and their labels."""
        if name not in self or self.posterior[name].ndim != 3:
            raise InputError(
                f"The fit has no {name} for each person, game or group, so nobody can be resampled: use resample="
                '"population".'
            )
        x = self.posterior[name]
        return x.to_numpy().reshape(self.draws, -1).astype(float), tuple(map(str, x[x.dims[-1]].to_numpy()))
