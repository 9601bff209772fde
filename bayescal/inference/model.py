"""From decisions to a NumPyro model: costs (pooled, hierarchical or private), the prior's parameters, the choices."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int

from bayescal.decisions import Decisions
from bayescal.domain import Interval
from bayescal.environments.base import shape_key
from bayescal.errors import InputError
from bayescal.inference.choices import Choices, TypedChoices
from bayescal.inference.hyperpriors import (
    NOT_IDENTIFIED,
    Hyperpriors,
    default_cost,
    default_game_parameter,
    default_parameter,
    describe,
    inside,
    read_hyperpriors,
)
from bayescal.inference.play import Plays, play_in
from bayescal.inference.tree import BATCH
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous

Level = Literal["game", "group", "participant"]

_INFORMED = 500  # decisions of a level that usually say more of its cost than the other levels do


@dataclasses.dataclass(frozen=True, eq=False)
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
        batch: how many draws are gone through at once after sampling.
        natural: where parameters end by themselves.
    """

    sample: Callable[[], None]
    coords: Mapping[str, Any]
    dims: Mapping[str, tuple[str, ...]]
    constant_data: Mapping[str, tuple[tuple[str, ...], Any]]
    hyperpriors: Hyperpriors
    box: Mapping[str, Interval]
    description: str
    batch: int = BATCH
    natural: Mapping[str, Interval] = dataclasses.field(default_factory=dict)

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
    cost: float | None = None,
    parameters: Sequence[str] = (),
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
        by: one cost for all (None) or one by game, group or participant, partially pooled:
            log cost ~ Normal(log_cost_mean, log_cost_sd²). With a private population in a game over time everybody
            has a cost of their own, drawn from it.
        cost: a cost that is known, instead of inferred.
        parameters: names of parameters of the game to be inferred as well (sites of that name).
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
    private = not isinstance(population, Homogeneous)
    environments = list(decisions.environments.values())
    _refuse(decisions, private, by, cost, parameters, payoff_scale)
    personal = private and decisions.play is not None  # everybody's own cost is a site
    by = "participant" if personal else by
    levels = () if by is None else decisions.levels(by)
    belief = population if private else None
    games = (
        _Games(policy, belief, decisions, np.zeros(0, int) if by is None else decisions.by(by))
        if decisions.play is None
        else Plays(policy, belief, decisions, by)
    )
    # In the precision of `infer`: JAX confuses its two where NumPy arrays meet both in one process.
    with jax.enable_x64(True):
        scale = float(np.median([float(e.payoff_scale(e.params)) for e in environments]))

    defaults: Hyperpriors = {}
    if private:
        defaults |= {n: default_parameter(n, i, scale) for n, i in population.parameters.items()}
    elif cost is not None:
        pass
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
    defaults |= {n: default_game_parameter(environments[0].params[n]) for n in parameters}
    chosen = read_hyperpriors(hyperpriors, defaults)
    box = _box(policy)
    chosen = {n: inside(n, d, box[n]) if n in box else d for n, d in chosen.items()}
    walls = box.get("log_cost")
    with jax.enable_x64(True):
        games.check_support()

    informed = by is not None and np.bincount(decisions.by(by), decisions.counts.sum(axis=1)).min() >= _INFORMED
    centre = informed if centred is None else centred

    def level_costs(mean: Any, sd: Any) -> Any:
        with numpyro.plate(str(by), len(levels)):
            if centre:
                log_cost = numpyro.sample("log_cost", _level(mean, sd, walls))
            else:
                offset = numpyro.sample("log_cost_offset", numpyro.distributions.Normal(0.0, 1.0))
                log_cost = numpyro.deterministic("log_cost", _level_from(offset, mean, sd, walls))
            own = numpyro.deterministic("cost", jnp.exp(log_cost))
            numpyro.deterministic("precision", 1 / own)
        return own

    def costs() -> tuple[Any, Any]:
        """(cost of each level, phi)."""
        if private:
            phi = {n: numpyro.sample(n, chosen[n]) for n in population.parameters}
            return (level_costs(phi["log_mean"], phi["log_sd"]) if personal else None), phi
        if cost is not None:
            return jnp.asarray(cost, jnp.result_type(float)), None
        if by is None:
            log_cost = numpyro.sample("log_cost", chosen["log_cost"])
            own = jnp.exp(log_cost)
            numpyro.deterministic("cost", own)
            numpyro.deterministic("precision", 1 / own)
            return own, None
        mean = numpyro.sample("log_cost_mean", chosen["log_cost_mean"])
        sd = numpyro.sample("log_cost_sd", chosen["log_cost_sd"])
        return level_costs(mean, sd), None

    def model() -> None:
        own, phi = costs()
        psi = {n: numpyro.sample(f"psi_{n}", chosen[f"psi_{n}"]) for n in psi_names} or None
        games.sample(own, phi, psi, {n: numpyro.sample(n, chosen[n]) for n in parameters})

    coords = games.coords | ({} if by is None else {by: np.asarray(levels, dtype=str)})
    return Model(
        sample=model,
        coords=coords,
        dims={"choices": ("action",)},
        constant_data=games.constant,
        hyperpriors=chosen,
        box={n: i for n, i in box.items() if n in chosen or (n == "log_cost" and cost is None)},
        description=_describe(policy, population, by, cost, parameters, bool(psi_names)),
        batch=games.batch,
        natural={f"psi_{n}": i for n, i in psi_names.items()} | (dict(population.parameters) if private else {}),
    )


