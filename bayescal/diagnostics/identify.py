"""Before the data: how much will a design say about each parameter?"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpyro import handlers
from scipy.linalg import eigh

from bayescal._types import Key, NumPyroModel
from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Sites, compile_evaluation, compile_prior, sites_of
from bayescal.posterior.identifiability import MOST, NO_RIDGES, UNMOVED, Identifiability, combination, verdict_of
from bayescal.precision import double_precision

_POINTS = 6  # prior draws at which a design is judged
_MOST_NUMBERS = 500  # unconstrained
_BATCH = 50  # simulations in one call of the compiled program
_WEIGHT = 0.2  # relative to the largest, below which a parameter is left out of a combination


def identify(model: NumPyroModel, *, seed: int = 0) -> Identifiability:
    """Before the data: how much will a design like this one say about each parameter of a NumPyro model?

    At draws from the prior of the top-level parameters, the parameters below them (the costs of games or people) and
    data with the model's design are simulated. The covariance of the gradients of their log density is the information
    I of the design, and with the top level's prior precision P the expected posterior covariance is about (I + P)^-1 on
    the unconstrained scale. A direction in which the likelihood is flat has a gradient of zero in every simulation, so
    that a few simulations find it.

    Raises:
        InputError: a model of more than 500 numbers, or one whose simulations have no finite gradient.

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     scale = numpyro.sample("scale", dist.LogNormal(0.0, 1.0))
        ...     cost = numpyro.sample("cost", dist.LogNormal(0.0, 1.0))
        ...     with numpyro.plate("decision", 100):  # only their ratio matters
        ...         numpyro.sample("choice", dist.Bernoulli(logits=scale / cost), obs=1)
        >>> expected = bc.identify(model)
        >>> expected.after_data, len(expected.unknown)
        (False, 1)
    """
    whole = getattr(model, "evaluated", None) or model
    rng = np.random.default_rng(seed)
    with double_precision():
        sites = sites_of(whole)
        density = Density(whole, {n: s for n, s in sites.items() if s.kind == "latent"})
        d = density.size
        if d > _MOST_NUMBERS:
            raise InputError(
                f"identify: this model has {d:,} numbers, more than {_MOST_NUMBERS}: give it fewer people."
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
        for at in rng.choice(len(points), _POINTS, replace=False):
            here = below({n: prior[n][at] for n in top}, random_keys(rng, simulations))
            data = simulate({n: np.asarray(x)[None] for n, x in here.items()}, rng)[3]
            given = flatten(here), {n: jnp.asarray(x[0]) for n, x in data.items()}
            parts = [jax.tree.map(lambda x, i=i: x[i : i + _BATCH], given) for i in range(0, simulations, _BATCH)]
            scores = np.concatenate([np.asarray(slope(*p)) for p in parts])
            scores = scores[np.isfinite(scores).all(axis=1)]
            if len(scores) > d + 2:
                # The inverse of an estimated covariance is too large; the mean of an inverse Wishart corrects it.
                information = scores.T @ scores / (len(scores) - d - 1)
                expected.append(np.linalg.inv(information + precision))
    if not expected:
        raise InputError("identify: the log-likelihood of data simulated from the model has no finite gradient.")
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
            "verdict": ["hardly informed" if c < UNMOVED else verdict_of(c, np.inf) for c in shrunk],
        },
        index=labels,
    )
    # Combinations that stay as uncertain as before the data: C v = k S v with k near one.
    share, forms = eigh(later, prior)
    unknown = []
    for k, form in zip(share, forms.T, strict=True):
        weight = form * sds
        weight = weight / weight[np.argmax(abs(weight))]
        parts = np.flatnonzero(abs(weight) > _WEIGHT)
        if 1 - k < UNMOVED and len(parts) > 1 and not (shrunk[parts] < UNMOVED).all():
            unknown.append(combination([labels[i] for i in parts], form[parts]))
    return Identifiability(table, NO_RIDGES, tuple(unknown), after_data=False)


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


def _drawn_below(model: NumPyroModel, names: tuple[str, ...]) -> Callable[[Sites, Key], dict[str, Array]]:
    """(values of the top level, key) -> a draw of every latent site given them."""

    def draw(top: Sites, key: Key) -> dict[str, Array]:
        trace = handlers.trace(handlers.seed(handlers.substitute(model, data=dict(top)), key)).get_trace()
        return {n: jnp.asarray(trace[n]["value"], float) for n in names}

    return draw
