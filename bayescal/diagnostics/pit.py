"""Leave-one-out probability integral transforms (LOO-PIT): where decisions lie in their predictive distributions.

The transform of a decision is the share of its predictive distribution below it. Decisions are on a grid, so that a
random part of a decision's own probability is added (Czado, Gneiting & Held 2009); the transforms are then uniform if
the predictions are right. A decision is left out by weighting the draws by the inverse of its probability (PSIS:
Vehtari, Gelman & Gabry 2017). The test of uniformity uses the whole ECDF at once.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import Facts, NumPyroModel
from bayescal.diagnostics.base import Check, Outcome
from bayescal.diagnostics.sbc import KEPT, ecdf_band, uniformity
from bayescal.evaluation.batches import evenly
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import k_hat_limit, smoothed_weights
from bayescal.posterior.tree import at_draws, group
from bayescal.table.decisions import Decisions

ERROR = 0.01  # probability that correct predictions fail
MAX_BAD = 0.05  # largest share of decisions with a k-hat that is too large
_DECISIONS = 2000  # most decisions that are used
_DRAWS = 1000  # most draws that are used


def loo_pit(
    fit: Fit, decisions: Decisions | None, model: NumPyroModel | None = None, *, seed: int = 0
) -> dict[str, Any] | None:
    """The transforms of (at most 2,000) decisions on ordered grids; None where actions have no order, or where their
    probabilities are neither in the fit nor given by `model`.

    Returns a dict: values; at, ecdf, low, high (their ECDF and its simultaneous band of probability 0.99); p_value;
    k_hat_bad, the share of decisions that weights cannot leave out; decisions, how many there are in all; what, in
    words.
    """
    if decisions is None or not all(e.ordered for e in decisions.environments.values()):
        return None
    rng = np.random.default_rng(seed)
    over_time = decisions.play is not None
    if over_time and all("choice" in group(fit.tree, n) for n in ("log_likelihood", "posterior_predictive")):
        total, parts = _from_draws(fit, rng)
    elif model is not None:
        total, parts = _from_model(fit, model, rng)
    else:
        return None
    below, at, log_p, often = parts
    ok = np.isfinite(log_p).all(axis=0)
    below, at, log_p, often = below[:, ok], at[:, ok], log_p[:, ok], often[ok]
    low, own, k_hat = (np.repeat(x, often) for x in left_out(below, at, log_p))
    limit = k_hat_limit(len(log_p))
    values = np.clip(low + rng.random(len(low)) * own, 0, np.nextafter(1, 0))
    ranks = np.floor(values * (KEPT + 1)).astype(int)
    lower, upper = ecdf_band(len(values), KEPT, ERROR)
    return {
        "values": values,
        "at": np.arange(1, KEPT + 1) / (KEPT + 1),
        "ecdf": np.cumsum(np.bincount(ranks, minlength=KEPT + 1))[:-1] / len(values),
        "low": lower,
        "high": upper,
        "p_value": uniformity(ranks, KEPT),
        "k_hat_bad": float(np.mean(~(k_hat <= limit))),
        "k_hat_limit": limit,
        "decisions": total,
        "what": "each decision one step ahead, given what was seen before it" if over_time else "each decision",
    }


def left_out(
    below: Float[np.ndarray, "draws decisions"],
    at: Float[np.ndarray, "draws decisions"],
    log_p: Float[np.ndarray, "draws decisions"],
) -> tuple[Float[np.ndarray, " decisions"], Float[np.ndarray, " decisions"], Float[np.ndarray, " decisions"]]:
    """(probability below, probability, k-hat) of each decision when it is left out, from those at each draw."""
    log_w, k_hat = smoothed_weights(log_p)
    weights = np.exp(log_w)
    return (weights * below).sum(axis=0), (weights * at).sum(axis=0), k_hat


def _chosen(total: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(total, min(total, _DECISIONS), replace=False))


def _from_draws(fit: Fit, rng: np.random.Generator) -> tuple[int, tuple[np.ndarray, ...]]:
    """(decisions in all, their probabilities) from one predicted decision a draw."""
    log_p = fit.tree["log_likelihood"]["choice"].to_numpy()
    drawn = fit.tree["posterior_predictive"]["choice"].to_numpy()
    seen = fit.tree["observed_data"]["choice"].to_numpy()
    rows, some = _chosen(len(seen), rng), evenly(int(np.prod(log_p.shape[:2])), _DRAWS)
    flat = lambda x: x.reshape(-1, x.shape[-1])[some][:, rows]
    drawn, chosen = flat(drawn), seen[rows]
    return len(seen), ((drawn < chosen) * 1.0, (drawn == chosen) * 1.0, flat(log_p), np.ones(len(rows), int))


def _from_model(fit: Fit, model: NumPyroModel, rng: np.random.Generator) -> tuple[int, tuple[np.ndarray, ...]]:
    """(decisions in all, their probabilities) from those that the model gives to every action, at some draws."""
    observed = fit.tree["observed_data"]
    if "choices" in observed:
        counts = observed["choices"].to_numpy()
        row, action = np.nonzero(counts)
        of = np.repeat(np.arange(len(row)), counts[row, action])
    else:
        action = observed["choice"].to_numpy()
        row = of = np.arange(len(action))
    kept, often = np.unique(of[_chosen(len(of), rng)], return_counts=True)
    row, action = row[kept], jnp.asarray(action[kept])[:, None]

    def places(log_probs: Float[Array, "rows actions"]) -> tuple[Float[Array, " some"], ...]:
        p = jnp.exp(log_p := log_probs[row])
        own = lambda x: jnp.take_along_axis(x, action, axis=1)[:, 0]
        return jnp.where(jnp.arange(p.shape[1]) < action, p, 0.0).sum(axis=1), own(p), own(log_p)

    return len(of), (*at_draws(model, fit.tree, places, _DRAWS, rng), often)


def pit_check(found: Facts | None, decisions: Decisions | None) -> Check:
    """Whether the transforms are uniform."""
    name = "LOO-PIT"
    if decisions is None:
        missing = "the decisions were not given: give the study (study=…) or the model"
        return Check(name, Outcome.NOT_APPLICABLE, missing, about="model")
    if not all(e.ordered for e in decisions.environments.values()):
        return Check(name, Outcome.NOT_APPLICABLE, "the actions have no order", about="model")
    if found is None:
        missing = "the fit does not hold the probabilities of actions: give the model"
        return Check(name, Outcome.NOT_APPLICABLE, missing, about="model")
    values, p, bad = found["values"], found["p_value"], found["k_hat_bad"]
    some = "" if len(values) == found["decisions"] else f" ({len(values):,} of {found['decisions']:,}, drawn at random)"
    what = f"the transforms of decisions{some}"
    if bad > MAX_BAD:
        return Check(
            name, Outcome.WARNING,
            f"{bad:.0%} of the decisions cannot be left out by weights (k-hat above {found['k_hat_limit']:.2g})",
            "Compare by participant (bayescal.compare), which refits where it must.", "model",
        )  # fmt: skip
    if p >= ERROR:
        return Check(name, Outcome.PASSED, f"{what} are uniform (p = {p:.2g})", about="model")
    return Check(
        name, Outcome.FAILED, f"{what} are not uniform (p = {p:.2g}): {_shape(values)}",
        "See in the predictive checks which statistics the model does not reproduce.", "model",
    )  # fmt: skip


def _shape(values: Float[np.ndarray, " decisions"]) -> str:
    """How they differ from uniform: predictions too low or too high, too narrow or too wide."""
    n, mean = len(values), values.mean()
    z_mean, z_spread = (mean - 0.5) * np.sqrt(12 * n), (values.var() - 1 / 12) * np.sqrt(180 * n)
    if abs(z_mean) > max(3.0, abs(z_spread)):
        return f"predictions are too {'low' if mean > 0.5 else 'high'}"
    if abs(z_spread) > 3:
        return f"predictions are too {'narrow' if z_spread > 0 else 'wide'}"
    return "some values are chosen more often than predicted"
