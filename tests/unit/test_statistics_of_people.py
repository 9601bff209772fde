"""Statistics of people against loops over people, each with play in which it must notice something."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescal as bc
from bayescal.diagnostics.new_people import new_people_check, replaced
from bayescal.diagnostics.predictive import predictive, table_of_counts
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


def test_identifiers_of_two_people_are_refused_where_rounds_are_known(table):
    """No statistic can tell: what two people did, taken together, is possible play of one."""
    with pytest.raises(bc.InputError, match="hold a participant's round that an earlier row of the game already holds"):
        bc.Decisions.from_table(table.replace({"participant": {"p1": "p0"}}), GAMES)


# --- New people -------------------------------------------------------------------------------------------------------


def hunters(first):
    """Decisions of people in a stag hunt who hunt the stag with these probabilities."""
    stag, rng = bc.get_game("stag-hunt"), np.random.default_rng(3)
    rows = [(f"p{i}", "row", "stag" if up else "hare") for i, p in enumerate(first) for up in rng.random(12) < p]
    return bc.Decisions.from_table(pd.DataFrame(rows, columns=["participant", "role", "action"]), {"hunt": stag})


@pytest.mark.slow
def test_new_people_are_drawn_from_the_population():
    """Their mean and spread by NumPy: log-normal costs around 1, and the equilibrium against all of them."""
    cost = np.exp(np.random.default_rng(4).normal(0.0, 0.6, 200_000))
    rate = 0.5
    for _ in range(300):
        chance = 1 / (1 + np.exp(-(3 * rate - 2) / cost))  # the stag pays 4 with company and 1 alone, the hare 3
        rate = chance.mean()
    decisions = hunters(np.full(40, rate))
    policy = bc.ExactPolicy(bc.get_game("stag-hunt"))
    model = bc.build_model(policy, bc.populations.LogNormal(), decisions, method="joint")
    constant = {f"cell_{n}": (("cell",), decisions.cells[n].astype(str).to_numpy(dtype=str))
                for n in ("game", "role", "participant")}  # fmt: skip
    at = {n: (("chain", "draw"), np.full((2, 150), x)) for n, x in (("log_mean", 0.0), ("log_sd", 0.6))}
    groups = {"posterior": xr.Dataset(at), "constant_data": xr.Dataset(constant)}

    def fit(counts):
        seen = xr.Dataset({"choices": (("cell", "action"), counts)})
        return Fit(xr.DataTree.from_dict(groups | {"observed_data": seen}), Status(), {})

    tables = replaced(fit(decisions.counts), model, decisions)
    assert tables is not None and tables.shape == (301, 40, 2)
    shares = tables[1:, :, 0] / 12
    assert shares.mean() == pytest.approx(rate, abs=0.006)
    assert shares.var() == pytest.approx(chance.var() + (chance * (1 - chance)).mean() / 12, rel=0.05)

    def check(counts):
        return new_people_check(table_of_counts(fit(counts), decisions, np.concatenate([counts[None], tables[1:]])))

    assert check(tables[7]).passed  # the table of one replication
    strangers = tables[7].copy()
    strangers[:4] = [12, 0]  # four who always hunt the stag
    said = check(strangers)
    assert said.failed and "most unusual person" in said.found and said.advice
    assert not new_people_check(None).applies
