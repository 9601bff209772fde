"""Expected log predictive density of units that were left out.

Leaving a unit out reweights the draws by one over its likelihood; weights are smoothed by a Pareto tail, whose shape
k-hat says whether they can be trusted: above 0.7 they cannot (Vehtari, Simpson, Gelman, Yao & Gabry 2024). All such
units are then left out by draws from one mixture. Where they are few, or so heavy that the chains do not pass between
the parts of the mixture, the model is fitted again without each of them. In k-fold whole groups are left out together,
by a refit of each part.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from bayescal.comparison.bridge import log_mass_ratio
from bayescal.comparison.pointwise import Pointwise, labels_by_row
from bayescal.comparison.refit import Progress, Refitted, left_out_together, refit, weighted_sites
from bayescal.errors import InputError
from bayescal.model.build import Model
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT, smoothed_weights

_FEW = 4  # units of which refits take less time than the mixture
_SURE = 0.2  # nats, of the error of one unit
_STEP, _MOST_STEPS = 2.0, 20  # a heavy unit gets its weight in steps over which its log-likelihood varies so much
_AGREE = 1.05  # R-hat of chains that have seen the same parts of the mixture
_DIMS = {"choices": "cell", "choice": "decision"}  # of the observed sites whose rows are not participants


@dataclass(frozen=True, eq=False)
class LeftOut:
    """By unit: its log predictive density when it is left out, k-hat of the weights (0 where there are none), and how
    that was found: "psis", "mixture for 8, refit of 1", "10-fold"."""

    elpd: Float[np.ndarray, " units"]
    k_hat: Float[np.ndarray, " units"]
    how: str = "psis"

    @property
    def bad(self) -> Int[np.ndarray, " bad"]:
        """Which units cannot be left out by weights."""
        return np.flatnonzero(~(self.k_hat <= K_HAT))


def psis(told: Pointwise) -> LeftOut:
    """Leave-one-out of every unit by Pareto-smoothed importance sampling."""
    elpd, k_hat = smoothed(told.values, told.values, told.r_eff)
    return LeftOut(elpd * told.copies, k_hat)


def smoothed(
    values: Float[np.ndarray, "draws units"], against: Float[np.ndarray, "draws units"], r_eff: float
) -> tuple[Float[np.ndarray, " units"], Float[np.ndarray, " units"]]:
    """(log of the mean likelihood, k-hat) by unit, under weights exp(-against)."""
    log_w, k_hat = smoothed_weights(against, r_eff)
    return logsumexp(log_w + values, axis=0), k_hat


def leave_one_out(
    told: Pointwise,
    fit: Fit,
    model: Model | None,
    unit: str,
    belongs: Mapping[str, str],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LeftOut:
    """By weights; where these cannot be trusted and the model is given, by the mixture or a refit of each.

    Args:
        belongs: the unit of each participant.
    """
    found = psis(told)
    if not len(found.bad) or model is None:
        return found
    unit_of = units_of_rows(model, unit, belongs, told.units)
    if unit_of is None:
        return found
    known = (model, _posterior(fit), unit_of)
    elpd, bad, off = found.elpd.copy(), found.bad, told.taken_off
    mixed, failed = np.zeros(0, int), 0
    if len(bad) > _FEW:
        again, good = from_mixture(*left_out_together(*known, elpd + off, bad, seed=seed, progress=progress), bad)
        mixed = bad[good]
        elpd[mixed] = again[good] - off[mixed]
    alone = np.setdiff1d(bad, mixed)
    if len(alone):
        # Few draws are enough for a bridge whose other end is the full posterior.
        again = lambda weights: refit(*known, weights, draws=250, warmup=100, seed=seed, progress=progress)
        apart, failed = _one_by_one(again, told.values[:, alone] + off[alone], alone, len(elpd))
        elpd[alone] = apart - off[alone]
    how = (f"{word} {len(of)}" for word, of in (("mixture for", mixed), ("refit of", alone)) if len(of))
    return replace(found, elpd=elpd, how=", ".join(how) + (f" ({failed} refits diverged)" if failed else ""))


def _one_by_one(
    again: Callable[[np.ndarray], Refitted],
    within: Float[np.ndarray, "draws out"],
    out: Int[np.ndarray, " out"],
    units: int,
) -> tuple[Float[np.ndarray, " out"], int]:
    """(elpd, how many refits failed) by a refit without each unit and, for those so heavy that the posteriors with and
    without them hardly overlap, by refits in which they have some of their weight.

    Args:
        within: log-likelihood of each unit that is out, at draws of the full posterior.
    """

    failed = 0

    def refits(places: Sequence[int], shares: Sequence[float]) -> Float[np.ndarray, "refits draws"]:
        nonlocal failed
        weights = np.ones((len(places), units))
        weights[np.arange(len(places)), out[list(places)]] = shares
        found = again(weights)
        failed += found.failed
        return found.absent

    without = refits(range(len(out)), [0.0] * len(out))
    found = [log_mass_ratio(low, high) for low, high in zip(without, within.T, strict=True)]
    elpd = np.array([ratio for ratio, _ in found])
    heavy = {
        i: np.linspace(0, 1, min(math.ceil(max(without[i].std(), within[:, i].std()) / _STEP), _MOST_STEPS) + 1)
        for i, (_, error) in enumerate(found)
        if not error < _SURE
    }
    places = [(i, share) for i, shares in heavy.items() for share in shares[1:-1]]
    between = dict(zip(places, refits(*zip(*places, strict=True)), strict=True)) if places else {}
    for i, shares in heavy.items():
        stones = [without[i], *(between[i, s] for s in shares[1:-1]), within[:, i]]
        steps = zip(np.diff(shares), pairwise(stones), strict=True)
        elpd[i] = sum(log_mass_ratio(step * low, step * high)[0] for step, (low, high) in steps)
    return elpd, failed


def from_mixture(
    values: Float[np.ndarray, "chains draws units"],
    density: Float[np.ndarray, "chains draws"],
    out: Int[np.ndarray, " out"],
) -> tuple[Float[np.ndarray, " out"], Bool[np.ndarray, " out"]]:
    """(elpd of each unit that is out, whether it can be trusted): the chains have gone to and fro between the full
    posterior and that without the unit, and neither rests on a few draws."""
    chains_agree = lambda x: array_stats.rhat(x, chain_axis=0, draw_axis=1) < _AGREE
    _, k_hat = smoothed_weights(density.reshape(-1, 1))
    if not (k_hat[0] <= K_HAT and chains_agree(density)):
        return np.zeros(len(out)), np.zeros(len(out), bool)
    flat = values[:, :, out].reshape(-1, len(out))
    elpd, k_hat = smoothed(flat, flat + density.reshape(-1, 1), 1.0)
    return elpd, (k_hat <= K_HAT) & np.array([chains_agree(values[:, :, i]) for i in out])


def leave_parts_out(
    told: Pointwise,
    fit: Fit,
    model: Model,
    unit: str,
    belongs: Mapping[str, str],
    parts: Int[np.ndarray, " units"],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LeftOut:
    """k-fold: what the model predicts of the units of each part from all others.

    Args:
        parts: of each unit.
    """
    unit_of = units_of_rows(model, unit, belongs, told.units)
    if unit_of is None:
        raise InputError(f"k-fold: people of this model are in several {unit}s: leave out participants, or no folds.")
    weights = (parts[None, :] != np.arange(parts.max() + 1)[:, None]).astype(float)
    again = refit(model, _posterior(fit), unit_of, weights, seed=seed, progress=progress)
    own = parts, np.arange(len(parts))
    unsure = int((again.error[own] > _SURE).sum())
    how = f"{parts.max() + 1}-fold" + (f" ({unsure} unsure: they weigh too much)" if unsure else "")
    return LeftOut(again.elpd[own] - told.taken_off, psis(told).k_hat, how)


def parts_of(units: tuple[str, ...], group: Mapping[str, str], folds: int, seed: int) -> Int[np.ndarray, " units"]:
    """The part that each unit is in, chance deciding; units of one group are in the same part.

    Args:
        group: of each unit; units that are not named are groups by themselves.
    """
    groups = [group.get(u, u) for u in units]
    labels = sorted(set(groups))
    if not 2 <= folds <= len(labels):
        raise InputError(f"{folds} folds of {len(labels)} groups that stay together: give 2 to {len(labels)}.")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    of = {label: int(place) % folds for label, place in zip(labels, shuffled, strict=True)}
    return np.array([of[g] for g in groups])


def units_of_rows(
    model: Model, unit: str, belongs: Mapping[str, str], units: tuple[str, ...]
) -> dict[str, Int[np.ndarray, " rows"]] | None:
    """By observed site, the unit of each of its rows; None where a row is of several units."""
    constants = {n: np.asarray(x) for n, (_, x) in model.constant_data.items()}
    place, found = {u: i for i, u in enumerate(units)}, {}
    for name in weighted_sites(model):
        if name in _DIMS:
            labels = labels_by_row(constants, _DIMS[name], unit, belongs)
        else:
            people = np.asarray(model.coords.get("participant", ())).astype(str)
            labels = np.array([belongs[p] for p in people]) if len(people) and belongs else None
        if labels is None:
            return None
        found[name] = np.array([place[x] for x in labels])
    return found or None


def _posterior(fit: Fit) -> dict[str, np.ndarray]:
    return {str(n): x.to_numpy() for n, x in fit.tree["posterior"].to_dataset().data_vars.items()}
