"""The total log-likelihood of very many people, as a polynomial of the few sampled parameters.

With very many people the posterior is narrow and nearly normal. In its own units (the unconstrained parameters,
centred at the mean and scaled by the covariance of approximate posterior draws) a polynomial of modest total degree
approximates the sum over people to within hundredths of a nat, so that chains take almost no time. The polynomial is
fitted by least squares at points of a ball, drawn from its equilibrium measure, which is denser towards the surface
(Cohen & Migliorati 2017). Its error is measured at other points.
"""

from collections.abc import Callable, Mapping
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray
from bayescal.evaluation.density import Density
from bayescal.likelihood.chebyshev import polynomials

FEW = 4  # most parameters for which a surface saves time
_WIDE = 5.5  # posterior sds in each direction; smaller than the box of an evidence
_DEGREES = (4, 6, 8, 10, 12)
_POINTS = 3  # per term
_CHECKS = 40
_STEEP = 1e3


class Surface(eqx.Module):
    """
    Attributes:
        density: of the parameters; the surface uses its unconstrained scale.
        middle, turn: the unconstrained numbers are `middle + turn @ unit`, with unit in the ball of radius one.
        powers: power of each number, by term.
        error: the largest error measured in the ball, in nats.
    """

    density: Density = eqx.field(static=True)
    middle: Float[np.ndarray, " numbers"] = eqx.field(converter=np.asarray)
    turn: Float[np.ndarray, "numbers numbers"] = eqx.field(converter=np.asarray)
    powers: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    coefficients: Float[np.ndarray, " terms"] = eqx.field(converter=np.asarray)
    error: float = eqx.field(static=True)

    def __call__(self, values: Mapping[str, AnyArray]) -> Float[Array, ""]:
        """The log-likelihood at values of the parameters. Outside the ball it falls steeply."""
        flat = self.density.flatten(self.density.unconstrain(values))
        unit = jnp.linalg.inv(self.turn) @ (flat - self.middle)
        beyond = jnp.maximum(jnp.sum(unit**2), 1.0)
        return _terms(unit / jnp.sqrt(beyond), self.powers) @ self.coefficients - _STEEP * (beyond - 1.0)

    @classmethod
    def build(
        cls,
        total: Callable[[Mapping[str, Array]], Float[Array, ""]],
        density: Density,
        start: Mapping[str, Float[AnyArray, "draws ..."]],
        most: float,
        seed: int = 0,
    ) -> "Surface":
        """The surface of the smallest degree with an error of at most `most` nats, else the one of the highest degree.

        Args:
            total: the log-likelihood as a function of the parameters' values.
            density: of the parameters.
            start: approximate posterior draws by site.
        """
        flat = np.asarray(jax.vmap(density.flatten)(density.unconstrain(start)))
        spread = np.atleast_2d(np.cov(flat.T, ddof=1))
        middle, turn = flat.mean(axis=0), _WIDE * np.linalg.cholesky(spread)

        def at(unit: Float[Array, " numbers"]) -> Float[Array, ""]:
            raw = density.unflatten(jnp.asarray(middle) + jnp.asarray(turn) @ unit)
            return total(density.constrain(raw))

        batch = jax.jit(lambda units: jax.lax.map(at, units))

        def many(units: Float[np.ndarray, "points numbers"]) -> Float[np.ndarray, " points"]:
            """In batches of one size, so that one program is compiled for all degrees."""
            filled = np.concatenate([units, np.repeat(units[:1], -len(units) % _CHECKS, axis=0)])
            parts = filled.reshape(-1, _CHECKS, units.shape[1])
            return np.concatenate([np.asarray(batch(part)) for part in parts])[: len(units)]

        rng = np.random.default_rng(seed)
        checks = _directions(rng, _CHECKS, len(middle)) * rng.random((_CHECKS, 1))
        true = many(checks)
        points, values = np.zeros((0, len(middle))), np.zeros(0)
        surface = None
        for degree in _DEGREES:
            powers = tuple(p for p in product(range(degree + 1), repeat=len(middle)) if sum(p) <= degree)
            count = _POINTS * len(powers) - len(points)
            more = _directions(rng, count, len(middle)) * np.sqrt(rng.beta(len(middle) / 2, 0.5, (count, 1)))
            points, values = np.concatenate([points, more]), np.concatenate([values, many(more)])
            terms = jax.vmap(lambda u, powers=powers: _terms(u, powers))
            level = values.max()
            fitted = np.linalg.lstsq(np.asarray(terms(points)), values - level, rcond=None)[0]
            fitted[powers.index((0,) * len(middle))] += level
            error = float(np.abs(np.asarray(terms(checks)) @ fitted - true).max())
            surface = cls(density, middle, turn, powers, fitted, error)
            if error <= most:
                break
        assert surface is not None
        return surface


def _directions(rng: np.random.Generator, count: int, numbers: int) -> Float[np.ndarray, "count numbers"]:
    towards = rng.standard_normal((count, numbers))
    return towards / np.linalg.norm(towards, axis=1, keepdims=True)


def _terms(unit: Float[Array, " numbers"], powers: tuple[tuple[int, ...], ...]) -> Float[Array, " terms"]:
    degrees = np.asarray(powers)
    each = [polynomials(unit[axis], int(degrees.max())) for axis in range(degrees.shape[1])]
    return jnp.prod(jnp.stack([e[degrees[:, axis]] for axis, e in enumerate(each)]), axis=0)
