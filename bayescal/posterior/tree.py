"""From draws to the datasets of an ArviZ DataTree, with named dimensions, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, PyTree
from numpyro import handlers

from bayescal._types import Key, NumPyroModel
from bayescal.evaluation.batches import evenly, numbers_of, of_every_draw
from bayescal.evaluation.sites import Sites, latent_sites, trace_of
from bayescal.precision import double_precision

_BATCH = 50  # draws of all people's choice probabilities in one batch


def group(tree: xr.DataTree, name: str) -> xr.Dataset:
    """A group of a fit; an empty one where it was saved without."""
    return tree.children[name].to_dataset() if name in tree.children else xr.Dataset()


def personal(tree: xr.DataTree) -> xr.Dataset:
    """The draws for which the log-likelihood was computed. Of models with many people these are fewer, in a group of
    their own."""
    return tree.children["people" if "people" in tree.children else "posterior"].to_dataset()


def thinned(values: Sites, most: int) -> Sites:
    """The same draws (chain, draw, …) if they are at most `most`, otherwise evenly spaced ones of each chain."""
    chains, draws = next(iter(values.values())).shape[:2]
    if chains * draws <= most:
        return values
    kept = evenly(draws, max(most // chains, 5))
    return {n: x[:, kept] for n, x in values.items()}


def at_draws(
    model: NumPyroModel, tree: xr.DataTree, of: Callable[[Array], PyTree], most: int, rng: np.random.Generator
) -> PyTree:
    """A function of the log-probabilities of all actions (rows of the observed site, actions), at evenly spaced draws.

    Args:
        of: the function.
        most: most draws.
    """
    whole: Any = getattr(model, "evaluated", None) or model
    drawn = personal(tree)
    kept = evenly(drawn.sizes["chain"] * drawn.sizes["draw"], most)

    def one(values: Sites, key: Key) -> PyTree:
        trace = trace_of(handlers.substitute(whole, data=dict(values)), key)
        return of(next(trace[n] for n in ("choices", "choice") if n in trace)["fn"].log_probs)

    with double_precision():
        latent = {n: drawn[n].to_numpy() for n in latent_sites(whole)}
        some = {n: x.reshape(1, -1, *x.shape[2:])[:, kept] for n, x in latent.items()}
        return jax.tree.map(lambda x: x[0], of_every_draw(one, some, numbers_of(whole), rng, _BATCH))


def dataset(
    values: Sites, dims: Mapping[str, tuple[str, ...]], coords: Mapping[str, object], *, sampled: bool
) -> xr.Dataset:
    """Arrays with named dimensions and the coordinates that they use.

    Args:
        sampled: whether arrays are draws (chain, draw, …).
    """
    lead = ("chain", "draw") if sampled else ()
    variables = {}
    for name, value in values.items():
        value = np.asarray(value)
        free = range(value.ndim - len(lead))
        own = dims.get(name, [f"{name}_dim_{k}" for k in free])[: len(free)]
        variables[name] = ((*lead, *own), value)
    used = {d for own, _ in variables.values() for d in own}
    labels = {d: c for d, c in coords.items() if d in used}
    for d in lead:
        if variables:
            size = next(iter(variables.values()))[1].shape[lead.index(d)]
            labels[d] = np.arange(size)
    return xr.Dataset(variables, coords={d: (d, np.asarray(c)) for d, c in labels.items()})
