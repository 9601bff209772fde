"""The log-likelihood of very many people, all together, as a polynomial of the few numbers that are sampled.

So many people leave a posterior that is narrow and nearly normal. In its own units (the unconstrained sites, moved to
the mean and turned and scaled by the covariance of draws from about where it is) a polynomial of a modest total degree
is the sum over people to within hundredths of a nat, and a chain then costs nothing. The polynomial is fitted by least
squares at points of a ball that are denser towards its surface, by its equilibrium measure (Cohen & Migliorati 2017);
how far off it is, is measured at others.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from numpyro.distributions import biject_to

from bayescal.likelihood.chebyshev import polynomials

FEW = 4  # numbers for which it pays
_WIDE = 5.5  # sds of the posterior to every side: less than a box of evidence reaches
_DEGREES = (4, 6, 8, 10, 12)
_POINTS = 3  # to a term
_CHECKS = 40
_STEEP = 1e3


class Surface(eqx.Module):
    """Attributes:
    names: of the sites.
    middle, turn: the unconstrained numbers are `middle + turn @ unit`, with unit in the ball of radius one.
    error: the largest distance that was found in it, in nats.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    middle: Float[np.ndarray, " numbers"] = eqx.field(converter=np.asarray)
    turn: Float[np.ndarray, "numbers numbers"] = eqx.field(converter=np.asarray)
    powers: Any = eqx.field(static=True)  # of each number, by term
    coefficients: Float[np.ndarray, " terms"] = eqx.field(converter=np.asarray)
    error: float = eqx.field(static=True)

    def __call__(self, sites: Mapping[str, Any]) -> Float[Array, ""]:
        """Of a trace's sites. Beyond the ball it falls off steeply."""
        raw = {n: biject_to(sites[n]["fn"].support).inv(sites[n]["value"]) for n in self.names}
        unit = jnp.linalg.inv(self.turn) @ (ravel_pytree(raw)[0] - self.middle)
        beyond = jnp.maximum(jnp.sum(unit**2), 1.0)
        return _terms(unit / jnp.sqrt(beyond), self.powers) @ self.coefficients - _STEEP * (beyond - 1.0)

    @classmethod
    def build(
        cls,
        total: Callable[[Mapping[str, Any]], Any],
        supports: Mapping[str, Any],
        start: Mapping[str, np.ndarray],
        most: float,
        seed: int = 0,
    ) -> "Surface":
        """The surface of the smallest degree whose error is at most so many nats, or else the last that was tried.

        Args:
            total: the log-likelihood as a function of the sites' values.
            supports: of the latent sites.
            start: draws from about where the posterior is: (draws, *shape) by site.
        """
        names = tuple(sorted(supports))
        apart = {n: jax.vmap(biject_to(supports[n]).inv)(jnp.asarray(start[n])) for n in names}
        flat = np.asarray(jax.vmap(lambda x: ravel_pytree(x)[0])(apart))
        unravel = ravel_pytree({n: apart[n][0] for n in names})[1]
        spread = np.atleast_2d(np.cov(flat.T, ddof=1))
        middle, turn = flat.mean(axis=0), _WIDE * np.linalg.cholesky(spread)

        def at(unit):
            raw = unravel(jnp.asarray(middle) + jnp.asarray(turn) @ unit)
            return total({n: biject_to(supports[n])(x) for n, x in raw.items()})

        many = jax.jit(lambda units: jax.lax.map(at, units))
        rng = np.random.default_rng(seed)
        checks = _directions(rng, _CHECKS, len(middle)) * rng.random((_CHECKS, 1))
        true = np.asarray(many(checks))
        points, values = np.zeros((0, len(middle))), np.zeros(0)
        found = None
        for degree in _DEGREES:
            powers = tuple(p for p in product(range(degree + 1), repeat=len(middle)) if sum(p) <= degree)
            count = _POINTS * len(powers) - len(points)
            more = _directions(rng, count, len(middle)) * np.sqrt(rng.beta(len(middle) / 2, 0.5, (count, 1)))
            points, values = np.concatenate([points, more]), np.concatenate([values, np.asarray(many(more))])
            terms = jax.vmap(lambda u, powers=powers: _terms(u, powers))
            level = values.max()
            fitted = np.linalg.lstsq(np.asarray(terms(points)), values - level, rcond=None)[0]
            fitted[powers.index((0,) * len(middle))] += level
            error = float(np.abs(np.asarray(terms(checks)) @ fitted - true).max())
            found = cls(names, middle, turn, powers, fitted, error)
            if error <= most:
                break
        assert found is not None
        return found


def _directions(rng: np.random.Generator, count: int, numbers: int) -> Float[np.ndarray, "count numbers"]:
    towards = rng.standard_normal((count, numbers))
    return towards / np.linalg.norm(towards, axis=1, keepdims=True)


def _terms(unit: Float[Array, " numbers"], powers: tuple[tuple[int, ...], ...]) -> Float[Array, " terms"]:
    degrees = np.asarray(powers)
    each = [polynomials(unit[axis], int(degrees.max())) for axis in range(degrees.shape[1])]
    return jnp.prod(jnp.stack([e[degrees[:, axis]] for axis, e in enumerate(each)]), axis=0)
