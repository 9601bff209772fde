"""The log density of a NumPyro model on the unconstrained scale: what is searched, sampled and integrated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.distributions.distribution import Unit
from numpyro.infer.util import potential_energy

from bayescal._types import AnyArray
from bayescal.evaluation.sites import Site, latent_sites, trace_of

Values = Mapping[str, Any]  # of the latent sites, on their own scale
Raw = Mapping[str, Any]  # the same on the unconstrained scale


class Parts(NamedTuple):
    """What a log density is the sum of.

    Attributes:
        prior: of each latent site, with the log Jacobian of its transform.
        likelihood: of each observed site, row by row.
        factors: everything that `numpyro.factor` adds.
    """

    prior: dict[str, Float[Array, ""]]
    likelihood: dict[str, Float[Array, "..."]]
    factors: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        return sum((x.sum() for x in (*self.prior.values(), *self.likelihood.values())), self.factors)


@dataclass(frozen=True, eq=False)
class Density:
    """A NumPyro model as a density over unconstrained numbers.

    Each latent site has two scales: its own (`values`, inside its support) and the unconstrained one (`raw`), both as a
    dict by site. `flatten` and `unflatten` turn a raw dict into one vector and back. Every method takes one point;
    use `jax.vmap` or `jax.lax.map` for many, and call them in float64.

    Attributes:
        model: called without arguments.
        sites: the latent sites by name.

    Example:
        >>> import jax.numpy as jnp, numpyro, numpyro.distributions as dist
        >>> from bayescal.evaluation.density import Density
        >>> def model():
        ...     rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        ...     numpyro.sample("y", dist.Poisson(rate), obs=jnp.array([3, 1]))
        >>> density = Density.of(model)
        >>> raw = density.unconstrain({"rate": 1.0})
        >>> float(density.constrain(raw)["rate"]), density.size
        (1.0, 1)
        >>> bool(jnp.isclose(density.parts(raw).total, density.log_prob(raw)))
        True
    """

    model: Callable[[], Any]
    sites: Mapping[str, Site]

    @classmethod
    def of(cls, model: Callable[[], Any]) -> "Density":
        """Traces the model once, without running it."""
        return cls(model, latent_sites(model))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.sites)

    @cached_property
    def transforms(self) -> dict[str, Any]:
        """From the unconstrained scale to each site's support."""
        return {n: biject_to(s.support) for n, s in self.sites.items()}

    @property
    def zeros(self) -> dict[str, Array]:
        """The origin of the unconstrained scale."""
        return {n: jnp.zeros(t.inverse_shape(self.sites[n].shape)) for n, t in self.transforms.items()}

    @property
    def size(self) -> int:
        """How many unconstrained numbers there are."""
        return sum(x.size for x in self.zeros.values())

    def constrain(self, raw: Raw) -> dict[str, Array]:
        """Values on the sites' own scale. Leading dimensions (of draws) pass through."""
        return {n: t(raw[n]) for n, t in self.transforms.items()}

    def unconstrain(self, values: Values) -> dict[str, Array]:
        """The inverse of `constrain`; entries of `values` that are no latent site are ignored."""
        return {n: t.inv(jnp.asarray(values[n], float)) for n, t in self.transforms.items()}

    def flatten(self, raw: Raw) -> Float[Array, " size"]:
        return ravel_pytree({n: raw[n] for n in self.sites})[0]

    def unflatten(self, flat: Float[AnyArray, " size"]) -> dict[str, Array]:
        return ravel_pytree(self.zeros)[1](jnp.asarray(flat))

    def log_prob(self, raw: Raw) -> Float[Array, ""]:
        """log p(values, data) + log |d values / d raw|."""
        return -self.potential(raw)

    def potential(self, raw: Raw) -> Float[Array, ""]:
        """Minus `log_prob`, as NumPyro's kernels take it."""
        return potential_energy(self.model, (), {}, raw)

    def parts(self, raw: Raw, data: Mapping[str, Any] | None = None) -> Parts:
        """`log_prob` by site, so that rows of the likelihood can be weighted or left out.

        Args:
            data: what takes the place of observed values, by site.
        """
        values = self.constrain(raw)
        model = handlers.substitute(self.model, data={**values, **(data or {})})
        prior: dict[str, Any] = {}
        likelihood: dict[str, Any] = {}
        factors: Any = jnp.zeros(())
        for name, site in trace_of(model, jax.random.key(0)).items():
            if site["type"] != "sample":
                continue
            log_prob = site["fn"].log_prob(site["value"])
            log_prob = log_prob if site["scale"] is None else site["scale"] * log_prob
            if isinstance(site["fn"], Unit):
                factors = factors + log_prob.sum()
            elif site["is_observed"]:
                likelihood[name] = log_prob
            else:
                jacobian = self.transforms[name].log_abs_det_jacobian(raw[name], values[name])
                prior[name] = log_prob.sum() + jnp.sum(jacobian)
        return Parts(prior, likelihood, factors)

    def log_likelihood(self, raw: Raw) -> Float[Array, ""]:
        """The log density of everything observed, factors included."""
        parts = self.parts(raw)
        return sum((x.sum() for x in parts.likelihood.values()), parts.factors)
