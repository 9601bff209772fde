"""What ingredients are worth, and what the verdict says of fights that are not fair: against numbers worked by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.comparison.ingredients import HABIT_ALONE, NO_PAYOFFS, Ingredients, worths
from bayescal.comparison.rivals import RIVALS
from bayescal.comparison.sums import Units
from bayescal.report import rival_figures, tables

MADE_OF = {
    "null": Ingredients(NO_PAYOFFS, habit="inferred", payoffs=False),
    "habit": Ingredients(HABIT_ALONE, habit="inferred", payoffs=False),
    "plain": Ingredients("equilibrium"),
    "leaning": Ingredients("equilibrium", habit="inferred"),
    "levels": Ingredients("cognitive hierarchy"),
    "levels, leaning": Ingredients("cognitive hierarchy", habit="inferred"),
    "people": Ingredients("equilibrium", habit="inferred", heterogeneity="people differ"),
}
UNITS = 40
TOTALS = {
    "null": -104.0, "habit": -150.0, "plain": -180.0, "leaning": -140.0, "levels": -160.0, "levels, leaning": -110.0,
    "people": -100.0,
}  # fmt: skip


def pointwise(totals=TOTALS):
    """Every unit alike but for a wave of its own in each model, which adds up to nothing."""
    wave = np.sin(np.arange(UNITS) * 2 * np.pi / UNITS)
    return pd.DataFrame({n: t / UNITS + 0.1 * (k + 1) * wave for k, (n, t) in enumerate(totals.items())})


def comparison(totals=TOTALS, made_of=MADE_OF, excluded=()):
    values = pointwise(totals)
    names = sorted(totals, key=lambda n: (n in excluded, -totals[n]))
    ahead = {n: values[n] - values[names[0]] for n in names}
    table = pd.DataFrame(
        {
            "difference": [ahead[n].sum() for n in names],
            "difference_se": [np.sqrt(UNITS) * ahead[n].std() for n in names],
            "per_decision": [totals[n] / 100 for n in names],
            "elpd": [totals[n] for n in names],
            "weight": 0.5,
            "k_hat": 0.1,
            "how": "psis",
            "unreliable": 0,
            "excluded": [n in excluded for n in names],
            "reason": "it was planted",
        },
        index=names,
    )
    ones = np.ones(UNITS, int)
    return bc.Comparison("participant", tuple(map(str, ones)), ones, table, values, made_of=made_of)


def by_name(found):
    return {(w.ingredient, w.over): w for w in found}


def test_worths_are_means_over_pairs_that_differ_in_nothing_else():
    found = by_name(worths(MADE_OF, pointwise(), Units(np.ones(UNITS, int))))
    habit = found["an inferred prior", "a uniform prior"]
    assert set(habit.pairs) == {("plain", "leaning"), ("levels", "levels, leaning")}
    assert habit.nats == pytest.approx((40 + 50) / 2)
    # The waves of "leaning" - "plain" and of "levels, leaning" - "levels" are 0.1 each, and so is their mean.
    assert habit.se == pytest.approx(0.1 * UNITS * np.sqrt(0.5 / (UNITS - 1)))
    assert found["people who differ", "people who are alike"].nats == pytest.approx(40)
    assert found["equilibrium", HABIT_ALONE].nats == pytest.approx(10)
    assert found["cognitive hierarchy", HABIT_ALONE].nats == pytest.approx(40)
    payoffs = found["payoffs", NO_PAYOFFS]
    assert set(payoffs.pairs) == {("null", "leaning"), ("null", "levels, leaning")}
    assert payoffs.nats == pytest.approx((-36 - 6) / 2)
    assert len(found) == 5


def test_a_pair_that_differs_in_two_ingredients_is_no_pair():
    """Planted: counted as a habit's worth, the step from "plain" to "people" would be seen."""
    two = {n: MADE_OF[n] for n in ("plain", "people")}
    assert worths(two, pointwise(), Units(np.ones(UNITS, int))) == ()


def test_units_that_stand_for_several_count_as_often():
    values = pointwise().iloc[:3]
    copies = np.array([2, 1, 3])
    spread = pd.DataFrame(np.repeat(values.to_numpy() / copies[:, None], copies, axis=0), columns=values.columns)
    few = worths(MADE_OF, values, Units(copies))
    each = worths(MADE_OF, spread, Units(np.ones(6, int)))
    assert [(w.nats, w.se) for w in few] == [(pytest.approx(w.nats), pytest.approx(w.se)) for w in each]


