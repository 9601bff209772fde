"""Expected log predictive density of units that were left out.

Leaving a unit out reweights the draws by one over its likelihood. The weights are smoothed by a Pareto tail, whose
shape k-hat says whether they can be trusted: above 0.7 (less with few draws) they cannot (Vehtari, Simpson, Gelman, Yao
& Gabry 2024). All such units are then left out by draws from one mixture. Where they are few, or so influential that
the chains do not move between the parts of the mixture, the model is fitted again without each of them. In k-fold
cross-validation whole groups are left out together, with one refit for each part.

Where games (or groups) have numbers of their own that are sampled, draws of the posterior never reach what these could
be without the game, and k-hat, whose limit is then 1, may be small by chance. All of them are left out by integrals
over these numbers, or, where there are none, by refits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp

from bayescal.comparison.bridge import log_mass_ratio
from bayescal.comparison.closed_form import left_out_shares, shares_of
from bayescal.comparison.own_numbers import without_own_numbers
from bayescal.comparison.pointwise import Pointwise, labels_by_row
from bayescal.comparison.refit import Progress, Refitted, left_out_together, refit, weighted_sites
from bayescal.errors import InputError
from bayescal.evaluation.sites import latent_sites
from bayescal.likelihood.without_payoffs import PLACE
from bayescal.model.model import Model
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT, k_hat_limit, smoothed_weights
from bayescal.precision import double_precision

_FEW = 4  # units for which refits take less time than the mixture
_PRECISE = 0.2  # nats, the largest standard error of one unit that is accepted
# An influential unit gets its weight in steps over which its log-likelihood varies so much.
_STEP, _MOST_STEPS = 2.0, 20
_AGREE = 1.05  # R-hat of chains that have seen the same parts of the mixture
_DIMS = {"choices": "cell", "choice": "decision"}  # of the observed sites whose rows are not participants


@dataclass(frozen=True)
class How:
    """How units were left out: by importance weights, except for those counted here.

    Attributes:
        integrals: units whose own numbers were integrated out, before weights were taken.
        mixture: units left out by draws from one mixture.
        refits: units left out by a refit each.
        diverged: refits that diverged.
        folds: parts of k-fold cross-validation; 0 where there was none.
        exact: a formula gives all of them.
        imprecise: units whose k-fold density has a large Monte-Carlo error, because they are so influential.
    """

    integrals: int = 0
    mixture: int = 0
    refits: int = 0
    diverged: int = 0
    folds: int = 0
    imprecise: int = 0
    exact: bool = False

    @property
    def by_weights(self) -> bool:
        """Whether every unit was left out by weights."""
        return not (self.exact or self.integrals or self.mixture or self.refits or self.folds)

    def __str__(self) -> str:
        if self.by_weights:
            return "psis"
        if self.exact:
            return "formula"
        if self.folds:
            return f"{self.folds}-fold" + (f" ({self.imprecise} imprecise)" if self.imprecise else "")
        ways = {"integrals for": self.integrals, "mixture for": self.mixture, "refit of": self.refits}
        parts = [f"{word} {n}" for word, n in ways.items() if n]
        return ", ".join(parts) + (f" ({self.diverged} refits diverged)" if self.diverged else "")


@dataclass(frozen=True, eq=False)
class LeftOut:
    """By unit, its log predictive density when it is left out, and k-hat of the weights (0 where there are none).

    Attributes:
        limit: of k-hat, for the number of draws.
    """

    elpd: Float[np.ndarray, " units"]
    k_hat: Float[np.ndarray, " units"]
    how: How = field(default_factory=How)
    limit: float = K_HAT

    @property
    def bad(self) -> Int[np.ndarray, " bad"]:
        """Which units cannot be left out by weights."""
        return np.flatnonzero(~(self.k_hat <= self.limit))


def psis(points: Pointwise) -> LeftOut:
    """Leave-one-out of every unit by Pareto-smoothed importance sampling."""
    elpd, k_hat = smoothed(points.values, points.values, points.r_eff)
    return LeftOut(elpd * points.copies, k_hat, limit=k_hat_limit(len(points.values)))


def smoothed(
    values: Float[np.ndarray, "draws units"], against: Float[np.ndarray, "draws units"], r_eff: float
) -> tuple[Float[np.ndarray, " units"], Float[np.ndarray, " units"]]:
    """(log of the mean likelihood, k-hat) by unit, under weights exp(-against)."""
    log_w, k_hat = smoothed_weights(against, r_eff)
    return logsumexp(log_w + values, axis=0), k_hat


def leave_one_out(
    points: Pointwise,
    fit: Fit,
    model: Model | None,
    unit: str,
    unit_of_person: Mapping[str, str],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LeftOut:
    """Leave-one-out by a formula where there is one, or else by weights. Where these cannot be trusted and the model is
    given, by the mixture or by refits.

    Args:
        unit_of_person: the unit of each participant.
    """
    weighted = psis(points)
    if model is None:
        return weighted
    own, shares = own_sites(model, unit), shares_of(model)
    if own:
        weighted = replace(weighted, k_hat=np.maximum(weighted.k_hat, 1.0))
    if shares is None and not len(weighted.bad):
        return weighted
    unit_of_row = units_of_rows(model, unit, unit_of_person, points.units)
    if unit_of_row is None:
        return weighted
    if shares is not None:
        exact = left_out_shares(shares, unit_of_row, len(points.units))
        return replace(weighted, elpd=exact, k_hat=np.zeros(len(exact)), how=How(exact=True))
    known = (model, posterior_draws(fit), unit_of_row)
    elpd, bad, orders = weighted.elpd.copy(), weighted.bad, points.taken_off
    mixed, diverged, integrated = np.zeros(0, int), 0, 0
    one_site = len(own) == 1
    whole = without_own_numbers(model, own[0], *known[1:], len(elpd), progress=progress) if one_site else None
    if whole is not None:
        again, k_hat = smoothed(whole - orders, whole - orders, 1.0)
        good = k_hat <= k_hat_limit(len(whole))
        elpd[good], bad, integrated = again[good], np.flatnonzero(~good), int(good.sum())
    if len(bad) > _FEW:
        again, good = from_mixture(*left_out_together(*known, elpd + orders, bad, seed=seed, progress=progress), bad)
        mixed = bad[good]
        elpd[mixed] = again[good] - orders[mixed]
    alone = np.setdiff1d(bad, mixed)
    if len(alone):
        # Few draws are enough for a bridge whose other end is the full posterior.
        again = lambda weights: refit(*known, weights, draws=250, warmup=100, seed=seed, progress=progress)
        without, diverged = _one_by_one(again, points.values[:, alone] + orders[alone], alone, len(elpd))
        elpd[alone] = without - orders[alone]
    return replace(weighted, elpd=elpd, how=How(integrated, len(mixed), len(alone), diverged))


def own_sites(model: Model, unit: str) -> list[str]:
    """The sampled sites in which each game (or group) has numbers of its own."""
    if unit not in ("game", "group"):
        return []
    with double_precision():
        sites = latent_sites(model)
    of_units = lambda d: d == unit or (unit == "game" and d.startswith(PLACE))
    return [n for n, s in sites.items() if any(map(of_units, s.dims))]


def _one_by_one(
    again: Callable[[Float[np.ndarray, "refits units"]], Refitted],
    within: Float[np.ndarray, "draws out"],
    out: Int[np.ndarray, " out"],
    units: int,
) -> tuple[Float[np.ndarray, " out"], int]:
    """(elpd, how many refits diverged) by a refit without each unit.

    Some units are so influential that the posteriors with and without them hardly overlap: for these there are also
    refits in which they have part of their weight.

    Args:
        within: log-likelihood of each unit that is out, at draws of the full posterior.
    """

    diverged = 0

    def refits(places: Sequence[int], shares: Sequence[float]) -> Float[np.ndarray, "refits draws"]:
        nonlocal diverged
        weights = np.ones((len(places), units))
        weights[np.arange(len(places)), out[list(places)]] = shares
        refitted = again(weights)
        diverged += refitted.failed
        return refitted.absent

    without = refits(range(len(out)), [0.0] * len(out))
    bridges = [log_mass_ratio(low, high) for low, high in zip(without, within.T, strict=True)]
    elpd = np.array([ratio for ratio, _ in bridges])
    influential = {
        i: np.linspace(0, 1, min(math.ceil(max(without[i].std(), within[:, i].std()) / _STEP), _MOST_STEPS) + 1)
        for i, (_, error) in enumerate(bridges)
        if not error < _PRECISE
    }
    places = [(i, share) for i, shares in influential.items() for share in shares[1:-1]]
    between = dict(zip(places, refits(*zip(*places, strict=True)), strict=True)) if places else {}
    for i, shares in influential.items():
        stones = [without[i], *(between[i, s] for s in shares[1:-1]), within[:, i]]
        steps = zip(np.diff(shares), pairwise(stones), strict=True)
        elpd[i] = sum(log_mass_ratio(step * low, step * high)[0] for step, (low, high) in steps)
    return elpd, diverged


def from_mixture(
    values: Float[np.ndarray, "chains draws units"],
    density: Float[np.ndarray, "chains draws"],
    out: Int[np.ndarray, " out"],
) -> tuple[Float[np.ndarray, " out"], Bool[np.ndarray, " out"]]:
    """(elpd of each unit that is out, whether it can be trusted).

    It can be trusted if the chains moved between the full posterior and the one without the unit, and neither rests on
    a few draws.
    """
    chains_agree = lambda x: array_stats.rhat(x, chain_axis=0, draw_axis=1) < _AGREE
    _, k_hat = smoothed_weights(density.reshape(-1, 1))
    limit = k_hat_limit(density.size)
    if not (k_hat[0] <= limit and chains_agree(density)):
        return np.zeros(len(out)), np.zeros(len(out), bool)
    flat = values[:, :, out].reshape(-1, len(out))
    elpd, k_hat = smoothed(flat, flat + density.reshape(-1, 1), 1.0)
    return elpd, (k_hat <= limit) & np.array([chains_agree(values[:, :, i]) for i in out])


def leave_parts_out(
    points: Pointwise,
    fit: Fit,
    model: Model,
    unit: str,
    unit_of_person: Mapping[str, str],
    parts: Int[np.ndarray, " units"],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LeftOut:
    """k-fold cross-validation: what the model predicts of the units of each part from all others.

    Args:
        parts: of each unit.
    """
    unit_of_row = units_of_rows(model, unit, unit_of_person, points.units)
    if unit_of_row is None:
        raise InputError(f"k-fold: people of this model are in several {unit}s: leave out participants, or no folds.")
    folds = int(parts.max()) + 1
    weights = (parts[None, :] != np.arange(folds)[:, None]).astype(float)
    again = refit(model, posterior_draws(fit), unit_of_row, weights, seed=seed, progress=progress)
    own = parts, np.arange(len(parts))
    how = How(folds=folds, imprecise=int((again.error[own] > _PRECISE).sum()))
    return replace(psis(points), elpd=again.elpd[own] - points.taken_off, how=how)


def parts_of(units: tuple[str, ...], group: Mapping[str, str], folds: int, seed: int) -> Int[np.ndarray, " units"]:
    """The part that each unit is in, at random; units of one group are in the same part.

    Args:
        group: of each unit; units that are not named are groups by themselves.
    """
    groups = [group.get(u, u) for u in units]
    labels = sorted(set(groups))
    if not 2 <= folds <= len(labels):
        raise InputError(f"{folds} folds of {len(labels)} groups that stay together: give 2 to {len(labels)}.")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    part = {label: int(place) % folds for label, place in zip(labels, shuffled, strict=True)}
    return np.array([part[g] for g in groups])


def units_of_rows(
    model: Model, unit: str, unit_of_person: Mapping[str, str], units: tuple[str, ...]
) -> dict[str, Int[np.ndarray, " _"]] | None:
    """By observed site, the unit of each of its rows; None where a row belongs to several units."""
    constants = {n: np.asarray(x) for n, (_, x) in model.constant_data.items()}
    place = {u: i for i, u in enumerate(units)}
    by_site = {}
    for name in weighted_sites(model):
        if name in _DIMS:
            labels = labels_by_row(constants, _DIMS[name], unit, unit_of_person)
        else:
            people = np.asarray(model.coords.get("participant", ())).astype(str)
            labels = np.array([unit_of_person[p] for p in people]) if len(people) and unit_of_person else None
        if labels is None:
            return None
        by_site[name] = np.array([place[x] for x in labels])
    return by_site or None


def posterior_draws(fit: Fit) -> dict[str, Float[np.ndarray, "chains draws ..."]]:
    """By site."""
    return {str(n): x.to_numpy() for n, x in fit.tree["posterior"].to_dataset().data_vars.items()}
