"""Statistics of people against loops over people, each with play in which it must notice something."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescal as bc
from bayescal.diagnostics.predictive import predictive
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status

GAMES = {n: bc.get_game("selten-chmura-01") for n in ("a", "b")}
PEOPLE, ROUNDS = 24, 20


def played(first, shared=True, stay=0.0, seed=0):
    """A table of rows of two games in random order: who chooses "Up" how often, and repeats the last action with some
    probability.

    Args:
        first: the probability of "Up" by person.
        shared: whether it is the person's in both games; else in game b it is the next person's.
    """
    rng, rows = np.random.default_rng(seed), []
    for i, p in enumerate(first):
        for j, game in enumerate(GAMES):
            mine, last = (p if shared or j == 0 else first[i - 7]), None
            for t in range(ROUNDS):
                up = last if last is not None and rng.random() < stay else rng.random() < mine
                rows.append((f"p{i}", game, "row", t + 1, "Up" if up else "Down"))
                last = up
    table = pd.DataFrame(rows, columns=["participant", "game", "role", "round", "action"])
    return table.sample(frac=1, random_state=seed)


def predicted(table, likely, draws=400):
    """The predictive checks of a model in which a person's probability of "Up" is that in each game."""
    decisions = bc.Decisions.from_table(table, GAMES)
    rng, cells, totals = np.random.default_rng(1), decisions.cells, decisions.counts.sum(axis=1)
    who = zip(cells["participant"].astype(str), cells["game"].astype(str), strict=True)
    p = np.array([likely(int(person[1:]), game) for person, game in who])
    drawn = np.stack([np.stack([x := rng.binomial(totals, p), totals - x], axis=1) for _ in range(draws)])[None]
    names = ("game", "role", "participant")
    constant = {f"cell_{n}": (("cell",), cells[n].astype(str).to_numpy(dtype=str)) for n in names}
    tree = {
        "observed_data": xr.Dataset({"choices": (("cell", "action"), decisions.counts)}),
        "posterior_predictive": xr.Dataset({"choices": (("chain", "draw", "cell", "action"), drawn)}),
        "constant_data": xr.Dataset(constant),
    }
    return predictive(Fit(xr.DataTree.from_dict(tree), Status(), {}), decisions)


FIRST = np.random.default_rng(2).uniform(0.1, 0.9, PEOPLE)
RIGHT = lambda i, game: FIRST[i]
ON_AVERAGE = lambda i, game: FIRST.mean()


@pytest.fixture(scope="module")
def table():
    return played(FIRST)


def test_numbers_are_those_of_loops_over_people(table):
    found = predicted(table, RIGHT)["observed"]
    up = table.assign(up=table["action"] == "Up").sort_values("round")
    means = up.groupby(["participant", "game"])["up"].mean().unstack()
    assert found["spread of people in a"] == pytest.approx(means["a"].std())
    assert found["consistency of people across games"] == pytest.approx(means["a"].corr(means["b"]))
    repeats = chance = pairs = 0
    for _, x in up.groupby(["participant", "game"])["up"]:
        done, k = x.to_numpy(), int(x.sum())
        repeats += int((done[1:] == done[:-1]).sum())
        chance += (ROUNDS - 1) * (k * (k - 1) + (ROUNDS - k) * (ROUNDS - k - 1)) / (ROUNDS * (ROUNDS - 1))
        pairs += ROUNDS - 1
    assert found["repetition"] == pytest.approx((repeats - chance) / pairs)


def test_of_the_right_model_nothing_is_noticed(table):
    assert (predicted(table, RIGHT)["p"] > 0.01).all()


def test_people_who_differ_and_a_stranger_are_noticed(table):
    found = predicted(table, ON_AVERAGE)
    assert (found.loc[["spread of people in a", "spread of people in b", "most unusual person (G²)"], "p"] < 0.01).all()
    one = FIRST.copy()
    one[5] = 0.99 if FIRST[5] < 0.5 else 0.01
    found = predicted(played(one), RIGHT)
    assert found.loc["most unusual person (G²)", "p"] < 0.01 < found.loc["spread of people in a", "p"]


def test_who_is_not_the_same_in_both_games_is_noticed():
    found = predicted(played(FIRST, shared=False), RIGHT)
    assert found.loc["consistency of people across games", "p"] < 0.01
    assert found.loc["spread of people in b", "p"] > 0.01  # they differ as much as ever


def test_who_repeats_is_noticed(table):
    found = predicted(played(FIRST, stay=0.3), RIGHT)
    assert found.loc["repetition", "p"] < 0.01 and found.loc["repetition", "observed"] > 0.05
    unordered = predicted(table.drop(columns="round"), RIGHT)
    assert "repetition" not in unordered.index


def test_over_time_a_repeat_is_of_what_was_recorded():
    game = bc.repeated_dilemma()
    rows = [(f"p{i}", f"player {1 + i % 2}", t + 1, "cooperate" if c else "defect", 1)
            for i in range(4) for t, c in enumerate([1, 1, 0, 0, 0, i % 2])]  # fmt: skip
    table = pd.DataFrame(rows, columns=["participant", "role", "round", "action", "state"])
    decisions = bc.Decisions.from_table(table, {"d": game})
    seen = decisions.table["action_index"].to_numpy()[decisions.play.row]
    drawn = np.random.default_rng(0).integers(0, 2, (1, 50, len(seen)))
    tree = {"observed_data": xr.Dataset({"choice": (("decision",), seen)}),
            "posterior_predictive": xr.Dataset({"choice": (("chain", "draw", "decision"), drawn)})}  # fmt: skip
    found = predictive(Fit(xr.DataTree.from_dict(tree), Status(), {}), decisions)
    assert found.loc["repetition", "observed"] == pytest.approx((4 + 3 + 4 + 3) / 20)
    assert "most unusual person (G²)" in found.index
