"""What would new people from the inferred population do? Replications in which everybody is somebody else.

A model whose people have costs of their own adapts to whatever each of them did: replications of the same people hardly
ever fail. New people share with them only the population, the habit and the game. If they differ from the people in the
data, the population does not describe these (payoffs of one treatment that are felt differently, a few strangers).
"""

from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from numpyro import handlers

from bayescal._types import Key
from bayescal.diagnostics.base import Check, Outcome
from bayescal.diagnostics.predictive import judged, table_of_counts
from bayescal.environments.statistics import Draws
from bayescal.evaluation.batches import evenly, numbers_of, of_every_draw
from bayescal.evaluation.sites import Sites, sites_of, trace_of
from bayescal.posterior.fit import Fit
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

NAME = "new people"

_DRAWS = 300
_BATCH = 50  # draws at once
_MOST = 4e7  # probabilities of everybody, over all draws
_OWN = {"participant", "cell"}  # dimensions of what is drawn anew for a new person


def new_people(fit: Fit, model: Any, decisions: Decisions, *, seed: int = 0) -> pd.DataFrame | None:
    """By statistic, what people did beside what new people in their places would do, as `predictive` has it; None where
    nobody has parameters of their own, or decisions are linked over time.

    Args:
        model: that was fitted.
    """
    tables = replaced(fit, model, decisions, seed=seed)
    return None if tables is None else table_of_counts(fit, decisions, tables)


def replaced(fit: Fit, model: Any, decisions: Decisions, *, seed: int = 0) -> Draws | None:
    """Counts of choices: the observed ones, and those of new people at draws of the posterior."""
    whole = getattr(model, "evaluated", None) or model
    seen = fit.tree["observed_data"]
    if decisions.play is not None or "choices" not in seen or "cell_participant" not in fit.tree["constant_data"]:
        return None
    counts = seen["choices"].to_numpy()
    posterior = fit.tree["posterior"].to_dataset()
    with double_precision():
        sites = sites_of(whole)
        latent = {n: s for n, s in sites.items() if s.kind == "latent"}
        shared = {n: s for n, s in latent.items() if not _OWN & set(s.dims)}
        if len(shared) == len(latent) or not set(shared) <= set(posterior) or counts.size * _DRAWS > _MOST:
            return None
        kept = evenly(posterior.sizes["chain"] * posterior.sizes["draw"], _DRAWS)
        values = {n: posterior[n].to_numpy().reshape(1, -1, *s.shape)[:, kept] for n, s in shared.items()}

        def one(values: Sites, key: Key) -> Float[Array, "cells actions"]:
            trace = trace_of(handlers.substitute(whole, data=dict(values)), key)
            return jax.numpy.exp(trace["choices"]["fn"].log_probs)

        rng = np.random.default_rng(seed)
        p = np.asarray(of_every_draw(one, values, numbers_of(whole), rng, _BATCH))[0]
    p = p / p.sum(axis=-1, keepdims=True)
    drawn = rng.multinomial(counts.sum(axis=1), p)
    return np.concatenate([counts[None], drawn])


def new_people_check(table: pd.DataFrame | None) -> Check:
    """Whether people are as the population says."""
    nothing = "it takes the model, and people with parameters of their own in a one-shot game"
    advice = (
        "The population does not describe these people: let it differ by treatment (--covariates), or be another kind."
    )
    return judged(NAME, table, "what new people would do", nothing, Outcome.FAILED, advice)
