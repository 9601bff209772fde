"""The log-likelihood of each unit (a participant, a group, a game, a decision) at each draw of a fit.

A fit keeps the log-likelihood by participant, where participants' own parameters have been integrated out, or else by
cell or by decision; these add up to units. The likelihood of counted choices has a multinomial coefficient, the number
of orders in which they can have been made. It is subtracted, so that all models are compared on ordered decisions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import arviz_stats as azs
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Num, Shaped
from scipy.special import gammaln

from bayescal.errors import InputError
from bayescal.evaluation.batches import evenly
from bayescal.model.model import Model
from bayescal.posterior.fit import Fit
from bayescal.posterior.tree import at_draws, group
from bayescal.table.decisions import Decisions

Unit = Literal["participant", "group", "game", "decision"]
Constants = Mapping[str, np.ndarray]  # the constant data of a fit, by name
Labels = Shaped[np.ndarray, " rows"]  # texts, one for each row

UNITS = get_args(Unit)
DRAWS = 1000  # most draws that are used for a comparison
_NO_LIKELIHOOD = "This fit has no log-likelihood of the choices, so it cannot be compared."


@dataclass(frozen=True, eq=False)
class Pointwise:
    """The log-likelihood of each unit at some draws.

    Attributes:
        units: labels.
        decisions: how many decisions each unit stands for.
        values: in nats.
        taken_off: log of the number of orders of each unit's counted choices, already subtracted from `values`.
        r_eff: effective sample size as a share of the draws.
        copies: how many identical units each stands for: decisions for the same action by one person in one role of
            one game.
    """

    units: tuple[str, ...]
    decisions: Num[np.ndarray, " units"]
    values: Float[np.ndarray, "draws units"]
    taken_off: Float[np.ndarray, " units"]
    r_eff: float
    copies: Int[np.ndarray, " units"]


def constants_of(fit: Fit) -> dict[str, np.ndarray]:
    return {str(n): x.to_numpy() for n, x in fit.tree["constant_data"].to_dataset().data_vars.items()}


def default_unit(constants: Constants) -> Unit:
    """Participants where they are named, or else groups, or else games; there must be several of them."""
    for unit in ("participant", "group", "game"):
        labels = constants.get(f"cell_{unit}", constants.get(unit))
        if labels is not None and len(np.unique(labels)) > 1:
            return unit
    return "decision"


def people_in(decisions: Decisions | None, constants: Constants, unit: str) -> dict[str, str]:
    """The unit of each participant; empty where the decisions of one participant belong to several units."""
    if unit == "participant":
        labels = constants.get("cell_participant", constants.get("participant", np.zeros(0, str)))
        return {str(p): str(p) for p in np.unique(labels)}
    if unit == "decision":
        return {}
    if decisions is not None:
        table = decisions.table
        if not {"participant", unit} <= set(table):
            return {}
        pairs = table[["participant", unit]].astype(str).drop_duplicates()
    else:
        lead = "cell_" if "cell_participant" in constants else ""
        if f"{lead}participant" not in constants or f"{lead}{unit}" not in constants:
            return {}
        pairs = pd.DataFrame({n: constants[f"{lead}{n}"].astype(str) for n in ("participant", unit)}).drop_duplicates()
    if pairs["participant"].duplicated().any():
        return {}
    return dict(zip(pairs["participant"], pairs[unit], strict=True))


def labels_by_row(constants: Constants, dim: str, unit: str, unit_of_person: Mapping[str, str]) -> Labels | None:
    """The unit of each cell or decision, or None where that is not known.

    Args:
        unit_of_person: `people_in`.
    """
    lead = "cell_" if dim == "cell" else ""
    if unit == "decision":
        return None
    if f"{lead}{unit}" in constants:
        return constants[f"{lead}{unit}"].astype(str)
    people = constants.get(f"{lead}participant")
    if people is None or not unit_of_person:
        return None
    return np.array([unit_of_person[p] for p in people.astype(str)])


def pointwise(fit: Fit, unit: Unit, decisions: Decisions | None = None, model: Model | None = None) -> Pointwise:
    """The log-likelihood of each unit at evenly spaced draws of a fit.

    Args:
        model: that was fitted; needed for single decisions where the fit has counts only.

    Raises:
        InputError: the data do not say which unit a decision belongs to.
    """
    if unit == "decision":
        return _by_decision(fit, model)
    constants = constants_of(fit)
    unit_of_person = people_in(decisions, constants, unit)
    log_likelihood = group(fit.tree, "log_likelihood")
    if "by_participant" in log_likelihood and unit_of_person:
        of_row = np.array([unit_of_person[p] for p in log_likelihood["participant"].to_numpy().astype(str)])
        values = _thinned(log_likelihood["by_participant"].to_numpy())
        taken_off = _ways_by_participant(fit, constants, log_likelihood["participant"].to_numpy().astype(str))
    else:
        name, dim = ("choices", "cell") if "choices" in log_likelihood else ("choice", "decision")
        if name not in log_likelihood:
            raise InputError(_NO_LIKELIHOOD)
        labels_of_rows = labels_by_row(constants, dim, unit, unit_of_person)
        if labels_of_rows is None:
            raise InputError(f"The decisions do not say which {unit} they belong to: compare by another unit.")
        of_row, values = labels_of_rows, _thinned(log_likelihood[name].to_numpy())
        counted = fit.tree["observed_data"]["choices"].to_numpy() if name == "choices" else np.zeros((len(of_row), 1))
        taken_off = ways(counted)
    labels, place = in_order(of_row)
    n, off = _decisions(constants, unit, unit_of_person, labels), add_up(taken_off[None], place)
    return Pointwise(labels, n, add_up(values, place) - off, off[0], r_eff(fit), np.ones(len(labels), int))


def _by_decision(fit: Fit, model: Model | None) -> Pointwise:
    """Single decisions. A person's own parameters are informed by that person's other decisions."""
    log_likelihood = group(fit.tree, "log_likelihood")
    if "choice" in log_likelihood:
        values = _thinned(log_likelihood["choice"].to_numpy())
        labels = tuple(map(str, range(values.shape[1])))
        one = np.ones(len(labels), int)
        return Pointwise(labels, one, values, np.zeros(len(labels)), r_eff(fit), one)
    if not log_likelihood:
        raise InputError(_NO_LIKELIHOOD)
    if model is None:
        raise InputError("This fit has counted choices only: to compare by decision, give its model too.")
    counts = fit.tree["observed_data"]["choices"].to_numpy()
    cell, action = np.nonzero(counts)
    constants = constants_of(fit)
    names = [constants[f"cell_{n}"].astype(str) for n in ("participant", "game", "role") if f"cell_{n}" in constants]
    labels = [" · ".join([*(n[c] for n in names), str(a)]) for c, a in zip(cell, action, strict=True)]
    units, place = in_order(np.array(labels))
    first = np.unique(place, return_index=True)[1]
    copies = np.bincount(place, counts[cell, action]).astype(int)
    chosen = lambda log_probs: log_probs[cell[first], action[first]]
    values = _solved(at_draws(model, fit.tree, chosen, DRAWS, np.random.default_rng(0)))
    return Pointwise(units, copies, values, np.zeros(len(units)), r_eff(fit), copies)


def in_order(labels: Labels) -> tuple[tuple[str, ...], Int[np.ndarray, " rows"]]:
    """(units as they first appear, the unit of each row)."""
    codes, units = pd.factorize(labels)
    return tuple(map(str, units)), codes


def add_up(
    values: Float[np.ndarray, "draws rows"], place: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "draws units"]:
    """Columns summed by unit."""
    if len(place) == place.max() + 1:
        return values[:, np.argsort(place)]
    out = np.zeros((place.max() + 1, len(values)))
    np.add.at(out, place, values.T)
    return out.T


def ways(counts: Num[np.ndarray, "cells actions"]) -> Float[np.ndarray, " cells"]:
    """Log of the number of orders in which counted choices can have been made."""
    return gammaln(counts.sum(axis=-1) + 1.0) - gammaln(counts + 1.0).sum(axis=-1)


def r_eff(fit: Fit) -> float:
    """Effective sample size of the shared parameters, as a share of the draws."""
    posterior = fit.tree["posterior"].to_dataset()
    names = [n for n, x in posterior.data_vars.items() if x.dims == ("chain", "draw")]
    size = posterior.sizes.get("chain", 1) * posterior.sizes.get("draw", 1)
    if not names or size < 8:
        return 1.0
    ess = azs.ess(posterior[names], method="mean")
    shares = np.array([float(ess[n]) for n in names]) / size
    shares = shares[np.isfinite(shares)]
    return float(np.clip(shares.mean(), 0.01, 1.0)) if len(shares) else 1.0


def _thinned(values: Float[np.ndarray, "chains draws *shape"]) -> Float[np.ndarray, "kept ..."]:
    """(draws, …) of at most `DRAWS` draws, without those at which the game could not be solved."""
    flat = values.reshape(-1, *values.shape[2:])
    return _solved(flat[evenly(len(flat), DRAWS)])


def _solved(values: Float[np.ndarray, "draws ..."]) -> Float[np.ndarray, "kept ..."]:
    """The draws at which the game could be solved; all, if there are none."""
    solved = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    return values[solved] if solved.any() else values


def _ways_by_participant(fit: Fit, constants: Constants, participants: Labels) -> Float[np.ndarray, " people"]:
    observed = fit.tree["observed_data"].to_dataset()
    if "choices" not in observed:
        return np.zeros(len(participants))
    total = pd.Series(ways(observed["choices"].to_numpy())).groupby(constants["cell_participant"].astype(str)).sum()
    return total.reindex(participants).to_numpy()


def _decisions(
    constants: Constants, unit: str, unit_of_person: Mapping[str, str], labels: tuple[str, ...]
) -> Num[np.ndarray, " units"]:
    """How many decisions each unit stands for."""
    dim = "cell" if "total" in constants else "decision"
    of_row = labels_by_row(constants, dim, unit, unit_of_person)
    assert of_row is not None
    n = constants["total"] if dim == "cell" else np.ones(len(of_row), int)
    return pd.Series(n).groupby(of_row).sum().reindex(labels).to_numpy()
