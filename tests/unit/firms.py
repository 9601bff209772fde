"""A few firms with costs of their own, in a small Cournot market, for tests of models of people."""

import numpy as np
import pandas as pd
from numpyro import handlers

import bayescal as bc
from bayescal.populations import LogNormal

PEOPLE, ROUNDS = 8, 6
POPULATION = LogNormal(12)
MARKET = bc.Cournot(3, np.linspace(0, 60, 7))


def table(seed=0, rounds=ROUNDS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), rounds)
    return pd.DataFrame(
        {
            "participant": person,
            "round": np.tile(np.arange(1, rounds + 1), PEOPLE),
            "action": rng.choice([10, 20, 30, 40], len(person), p=[0.2, 0.4, 0.3, 0.1]),
            "treatment": np.where(person < 3, "a", "b"),
            "age": 20.0 + person,
        }
    )


def drawn(model, seed=0):
    """(values of every latent site drawn from its prior, the trace)."""
    trace = handlers.trace(handlers.seed(model, seed)).get_trace()
    sampled = {n: s for n, s in trace.items() if s["type"] == "sample" and not s["is_observed"]}
    return {n: s["value"] for n, s in sampled.items()}, trace
