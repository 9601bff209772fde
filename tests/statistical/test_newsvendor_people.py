"""Real newsvendors: 31 people who ordered for 30 days where 75 is optimal, and ordered 51.8 on average.

The posterior predictive check replays the experiment: the same 31 people (their costs and habits as a draw of the
posterior has them) order for 30 days against new demand. In three runs of 50 to 100 replays the spread of people's mean
orders (11.7) lay well inside the 90 % interval; the mean order (51.8) at its lower end (50.6, 50.8 and 52.0) and the
share of changes towards the last demand (69.7 %) at its upper end (70.05 and 69.5 %): habits are one for all here, and
people differ in them. All three are asked to lie inside 99 %.
"""

from pathlib import Path

import numpy as np
import pytest

import bayescal as bc
from bayescal.posterior.calibrate import calibrate

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "newsvendor-expedited" / "newsvendor_tidy.csv.gz"


@pytest.fixture(scope="module")
def study():
    return bc.load_study("newsvendor-expedited", data=DATA)


def facts(table):
    """(mean order, sd of people's mean orders, share of changes towards the last demand) of a table of play."""
    table = table.sort_values(["participant", "round"]).assign(order=lambda t: t["action"].astype(str).astype(float))
    people = table.groupby("participant", observed=True)
    own, seen = people["order"].shift(), people["demand"].shift()
    changed = own.notna() & (table["order"] != own)
    towards = np.sign(table["order"] - own) == np.sign(seen - own)
    return table["order"].mean(), people["order"].mean().std(), (towards & changed).sum() / changed.sum()


def test_the_people_are_those_that_were_described(study):
    assert len(study.decisions.play.row) == 930
    mean, spread, towards = facts(study.decisions.table)
    assert mean == pytest.approx(51.8, abs=0.05)
    assert towards == pytest.approx(0.697, abs=5e-4)
    assert spread == pytest.approx(11.7, abs=0.05)


@pytest.mark.slow
def test_the_experiment_is_reproduced(study):
    fit = calibrate(study, draws=100, warmup=200, chains=2)["people"]
    assert fit.tree["sample_stats"]["diverging"].sum() == 0
    posterior = fit.tree["posterior"].to_dataset()
    flat = {n: x.to_numpy().reshape(-1, *x.shape[2:]) for n, x in posterior.data_vars.items()}
    # A group is one person.
    policy = bc.ExactPolicy(study.decisions.environments["newsvendor"], study.prior)
    found = []
    for draw in np.linspace(0, len(flat["cost"]) - 1, 40).astype(int):
        psi = {n.removeprefix("psi_"): x[draw] for n, x in flat.items() if n.startswith("psi_")}
        found.append(facts(bc.simulate(policy, groups=31, cost=flat["cost"][draw][:, None], psi=psi, seed=int(draw))))
    found, seen = np.array(found), np.array(facts(study.decisions.table))
    z = (seen - found.mean(axis=0)) / found.std(axis=0, ddof=1)
    assert np.all(np.abs(z) < 2.58), (z, seen)
