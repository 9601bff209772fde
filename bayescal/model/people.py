"""The statements of a model about people with costs of their own: who they are, what they believe, what they did.

    log cost_i = base_i + shift_i,   base_i ~ population(phi),   shift_i = group effect + covariates · effects

Others' costs are believed to be those of the people one meets: of one's own group, or of everybody where there are no
groups ("consistent"), of a population that is inferred apart ("free"), or of a given one ("fixed"). Believed costs
drift with rounds as true ones do; nobody reckons with others' lapses, and others' priors are believed to be the
average one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.likelihood.marginal import log_weights
from bayescal.model.covariates import Covariates
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.populations.base import Phi, Population
from bayescal.populations.log_normal import LogNormal
from bayescal.populations.mixture import Mixture
from bayescal.priors.base import Prior

Beliefs = Literal["consistent", "free"] | Mapping[str, float]
PsiLevel = Literal["shared", "group", "participant"]

_sample: Any = numpyro.sample  # whose own types are those of anything like a number
_deterministic: Any = numpyro.deterministic


class LogCosts(dist.Distribution):
    """Log costs of people of a population, moved by `shift`, between two walls."""

    pytree_data_fields = ("phi", "shift", "walls")
    pytree_aux_fields = ("population",)

    def __init__(self, population: Population, phi: Phi, shift: Any, walls: Interval, people: int):
        self.population, self.phi, self.walls = population, phi, walls
        self.shift = jnp.broadcast_to(jnp.asarray(shift, jnp.result_type(float)), (people,))
        super().__init__(batch_shape=(people,))

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.interval(self.walls.low, self.walls.high)

    def log_prob(self, value: Any) -> Any:
        base = value - self.shift
        nodes = jnp.linspace(self.walls.low, self.walls.high, 400)
        fine = nodes - self.shift[:, None]
        step = nodes[1] - nodes[0]
        mass = jax.nn.logsumexp(self.population.log_density(jnp.exp(fine), self.phi) + fine, axis=-1) + jnp.log(step)
        return self.population.log_density(jnp.exp(base), self.phi) + base - mass

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        nodes = jnp.linspace(self.walls.low, self.walls.high, 400)
        log_w = log_weights(nodes, self.population, self.phi, self.shift)
        pick, within = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        x = nodes[jax.random.categorical(pick, log_w, shape=shape)]
        step = nodes[1] - nodes[0]
        return jnp.clip(x + step * jax.random.uniform(within, shape, minval=-0.5, maxval=0.5), nodes[0], nodes[-1])


@dataclass(frozen=True, eq=False)
class People:
    """Everybody's place in the population, and the numbers that they share.

    Attributes:
        population: of the base costs.
        walls: between which log costs lie.
        box: of a learned policy, by the names of a Domain.
        groups, group, group_name: labels of the belief groups, the group of each participant, and their dimension.
    """

    population: Population
    participants: tuple[str, ...]
    walls: Interval
    box: Mapping[str, Interval]
    prior: Mapping[str, Interval]  # psi that is inferred
    habit: Prior | None = None
    parameters: tuple[str, ...] = ()
    covariates: Covariates | None = None
    groups: tuple[str, ...] = ()
    group: Int[np.ndarray, " participants"] | None = None
    group_name: str = ""
    beliefs: Any = "consistent"
    psi_level: PsiLevel = "shared"
    lapse: bool = False
    learning: bool = False
    meets: bool = True  # whether there are others in the game

    @property
    def belief_group(self) -> Int[np.ndarray, " participants"]:
        return np.zeros(len(self.participants), int) if self.group is None else self.group

    @property
    def given(self) -> dict[str, float]:
        """Beliefs that are fixed, by shared name."""
        fixed = self.meets and self.beliefs not in ("consistent", "free")
        return {f"phi.{n}": float(x) for n, x in self.beliefs.items()} if fixed else {}

    @property
    def shared_names(self) -> tuple[str, ...]:
        """As in a Domain."""
        told = self.meets and self.beliefs in ("consistent", "free")  # given beliefs are the likelihood's own
        names = [f"phi.{n}" for n in self.population.parameters] if told else []
        names += [f"psi.{n}" for n in self.prior] + [f"params.{n}" for n in self.parameters]
        return (*names, *(["lapse"] if self.lapse else []), *(["drift"] if self.learning else []))

    def defaults(self, scale: float, game: Hyperpriors) -> Hyperpriors:
        """What is believed of every number before the data."""
        phi = self.population.default_hyperpriors(scale)
        if _ordered(self.population):
            for k in range(1, len(_classes(self.population))):
                del phi[f"log_mean_{k}"]
                phi[f"log_mean_gap_{k}"] = dist.HalfNormal(2.0)
        out = dict(phi)
        if self.meets and self.beliefs == "free":
            out |= {f"belief_{n}": d for n, d in self.population.default_hyperpriors(scale).items()}
        if self.groups:
            out["group_sd"] = dist.HalfNormal(0.5)
        if self.covariates is not None:
            out["effect_per_sd"] = dist.Normal(0.0, 1.0)
        if self.lapse:
            out["lapse"] = dist.Beta(1.0, 19.0)
        if self.learning:
            out["drift"] = dist.Normal(0.0, 0.5)
        psi = {} if self.habit is None else self.habit.default_hyperpriors(scale)
        for n in self.prior:
            out[f"psi_{n}"] = psi[n]
            if self.psi_level != "shared":
                out[f"psi_{n}_sd"] = dist.HalfNormal(0.5)
        return out | game

    def sample(self, chosen: Hyperpriors) -> tuple[Phi, Any, dict[str, Any], Any]:
        """NumPyro sites of all that is not anybody's own; (phi, shift by participant, shared numbers, own psi)."""
        phi = self._phi(chosen)
        shift, offset = self._shift(chosen)
        shared: dict[str, Any] = {}
        drift = _sample("drift", chosen["drift"]) if self.learning else None
        if any(n.startswith("phi.") for n in self.shared_names):
            shared |= {f"phi.{n}": self._inside(f"phi.{n}", x) for n, x in self._believed(phi, offset, chosen).items()}
        psi, own = self._psi(chosen)
        shared |= {f"psi.{n}": x for n, x in psi.items()}
        shared |= {f"params.{n}": _sample(n, chosen[n]) for n in self.parameters}
        if self.lapse:
            shared["lapse"] = _sample("lapse", chosen["lapse"])
        if drift is not None:
            shared["drift"] = drift
        return phi, shift, shared, own

    def _phi(self, chosen: Hyperpriors) -> Phi:
        if not _ordered(self.population):
            return {n: _sample(n, chosen[n]) for n in self.population.parameters}
        # Classes by ascending mean, or their names would be exchangeable.
        phi = {n: _sample(n, chosen[n]) for n in self.population.parameters if n in chosen}
        for k in range(1, len(_classes(self.population))):
            gap = _sample(f"log_mean_gap_{k}", chosen[f"log_mean_gap_{k}"])
            phi[f"log_mean_{k}"] = _deterministic(f"log_mean_{k}", phi[f"log_mean_{k - 1}"] + gap)
        return phi

    def _shift(self, chosen: Hyperpriors) -> tuple[Any, Any]:
        """(by participant, by belief group: the mean and the spread of what groups and covariates do)."""
        if not self.groups and self.covariates is None:
            return None, None
        shift = jnp.zeros(len(self.participants))
        mean, spread = jnp.zeros(max(len(self.groups), 1)), jnp.zeros(max(len(self.groups), 1))
        if self.groups:
            sd = _sample("group_sd", chosen["group_sd"])
            with numpyro.plate(self.group_name, len(self.groups)):
                offset = _sample("group_offset", dist.Normal(0.0, 1.0))
                effect = _deterministic("group_effect", sd * offset)
            shift, mean = shift + effect[self.belief_group], mean + effect
        if self.covariates is not None:
            with numpyro.plate("covariate", len(self.covariates.names)):
                standard = _sample("effect_per_sd", _tiled(chosen["effect_per_sd"], len(self.covariates.names)))
                slopes = _deterministic("effect", standard / self.covariates.sd)
            moved = self.covariates.values @ slopes
            shift = shift + moved
            members = [np.flatnonzero(self.belief_group == b) for b in range(mean.shape[0])]
            mean = mean + jnp.stack([moved[m].mean() for m in members])
            spread = jnp.stack([jnp.sqrt(moved[m].var() + 1e-12) for m in members])
        return shift, (mean, spread)

    def _believed(self, phi: Phi, offset: Any, chosen: Hyperpriors) -> Phi:
        """What people of each belief group take others' costs to be."""
        if self.beliefs == "free":
            return {n: _sample(f"belief_{n}", chosen[f"belief_{n}"]) for n in self.population.parameters}
        if offset is None:
            return phi
        mean, spread = offset
        believed = jax.vmap(lambda m, s: self.population.shifted(phi, m, s))(mean, spread)
        return believed if self.groups else {n: x[0] for n, x in believed.items()}

    def _psi(self, chosen: Hyperpriors) -> tuple[dict[str, Any], Any]:
        """(by belief group or for all, by participant)."""
        common = {n: _sample(f"psi_{n}", chosen[f"psi_{n}"]) for n in self.prior}
        if self.psi_level == "shared" or not common:
            return common, None
        labels, plate = (
            (self.groups, self.group_name) if self.psi_level == "group" else (self.participants, "participant")
        )
        each = {}
        for n, natural in self.prior.items():
            interval = self.box.get(f"psi.{n}", natural)
            sd = _sample(f"psi_{n}_sd", chosen[f"psi_{n}_sd"])
            with numpyro.plate(plate, len(labels)):
                z = _sample(f"psi_{n}_offset", dist.Normal(0.0, 1.0))
                own = interval.from_real(interval.to_real(common[n]) + sd * z)
                each[n] = _deterministic(f"psi_{n}_by_{plate}", own)
        return (each, None) if self.psi_level == "group" else (common, each)

    def _inside(self, name: str, value: Any) -> Any:
        interval = self.box.get(name)
        return value if interval is None else jnp.clip(value, interval.low, interval.high)

    def of_some(self, people: Int[np.ndarray, " some"]) -> "People":
        """The same of some of the people. Covariates stay centred as they were."""
        covariates = self.covariates
        if covariates is not None:
            covariates = replace(covariates, values=covariates.values[people])
        labels = tuple(self.participants[i] for i in people)
        group = None if self.group is None else self.group[people]
        return replace(self, participants=labels, covariates=covariates, group=group)

    def costs(self, phi: Phi, shift: Any, centred: bool) -> Float[Array, " participants"]:
        """Everybody's log cost as a NumPyro site."""
        with numpyro.plate("participant", len(self.participants)):
            if isinstance(self.population, LogNormal):
                mean = phi["log_mean"] + (0.0 if shift is None else shift)
                if centred:
                    normal = dist.TruncatedNormal(mean, phi["log_sd"], low=self.walls.low, high=self.walls.high)
                    log_cost = _sample("log_cost", normal)
                else:
                    offset = _sample("log_cost_offset", dist.Normal(0.0, 1.0))
                    log_cost = _deterministic("log_cost", inside_walls(offset, mean, phi["log_sd"], self.walls))
            else:
                everybody = LogCosts(
                    self.population, phi, 0.0 if shift is None else shift, self.walls, len(self.participants)
                )
                log_cost = _sample("log_cost", everybody)
            own = _deterministic("cost", jnp.exp(log_cost))
            _deterministic("precision", 1 / own)
        return log_cost


