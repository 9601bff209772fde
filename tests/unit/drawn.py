"""Fits as if they had been sampled, of as many people as a test needs, in no time."""

import numpy as np
import xarray as xr

from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status

CONVERGED = Status(numbers={"r_hat": 1.0})
CHAINS, DRAWS, ACTIONS = 2, 50, 3


def drawn_fit(people: int, *, spread: float = 1.0, status: Status = CONVERGED, seed: int = 0) -> Fit:
    """A one-shot game of three actions, each person's cost drawn around 10, ten decisions each."""
    rng = np.random.default_rng(seed)
    lead, labels = (CHAINS, DRAWS), np.array([f"P{k:05d}" for k in range(people)])
    mean, sd = rng.normal(np.log(10), 0.1, lead), spread * np.exp(rng.normal(0, 0.1, lead))
    own = np.log(10) + spread * rng.normal(size=people)
    log_cost = own + 0.3 * rng.normal(size=(*lead, people))
    counts = np.random.default_rng(1).multinomial(10, [0.5, 0.3, 0.2], people)  # the same in all fits
    told = {"participant": labels}
    cells = {"cell": np.char.add(labels, " · game")}
    one = lambda x: (("chain", "draw"), x)
    each = lambda x: (("chain", "draw", "participant"), x)
    predicted = rng.multinomial(10, [0.45, 0.3, 0.25], (*lead, people))
    choices = xr.Dataset({"choices": (("chain", "draw", "cell", "action"), predicted)}, coords=cells)
    groups = {
        "posterior": xr.Dataset({"log_mean": one(mean), "log_sd": one(sd)}),
        "people": xr.Dataset({"log_cost": each(log_cost), "cost": each(np.exp(log_cost))}, coords=told),
        "sample_stats": xr.Dataset({"diverging": one(np.zeros(lead, bool)), "energy": one(rng.normal(size=lead))}),
        "log_likelihood": xr.Dataset(
            {"by_participant": each(-9 + 0.3 * own * (spread - 1) + 0.05 * rng.normal(size=(*lead, people)))},
            coords=told,
        ),
        "log_prior": xr.Dataset({"log_mean": one(-(mean**2)), "log_sd": one(-(sd**2))}),
        "prior": xr.Dataset({"log_mean": one(rng.normal(2, 1.5, lead)), "log_sd": one(np.abs(rng.normal(0, 1, lead)))}),
        "prior_predictive": choices,
        "posterior_predictive": choices,
        "observed_data": xr.Dataset({"choices": (("cell", "action"), counts)}, coords=cells),
        "constant_data": xr.Dataset(
            {
                "total": (("cell",), counts.sum(axis=1)),
                "available": (("cell", "action"), np.ones((people, ACTIONS), bool)),
                "cell_game": (("cell",), np.full(people, "game")),
                "cell_role": (("cell",), np.full(people, "player")),
                "cell_participant": (("cell",), labels),
            },
            coords=cells,
        ),
    }
    facts = {"seed": seed, "model": "drawn at random", "hyperpriors": {"log_mean": "Normal(2, 1.5)"}, "data_hash": "0"}
    return Fit(xr.DataTree.from_dict(groups), status, facts)
