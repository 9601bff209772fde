"""Before the data: what can a design tell of each parameter?"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpyro import handlers
from scipy.linalg import eigh

from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Sites, compile_evaluation, compile_prior, sites_of
from bayescal.posterior.identifiability import MOST, NO_RIDGES, UNMOVED, Identifiability, combination, verdict_of
from bayescal.precision import double_precision

_AT = 6  # places of the prior where a design is judged
_WIDEST = 500
_BATCH = 50


def identify(model: Callable[[], Any], *, seed: int = 0) -> Identifiability:
    """Before the data: what can a design like this one tell of each parameter of a NumPyro model?

    At places drawn from the prior of the top-level parameters, those below them (the costs of games or people) and data
    laid out as the model's own are simulated; the slopes of their log density have as covariance the information I that
    the design gives there, and with the top level's prior precision P the posterior to expect is about (I + P)^-1 on
    the unconstrained scale. A direction along which the likelihood is flat has no slope in any simulation, so that it
    is found whatever their number.

    Raises:
        InputError: a model of more than 500 numbers, or one whose simulations have no finite slope.

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     scale = numpyro.sample("scale", dist.LogNormal(0.0, 1.0))
        ...     cost = numpyro.sample("cost", dist.LogNormal(0.0, 1.0))
        ...     with numpyro.plate("decision", 100):  # only their ratio matters
        ...         numpyro.sample("choice", dist.Bernoulli(logits=scale / cost), obs=1)
        >>> found = bc.identify(model)
        >>> found.after_data, len(found.unknown)
        (False, 1)
    """
    whole = getattr(model, "evaluated", None) or model
    rng = np.random.default_rng(seed)
    with double_precision():
        sites = sites_of(whole)
        density = Density(whole, {n: s for n, s in sites.items() if s.kind == "latent"})
        d = density.size
        if d > _WIDEST:
            raise InputError(
                f"identify: this model has {d:,} numbers, more than {_WIDEST}: judge the design by some of the people."
            )
        flatten = jax.jit(jax.vmap(lambda values: density.flatten(density.unconstrain(values))))
        prior = {n: jnp.asarray(x[0]) for n, x in compile_prior(whole, 2000)(rng).items()}
        points = np.asarray(flatten(prior))
        points = points[np.isfinite(points).all(axis=1)]
        spread = np.cov(points, rowvar=False).reshape(d, d)
        top = _top_level(density, jnp.asarray(points[0]))
        own = np.concatenate([np.full(x.size, n in top) for n, x in sorted(density.zeros.items())])
        precision = np.zeros((d, d))
        precision[np.ix_(own, own)] = np.linalg.inv(spread[np.ix_(own, own)])
        simulations = max(200, -(-4 * d // _BATCH) * _BATCH)
        shapes = {n: s.shape for n, s in density.sites.items()}
        simulate = compile_evaluation(whole, shapes, _BATCH)
        below = jax.jit(jax.vmap(_drawn_below(whole, density.names), in_axes=(None, 0)))
        slope = jax.jit(jax.vmap(jax.grad(_below(density, top))))
        expected = []
        for at in rng.choice(len(points), _AT, replace=False):
            here = below({n: prior[n][at] for n in top}, random_keys(rng, simulations))
            data = simulate({n: np.asarray(x)[None] for n, x in here.items()}, rng)[3]
            given = flatten(here), {n: jnp.asarray(x[0]) for n, x in data.items()}
            parts = [jax.tree.map(lambda x, i=i: x[i : i + _BATCH], given) for i in range(0, simulations, _BATCH)]
            scores = np.concatenate([np.asarray(slope(*p)) for p in parts])
            scores = scores[np.isfinite(scores).all(axis=1)]
            if len(scores) > d + 2:
                # An estimated covariance of few simulations has too large an inverse; the mean of a Wishart's is known.
                information = scores.T @ scores / (len(scores) - d - 1)
                expected.append(np.linalg.inv(information + precision))
    if not expected:
        raise InputError("identify: the log-likelihood of what the model itself simulates has no finite slope.")
    return _before(density, spread, np.mean(expected, axis=0))


def _before(
    density: Density, spread: Float[np.ndarray, "size size"], expected: Float[np.ndarray, "size size"]
) -> Identifiability:
    """From the covariances of prior and expected posterior, on the unconstrained scale."""
    labels: list[str] = []
    keep: list[int] = []
    where = {
        n: np.atleast_1d(x).astype(int) for n, x in density.unflatten(jnp.arange(len(spread), dtype=float)).items()
    }
    for n, site in density.sites.items():
        if where[n].size <= MOST and "participant" not in site.dims and not n.endswith("_offset"):
            keep += where[n].ravel().tolist()
            labels += [n] if where[n].size == 1 and not site.shape else [f"{n}[{i}]" for i in range(where[n].size)]
    prior, later = spread[np.ix_(keep, keep)], expected[np.ix_(keep, keep)]
    sds, left = np.sqrt(np.diag(prior)), np.sqrt(np.diag(later))
    shrunk = 1 - (left / sds) ** 2
    table = pd.DataFrame(
        {
            "prior sd": sds,
            "posterior sd": left,
            "contraction": shrunk,
            "verdict": ["next to nothing to expect" if c < UNMOVED else verdict_of(c, np.inf) for c in shrunk],
        },
        index=labels,
    )
    # Combinations that stay as uncertain as they were: C v = k S v with k near one.
    share, forms = eigh(later, prior)
    told = []
    for k, form in zip(share, forms.T, strict=True):
        weight = form * sds
        weight = weight / weight[np.argmax(abs(weight))]
        parts = np.flatnonzero(abs(weight) > 0.2)
        if 1 - k < UNMOVED and len(parts) > 1 and not (shrunk[parts] < UNMOVED).all():
            told.append(combination([labels[i] for i in parts], form[parts]))
    return Identifiability(table, NO_RIDGES, tuple(told), after_data=False)


def _top_level(density: Density, flat: Float[Array, " size"]) -> set[str]:
    """The sites whose prior depends on no other site."""
    slopes = jax.jit(jax.jacrev(lambda x: density.parts(density.unflatten(x)).prior))(flat)
    top = set()
    for name, slope in slopes.items():
        others = {n: x for n, x in density.unflatten(slope).items() if n != name}
        if not any(np.any(np.asarray(x)) for x in others.values()):
            top.add(name)
    return top


def _below(density: Density, top: set[str]) -> Callable[[Float[Array, " size"], Sites], Float[Array, ""]]:
    """(point, data) -> the log density of the data, and of the sites below the top level given those on it."""

    def log_density(flat: Float[Array, " size"], data: Sites) -> Float[Array, ""]:
        parts = density.parts(density.unflatten(flat), data)
        likelihood = sum((x.sum() for x in parts.likelihood.values()), jnp.zeros(()))
        return likelihood + sum(x for n, x in parts.prior.items() if n not in top)

    return log_density


def _drawn_below(model: Callable[[], Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """Draws of every latent site where those of the top level have these values."""

    def draw(top: Mapping[str, Any], key: Any) -> dict[str, Any]:
        trace = handlers.trace(handlers.seed(handlers.substitute(model, data=dict(top)), key)).get_trace()
        return {n: jnp.asarray(trace[n]["value"], float) for n in names}

    return draw
