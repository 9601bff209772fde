"""Predictions of a new person, in plain units.

The cost (or level, or habit) of a new person is unknown: it is drawn from the population of each posterior draw, and
probabilities are averaged over draws. Everybody in one situation then has the same probabilities, and no prediction of
this kind can beat the **noise floor** (see `noise_floor`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float, Num
from numpyro import handlers
from scipy.stats import binomtest

from bayescal.comparison.noise_floor import noise_floor
from bayescal.evaluation.batches import Batched, numbers_of
from bayescal.evaluation.compile import Aside, random_keys
from bayescal.evaluation.sites import sites_of
from bayescal.model.model import Model
from bayescal.posterior.fit import Fit
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

DRAWS = 200  # of the posterior
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

_OWN = {"participant", "cell", "decision"}  # dimensions of parameters that are drawn anew for a new person
_BATCH = 20  # draws at most in a batch


@dataclass(frozen=True, eq=False)
class Chances:
    """What was done in each situation, and with what probability a new person does it.

    Attributes:
        counts: (rows, actions); a row is a cell, or one decision of a game over time.
        probabilities: of the same shape.
        values: of the actions, NaN beyond the end of a shorter grid; None where actions have no order.
    """

    counts: Num[np.ndarray, "rows actions"]
    probabilities: Float[np.ndarray, "rows actions"]
    values: Float[np.ndarray, "rows actions"] | None


def predict_new(model: Model, fit: Fit, *, draws: int = DRAWS, seed: int = 0) -> Float[np.ndarray, "rows actions"]:
    """The probability that a new person takes each action in the situation of each cell (or decision)."""
    return prepare_new(model, fit, draws=draws, seed=seed)()


def prepare_new(
    model: Model, fit: Fit, *, draws: int = DRAWS, seed: int = 0
) -> Callable[[], Float[np.ndarray, "rows actions"]]:
    """The first half of `predict_new`: starts to compile. Call the result for the second half."""
    whole = model.evaluated or model
    posterior = fit.tree["posterior"].to_dataset()
    with double_precision():
        sites = sites_of(whole)
        latent = {n: s for n, s in sites.items() if s.kind == "latent" and not _OWN & set(s.dims) and n in posterior}
        name = next(n for n in ("choices", "choice") if n in sites)

        def one(values, key):
            trace = handlers.trace(handlers.seed(handlers.substitute(whole, data=values), key)).get_trace()
            return jax.numpy.exp(trace[name]["fn"].log_probs)

        batched = Batched(one, numbers_of(whole), _BATCH)
        batch, some = batched.size, jax.jit(lambda values, keys: batched(values, keys).sum(axis=0))
        shapes = {n: jax.ShapeDtypeStruct((batch, *s.shape), float) for n, s in latent.items()}
        summed = Aside(some, shapes, random_keys(np.random.default_rng(), batch), brief=True, rounds=batched.rounds)
    flat = {n: posterior[n].to_numpy().reshape(-1, *s.shape) for n, s in latent.items()}
    there = len(next(iter(flat.values()))) if flat else draws
    steps = -(-min(draws, max(there, 1)) // batch)
    chosen = np.linspace(0, there - 1, steps * batch).round().astype(int)

    def run() -> Float[np.ndarray, "rows actions"]:
        with double_precision():
            rng, total = np.random.default_rng(seed), 0.0
            for i in range(steps):
                here = chosen[i * batch : (i + 1) * batch]
                total = total + np.asarray(summed({n: x[here] for n, x in flat.items()}, random_keys(rng, batch)))
        return np.asarray(total) / (steps * batch)

    return run


def chances(model: Model, probabilities: Float[np.ndarray, "rows actions"], fit: Fit, decisions: Decisions) -> Chances:
    """What was done, with what is predicted."""
    observed = fit.tree["observed_data"].to_dataset()
    constants = {n: np.asarray(x) for n, (_, x) in (model.evaluated or model).constant_data.items()}
    if "choices" in observed:
        counts, lead = observed["choices"].to_numpy().astype(float), "cell_"
    else:
        counts, lead = np.eye(probabilities.shape[1])[observed["choice"].to_numpy()], ""
    games = constants[f"{lead}game"].astype(str)
    roles = constants[f"{lead}role"].astype(str)
    if not all(e.ordered for e in decisions.environments.values()):
        return Chances(counts, probabilities, None)
    grids = {
        (str(name), str(role)): _padded(env.action_values[r], counts.shape[1])
        for name, env in decisions.environments.items()
        for r, role in enumerate(env.role_names)
    }
    return Chances(counts, probabilities, np.stack([grids[k] for k in zip(games, roles, strict=True)]))


def score(predicted: Chances) -> dict[str, float | None]:
    """Scores of predictions.

    Returns:
        share_predicted: share of decisions that are the most probable action; mean_error: mean distance between a
        decision and the median of its prediction, None where actions have no order; log_score: nats per decision.
    """
    p, counts, total = predicted.probabilities, predicted.counts, predicted.counts.sum()
    with np.errstate(divide="ignore"):
        log_p = np.where(counts > 0, np.log(p), 0.0)
    error = None
    if predicted.values is not None:
        middle = (np.cumsum(p, axis=1) >= 0.5 - 1e-12).argmax(axis=1)
        distance = np.abs(predicted.values - predicted.values[np.arange(len(p)), middle][:, None])
        error = float(np.sum(counts * np.nan_to_num(distance)) / total)
    return {
        "share_predicted": float(counts[np.arange(len(p)), p.argmax(axis=1)].sum() / total),
        "mean_error": error,
        "log_score": float(np.sum(counts * log_p) / total),
    }


def calibration(predicted: Chances) -> pd.DataFrame:
    """By range of predicted probabilities: their mean, how often they came true, and how many there were.

    Each decision is a prediction of every action; the interval of how often they came true is of 90 %.
    """
    n = np.broadcast_to(predicted.counts.sum(axis=1, keepdims=True), predicted.counts.shape)
    there = (predicted.probabilities > 0) & (n > 0)
    if predicted.values is not None:
        there &= ~np.isnan(predicted.values)
    p, n, hits = predicted.probabilities[there], n[there], predicted.counts[there]
    of = np.clip(np.searchsorted(EDGES, p, side="right") - 1, 0, len(EDGES) - 2)
    rows = []
    for b in np.unique(of):
        trials, came = int(n[of == b].sum()), int(hits[of == b].sum())
        interval = binomtest(came, trials).proportion_ci(0.9, method="wilson")
        mean = float(np.average(p[of == b], weights=n[of == b]))
        rows.append(
            {
                "predicted": mean,
                "observed": came / trials,
                "low": float(interval.low),
                "high": float(interval.high),
                "n": trials,
            }
        )
    return pd.DataFrame(rows)


def score_all(
    models: Mapping[str, Model], fits: Mapping[str, Fit], decisions: Decisions, *, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(scores by model, calibration of every model)."""
    prepared = {n: prepare_new(m, fits[n], seed=seed) for n, m in models.items() if n in fits}
    floors = _floors(decisions)
    rows: dict[str, Any] = {}
    tables = []
    for name, run in prepared.items():
        predicted = chances(models[name], run(), fits[name], decisions)
        rows[name] = score(predicted) | floors
        tables.append(calibration(predicted).assign(model=name))
    scores = pd.DataFrame.from_dict(
        rows, orient="index", columns=["share_predicted", "mean_error", "log_score", *floors]
    )
    columns = ["model", "predicted", "observed", "low", "high", "n"]
    return scores, pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _floors(decisions: Decisions) -> dict[str, float | None]:
    """The noise floors, in nats per decision, with their standard errors: of a model that does not know who decides,
    and of one that knows each person."""
    found, out = noise_floor(decisions), {}
    for name, floor in (("floor", found.unknown), ("floor_known", found.known)):
        out |= {name: None if floor is None else floor.mean, f"{name}_se": None if floor is None else floor.se}
    return out


def _padded(values: Sequence[float], width: int) -> Float[np.ndarray, " width"]:
    return np.array([*values, *[np.nan] * (width - len(values))], float)
