"""Families of densities over unconstrained parameters, among which variational inference finds the nearest."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import Normal

from bayescal._types import Key

Params = dict[str, Any]

_FIRST_SD = 0.1  # of every parameter
_MAX_LOG_SCALE = 3.0  # of a layer of a flow


class Guide(NamedTuple):
    """`draw(params, noise) -> (point, log density)` from standard normal noise."""

    begin: Callable[[Float[Array, " d"], Key], Params]
    draw: Callable[[Params, Float[Array, " d"]], tuple[Float[Array, " d"], Float[Array, ""]]]


def mean_field() -> Guide:
    """Independent normals."""

    def draw(params: Params, noise: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        point = params["loc"] + jnp.exp(params["log_scale"]) * noise
        fixed = jax.lax.stop_gradient(params)
        # With the density's parameters held fixed, the gradient has no noise where the guide equals the posterior
        # (Roeder, Wu & Duvenaud 2017).
        return point, Normal(fixed["loc"], jnp.exp(fixed["log_scale"])).log_prob(point).sum()

    return Guide(lambda centre, key: _place(centre), draw)


def full_rank() -> Guide:
    """A normal with any covariance: point = loc + scale * (1 + lower) noise."""

    def draw(params: Params, noise: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        point = _affine(params, noise)
        fixed = jax.lax.stop_gradient(params)
        ahead = (point - fixed["loc"]) / jnp.exp(fixed["log_scale"])
        back = jax.scipy.linalg.solve_triangular(_unit_lower(fixed), ahead, lower=True, unit_diagonal=True)
        return point, Normal().log_prob(back).sum() - fixed["log_scale"].sum()

    return Guide(lambda centre, key: _place(centre) | _no_correlation(len(centre)), draw)


def flow(layers: int = 2) -> Guide:
    """The full-rank normal, transformed: each coordinate by a sinh-arcsinh (skewness and tails; Jones & Pewsey 2009),
    then all by inverse autoregressive layers (Kingma et al. 2016), which shift and scale a coordinate by functions of
    those before it."""

    def begin(centre: Float[Array, " d"], key: Key) -> Params:
        d = len(centre)
        hidden = min(max(2 * d, 16), 128)
        keys = jax.random.split(key, layers)
        return _place(centre) | _no_correlation(d) | {
            "skew": jnp.zeros(d), "tail": jnp.full(d, -4.0), "layers": [_layer(k, d, hidden) for k in keys]
        }  # fmt: skip

    def draw(params: Params, noise: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        log_density = Normal().log_prob(noise).sum()
        tail = 1 + jax.nn.softplus(params["tail"])  # tails at least those of a normal, so that p/q stays bounded
        inner = tail * jnp.arcsinh(noise) + params["skew"]
        point = jnp.sinh(inner)
        log_density -= jnp.sum(jnp.log(jnp.cosh(inner) * tail) - 0.5 * jnp.log1p(noise**2))
        for layer in params["layers"]:
            shift, log_scale = _conditioner(layer, point)
            point = shift + jnp.exp(log_scale) * point
            log_density -= log_scale.sum()
            point = point[::-1]
        return _affine(params, point), log_density - params["log_scale"].sum()

    return Guide(begin, draw)


GUIDES: dict[str, Callable[[], Guide]] = {"mean-field": mean_field, "full-rank": full_rank, "flow": flow}


def _place(centre: Float[Array, " d"]) -> Params:
    return {"loc": centre, "log_scale": jnp.full_like(centre, np.log(_FIRST_SD))}


def _no_correlation(d: int) -> Params:
    return {"lower": jnp.zeros((d, d))}


def _unit_lower(params: Params) -> Float[Array, "d d"]:
    return jnp.tril(params["lower"], -1) + jnp.eye(params["lower"].shape[0])


def _affine(params: Params, noise: Float[Array, " d"]) -> Float[Array, " d"]:
    return params["loc"] + jnp.exp(params["log_scale"]) * (_unit_lower(params) @ noise)


def _layer(key: Key, d: int, hidden: int) -> Params:
    """Its gates are closed, so that a flow starts as the identity."""
    a, b, c = jax.random.split(key, 3)
    return {
        "in": jax.random.normal(a, (hidden, d)) / np.sqrt(d),
        "bias": jnp.zeros(hidden),
        "shift": jax.random.normal(b, (d, hidden)) / np.sqrt(hidden),
        "scale": jax.random.normal(c, (d, hidden)) / np.sqrt(hidden),
        "gates": jnp.zeros(2),
    }


def _conditioner(layer: Params, point: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
    """(shift, log scale) of each coordinate from those before it: a masked network of one hidden layer."""
    hidden, d = layer["in"].shape
    reads = np.arange(hidden) % max(d - 1, 1) + 1  # how many coordinates are inputs of a hidden unit
    sees = np.arange(d)[None] < reads[:, None]
    used = (reads[None] <= np.arange(d)[:, None]).astype(float)
    inside = jnp.tanh((layer["in"] * sees) @ point + layer["bias"])
    shift = layer["gates"][0] * ((layer["shift"] * used) @ inside)
    log_scale = layer["gates"][1] * ((layer["scale"] * used) @ inside)
    return shift, _MAX_LOG_SCALE * jnp.tanh(log_scale / _MAX_LOG_SCALE)
