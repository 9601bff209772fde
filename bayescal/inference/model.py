"""From decisions to a NumPyro model: costs (pooled, hierarchical or private), the prior's parameters, the choices."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int

from bayescal.decisions import Decisions
from bayescal.domain import Interval
from bayescal.environments.base import OneShot, shape_key
from bayescal.errors import InputError
from bayescal.inference.choices import Choices, TypedChoices
from bayescal.inference.hyperpriors import (
    NOT_IDENTIFIED,
    Hyperpriors,
    default_cost,
    default_parameter,
    describe,
    inside,
    read_hyperpriors,
)
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous

Level = Literal["game", "group"]

_INFORMED = 500  # decisions of a level that usually say more of its cost than the other levels do


@dataclasses.dataclass(frozen=True)
class Model:
    """A NumPyro model: call it (without arguments) inside any NumPyro handler, sampler or larger model.

    Attributes:
        sample: the model itself.
        coords: labels of its plates and of the grid, by dimension name.
        dims: dimensions of the observed site's events.
        constant_data: what an analysis needs beside the draws, as (dims, values).
        hyperpriors: the priors of its parameters.
        box: where a learned policy's domain ends, by site; empty for policies that answer for everything.
        description: the model in one sentence.
    """

    sample: Callable[[], None]
    coords: Mapping[str, Any]
    dims: Mapping[str, tuple[str, ...]]
    constant_data: Mapping[str, tuple[tuple[str, ...], Any]]
    hyperpriors: Hyperpriors
    box: Mapping[str, Interval]
    description: str

    def __call__(self) -> None:
        self.sample()

    @property
    def hyperprior_text(self) -> dict[str, str]:
        return {name: describe(d) for name, d in self.hyperpriors.items()}


def build_model(
    policy: Policy,
    population: Population,
    decisions: Decisions,
    *,
    by: Level | None = None,
    prior_parameters: bool = False,
    hyperpriors: Mapping[str, Any] | None = None,
    payoff_scale: bool = False,
    centred: bool | None = None,
) -> Model:
    """The NumPyro model of these decisions.

    Args:
        policy: the likelihood; its environment is replaced by each game of the decisions in turn.
        population: `Homogeneous()` for costs that everybody knows; any other for private costs, whose
            parameters phi are inferred.
        by: with common costs, one cost for all (None) or one by game or group, partially pooled:
            log cost ~ Normal(log_cost_mean, log_cost_sd²).
        prior_parameters: infer the prior's parameters psi too (sites `psi_NAME`).
        hyperpriors: by site name; a NumPyro distribution, or numbers as in `read_hyperpriors`.
        payoff_scale: not identified beside a cost; asking for it is an error that says so.
        centred: whether the costs of the levels are sampled themselves (True) or as offsets from their mean in
            units of their sd (False). The posterior is the same; the first is several times faster where each level
            has many decisions, the second does not diverge where they have few. None: the first where every level
            has at least 500.

    Raises:
        InputError: a level that the data do not have, a hyperprior of a site that is not there, a prior that
            rules out what somebody did, or a payoff scale.
    """
    if payoff_scale:
        raise InputError(NOT_IDENTIFIED)
    private = not isinstance(population, Homogeneous)
    if private and by is not None:
        raise InputError(
            f"by={by!r} gives each {by} one cost that everybody knows; a private population has a cost for every "
            "person. Leave out one of the two."
        )
    levels = () if by is None else decisions.levels(by)
    games = _Games(
        policy,
        population if private else None,
        decisions,
        np.zeros(0, int) if by is None else decisions.by(by),
    )
    # In the precision of `infer`: JAX confuses its two where NumPy arrays meet both in one process.
    with jax.enable_x64(True):
        scale = float(np.median([float(e.payoff_scale(e.params)) for e in decisions.environments.values()]))

    defaults: Hyperpriors = {}
    if private:
        defaults |= {n: default_parameter(n, i, scale) for n, i in population.parameters.items()}
    elif by is None:
        defaults["log_cost"] = default_cost(scale)
    else:
        defaults["log_cost_mean"] = default_cost(scale)
        defaults["log_cost_sd"] = numpyro.distributions.HalfNormal(1.0)
    prior = getattr(policy, "prior", None)
    psi_names = dict(prior.parameters) if prior_parameters and prior is not None else {}
    if prior_parameters and not psi_names:
        raise InputError(
            f"prior_parameters=True, but the prior {type(prior).__name__} has no parameters: use LogLinear, Focal "
            "or a Mixture."
        )
    defaults |= {f"psi_{n}": default_parameter(n, i, scale) for n, i in psi_names.items()}
    chosen = read_hyperpriors(hyperpriors, defaults)
    box = _box(policy)
    chosen = {n: inside(n, d, box[n]) if n in box else d for n, d in chosen.items()}
    walls = box.get("log_cost")
    with jax.enable_x64(True):
        games.check_support()

    informed = by is not None and np.bincount(decisions.by(by), decisions.counts.sum(axis=1)).min() >= _INFORMED
    centre = informed if centred is None else centred
    counts = jnp.asarray(decisions.counts.astype(np.int32))
    totals = jnp.asarray(decisions.counts.sum(axis=1).astype(np.int32))

    def costs() -> tuple[Any, Any]:
        """(cost of each level, phi)."""
        if private:
            return None, {n: numpyro.sample(n, chosen[n]) for n in population.parameters}
        if by is None:
            log_cost = numpyro.sample("log_cost", chosen["log_cost"])
            cost = jnp.exp(log_cost)
            numpyro.deterministic("cost", cost)
            numpyro.deterministic("precision", 1 / cost)
            return cost[None], None
        mean = numpyro.sample("log_cost_mean", chosen["log_cost_mean"])
        sd = numpyro.sample("log_cost_sd", chosen["log_cost_sd"])
        with numpyro.plate(by, len(levels)):
            if centre:
                log_cost = numpyro.sample("log_cost", _level(mean, sd, walls))
            else:
                offset = numpyro.sample("log_cost_offset", numpyro.distributions.Normal(0.0, 1.0))
                log_cost = numpyro.deterministic("log_cost", _level_from(offset, mean, sd, walls))
            cost = numpyro.deterministic("cost", jnp.exp(log_cost))
            numpyro.deterministic("precision", 1 / cost)
        return cost, None

    def model() -> None:
        cost, phi = costs()
        psi = {n: numpyro.sample(f"psi_{n}", chosen[f"psi_{n}"]) for n in psi_names} or None
        with numpyro.plate("cell", counts.shape[0]):
            numpyro.sample("choices", games.choices(cost, phi, psi, totals), obs=counts)

    cells = decisions.cells
    keys = [k for k in ("game", "group", "participant", "role") if k in cells]
    labels = cells[keys].astype(str).agg(" · ".join, axis=1).to_numpy()
    coords = {"cell": labels, "action": np.arange(counts.shape[1])}
    if by is not None:
        coords[by] = np.asarray(levels, dtype=str)
    constant = {"total": (("cell",), np.asarray(totals)), "available": (("cell", "action"), decisions.mask)}
    constant |= {f"cell_{k}": (("cell",), cells[k].astype(str).to_numpy(dtype=str)) for k in keys}
    return Model(
        sample=model,
        coords=coords,
        dims={"choices": ("action",)},
        constant_data=constant,
        hyperpriors=chosen,
        box={n: i for n, i in box.items() if n in chosen or n == "log_cost"},
        description=_describe(policy, population, by, bool(psi_names)),
    )


def _box(policy: Policy) -> dict[str, Interval]:
    """The domain of a learned policy by the names of the model's sites."""
    domain = getattr(policy, "domain", None)
    if domain is None:
        return {}
    renamed = {}
    for name, interval in domain.intervals:
        if name == "cost":
            renamed["log_cost"] = Interval(float(np.log(interval.low)), float(np.log(interval.high)))
        elif name.startswith("phi."):
            renamed[name.removeprefix("phi.")] = interval
        elif name.startswith("psi."):
            renamed["psi_" + name.removeprefix("psi.")] = interval
    return renamed


