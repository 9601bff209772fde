"""Before the data: what can a design tell of each parameter?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.distributions.distribution import Unit
from scipy.linalg import eigh

from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.sites import Site, compile_evaluation, compile_prior, sites_of
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
        latent = {n: s for n, s in sites.items() if s.kind == "latent"}
        transforms = {n: biject_to(s.support) for n, s in latent.items()}
        shapes = {n: s.shape for n, s in latent.items()}
        flat, unflatten = ravel_pytree({n: jnp.zeros(transforms[n].inverse_shape(s)) for n, s in shapes.items()})
        d = len(flat)
        if d > _WIDEST:
            raise InputError(
                f"identify: this model has {d:,} numbers, more than {_WIDEST}: judge the design by some of the people."
            )
        flatten = jax.jit(jax.vmap(lambda x: ravel_pytree({n: transforms[n].inv(v) for n, v in x.items()})[0]))
        prior = {n: jnp.asarray(x[0]) for n, x in compile_prior(whole, 2000)(rng).items()}
        points = np.asarray(flatten(prior))
        points = points[np.isfinite(points).all(axis=1)]
        spread = np.cov(points, rowvar=False).reshape(d, d)
        density = _Density(whole, transforms, unflatten)
        top = density.top_level(jnp.asarray(points[0]))
        own = np.concatenate([np.full(x.size, n in top) for n, x in unflatten(flat).items()])
        precision = np.zeros((d, d))
        precision[np.ix_(own, own)] = np.linalg.inv(spread[np.ix_(own, own)])
        simulations = max(200, -(-4 * d // _BATCH) * _BATCH)
        simulate = compile_evaluation(whole, shapes, _BATCH)
        below = jax.jit(jax.vmap(_drawn_below(whole, list(shapes)), in_axes=(None, 0)))
        slope = jax.jit(jax.vmap(jax.grad(density.given(top))))
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
    return _before(list(shapes), unflatten, spread, np.mean(expected, axis=0), sites)


def _before(
    names: list[str], unflatten: Any, spread: np.ndarray, expected: np.ndarray, sites: Mapping[str, Site]
) -> Identifiability:
    labels: list[str] = []
    keep: list[int] = []
    where = {n: np.atleast_1d(x).astype(int) for n, x in unflatten(jnp.arange(len(spread), dtype=float)).items()}
    for n in names:
        if where[n].size <= MOST and "participant" not in sites[n].dims and not n.endswith("_offset"):
            keep += where[n].ravel().tolist()
            labels += [n] if where[n].size == 1 and not sites[n].shape else [f"{n}[{i}]" for i in range(where[n].size)]
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


@dataclass(frozen=True)
class _Density:
    """Parts of a model's log density, as functions of the unconstrained numbers."""

    model: Callable[[], Any]
    transforms: Mapping[str, Any]
    unflatten: Callable[[Any], Mapping[str, Any]]

    def parts(self, point: Any, data: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """(Of each latent site, of the data.)"""
        raw = self.unflatten(point)
        values = {n: self.transforms[n](x) for n, x in raw.items()}
        seen = handlers.substitute(handlers.seed(self.model, jax.random.key(0)), data={**values, **data})
        latent, likelihood = {}, jnp.zeros(())
        for name, site in handlers.trace(seen).get_trace().items():
            if site["type"] != "sample" or isinstance(site["fn"], Unit):
                continue
            log_prob = site["fn"].log_prob(site["value"]).sum()
            if site["is_observed"]:
                likelihood += log_prob
            else:
                stretch = self.transforms[name].log_abs_det_jacobian(raw[name], values[name])
                latent[name] = log_prob + jnp.sum(stretch)
        return latent, likelihood

    def top_level(self, point: Any) -> set[str]:
        """The sites whose prior depends on no other site."""
        slopes = jax.jit(jax.jacrev(lambda x: self.parts(x, {})[0]))(point)
        top = set()
        for name, slope in slopes.items():
            others = {n: x for n, x in self.unflatten(slope).items() if n != name}
            if not any(np.any(np.asarray(x)) for x in others.values()):
                top.add(name)
        return top

    def given(self, top: set[str]) -> Callable[..., Any]:
        """Of the data, and of the sites below the top level given those on it."""

        def log_density(point: Any, data: Mapping[str, Any]) -> Any:
            latent, likelihood = self.parts(point, data)
            return likelihood + sum(x for n, x in latent.items() if n not in top)

        return log_density


def _drawn_below(model: Callable[[], Any], names: list[str]) -> Callable[..., Any]:
    """Draws of every latent site where those of the top level have these values."""

    def draw(top: Mapping[str, Any], key: Any) -> dict[str, Any]:
        trace = handlers.trace(handlers.seed(handlers.substitute(model, data=dict(top)), key)).get_trace()
        return {n: jnp.asarray(trace[n]["value"], float) for n in names}

    return draw
