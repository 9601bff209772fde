"""Is the network good enough for these data? Draws made with a learned policy, weighted to the exact posterior.

A draw theta of the learned posterior gets the weight

    w ∝ p_exact(theta, y) / p_learned(theta, y),

so that weighted averages are those of the exact posterior, wherever the two overlap. Whether they do is told by k-hat,
the shape of the weights' upper tail (Pareto-smoothed importance sampling: Vehtari, Simpson, Gelman, Yao & Gabry 2024,
JMLR 25). A shape knows no scale: of weights that are all within a few per cent it may be anything, and is passed over.

One solution a draw is all it costs: a gradient of an equilibrium, which exact sampling takes a dozen times a draw, is
never needed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
import pandas as pd
import xarray as xr
from numpyro.infer.util import log_density
from scipy.stats import norm

from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.evaluation.batches import numbers_of, of_every_draw
from bayescal.evaluation.sites import Site, latent_sites
from bayescal.model.build import from_spec
from bayescal.model.spec import ModelSpec
from bayescal.plain import plain
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT, smoothed_weights
from bayescal.precision import double_precision

DRAWS = 2000
MOVE = 0.1  # posterior sds that a mean may move by before somebody should care
SPREAD = 0.1  # and the change of an sd, relative to it
EVEN = 1.5  # times the average: where no draw weighs more, weights are as good as equal and their tail is no matter

_FEWEST = 100
_UNSOLVED = 0.01  # the share of draws without an exact solution that is still few
_BATCHES = 40  # of consecutive draws, whose differences tell the Monte-Carlo error
_ROWS = 30  # of the table, when printed


@dataclass(frozen=True, eq=False)
class Reweighted:
    """A learned fit beside the exact posterior.

    Attributes:
        verdict: one sentence: good enough, the exact posterior differs, or it cannot be told.
        k_hat: of the weights; above `k_hat_limit` they are not to be relied on, unless they are as good as equal.
        heaviest: how many times the average the largest weight is.
        effective: how many independent exact draws the weighted ones are worth, as far as weights go.
        unsolved: draws at which the exact equilibrium was not found; they weigh nothing.
        tree: a DataTree with the posterior (the draws that were weighted, with what the exact model says of them) and
            sample_stats (their log weights, normalised).
    """

    verdict: str
    k_hat: float
    k_hat_limit: float
    heaviest: float
    effective: float
    unsolved: int
    tree: xr.DataTree
    _table: pd.DataFrame

    @property
    def good_enough(self) -> bool:
        return self.verdict.startswith("good enough")

    def summary(self) -> pd.DataFrame:
        """By parameter: mean and sd as drawn (`mean`, `sd`) and weighted (`exact_mean`, with its Monte-Carlo error, and
        `exact_sd`); `shift` of the mean in sds as drawn, and its error; `spread`, the log of the ratio of the two sds,
        and its error."""
        return self._table.copy()

    def draws(self, n: int = 1000, *, seed: int = 0) -> xr.DataTree:
        """Draws of the exact posterior: the weighted ones, drawn again by their weights (some therefore twice)."""
        posterior = self.tree["posterior"].to_dataset().stack(at=("chain", "draw")).reset_index("at", drop=True)
        rng = np.random.default_rng(seed)
        edges = np.cumsum(np.exp(self.tree["sample_stats"]["log_weight"].to_numpy().ravel()))
        chosen = np.searchsorted(edges, (np.arange(n) + rng.random()) / n * edges[-1])
        chosen = rng.permutation(np.minimum(chosen, len(edges) - 1))
        taken = posterior.isel(at=chosen).rename(at="draw").assign_coords(draw=np.arange(n)).expand_dims(chain=[0])
        return xr.DataTree.from_dict({"posterior": taken.transpose("chain", "draw", ...)})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {
            "verdict": self.verdict,
            "good_enough": self.good_enough,
            "k_hat": self.k_hat,
            "k_hat_limit": self.k_hat_limit,
            "heaviest": self.heaviest,
            "effective_draws": self.effective,
            "draws": self.tree["sample_stats"]["log_weight"].size,
            "unsolved": self.unsolved,
            "parameters": self._table.to_dict("index"),
        }
        return plain(told)

    def __str__(self) -> str:
        table = self._table.loc[self._table["shift"].abs().sort_values(ascending=False).index]
        more = f"\n… and {len(table) - _ROWS} more that move less" if len(table) > _ROWS else ""
        return f"{table.head(_ROWS).to_string(float_format='{:.3f}'.format)}{more}\n{self.verdict}"

    __repr__ = __str__


class _Inside(ExactPolicy):
    """An exact policy asked only inside a learned one's box: models built on the two have the same hyperpriors."""

    domain: Domain = eqx.field(static=True, default=Domain(()))