def _level(mean: Any, sd: Any, walls: Interval | None) -> numpyro.distributions.Distribution:
    """The log cost of a level around its mean, inside the walls."""
    if walls is None:
        return numpyro.distributions.Normal(mean, sd)
    return numpyro.distributions.TruncatedNormal(mean, sd, low=walls.low, high=walls.high)


def _level_from(offset: Any, mean: Any, sd: Any, walls: Interval | None) -> Any:
    """The same from a standard normal offset."""
    if walls is None:
        return mean + sd * offset
    cdf = jax.scipy.stats.norm.cdf
    low, high = cdf((walls.low - mean) / sd), cdf((walls.high - mean) / sd)
    share = jnp.clip(low + (high - low) * cdf(offset), 1e-12, 1 - 1e-12)
    return jnp.clip(mean + sd * jax.scipy.stats.norm.ppf(share), walls.low, walls.high)


def _describe(policy: Policy, population: Population, by: str | None, psi: bool) -> str:
    if not isinstance(population, Homogeneous):
        cost = f"private costs drawn from a {type(population).__name__} population"
    elif by is None:
        cost = "one cost for everybody in all games"
    else:
        cost = f"one cost for each {by}, partially pooled"
    prior = type(getattr(policy, "prior", None)).__name__
    return f"{type(policy).__name__} with a {prior} prior{' (parameters inferred)' if psi else ''} and {cost}"


