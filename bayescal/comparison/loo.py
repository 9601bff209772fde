"""Expected log predictive density of units that were left out.

Leaving a unit out reweights the draws by one over its likelihood; weights are smoothed by a Pareto tail, whose shape
k-hat says whether they can be trusted: above 0.7 they cannot (Vehtari, Simpson, Gelman, Yao & Gabry 2024). All such
units are then left out by draws from one mixture, and the model is fitted again without those that even these leave
doubtful. In k-fold whole groups are left out together, by a refit of each part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from bayescal.comparison.pointwise import Pointwise, labels_by_row
from bayescal.errors import InputError
from bayescal.inference.fit import Fit
from bayescal.inference.model import Model
from bayescal.inference.psis import K_HAT, smoothed_weights
from bayescal.inference.refit import Progress, left_out_together, refit, weighted_sites

_DIMS = {"choices": "cell", "choice": "decision"}  # of the observed sites whose rows are not participants


@dataclass(frozen=True, eq=False)
class LeftOut:
    """By unit: its log predictive density when it is left out, k-hat of the weights (0 where there are none), and how
    that was found: "psis", "mixture for 8", "mixture for 8, refit of 1", "10-fold"."""

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
    """By weights; where these cannot be trusted and the model is given, by the mixture, and at last by a refit.

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
    values, density = left_out_together(*known, elpd + off, bad, seed=seed, progress=progress)
    again, k_hat = smoothed(values[:, bad], values[:, bad] + density[:, None], 1.0)
    elpd[bad], still, how = again - off[bad], bad[~(k_hat <= K_HAT)], f"mixture for {len(bad)}"
    if len(still):
        weights = np.ones((len(still), len(told.units)))
        weights[np.arange(len(still)), still] = 0
        alone = refit(*known, weights, seed=seed, progress=progress)
        elpd[still], how = alone.elpd[np.arange(len(still)), still] - off[still], f"{how}, refit of {len(still)}"
    return replace(found, elpd=elpd, how=how)


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
    elpd = again.elpd[parts, np.arange(len(parts))] - told.taken_off
    return LeftOut(elpd, psis(told).k_hat, f"{parts.max() + 1}-fold")


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


def log_mean(values: Float[np.ndarray, "draws units"]) -> Float[np.ndarray, " units"]:
    """Log of the mean likelihood over draws."""
    return logsumexp(values, axis=0) - np.log(len(values))


def _posterior(fit: Fit) -> dict[str, np.ndarray]:
    return {str(n): x.to_numpy() for n, x in fit.tree["posterior"].to_dataset().data_vars.items()}