def test_ingredients_come_first_and_unequal_terms_are_named():
    found = comparison()
    first, ranking, unfair, payoffs = found.conclusion.sentences
    assert first.startswith("Worth out of sample, in nats: ") and "an inferred prior 45.0 ± 0.5" in first
    assert "equilibrium (over habit alone) 10.0 ±" in first and "payoffs −21.0 ±" in first
    # "leaning" has all but people who differ, and "null" lacks the same: no model is on equal terms with the best.
    assert ranking.startswith("people predicts best, but cannot be told apart from null (4.0 ± 2.7 nats)")
    alike = "levels, leaning by 10.0 ± 0.5 and habit by 50.0 ± 2.3 (without people who differ)"
    assert f"people is ahead of {alike}" in unfair
    assert "of leaning by 40.0" in unfair
    assert "plain by 80.0 ± 1.8 (without an inferred prior and people who differ, worth 80.0 ± 1.8 to it)" in unfair
    # No cognitive hierarchy of people who differ was compared, so what they are worth to it is not known.
    assert "levels by 60.0 ± 0.9 (without an inferred prior and people who differ)" in unfair
    assert payoffs.startswith("Payoffs: the best model with them (people) is 4.0 ± 2.7 nats ahead of the best without")
    assert payoffs.endswith("(null), which is not clear.")


def test_a_model_on_equal_terms_is_beaten_and_not_excused():
    made_of = MADE_OF | {"levels": MADE_OF["people"]}
    found = comparison(made_of=made_of)
    assert "it beats levels by 60" in found.conclusion.sentences[1]
    assert "levels by 60" not in found.conclusion.sentences[2]


def test_excluded_fits_are_worth_nothing():
    found = comparison(excluded=("plain",))
    worth = by_name(found.conclusion.worth)
    assert worth["an inferred prior", "a uniform prior"].pairs == (("levels", "levels, leaning"),)


def test_without_ingredients_the_verdict_is_the_ranking_alone():
    found = comparison(made_of={})
    assert found.verdict.startswith("people predicts best") and not len(found.ingredients)
    assert found.as_dict()["conclusion"]["economics"] is None


def test_a_null_may_win():
    found = comparison(totals=TOTALS | {"null": -60.0})
    assert "(people) is 40.0 ± 2.7 nats behind the best without (null)." in found.verdict


def test_ingredients_are_data_in_the_table_and_in_json():
    found = comparison()
    table = found.ingredients.set_index("ingredient")
    assert table.loc["an inferred prior", "pairs"] == 2 and table.loc["an inferred prior", "clear"]
    made = found.as_dict()
    assert made["ingredients"][0]["ingredient"] == "equilibrium"
    assert made["made_of"]["people"]["heterogeneity"] == "people differ"
    assert made["conclusion"]["behind"][1]["lacks"] == ["people who differ"]


def test_no_two_rivals_are_made_of_the_same():
    made_of = [RIVALS[n].ingredients for n in RIVALS]
    assert len(set(made_of)) == len(made_of)
    # The best model and its nulls are in the usual field, and so is everything that makes the fight fair.
    usual = [RIVALS[n].ingredients for n in RIVALS if RIVALS[n].usual]
    for heterogeneity in ("alike", "people differ"):
        levels = ["cognitive hierarchy"] * (heterogeneity == "alike")  # with costs of their own it takes long: --full
        for behaviour in (NO_PAYOFFS, HABIT_ALONE, "equilibrium", *levels):
            pooling = "by game" if (behaviour, heterogeneity) == (NO_PAYOFFS, "alike") else "complete"
            wanted = [i for i in usual if (i.behaviour, i.habit) == (behaviour, "inferred")]
            assert any((i.heterogeneity, i.pooling) == (heterogeneity, pooling) for i in wanted), (behaviour, pooling)


def test_ingredients_are_in_the_report():
    found = comparison()
    table = tables.comparison(found).ingredients
    assert table is not None
    rows = {row.name: row.cells for row in table.rows}
    assert rows["an inferred prior"] == ["a uniform prior", "45.0 ± 0.5", "2", ""]
    figure = rival_figures.ingredients(found)
    assert figure is not None
    labels = [x.get_text() for x in figure.axes[0].get_yticklabels()]
    assert labels[0] == "equilibrium (over habit alone)" and len(labels) == len(found.ingredients)
    assert tables.comparison(comparison(made_of={})).ingredients is None
    assert rival_figures.ingredients(comparison(made_of={})) is None


def test_the_plan_is_printed_and_nothing_is_fitted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["compare", "selten-chmura", "--where", "game == 'selten-chmura-01'", "--plan", "--json"]
    done = CliRunner().invoke(main, [*asked, "--only", "random play", "--only", "logit without payoffs, people differ"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    row = plan["models"]["random play"]
    assert (row["behaviour"], row["payoffs"]) == (HABIT_ALONE, False) and plan["seconds"] >= row["seconds"] > 0
    assert "does not say who decided" in plan["left_out"]["logit without payoffs, people differ"]
    assert not list(tmp_path.iterdir())
