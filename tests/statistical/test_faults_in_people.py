"""Which faults of simulated volunteers the predictive checks notice. The posterior is by NumPy (volunteers.py)."""

import sys

import numpy as np
import pandas as pd
import pytest
from volunteers import SIZES, play, posterior

import bayescal as bc
from bayescal.diagnostics.predictive import ERROR, compared
from bayescal.environments.counts import CountRecord, statistics_of_counts
from bayescal.environments.people import people_of_counts, repetition, statistics_of_people
from bayescal.environments.shares import shares_of_counts

GAMES = {f"groups of {n}": bc.VolunteersDilemma(n) for n in SIZES}
DRAWS = 300


def checked(rng, fault):
    """p of every statistic in one data set: of the same people, and of new people in their places."""
    data = play(rng, fault)
    games = np.array([f"groups of {SIZES[t]}" for t in data.treatment])
    record = CountRecord(GAMES, games, np.full(len(games), "player"), np.arange(len(games)), 2)
    people = people_of_counts(record)
    assert people is not None
    action = 1 - np.concatenate(data.sequence)  # action 0 volunteers
    statistics = [*statistics_of_counts(record), *shares_of_counts(record), *statistics_of_people(people)]
    statistics += repetition(np.repeat(np.arange(len(games)), data.decisions), action)
    counts = lambda k: np.stack([k, data.decisions - k], axis=-1)
    found = {}
    for who, chance in zip(("same", "new"), posterior(rng, data, DRAWS), strict=True):
        tables = np.concatenate([counts(data.volunteered)[None], counts(rng.binomial(data.decisions, chance))])
        rows = {s.name: compared(s, tables) for s in statistics}
        found |= {(who, name): row[4] for name, row in rows.items() if row is not None}
    return pd.Series(found)


def often(fault, repetitions, seed=1):
    """How often each statistic is beyond the limit that the check has."""
    rng = np.random.default_rng(seed)
    p = pd.DataFrame([checked(rng, fault) for _ in range(repetitions)])
    return (p < ERROR / p["same"].shape[1]).mean()


@pytest.mark.slow
def test_who_repeats_is_noticed_and_the_right_model_is_not():
    right, repeats = often("", 4), often("repeats", 4)
    assert right.max() <= 0.25 and right.mean() < 0.03
    assert repeats["same", "repetition"] == 1.0
    assert repeats.drop([("same", "repetition"), ("new", "repetition")]).mean() < 0.1  # by nothing else


if __name__ == "__main__":  # the table: PYTHONPATH=. python tests/statistical/test_faults_in_people.py
    faults = ("", "payoffs doubled", "lapses", "ids merged", "repeats")
    sys.stdout.write(pd.DataFrame({fault or "none": often(fault, 12) for fault in faults}).to_string() + "\n")
