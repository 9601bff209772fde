"""Parameters of the game that are inferred beside costs: estimates against brute force, and what is said of them."""

import json

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy.optimize
from click.testing import CliRunner
from scipy.special import logsumexp
from scipy.stats import norm

import bayescal as bc
from bayescal.cli import main
from bayescal.diagnostics.recover import recover
from bayescal.model.standard import standard_models
from bayescal.populations import Homogeneous, LogNormal

QUANTITIES = np.array([10.0, 30.0, 50.0])
COUNTS = np.array([22, 41, 17])
COST = 300.0
PROFITS = {"demand": np.arange(0, 11, 2), "orders": np.arange(0, 11, 2)}


def log_likelihood_of_firms(intercept, slope=1.0):
    """Of `COUNTS` in the logit equilibrium of a duopoly, found by damped iteration."""
    price = np.maximum(intercept - slope * (QUANTITIES[:, None] + QUANTITIES), 0.0)
    profits, p = (price - 1.0) * QUANTITIES[:, None], np.full(3, 1 / 3)
    for _ in range(150):
        q = profits @ p / COST
        p = 0.5 * p + 0.5 * np.exp(q - logsumexp(q))
    return COUNTS @ np.log(p)


def best_intercept(slope=1.0):
    negative = lambda a: -log_likelihood_of_firms(a, slope)
    rough = min(np.arange(60, 160, 2), key=negative)  # there is a lower maximum where the price is not zero anywhere
    return scipy.optimize.minimize_scalar(negative, bounds=(rough - 2, rough + 2), method="bounded").x


@pytest.fixture
def firms(tmp_path):
    """A study of a duopoly played once."""
    (tmp_path / "dataset.toml").write_text(
        '[meta]\ntitle = "Duopolies"\n[games]\nduopoly = { game = "cournot-2", quantities = [10, 30, 50] }\n'
        f"[model]\ncost = {COST}\n"
    )
    pd.DataFrame({"action": np.repeat(QUANTITIES, COUNTS)}).to_csv(tmp_path / "decisions.csv", index=False)
    return tmp_path