class _Games:
    """The games of the decisions, stacked by shape so that each shape is solved by one vmapped call.

    A common cost belongs to a level (game, group, or the single level "everybody"), so what is solved are the
    distinct pairs of game and level; `of_cell` says which pair each cell of the data looks up.
    """

    def __init__(
        self,
        policy: Policy,
        population: Population | None,
        decisions: Decisions,
        level: Int[np.ndarray, " cells"],
    ):
        self.decisions = decisions
        game = decisions.cells["game_index"].to_numpy()
        self.role = decisions.cells["role_index"].to_numpy()
        level = level if len(level) else np.zeros_like(game)
        pairs, self.of_cell = np.unique(np.stack([game, level], axis=1), axis=0, return_inverse=True)
        self.of_cell = self.of_cell.reshape(-1)
        self.width = decisions.counts.shape[1]
        environments = list(decisions.environments.values())
        stacks: dict[Any, list[int]] = {}
        for pair, (g, _) in enumerate(pairs):
            stacks.setdefault(shape_key(environments[g]), []).append(pair)
        self.stacks: list[tuple[Any, Any, np.ndarray, np.ndarray]] = []
        for members in stacks.values():
            first = environments[pairs[members[0]][0]]
            params = jax.tree.map(lambda *x: np.stack(x), *[environments[pairs[m][0]].params for m in members])
            self.stacks.append((_play(policy, first, population), params, np.array(members), pairs[members][:, 1]))
        self.typed = population is not None and "participant" in decisions.cells

    def choices(
        self, cost: Any, phi: Any, psi: Any, totals: Int[Array, " cells"]
    ) -> numpyro.distributions.Distribution:
        """The distribution of every cell's counts."""
        if self.typed:
            log_probs, log_weights = self._by_type(phi, psi)
            return TypedChoices(log_probs[self.of_cell, self.role], log_weights, totals)
        return Choices(self._log_probs(cost, phi, psi)[self.of_cell, self.role], totals)

    def _log_probs(self, cost: Any, phi: Any, psi: Any) -> Float[Array, "pairs roles actions"]:
        roles = max(p.environment.roles for p, *_ in self.stacks)
        out = jnp.full((self.of_cell.max() + 1, roles, self.width), -jnp.inf)
        for policy, params, members, level in self.stacks:
            own = None if cost is None else cost[level]
            solve = lambda c, p, policy=policy: policy.log_prob_all(c, phi, psi, p)
            log_p = jax.vmap(solve, in_axes=(None if own is None else 0, 0))(own, params)
            out = out.at[members, : log_p.shape[1], : log_p.shape[2]].set(log_p)
        return out

    def _by_type(self, phi: Any, psi: Any) -> tuple[Float[Array, "pairs roles types actions"], Float[Array, " types"]]:
        roles = max(p.environment.roles for p, *_ in self.stacks)
        costs, weights = self.stacks[0][0].population.quadrature(phi)
        out = jnp.full((self.of_cell.max() + 1, roles, costs.shape[0], self.width), -jnp.inf)
        for policy, params, members, _ in self.stacks:
            solve = lambda p, policy=policy: policy.log_prob_by_type(phi, psi, p)
            log_p = jax.vmap(solve)(params)
            out = out.at[members, : log_p.shape[1], :, : log_p.shape[3]].set(log_p)
        return out, jnp.log(weights)

    def check_support(self) -> None:
        """No observed action may be impossible under the prior: its likelihood would be zero at any cost."""
        offenders = []
        for policy, _, members, _ in self.stacks:
            if not hasattr(policy, "log_prior"):
                continue
            possible = np.asarray(policy.log_prior() > -1e29)
            for cell in np.flatnonzero(np.isin(self.of_cell, members)):
                env, role = policy.environment, self.role[cell]
                counts = self.decisions.counts[cell, : possible.shape[1]]
                for a in np.flatnonzero((counts > 0) & ~possible[role]):
                    game = self.decisions.cells["game"].iloc[cell]
                    offenders.append(
                        f"{game}, role {env.role_names[role]}, action {env.action_labels[role][a]} "
                        f"(chosen {counts[a]} times)"
                    )
        if offenders:
            more = f" and {len(offenders) - 5} more" if len(offenders) > 5 else ""
            raise InputError(
                f"{self.decisions.source}: the prior gives probability zero to what people did: "
                f"{'; '.join(offenders[:5])}{more}. Give those actions a positive prior probability."
            )


def _play(policy: Policy, environment: OneShot, population: Population | None) -> Any:
    """The policy, in this game and for this population."""
    if isinstance(policy, AmortisedPolicy):
        return policy.play(environment, population)
    changes: dict[str, Any] = {"environment": environment}
    if hasattr(policy, "population"):
        changes["population"] = population
    return dataclasses.replace(policy, **changes)
