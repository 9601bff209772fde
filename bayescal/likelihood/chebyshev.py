"""Chebyshev polynomials of several numbers in a box.

A function of the box's numbers is approximated by the polynomial through its values at a grid of
`(d_1 + 1) × … × (d_n + 1)` nodes. If the function is smooth the error falls geometrically with the degrees (Trefethen
2019, Approximation Theory and Approximation Practice, chapter 8). Nodes are of the first kind: they exclude the ends of
the box, so that errors can be measured there.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray, Scalar
from bayescal.domain import Domain


def nodes(degrees: Sequence[int]) -> Float[np.ndarray, "nodes numbers"]:
    """The grid in [-1, 1]; the last number varies fastest."""
    each = [np.cos(np.pi * (np.arange(d + 1) + 0.5) / (d + 1)) for d in degrees]
    return np.stack([x.ravel() for x in np.meshgrid(*each, indexing="ij")], axis=1) if each else np.zeros((1, 0))


def corners(numbers: int) -> Float[np.ndarray, "corners numbers"]:
    """The corners of the box [-1, 1] in this many dimensions."""
    return np.array(list(product((-1.0, 1.0), repeat=numbers))).reshape(2**numbers, numbers)


def coefficients(values: Float[np.ndarray, "nodes ..."], degrees: Sequence[int]) -> Float[np.ndarray, "..."]:
    """Coefficients (d_1 + 1, …, d_n + 1, …) of the polynomial with these values at the nodes."""
    sizes = tuple(d + 1 for d in degrees)
    out = values.reshape(sizes + values.shape[1:])
    for axis, n in enumerate(sizes):
        angles = np.pi * np.outer(np.arange(n), np.arange(n) + 0.5) / n
        analysis = np.cos(angles) * np.where(np.arange(n) == 0, 1.0, 2.0)[:, None] / n
        out = np.moveaxis(np.tensordot(analysis, out, axes=(1, axis)), 0, axis)
    return out


def basis(unit: Float[np.ndarray, "points numbers"], degrees: Sequence[int]) -> Float[np.ndarray, "points terms"]:
    """Every product of the numbers' polynomials at some points of [-1, 1], in the order of the nodes."""
    out = np.ones((len(unit), 1))
    for axis, d in enumerate(degrees):
        own = np.polynomial.chebyshev.chebvander(unit[:, axis], d)
        out = (out[:, :, None] * own[:, None, :]).reshape(len(unit), -1)
    return out


def polynomials(x: Scalar, degree: int) -> Float[Array, " terms"]:
    """T_0(x) … T_degree(x), by recurrence, whose derivatives are finite at the ends too."""
    terms = [jnp.ones_like(x), x]
    for _ in range(degree - 1):
        terms.append(2 * x * terms[-1] - terms[-2])
    return jnp.stack(terms[: degree + 1])


def evaluate(coefficients: Float[Array, "rank ..."], unit: Float[Array, " numbers"]) -> Float[Array, " rank"]:
    """Each of `rank` polynomials, with one axis of coefficients for each number, at one point of [-1, 1]."""
    out = coefficients
    for axis in reversed(range(coefficients.ndim - 1)):
        out = out @ polynomials(unit[axis], out.shape[-1] - 1)
    return out


def to_unit(domain: Domain, shared: Mapping[str, Scalar | AnyArray]) -> Float[Array, " numbers"]:
    """The box's numbers, each scaled to [-1, 1]; on a log scale if the interval is logarithmic."""
    out = []
    for name, box in domain.intervals:
        x = jnp.asarray(shared[name], float)
        if box.logarithmic:
            out.append((2 * jnp.log(x) - np.log(box.high * box.low)) / np.log(box.high / box.low))
        else:
            out.append((2 * x - box.high - box.low) / (box.high - box.low))
    return jnp.stack(out) if out else jnp.zeros(0)


def from_unit(domain: Domain, unit: Float[AnyArray, "*n numbers"]) -> dict[str, Float[AnyArray, "*n"]]:
    """The inverse of `to_unit`."""
    out = {}
    for axis, (name, box) in enumerate(domain.intervals):
        half = 0.5 * (unit[..., axis] + 1)
        out[name] = box.low * (box.high / box.low) ** half if box.logarithmic else box.low + (box.high - box.low) * half
    return out