def test_the_command_line_estimates_a_parameter_of_a_game_played_once(firms):
    done = CliRunner().invoke(main, ["calibrate", str(firms), "--method", "mle", "--parameters", "intercept", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found["standard_errors"]) == {"intercept"}
    assert found["intercept"] == pytest.approx(best_intercept(), abs=1e-3)
    assert abs(found["intercept"] - best_intercept(slope=1.001)) > 0.03  # a thousandth in the slope is caught


def test_a_studys_own_parameters_are_those_of_the_command_line(firms):
    study = bc.load_study(firms, model={"parameters": ["intercept"]})
    (model,) = standard_models(study).values()
    assert study.parameters == ("intercept",) and "intercept" in model.hyperprior_text
    text = (firms / "dataset.toml").read_text()
    (firms / "dataset.toml").write_text(text + 'parameters = ["intercept"]\nhyperpriors = { intercept = [100, 20] }\n')
    (model,) = standard_models(bc.load_study(firms)).values()
    assert model.hyperprior_text["intercept"] == "Normal(100, 20)"


def test_the_command_that_is_repeated_names_the_parameters():
    from bayescal.cli.calibrate import Calibration

    flags = ("trust", "resume", "lapse", "learning", "snap", "reweight", "sharpen", "as_json")
    fields = dict.fromkeys(Calibration.__dataclass_fields__) | dict.fromkeys(flags, False)
    given = {"study": "cobweb-simulated", "draws": 10, "warmup": 5, "chains": 1, "seed": 0, "method": "nuts"}
    given |= {"options": (), "checkpoint_every": 100, "parameters": "kappa, noise"}
    asked = Calibration(**(fields | given))
    assert asked.changed["parameters"] == ("parameters", ["kappa", "noise"])
    assert " --parameters kappa,noise" in asked.command


def orders_of_people(seed=0):
    """Twelve shopkeepers, whose costs differ, in eight weeks of a shop with an unknown price."""
    rng = np.random.default_rng(seed)
    cost = np.exp(rng.normal(1.0, 0.8, 12))
    q = profits(9.0)
    log_p = q / cost[:, None] - logsumexp(q / cost[:, None], axis=1, keepdims=True)
    orders = np.stack([rng.choice(PROFITS["orders"], 8, p=np.exp(x)) for x in log_p])
    person, week = np.indices(orders.shape).reshape(2, -1)
    return pd.DataFrame({"participant": person, "round": week, "action": orders.ravel(), "demand": 4})


def shop(unit_cost=3.0):
    return bc.Newsvendor(9.0, unit_cost, demand=PROFITS["demand"], orders=PROFITS["orders"], rounds=8, discount=0.0)


def profits(price, unit_cost=3.0):
    """Of each order, over demand."""
    orders, demand = PROFITS["orders"], PROFITS["demand"]
    return np.mean(price * np.minimum(orders[:, None], demand) - unit_cost * orders[:, None], axis=1)


def log_likelihood_of_people(x, table, unit_cost=3.0):
    """Of shopkeepers whose log costs are normal, by a sum over a fine grid of costs."""
    mean, log_sd, price = x
    at = np.linspace(-8, 8, 1501)
    q = profits(price, unit_cost) / np.exp(at)[:, None]
    log_p = q - logsumexp(q, axis=1, keepdims=True)
    chosen = log_p[:, np.searchsorted(PROFITS["orders"], table["action"].to_numpy().reshape(12, 8))].sum(axis=2)
    weight = norm.logpdf(at, mean, np.exp(log_sd))[:, None] + np.log(at[1] - at[0])
    return logsumexp(chosen + weight, axis=0).sum()


def test_an_estimate_integrates_private_costs_out():
    """The same sites in the joint model, in which everybody's cost is a latent: its maximum would be of no use."""
    table = orders_of_people()
    game = shop()
    decisions = bc.Decisions.from_table(table, {"newsvendor": game})
    policy = bc.ExactPolicy(game)
    joint = bc.build_model(policy, LogNormal(), decisions, parameters=("price",), method="joint")
    found = bc.maximum_likelihood(joint)
    assert found.converged, found.status
    assert set(found.values) == {"log_mean", "log_sd", "price"}
    at = (found.values["log_mean"], np.log(found.values["log_sd"]), found.values["price"])
    best = scipy.optimize.minimize(lambda x: -log_likelihood_of_people(x, table), at, method="BFGS")
    np.testing.assert_allclose(at, best.x, atol=2e-3)
    assert found.log_likelihood == pytest.approx(-best.fun, abs=1e-3)
    assert abs(found.log_likelihood - log_likelihood_of_people(at, table, 3.03)) > 0.01  # a hundredth of a cost


def test_a_learned_policy_is_asked_for_what_it_was_trained_for_only():
    study = bc.load_study("beer-game-simulated", where="round <= 2")
    policy = bc.load_model("beer-game")
    with pytest.raises(bc.InputError, match=r"holding cannot be inferred with this learned policy"):
        bc.build_model(policy, policy.population, study.decisions, parameters=("holding",))
    with pytest.raises(bc.InputError, match="has no parameters colour"):
        bc.build_model(policy, policy.population, study.decisions, parameters=("colour",))


@pytest.mark.slow
def test_an_estimate_with_a_learned_policy_finds_what_the_data_were_simulated_at():
    """The simulated triopoly: an intercept of 100, log costs of mean 5 and standard deviation 0.5."""
    study = bc.load_study("cournot-simulated", model={"parameters": ["intercept"]})
    (found,) = bc.estimate(study).values()
    assert found.converged, found.status
    truth = {"intercept": 100.0, "log_mean": 5.0, "log_sd": 0.5}
    z = {n: (found.values[n] - x) / found.standard_errors[n] for n, x in truth.items()}
    assert max(map(abs, z.values())) < 3, z
    assert found.standard_errors["intercept"] < 2  # so that 3 of them are no wide net


@pytest.mark.slow
def test_a_games_parameter_is_recovered():
    """Prices drawn from the hyperprior are covered as often as intervals say. If orders are those of people who pay a
    higher unit cost than the model says, prices are found too low."""
    build = lambda unit_cost: bc.build_model(
        bc.ExactPolicy(shop(unit_cost)),
        Homogeneous(),
        bc.Decisions.from_table(orders_of_people(), {"newsvendor": shop(unit_cost)}),
        cost=2.7,
        parameters=("price",),
        hyperpriors={"price": dist.LogNormal(np.log(9.0), 0.25)},
    )
    settings = {"replicates": 40, "kept": 20, "warmup": 150}
    found = recover(build(3.0), **settings)
    assert found.names == ["price"] and found.recovered, found.verdict
    assert found.summary().loc["price", "explained"] > 0.9  # the decisions say what it is
    planted = recover(build(3.0), build(3.5), **settings)
    assert not planted.recovered and "price is too low" in planted.verdict