def exact_twin(policy: Policy) -> ExactPolicy:
    """The solved policy of the same game, prior and population, inside the same box.

    Raises:
        InputError: the policy is not a learned one, or its game cannot be solved.
    """
    if not isinstance(policy, AmortisedPolicy):
        raise InputError(
            f"{type(policy).__name__} is not a learned policy, so no exact one stands behind it: only what a network "
            "was trained for can be compared with its exact solution."
        )
    try:
        return _Inside(policy.environment, policy.prior, policy.population, domain=policy.domain)
    except InputError:
        raise InputError(
            f"{policy.environment.name} has no exact solution that a network could be compared with: look at the "
            "policy's certificate instead (`bayescal models`), and train longer if in doubt."
        ) from None


def reweight(
    fit: Fit, model: Callable[[], Any], exact: Callable[[], None] | None = None, *, draws: int = DRAWS
) -> Reweighted:
    """Is the network good enough for these data? Weight a learned fit's draws to the exact posterior.

    Args:
        fit: drawn from `model`.
        model: built on a learned policy.
        exact: the same model on an exact policy; when None it is built, with `model`'s arguments, on the policy's
            `exact_twin`.
        draws: at how many of the fit's draws, evenly spaced, the game is solved.

    Raises:
        InputError: the game has no exact solution, the two models differ in more than their policy, or the fit is of
            another model.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.load_model("normal-form-2x2")
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid(draws=200))
        >>> found = bc.reweight(fit, model)
        >>> found.verdict[:27]  # nine thousand choices tell
        'the exact posterior differs'
    """
    exact = _exact_model(model) if exact is None else exact
    with double_precision():
        latent = latent_sites(model)
        _check_sites(fit, model, latent, exact)
        posterior = _thinned(fit.tree["posterior"].to_dataset(), draws)
        chains, per_chain = posterior.sizes["chain"], posterior.sizes["draw"]
        sampled = {n: posterior[n].to_numpy() for n in latent}
        learned, before = _evaluate(model, sampled)
        solved, after = _evaluate(exact, sampled)
    if not np.all(np.isfinite(learned)):
        raise InputError("The model gives some of the fit's draws no density: give the model that it was drawn from.")
    unsolved = int(np.isnan(solved).sum())
    log_w, k_hat = _smooth(np.where(np.isnan(solved), -np.inf, solved - learned))
    named = [n for n in map(str, posterior.data_vars) if n in before and n in after]
    named = [n for n in named if before[n].shape == after[n].shape == posterior[n].shape]
    put = lambda values: xr.Dataset({n: posterior[n].copy(data=values[n]) for n in named})
    log_w = log_w.reshape(chains, per_chain)
    table = _table(put(before), put(after), np.exp(log_w))
    n = chains * per_chain
    limit = min(1 - 1 / np.log10(n), K_HAT)
    stats = xr.Dataset({"log_weight": (("chain", "draw"), log_w)}, coords=posterior[["chain", "draw"]].coords)
    tree = xr.DataTree.from_dict({"posterior": put(after), "sample_stats": stats})
    effective = float(1 / np.sum(np.exp(2 * log_w))) if k_hat < np.inf else 0.0
    heaviest = _heaviest(log_w)
    verdict = _verdict(table, k_hat, limit, heaviest, unsolved, n)
    return Reweighted(verdict, k_hat, float(limit), heaviest, effective, unsolved, tree, table)


def _exact_model(model: Any) -> Callable[[], None]:
    spec = getattr(model, "spec", None)
    if spec is None:
        raise InputError(
            "This model does not say how it was built, so its exact twin cannot be: build it with `build_model`, or "
            "give the same model built on an ExactPolicy as `exact`."
        )
    exact = dataclasses.replace(spec, policy=exact_twin(spec.policy))
    if isinstance(exact, ModelSpec) and exact.method == "compressed":  # the exact likelihood, not a polynomial near it
        exact = dataclasses.replace(exact, method="marginal", evidence=None)
    return from_spec(exact)


