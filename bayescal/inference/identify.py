"""What the data say of each parameter, and what they cannot say: after the data, and before them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.distributions.distribution import Unit
from scipy.linalg import eigh
from scipy.stats import rankdata

from bayescal.errors import InputError
from bayescal.inference import tree as bridge
from bayescal.inference.aside import random_keys
from bayescal.plain import listed

UNMOVED = 0.1  # a contraction below it is next to nothing
RIDGE = 0.9  # a rank correlation beyond it

_MOST = 20  # entries of a site of which each is a row
_AT = 6  # places of the prior where a design is judged
_WIDEST = 500
_BATCH = 50


@dataclass(frozen=True)
class Identifiability:
    """By parameter what was learned (or will be), and which combinations are known where their parts are not.

    Attributes:
        table: prior sd, posterior sd, contraction and a verdict, by parameter. Before the data the posterior is the one
            to expect, and sds are on the unconstrained scale (of the logarithm, for what is positive).
        ridges: after the data, pairs of rank correlation above 0.9, with what is known of them.
        unknown: before the data, combinations that they will say next to nothing of, in words.
    """

    table: pd.DataFrame
    ridges: pd.DataFrame
    unknown: tuple[str, ...] = ()
    after_data: bool = True

    @property
    def sentences(self) -> list[str]:
        """What a reader must know; none where every parameter is known apart from the others."""
        low = self.table.index[self.table["contraction"] < UNMOVED]
        told = []
        if self.after_data:
            still = [n for n in low if self.table.loc[n, "verdict"] == _NOT_MOVED]
            moved = [n for n in low if n not in still]
            if still:
                told.append(f"The data do not move {listed(still)}: what is said of {_it(still)} is what was assumed.")
            if moved:
                told.append(f"The data move {listed(moved)} without narrowing {_it(moved)}: look at the prior's place.")
            told += [
                f"{a} and {b} cannot be told apart (rank correlation {rho:.2f}): {known} is what the data say."
                for a, b, rho, known in self.ridges.itertuples(index=False, name=None)
                if min(self.table.loc[[a, b], "contraction"]) < 0.9
            ]
            return told
        if len(low):
            told.append(f"These data can be expected to say next to nothing of {listed(list(low))}.")
        return told + [f"These data can be expected to say next to nothing of {u}." for u in self.unknown]

    def __str__(self) -> str:
        return "\n".join([self.table.to_string(float_format=lambda x: f"{x:.3g}"), *self.sentences])


_NOT_MOVED = "not moved by the data"


def after(tree: xr.DataTree) -> Identifiability:
    """From the prior and posterior draws of a fit."""
    before, now = scalars(tree, "prior"), scalars(tree, "posterior")
    names = [n for n in now if n in before]
    shrunk = {n: _contraction(before[n], now[n]) for n in names}
    rows = {
        n: {
            "prior sd": before[n].std(),
            "posterior sd": now[n].std(),
            "contraction": shrunk[n],
            "verdict": _verdict(shrunk[n], (np.median(now[n]) - np.median(before[n])) / _width(before[n])),
        }
        for n in names
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["prior sd", "posterior sd", "contraction", "verdict"])
    return Identifiability(table, _ridges({n: now[n] for n in names}, {n: before[n] for n in names}))


def contraction(tree: xr.DataTree) -> pd.Series:
    before, now = scalars(tree, "prior"), scalars(tree, "posterior")
    return pd.Series({n: _contraction(before[n], now[n]) for n in now if n in before}, name="contraction", dtype=float)


def scalars(tree: xr.DataTree, group: str) -> dict[str, np.ndarray]:
    """Draws of each number that was sampled, those of single people and offsets left out."""
    sampled = tree["log_prior"].data_vars if "log_prior" in tree.children else tree[group].data_vars
    out = {}
    for name, x in tree[group].data_vars.items():
        own = x.dims[2:]
        entries = int(np.prod(x.shape[2:]))
        if name not in sampled or "participant" in own or str(name).endswith("_offset") or entries > _MOST:
            continue
        flat = x.to_numpy().reshape(-1, entries)
        labels = [
            ", ".join(str(x[d].to_numpy()[i]) if d in x.coords else str(i) for d, i in zip(own, at, strict=True))
            for at in np.ndindex(*x.shape[2:])
        ]
        out |= {f"{name}[{label}]" if own else str(name): flat[:, i] for i, label in enumerate(labels)}
    return out


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
    with jax.enable_x64(True):
        sites = bridge.sites_of(whole)
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
        prior = {n: jnp.asarray(x[0]) for n, x in bridge.compile_prior(whole, 2000)(rng).items()}
        points = np.asarray(flatten(prior))
        points = points[np.isfinite(points).all(axis=1)]
        spread = np.cov(points, rowvar=False).reshape(d, d)
        density = _Density(whole, transforms, unflatten)
        top = density.top_level(jnp.asarray(points[0]))
        own = np.concatenate([np.full(x.size, n in top) for n, x in unflatten(flat).items()])
        precision = np.zeros((d, d))
        precision[np.ix_(own, own)] = np.linalg.inv(spread[np.ix_(own, own)])
        simulations = max(200, -(-4 * d // _BATCH) * _BATCH)
        simulate = bridge.compile_evaluation(whole, shapes, _BATCH)
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
    names: list[str], unflatten: Any, spread: np.ndarray, expected: np.ndarray, sites: Mapping[str, bridge.Site]
) -> Identifiability:
    labels: list[str] = []
    keep: list[int] = []
    where = {n: np.atleast_1d(x).astype(int) for n, x in unflatten(jnp.arange(len(spread), dtype=float)).items()}
    for n in names:
        if where[n].size <= _MOST and "participant" not in sites[n].dims and not n.endswith("_offset"):
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
            "verdict": ["next to nothing to expect" if c < UNMOVED else _verdict(c, np.inf) for c in shrunk],
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
            told.append(_combination([labels[i] for i in parts], form[parts]))
    return Identifiability(table, _NO_RIDGES, tuple(told), after_data=False)


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


def _width(x: np.ndarray) -> float:
    """Of the middle 90 %, in sds of a normal: heavy tails do not count."""
    low, high = np.quantile(x, [0.05, 0.95])
    return float(max(high - low, 1e-300) / 3.2897)


def _contraction(before: np.ndarray, now: np.ndarray) -> float:
    return 1 - (_width(now) / _width(before)) ** 2


def _verdict(contraction: float, moved: float) -> str:
    """By the contraction, and by how many prior sds the median moved."""
    if contraction < UNMOVED:
        return _NOT_MOVED if abs(moved) < 0.5 else "moved, not narrowed"
    if contraction < 0.5:
        return "narrowed a little"
    return "informed by the data" if contraction < 0.9 else "told by the data"


_NO_RIDGES = pd.DataFrame(columns=["first", "second", "correlation", "known"])


def _ridges(now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Pairs that the data tie to each other more than the prior did."""
    names = [n for n, x in now.items() if np.ptp(x) > 0]
    if len(names) < 2:
        return _NO_RIDGES
    later, prior = (_rank_correlation([x[n] for n in names]) for x in (now, before))
    rows = []
    for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
        if abs(later[i, j]) > RIDGE and abs(prior[i, j]) <= RIDGE:
            a, b = names[i], names[j]
            first, second = (a, b) if _width(now[a]) <= _width(now[b]) else (b, a)
            # The narrow direction: what is said by the data is the sum where one falls as the other rises.
            slope = np.sign(later[i, j]) * _width(now[first]) / _width(now[second])
            rows.append((first, second, later[i, j], _combination([first, second], np.array([1.0, -slope]))))
    return pd.DataFrame(rows, columns=_NO_RIDGES.columns) if rows else _NO_RIDGES


def _rank_correlation(columns: list[np.ndarray]) -> np.ndarray:
    return np.corrcoef([rankdata(x) for x in columns])


def _combination(names: list[str], weights: np.ndarray) -> str:
    """`a - 0.8 b`: the first weight made one."""
    scaled = weights / weights[0]
    rest = "".join(
        f" {'+' if w > 0 else '−'} {'' if f'{abs(w):.2g}' == '1' else f'{abs(w):.2g} '}{n}"
        for n, w in zip(names[1:], scaled[1:], strict=True)
    )
    return names[0] + rest


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