def _refuse(
    decisions: Decisions, private: bool, by: str | None, cost: float | None, parameters: Sequence[str], scale: bool
) -> None:
    """What cannot be asked for together, or at all."""
    if scale:
        raise InputError(NOT_IDENTIFIED)
    if private and by is not None and decisions.play is None:
        raise InputError(
            f"by={by!r} gives each {by} one cost that everybody knows; a private population has a cost for every "
            "person. Leave out one of the two."
        )
    if cost is not None and (private or by is not None or not cost > 0):
        raise InputError(f"cost={cost}: a known cost is a positive number and one for all; leave out `by` and phi.")
    for environment in decisions.environments.values():
        unknown = [n for n in parameters if n not in environment.params]
        if unknown:
            raise InputError(
                f"{environment.name} has no parameters {', '.join(unknown)}; it has {', '.join(environment.params)}."
            )
        scaling = environment.payoff_parameters
        if cost is None and scaling and set(scaling) <= set(parameters):
            raise InputError(
                f"{', '.join(scaling)} together are the scale of all payoffs of {environment.name}, and "
                f"{NOT_IDENTIFIED[0].lower()}{NOT_IDENTIFIED[1:]} Give a known cost (cost=1.0), or leave one of "
                "them out."
            )
    if parameters and decisions.play is None:
        raise InputError("Parameters of one-shot games cannot be inferred yet: leave out `parameters`.")


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
        elif name.startswith("params."):
            renamed[name.removeprefix("params.")] = interval
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


def _describe(
    policy: Policy, population: Population, by: str | None, cost: float | None, parameters: Sequence[str], psi: bool
) -> str:
    if not isinstance(population, Homogeneous):
        told = f"private costs drawn from a {type(population).__name__} population"
    elif cost is not None:
        told = f"a known cost of {cost:g}"
    elif by is None:
        told = "one cost for everybody in all games"
    else:
        told = f"one cost for each {by}, partially pooled"
    prior = type(getattr(policy, "prior", None)).__name__
    more = f"; {', '.join(parameters)} of the game inferred" if parameters else ""
    return f"{type(policy).__name__} with a {prior} prior{' (parameters inferred)' if psi else ''} and {told}{more}"


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
            self.stacks.append((play_in(policy, first, population), params, np.array(members), pairs[members][:, 1]))
        self.typed = population is not None and "participant" in decisions.cells
        self.counts = jnp.asarray(decisions.counts.astype(np.int32))
        self.totals = jnp.asarray(decisions.counts.sum(axis=1).astype(np.int32))
        self.batch = BATCH

    @property
    def _keys(self) -> list[str]:
        return [k for k in ("game", "group", "participant", "role") if k in self.decisions.cells]

    @property
    def coords(self) -> dict[str, Any]:
        labels = self.decisions.cells[self._keys].astype(str).agg(" · ".join, axis=1).to_numpy()
        return {"cell": labels, "action": np.arange(self.width)}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """What an analysis needs beside the draws."""
        cells = self.decisions.cells
        out: dict[str, Any] = {
            "total": (("cell",), np.asarray(self.totals)),
            "available": (("cell", "action"), self.decisions.mask),
        }
        return out | {f"cell_{k}": (("cell",), cells[k].astype(str).to_numpy(dtype=str)) for k in self._keys}

    def sample(self, cost: Any, phi: Any, psi: Any, params: Mapping[str, Any]) -> None:
        own = None if cost is None else jnp.atleast_1d(cost)
        with numpyro.plate("cell", self.counts.shape[0]):
            numpyro.sample("choices", self.choices(own, phi, psi), obs=self.counts)

    def choices(self, cost: Any, phi: Any, psi: Any) -> numpyro.distributions.Distribution:
        """The distribution of every cell's counts."""
        if self.typed:
            log_probs, log_weights = self._by_type(phi, psi)
            return TypedChoices(log_probs[self.of_cell, self.role], log_weights, self.totals)
        return Choices(self._log_probs(cost, phi, psi)[self.of_cell, self.role], self.totals)

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