def _check_sites(fit: Fit, model: Any, latent: Mapping[str, Site], exact: Callable[[], None]) -> None:
    told, own = fit.provenance.get("model"), getattr(model, "description", "")
    if told and own and told != own:
        raise InputError(f"The fit was drawn from another model ({told}) than the one given ({own}).")
    other = {n: s.shape for n, s in latent_sites(exact).items()}
    mine = {n: s.shape for n, s in latent.items()}
    if other != mine:
        raise InputError(
            f"The two models differ in more than their policy: one infers {_listed(mine)}, the exact one "
            f"{_listed(other)}. Build both with the same arguments."
        )
    drawn = {n: x.shape[2:] for n, x in fit.tree["posterior"].data_vars.items()}
    absent = [n for n, shape in mine.items() if drawn.get(n) != shape]
    if absent:
        raise InputError(
            f"The fit has no draws of {_listed({n: mine[n] for n in absent})}: give the model that it was drawn from."
        )


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{n} ({' x '.join(map(str, s))})" if s else n for n, s in shapes.items()) or "nothing"


def _thinned(posterior: xr.Dataset, most: int) -> xr.Dataset:
    chains, per_chain = posterior.sizes["chain"], posterior.sizes["draw"]
    keep = min(max(most // chains, 1), per_chain)
    if chains * keep < _FEWEST:
        raise InputError(
            f"{chains * keep} draws are too few to tell the weights' tail from: at least {_FEWEST} are needed."
        )
    return posterior.isel(draw=(np.arange(keep) * per_chain) // keep)


def _evaluate(model: Any, draws: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(log joint density of every draw in a row; every site (chain, draw, …): the draws themselves, what follows from
    them, and draws of what was integrated out)."""

    def one(values, _):
        total, trace = log_density(model, (), {}, values)
        return total, {n: s["value"] for n, s in trace.items() if s["type"] == "deterministic"}

    numbers, rng = numbers_of(model), np.random.default_rng(0)
    total, stated = of_every_draw(one, draws, numbers, rng)
    complete = getattr(model, "complete", None)
    # The same random numbers for both models: what differs between them is then no noise.
    added = {} if complete is None else complete(dict(draws), np.random.default_rng(0))[0]
    return total.reshape(-1), {**draws, **added, **stated}


def _smooth(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """(normalised log weights, k-hat); what has no density at all weighs nothing and is no part of the tail."""
    some = np.isfinite(log_ratio)
    log_w = np.full(len(log_ratio), -np.inf)
    if some.sum() < _FEWEST / 2:
        return np.full(len(log_ratio), -np.log(len(log_ratio))), np.inf
    top = log_ratio[some] - log_ratio[some].max()
    raw = top - np.log(np.exp(top).sum())
    smoothed, k_hat = smoothed_weights(-top[:, None])
    log_w[some] = raw if _heaviest(raw) <= EVEN else smoothed[:, 0]
    return log_w, float(k_hat[0]) if np.isfinite(k_hat[0]) else np.inf


def _heaviest(log_w: np.ndarray) -> float:
    return float(log_w.size * np.exp(log_w.max()))


def _table(before: xr.Dataset, after: xr.Dataset, weights: np.ndarray) -> pd.DataFrame:
    rows, labels = [], []
    for name in before.data_vars:
        dims = before[name].dims[2:]
        size = before[name].shape[2:]
        x = before[name].to_numpy().reshape(*weights.shape, -1)
        y = after[name].to_numpy().reshape(*weights.shape, -1)
        rows.append(_moments(x, np.where(np.isfinite(y), y, 0.0), weights[..., None]))
        names = [[str(c) for c in before[d].to_numpy()] for d in dims]
        labels += [
            f"{name}[{', '.join(c[i] for c, i in zip(names, at, strict=True))}]" if dims else str(name)
            for at in np.ndindex(size)
        ]
    columns = ["mean", "sd", "exact_mean", "exact_sd", "exact_error", "shift", "shift_error", "spread", "spread_error"]
    return pd.DataFrame(np.concatenate(rows), index=labels, columns=columns)


def _moments(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(parameters, 9) from (chain, draw, parameters) as drawn and exactly, and weights that sum to one.

    Errors are those of the differences (one set of draws serves both sides), to first order: the spread of batches'
    sums of each draw's influence.
    """
    n = w.size
    over = (0, 1)
    mean, exact_mean = x.mean(axis=over), np.sum(w * y, axis=over)
    dx, dy = x - mean, y - exact_mean
    sd, exact_sd = np.sqrt(np.mean(dx**2, axis=over)), np.sqrt(np.sum(w * dy**2, axis=over))
    unit, exact_unit = np.where(sd > 0, sd, 1.0), np.where(exact_sd > 0, exact_sd, 1.0)
    moves = (w * dy - dx / n) / unit
    stretches = w * ((dy / exact_unit) ** 2 - 1) / 2 - ((dx / unit) ** 2 - 1) / (2 * n)
    stretches = np.where((sd > 0) & (exact_sd > 0), stretches, 0.0)
    columns = [
        mean,
        sd,
        exact_mean,
        exact_sd,
        _error(w * dy),
        (exact_mean - mean) / unit,
        _error(moves),
        np.log(exact_unit / unit),
        _error(stretches),
    ]
    return np.stack(columns, axis=-1)


def _error(influence: np.ndarray) -> np.ndarray:
    """The standard error of the sum over draws (chain, draw, …), which may be correlated along a chain."""
    chains, per_chain = influence.shape[:2]
    each = min(max(_BATCHES // chains, 2), per_chain)
    starts = (np.arange(each) * per_chain) // each
    sums = np.add.reduceat(influence, starts, axis=1).reshape(chains * each, *influence.shape[2:])
    return np.sqrt(len(sums) * np.var(sums, axis=0, ddof=1))


def _verdict(table: pd.DataFrame, k_hat: float, limit: float, heaviest: float, unsolved: int, n: int) -> str:
    even = heaviest <= EVEN and np.isfinite(k_hat)
    told = f"no draw weighs more than {heaviest:.2f} times the average" if even else f"k-hat {k_hat:.2f}"
    few = f" The exact equilibrium was not found at {unsolved} of {n:,} draws; they weigh nothing." if unsolved else ""
    if unsolved >= _UNSOLVED * n:
        return (
            f"cannot be told: the exact equilibrium was not found at {unsolved} of {n:,} draws. "
            "Restrict the hyperpriors to where it is, or look at the policy's certificate."
        )
    if not (even or k_hat <= limit):
        return (
            f"cannot be told: {told} > {limit:.2f}, so hardly any draw lies where the exact posterior does; "
            f"refit with ExactPolicy.{few}"
        )
    # Every parameter is asked at once, and a mistake about any of them is to be rare.
    z = norm.isf(0.025 / (2 * len(table)))
    far = pd.concat([table["shift"].abs() - MOVE, table["spread"].abs() - np.log1p(SPREAD)], axis=1)
    error = z * table[["shift_error", "spread_error"]].to_numpy()
    sure = (far.to_numpy() > error).any(axis=1)
    unsure = (np.abs(far.to_numpy()) <= error).any(axis=1) & ~sure
    largest = _told(table, table["shift"].abs().idxmax())
    if sure.any():
        worst = table.index[sure][np.argmax(far[sure].max(axis=1))]
        return (
            f"the exact posterior differs: {_told(table, worst)}, {told}. Take the exact columns, or refit with "
            f"ExactPolicy.{few}"
        )
    if unsure.any():
        doubtful = table.index[unsure][np.argmax(far[unsure].max(axis=1))]
        return (
            f"cannot be told yet: {_told(table, doubtful)}, too near to {MOVE:g} sd and {SPREAD:.0%} for their errors, "
            f"{told}. Weight more draws (draws=…).{few}"
        )
    return (
        f"good enough: no parameter's mean moves by more than {MOVE:g} sd, and no sd changes by more than {SPREAD:.0%} "
        f"(largest move: {largest}), {told}.{few}"
    )


def _told(table: pd.DataFrame, name: Any) -> str:
    row = table.loc[name]
    return (
        f"{name} moves by {row['shift']:+.2f} ± {row['shift_error']:.2f} sd and its sd changes by "
        f"{np.expm1(row['spread']):+.0%}"
    )
