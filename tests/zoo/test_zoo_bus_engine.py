"""The learned policy of Rust's problem against the exact one: is a learned likelihood right?"""

from pathlib import Path

import jax
import numpy as np
import pytest

import bayescal as bc
from bayescal.training import SoftQMarkov, certify, train
from bayescal.training.recipe import find_model, read_recipe

PANEL = Path(__file__).parents[2].parent / "shared" / "data" / "rust-zurcher" / "rust_bus_panel.csv.gz"
RANGES = {"RC": (5.0, 22.0), "theta11": (0.3, 6.5)}


@pytest.fixture(scope="module")
def buses():
    return bc.load_study("bus-engine", data=PANEL, where="group == 4")


def test_it_answers_for_group_4_and_no_other(buses):
    """Its usage is that which was counted there."""
    policy = bc.load_model("bus-engine")
    settings = {"cost": 1.0, "parameters": ("RC", "theta11")}
    bc.build_model(policy, bc.populations.Homogeneous(), buses.decisions, **settings)
    others = bc.load_study("bus-engine", data=PANEL, where="group == 3")
    with pytest.raises(bc.DomainError, match="usage is"):
        bc.build_model(policy, bc.populations.Homogeneous(), others.decisions, **settings)


def test_choices_are_close_in_every_month():
    policy = bc.load_model("bus-engine")
    exact = bc.ExactPolicy(policy.environment)
    seen = {"state": np.arange(90)}
    with jax.enable_x64(True):
        for rc, theta in ((5.0, 0.5), (10.0, 2.3), (14.0, 4.0), (30.0, 15.0)):
            params = {"RC": rc, "theta11": theta}
            learned, solved = (np.exp(p.log_prob_cells(0, seen, 1.0, None, None, params)) for p in (policy, exact))
            assert np.abs(learned - solved).max() < 0.01


@pytest.mark.slow
def test_its_posterior_is_the_exact_one(buses):
    """Target: within a tenth of a posterior sd. On a grid, so without Monte-Carlo error."""
    moments = []
    for policy in (bc.ExactPolicy(buses.decisions.environments["bus-engine"]), bc.load_model("bus-engine")):
        model = bc.build_model(
            policy, bc.populations.Homogeneous(), buses.decisions, cost=1.0, parameters=("RC", "theta11")
        )
        moments.append(bc.infer(model, bc.Grid(points=24, draws=100, ranges=RANGES)).provenance["grid"])
    for name, exact in moments[0].items():
        assert abs(moments[1][name]["mean"] - exact["mean"]) < 0.1 * exact["sd"]
        assert moments[1][name]["sd"] == pytest.approx(exact["sd"], rel=0.05)


@pytest.mark.slow
def test_a_network_that_learned_little_is_caught():
    """Twenty steps are not enough, and the certificate says so."""
    skeleton = read_recipe(find_model("bus-engine")).skeleton
    poor = train(SoftQMarkov(skeleton, steps=20, batch=2)).policy
    bad, good = (certify(p, points=8) for p in (poor, bc.load_model("bus-engine")))
    assert good["kl"]["median"] < 1e-5
    assert bad["kl"]["median"] > 100 * good["kl"]["median"]
    budget = "decisions_below_a_tenth_of_sd"
    assert bad[budget]["params.RC"]["median"] < 0.01 * good[budget]["params.RC"]["median"]


def test_it_is_for_one_player_in_finitely_many_states():
    with pytest.raises(bc.InputError, match="Markov environments of one player"):
        SoftQMarkov(bc.AmortisedPolicy(bc.Newsvendor(), {"cost": (1.0, 100.0)}))