def inside_walls(offset: Any, mean: Any, sd: Any, walls: Interval) -> Any:
    """A normal number cut off at the walls, from a standard normal one."""
    cdf = jax.scipy.stats.norm.cdf
    low, high = cdf((walls.low - mean) / sd), cdf((walls.high - mean) / sd)
    share = jnp.clip(low + (high - low) * cdf(offset), 1e-12, 1 - 1e-12)
    return jnp.clip(mean + sd * jax.scipy.stats.norm.ppf(share), walls.low, walls.high)


def check_beliefs(beliefs: Any, population: Population) -> None:
    """ "consistent", "free", or a number for every parameter of the population."""
    if isinstance(beliefs, str) and beliefs in ("consistent", "free"):
        return
    names = list(population.parameters)
    if isinstance(beliefs, Mapping) and sorted(beliefs) == sorted(names):
        return
    raise InputError(
        f'beliefs={beliefs!r}: choose "consistent" or "free", or fix them at a value for each of {", ".join(names)}: '
        f"{{{', '.join(f'{n!r}: …' for n in names)}}}."
    )


def _classes(population: Population) -> tuple[Population, ...]:
    return population.components if isinstance(population, Mixture) else (population,)


def _ordered(population: Population) -> bool:
    """Whether classes can be told apart by their mean."""
    return isinstance(population, Mixture) and all(isinstance(c, LogNormal) for c in population.components)


def _tiled(distribution: dist.Distribution, n: int) -> dist.Distribution:
    return distribution.expand((n,)) if not distribution.batch_shape else distribution
