"""The sites of a model of people with private costs: the population, what people believe, and what they share.

    log cost_i = base_i + shift_i,   base_i ~ population(phi),   shift_i = group effect + covariates · effects

Beliefs about others' costs are "consistent" (the costs of the people one meets: of one's own group, or of everybody
where there are no groups), "free" (a population that is inferred apart) or given. In groups whose members differ in
their covariates, consistent beliefs are the population moved by the mean, and widened by the spread, of the members'
shifts. Believed costs drift with rounds as true ones do. Nobody expects others to lapse, and others are believed to
have the average habit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro import handlers

from bayescal._types import Costs
from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.evaluation.sites import Sites
from bayescal.likelihood.base import OwnPsi, Shared
from bayescal.model.covariates import Covariates
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.log_costs import LogCosts, inside_bounds
from bayescal.populations.base import Phi, Population
from bayescal.populations.log_normal import LogNormal
from bayescal.populations.mixture import Mixture
from bayescal.priors.base import Prior

Beliefs = str | Mapping[str, float]  # "consistent", "free" or given
PsiLevel = str  # "shared", "group" or "participant"


def _sample(name: str, distribution: dist.Distribution) -> Float[Array, "..."]:
    return jnp.asarray(numpyro.sample(name, distribution))


def _deterministic(name: str, value: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.asarray(numpyro.deterministic(name, value))


class Drawn(NamedTuple):
    """Everything but the costs themselves.

    Attributes:
        phi: of the population of base costs.
        shift: of each person's log cost; None if nobody's is shifted.
        shared: what the likelihood depends on.
        own_psi: habit parameters of each person; None where people share them.
    """

    phi: Phi
    shift: Float[Array, " participants"] | None
    shared: Shared
    own_psi: OwnPsi | None


class GroupShift(NamedTuple):
    """How the members' log costs are shifted: mean and standard deviation in each belief group."""

    mean: Float[Array, " groups"]
    sd: Float[Array, " groups"]


