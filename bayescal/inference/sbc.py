"""Simulation-based calibration: does the whole pipeline recover what it is given?

Parameters are drawn from their hyperpriors, decisions are simulated at them, and the model is fitted to these. If
simulator, likelihood and sampler fit together, the rank of each parameter among its posterior draws is uniform over
replicates, whatever the hyperpriors (Talts, Betancourt, Simpson, Vehtari & Gelman 2018). The log-likelihood is ranked
too: it finds posteriors that overlook the data (Modrák et al. 2023). Whether ranks are uniform is told by their ECDF,
all of it at once (Säilynoja, Bürkner & Vehtari 2022), with the null distribution simulated.

All replicates go through one compiled program, in which the data are an argument.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel
from numpyro.infer.util import potential_energy
from scipy.stats import binom

from bayescal.errors import InputError
from bayescal.inference import tree as bridge
from bayescal.inference.aside import random_keys
from bayescal.inference.likelihood import OneShotLikelihood

Model = Callable[[], None]
Progress = Callable[[int, int], None]  # (replicates done, replicates in all)

KEPT = 99  # draws among which a parameter has its rank: 100 ranks
ERROR = 0.01  # the chance that a right pipeline fails, all quantities together

_THIN = 10
_STARTS = 20
_WARMUP = 300
_AT_ONCE = 5  # replicates between two reports of progress, on each device
_DIVERGING = 0.01  # the share of diverging draws that is still few
_FAILED = 0.02  # and of replicates whose sampler failed
_NULL = 20_000  # simulated sets of uniform ranks
_LOG_LIKELIHOOD = "log_likelihood"


@dataclasses.dataclass(frozen=True, eq=False)
class Ranks:
    """What came of the replicates.

    Attributes:
        ranks: (replicates, quantities), from 0 to `kept`: how many of the kept draws lie below the truth.
        truth: the values that data were simulated at.
        kept: draws among which ranks are taken.
        failed: replicates whose sampler diverged, or gave fewer than half as many independent draws as were kept.
        lost: replicates that gave no finite draws; they have no ranks.
    """

    ranks: pd.DataFrame
    truth: pd.DataFrame
    kept: int
    failed: int
    lost: int
    seconds_compiling: float
    seconds: float

    def summary(self) -> pd.DataFrame:
        """By quantity: the mean rank as a share (0.5 where uniform), its distance from that in standard errors, and the
        probability that uniform ranks stray as far from uniform as these."""
        share = (self.ranks + 0.5) / (self.kept + 1)
        return pd.DataFrame(
            {
                "mean_rank": share.mean(),
                "z": (share.mean() - 0.5) * np.sqrt(12 * len(share)),
                "p_value": [uniformity(self.ranks[n].to_numpy(), self.kept) for n in self.ranks],
            }
        )

    @property
    def verdict(self) -> str:
        table = self.summary()
        n = len(self.ranks) + self.lost
        p, worst = table["p_value"].min(), table["p_value"].idxmin()
        told = f"smallest p-value {p:.2g} ({worst}), {self.failed + self.lost} of {n} samplers failed"
        if self.failed + self.lost > _FAILED * n:
            return f"cannot be told: {told}. Take more warmup, or narrower hyperpriors."
        if p < ERROR / len(table):
            side = "low" if table.loc[worst, "mean_rank"] > 0.5 else "high"
            leans = worst != _LOG_LIKELIHOOD and abs(table.loc[worst, "z"]) > 3
            lean = f", its posterior mostly too {side}" if leans else ""
            return f"not calibrated: the ranks of {worst} are not uniform{lean} ({told})."
        return f"calibrated: the ranks of all {len(table)} quantities are uniform in {n} replicates ({told})."

    @property
    def calibrated(self) -> bool:
        return self.verdict.startswith("calibrated")

    def __str__(self) -> str:
        return f"{self.summary().to_string(float_format='{:.3f}'.format)}\n{self.verdict}"

    __repr__ = __str__


def sbc(
    model: Model,
    truth: Model | None = None,
    *,
    replicates: int = 200,
    kept: int = KEPT,
    warmup: int = _WARMUP,
    target_accept: float = 0.8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranks:
    """Simulate and fit again and again, and see whether the truth is where the posterior says.

    Args:
        model: of `build_model`, whose decisions give the design (who decides how often in which game, not what was
            decided; what was seen in games over time stays as recorded); or any other NumPyro model without arguments.
        truth: what decisions are simulated from; `model` itself when None. Give the same model on another policy to see
            whether the difference would show.
        replicates: how many data sets.
        kept: draws among which ranks are taken; ten times as many are drawn.
        progress: called with (replicates done, replicates in all) now and then.
    """
    if replicates < 20 or kept < 9:
        raise InputError(f"sbc: {replicates} replicates and {kept} draws: at least 20 and 9 are needed.")
    started = perf_counter()
    with jax.enable_x64(True):
        latent = {n: s for n, s in bridge.sites_of(model).items() if s.kind == "latent"}
        names = [n for n, s in latent.items() if not s.shape]
        if not names:
            raise InputError("sbc: the model has no parameter that is one number, so nothing has a rank.")
        simulate = _simulator(model if truth is None else truth, latent)
        one = _replicate(simulate, _with_data(model), latent, names, kept, warmup, target_accept)
        devices = jax.local_device_count()
        each = min(_AT_ONCE, -(-replicates // devices))
        run = jax.pmap(lambda keys: jax.lax.map(one, keys), devices=jax.local_devices()[:devices])
        rng = np.random.default_rng(seed)
        keys = lambda: random_keys(rng, 2 * devices * each).reshape(devices, each, 2)
        compiled = run.lower(keys()).compile()
        compiling, started = perf_counter() - started, perf_counter()
        parts: list[Any] = []
        for done in range(0, replicates, devices * each):
            found = jax.tree.map(np.asarray, compiled(keys()))
            parts.append(jax.tree.map(lambda x: x.reshape(devices * each, *x.shape[2:]), found))
            if progress is not None:
                progress(min(done + devices * each, replicates), replicates)
        at, drawn, diverging = jax.tree.map(lambda *x: np.concatenate(x)[:replicates], *parts)
    return _rank([*names, _LOG_LIKELIHOOD], at, drawn, diverging, kept, compiling, perf_counter() - started)


def _simulator(model: Model, latent: Mapping[str, bridge.Site]) -> Callable[[Any], tuple[Any, Any]]:
    """key -> (values of the latent sites, data), from the model with nothing integrated out."""
    whole = getattr(model, "evaluated", None) or model
    found = {n: s.shape for n, s in bridge.sites_of(whole).items() if s.kind in ("latent", "deterministic")}
    absent = [n for n, s in latent.items() if found.get(n) != s.shape]
    if absent:
        raise InputError(f"sbc: data are simulated from a model without {', '.join(absent)}: change its policy only.")

    def simulate(key):
        trace = handlers.trace(handlers.seed(handlers.uncondition(whole), key)).get_trace()
        data = {n: s["value"] for n, s in trace.items() if s.get("infer", {}).get("was_observed")}
        return {n: trace[n]["value"] for n in latent}, data

    return simulate


def _with_data(model: Model) -> Callable[[Any], Model]:
    """data -> the model that has observed them."""
    integrated = getattr(model, "integrated", None)
    if integrated is None:
        observed = lambda site: site["type"] == "sample" and site["is_observed"]
        seen = lambda data: lambda site: data[site["name"]] if observed(site) else None
        return lambda data: handlers.substitute(model, substitute_fn=seen(data))
    if integrated.evidence is not None or not isinstance(integrated.likelihood, OneShotLikelihood):
        what = "an Evidence is of its own data only" if integrated.evidence is not None else "in games over time"
        other = "marginal" if isinstance(integrated.likelihood, OneShotLikelihood) else "joint"
        raise InputError(f'sbc: {what}: build the model with method="{other}".')

    def observing(data):
        likelihood: Any = copy.copy(integrated.likelihood)
        likelihood.counts = data["choices"].astype(float)
        return dataclasses.replace(integrated, likelihood=likelihood).model

    return observing


def _replicate(
    simulate: Callable[[Any], tuple[Any, Any]],
    with_data: Callable[[Any], Model],
    latent: Mapping[str, bridge.Site],
    names: list[str],
    kept: int,
    warmup: int,
    target_accept: float,
) -> Callable[[Any], tuple[Any, Any, Any]]:
    """keys -> (the truth, draws of every quantity, how many diverged)."""
    transforms = {n: biject_to(s.support) for n, s in latent.items()}
    dense = len(names) == len(latent)

    def one(keys):
        truth, data = simulate(keys[0])
        model = with_data(data)
        kernel = Kernel(
            potential_fn=lambda z: potential_energy(model, (), {}, z),
            target_accept_prob=target_accept,
            dense_mass=dense,
        )

        def told(values):
            trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
            observed = [s for s in trace.values() if s["type"] == "sample" and s["is_observed"]]
            return sum(jnp.sum(s["fn"].log_prob(s["value"])) for s in observed)

        def natural(z):
            return {n: transforms[n](x) for n, x in z.items()}

        # The chain begins at the best of other draws from the hyperpriors: one that began at the truth would hide a
        # sampler that does not move, and one that began anywhere might stay on a lesser hill.
        begin, go = jax.random.split(keys[1])
        others = jax.vmap(lambda k: simulate(k)[0])(jax.random.split(begin, _STARTS))
        best = jnp.argmax(jax.lax.map(told, others))
        start = {n: transforms[n].inv(x[best]) for n, x in others.items()}

        def step(state, _):
            state = kernel.sample(state, (), {})
            return state, (state.z, state.diverging)

        state = kernel.init(go, warmup, start, (), {})
        _, found = jax.lax.scan(step, state, None, length=warmup + _THIN * kept)
        z, diverging = jax.tree.map(lambda x: x[warmup:], found)
        draws = jax.vmap(natural)(z)
        log_lik = jax.lax.map(told, draws)
        at = jnp.stack([*(truth[n] for n in names), told(truth)])
        return at, jnp.stack([*(draws[n] for n in names), log_lik], axis=-1), diverging.sum()

    return one


def _rank(
    names: list[str], at: np.ndarray, drawn: np.ndarray, diverging: np.ndarray, kept: int, compiling: float, sec: float
) -> Ranks:
    finite = np.isfinite(drawn).all(axis=(1, 2)) & np.isfinite(at).all(axis=1)
    at, drawn, diverging = at[finite], drawn[finite], diverging[finite]
    effective = array_stats.ess(np.moveaxis(drawn, 2, 1)[:, :, None, :], method="bulk")  # (replicates, quantities)
    failed = (diverging > _DIVERGING * drawn.shape[1]) | ~(effective >= kept / 2).all(axis=1)
    some = drawn[:, _THIN - 1 :: _THIN]
    ranks = (some < at[:, None, :]).sum(axis=1)
    return Ranks(
        pd.DataFrame(ranks, columns=names),
        pd.DataFrame(at, columns=names),
        kept,
        int(failed.sum()),
        int((~finite).sum()),
        compiling,
        sec,
    )


def uniformity(ranks: np.ndarray, kept: int) -> float:
    """The probability that the ECDF of as many uniform ranks lies as far out, anywhere."""
    table, null = _null(len(ranks), kept)
    return float(
        (np.searchsorted(null, _outermost(_ecdf(ranks, kept)[None], table), side="right")[0] + 1) / (_NULL + 1)
    )


def ecdf_band(n: int, kept: int, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Between which shares the ECDF of n uniform ranks lies at every rank at once, but with this probability."""
    _, null = _null(n, kept)
    tail = np.quantile(null, error)
    at = np.arange(1, kept + 1) / (kept + 1)
    return binom.ppf(tail, n, at) / n, binom.isf(tail, n, at) / n


def _ecdf(ranks: np.ndarray, kept: int) -> np.ndarray:
    """How many ranks are at most 0, 1, …, kept - 1."""
    return np.cumsum(np.bincount(ranks, minlength=kept + 1))[:-1]


@cache
def _null(n: int, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """(smaller tail probability of each count at each rank, its smallest over ranks in simulated sets, ascending)."""
    counts, at = np.arange(n + 1)[:, None], np.arange(1, kept + 1) / (kept + 1)
    table = np.minimum(binom.cdf(counts, n, at), binom.sf(counts - 1, n, at))
    drawn = np.random.default_rng(0).multinomial(n, np.full(kept + 1, 1 / (kept + 1)), size=_NULL)
    return table, np.sort(_outermost(np.cumsum(drawn, axis=1)[:, :-1], table))


def _outermost(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[counts, np.arange(table.shape[1])].min(axis=1)