@dataclass(frozen=True, eq=False)
class People:
    """Who the people are, and which sites the model of their costs has.

    Attributes:
        population: of the base costs.
        bounds: of log cost.
        box: the trained domain of a learned policy, by the names of a `Domain`.
        prior: the habit's parameters that are inferred, with their support.
        groups, group, group_name: labels of the belief groups, the group of each participant, and their dimension.
        psi_level: whether people share the habit's parameters.
        meets: whether there are other players in the game.
    """

    population: Population
    participants: tuple[str, ...]
    bounds: Interval
    box: Mapping[str, Interval]
    prior: Mapping[str, Interval]
    habit: Prior | None = None
    parameters: tuple[str, ...] = ()
    covariates: Covariates | None = None
    groups: tuple[str, ...] = ()
    group: Int[np.ndarray, " participants"] | None = None
    group_name: str = ""
    beliefs: Beliefs = "consistent"
    psi_level: PsiLevel = "shared"
    lapse: bool = False
    learning: bool = False
    meets: bool = True

    @property
    def belief_group(self) -> Int[np.ndarray, " participants"]:
        return np.zeros(len(self.participants), int) if self.group is None else self.group

    @property
    def given(self) -> dict[str, float]:
        """Fixed beliefs, by shared name."""
        if not self.meets or isinstance(self.beliefs, str):
            return {}
        return {f"phi.{n}": float(x) for n, x in self.beliefs.items()}

    @property
    def shared_names(self) -> tuple[str, ...]:
        """The shared numbers that are inferred, named as in a `Domain`."""
        believed = self.meets and isinstance(self.beliefs, str)
        names = [f"phi.{n}" for n in self.population.parameters] if believed else []
        names += [f"psi.{n}" for n in self.prior] + [f"params.{n}" for n in self.parameters]
        return (*names, *(["lapse"] if self.lapse else []), *(["drift"] if self.learning else []))

    def defaults(self, scale: float, game: Hyperpriors) -> Hyperpriors:
        """The default hyperprior of every site.

        Args:
            scale: of payoffs.
            game: hyperpriors of the game's parameters.
        """
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

    def sample(self, chosen: Hyperpriors) -> Drawn:
        """NumPyro sites of everything but the costs themselves."""
        phi = self._phi(chosen)
        shift, by_group = self._shift(chosen)
        shared: dict[str, Any] = {}
        drift = _sample("drift", chosen["drift"]) if self.learning else None
        if any(n.startswith("phi.") for n in self.shared_names):
            believed = self._believed(phi, by_group, chosen)
            shared |= {f"phi.{n}": self._inside(f"phi.{n}", x) for n, x in believed.items()}
        psi, own_psi = self._psi(chosen)
        shared |= {f"psi.{n}": x for n, x in psi.items()}
        shared |= {f"params.{n}": _sample(n, chosen[n]) for n in self.parameters}
        if self.lapse:
            shared["lapse"] = _sample("lapse", chosen["lapse"])
        if drift is not None:
            shared["drift"] = drift
        return Drawn(phi, shift, shared, own_psi)

    def _phi(self, chosen: Hyperpriors) -> Phi:
        if not _ordered(self.population):
            return {n: _sample(n, chosen[n]) for n in self.population.parameters}
        # Classes by ascending mean, or their names would be exchangeable.
        phi = {n: _sample(n, chosen[n]) for n in self.population.parameters if n in chosen}
        for k in range(1, len(_classes(self.population))):
            gap = _sample(f"log_mean_gap_{k}", chosen[f"log_mean_gap_{k}"])
            phi[f"log_mean_{k}"] = _deterministic(f"log_mean_{k}", phi[f"log_mean_{k - 1}"] + gap)
        return phi

    def _shift(self, chosen: Hyperpriors) -> tuple[Float[Array, " participants"] | None, GroupShift | None]:
        """(shift of each person's log cost, the same by belief group)."""
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
        return shift, GroupShift(mean, spread)

    def _believed(self, phi: Phi, by_group: GroupShift | None, chosen: Hyperpriors) -> Phi:
        """The population that people of each belief group believe others' costs to come from."""
        if self.beliefs == "free":
            return {n: _sample(f"belief_{n}", chosen[f"belief_{n}"]) for n in self.population.parameters}
        if by_group is None:
            return phi
        believed = jax.vmap(lambda mean, sd: self.population.shifted(phi, mean, sd))(*by_group)
        return believed if self.groups else {n: x[0] for n, x in believed.items()}

    def _psi(self, chosen: Hyperpriors) -> tuple[dict[str, Array], OwnPsi | None]:
        """Habit parameters (for all or by belief group, by participant)."""
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

    def _inside(self, name: str, value: Costs) -> Float[Array, "..."]:
        """Clipped to the trained domain."""
        interval = self.box.get(name)
        return jnp.asarray(value) if interval is None else jnp.clip(value, interval.low, interval.high)

    def of_some(self, people: Int[np.ndarray, " some"]) -> "People":
        """Some of the people, by index. Covariates stay centred as they were."""
        covariates = self.covariates
        if covariates is not None:
            covariates = replace(covariates, values=covariates.values[people])
        labels = tuple(self.participants[i] for i in people)
        group = None if self.group is None else self.group[people]
        return replace(self, participants=labels, covariates=covariates, group=group)

    def costs(
        self, phi: Phi, shift: Float[Array, " participants"] | None, centred: bool
    ) -> Float[Array, " participants"]:
        """Everybody's log cost as a NumPyro site."""
        with numpyro.plate("participant", len(self.participants)):
            if isinstance(self.population, LogNormal):
                mean = phi["log_mean"] + (0.0 if shift is None else shift)
                if centred:
                    normal = dist.TruncatedNormal(mean, phi["log_sd"], low=self.bounds.low, high=self.bounds.high)
                    log_cost = _sample("log_cost", normal)
                else:
                    offset = _sample("log_cost_offset", dist.Normal(0.0, 1.0))
                    log_cost = _deterministic("log_cost", inside_bounds(offset, mean, phi["log_sd"], self.bounds))
            else:
                everybody = LogCosts(
                    self.population, phi, 0.0 if shift is None else shift, self.bounds, len(self.participants)
                )
                log_cost = _sample("log_cost", everybody)
            own = _deterministic("cost", jnp.exp(log_cost))
            _deterministic("precision", 1 / own)
        return log_cost


def site_of(name: str, beliefs: Beliefs = "consistent") -> str:
    """The model's site of an entry of a policy's domain, such as "psi_pull" of "psi.pull"."""
    kind, _, short = name.partition(".")
    return {"phi": "belief_" if beliefs == "free" else "", "psi": "psi_", "params": ""}[kind] + short


def check_beliefs(beliefs: Beliefs, population: Population) -> None:
    """Refuse anything but "consistent", "free", or a number for every parameter of the population."""
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
    """Whether latent classes are ordered by their mean."""
    return isinstance(population, Mixture) and all(isinstance(c, LogNormal) for c in population.components)


def _tiled(distribution: dist.Distribution, n: int) -> dist.Distribution:
    return distribution.expand((n,)) if not distribution.batch_shape else distribution


def given(people: People, hyperpriors: Hyperpriors, values: Sites) -> Drawn:
    """`people.sample` where every site has a value."""
    with handlers.block(), handlers.seed(rng_seed=0), handlers.substitute(data=dict(values)):
        return people.sample(hyperpriors)
