"""People with costs of their own: every option of the model, joint and marginal, against integrals by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from firms import MARKET, PEOPLE, POPULATION, Replies, density, drawn, log_likelihood, table
from numpyro import handlers
from scipy.special import logsumexp

import bayescal as bc
from bayescal.errors import InputError
from bayescal.evaluation.locate import locate
from bayescal.likelihood.evidence import Error
from bayescal.populations import Homogeneous, LogNormal, Mixture, TruncatedNormal
from bayescal.priors import Anchored


@pytest.fixture(scope="module")
def decisions():
    return bc.Decisions.from_table(table(), {"cournot": MARKET}, covariates=("treatment", "age"))


@pytest.fixture(scope="module")
def policy():
    return Replies(MARKET, population=POPULATION)


def joint_at(model, values, log_cost):
    """log p(choices | everybody's log cost), by person, and log p(log cost), by person."""
    trace = handlers.trace(
        handlers.substitute(handlers.seed(model, 0), data=values | {"log_cost": log_cost})
    ).get_trace()
    by_cell = trace["choices"]["fn"].log_prob(trace["choices"]["value"])
    cells = model.constant_data["cell_participant"][1].astype(int)
    return jax.ops.segment_sum(by_cell, cells, PEOPLE), trace["log_cost"]["fn"].log_prob(log_cost)


OPTIONS = {
    "plain": {},
    "lapse, learning, psi": {"lapse": True, "learning": True, "prior_parameters": True},
    "free beliefs, params": {"beliefs": "free", "parameters": ("intercept",)},
    "fixed beliefs, covariates": {"beliefs": {"log_mean": 4.0, "log_sd": 0.5}, "covariates": "~ treatment + age"},
    "groups": {"groups": "treatment", "prior_parameters": "group", "covariates": "~ age"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_marginal_model_is_the_joint_one_integrated(name, decisions, policy):
    """For every option: the integral over each person's cost, by hand from the joint model's two parts. The plain model
    is of equilibria; where nothing of the habit is inferred, it is uniform."""
    options = OPTIONS[name]
    if name == "plain":
        policy = bc.ExactPolicy(MARKET, Anchored(), population=POPULATION)
    elif "prior_parameters" in options:
        policy = Replies(MARKET, Anchored(), population=POPULATION)
    with jax.enable_x64(True):
        marginal = bc.build_model(policy, POPULATION, decisions, method="marginal", **options)
        joint = marginal.evaluated
        values, _ = drawn(marginal, 5)
        low, high = np.log(float(MARKET.payoff_scale(MARKET.params))) + np.array([-9.0, 4.0])
        x = np.linspace(low, high, 261)
        at = jax.jit(jax.vmap(lambda c: joint_at(joint, values, jnp.full(PEOPLE, c))))
        by_hand = logsumexp(np.add(*at(x)), axis=0) + np.log(x[1] - x[0])
        found = log_likelihood(marginal, values)
    np.testing.assert_allclose(found, by_hand, atol=2e-3)


def test_offsets_and_costs_are_one_density(decisions, policy):
    with jax.enable_x64(True):
        apart, itself = (
            bc.build_model(policy, POPULATION, decisions, method="joint", centred=c) for c in (False, True)
        )
        values, computed = drawn(apart, 1, ["log_cost"])
        costs = {n: x for n, x in values.items() if n != "log_cost_offset"} | computed
        # walls 9 and 4 units away cut off next to nothing
        change = PEOPLE * jnp.log(values["log_sd"])
        one, other = density(apart)(values), density(itself)(costs)
    np.testing.assert_allclose(one, other + change, atol=1e-6)


def test_values_that_are_believed_move_the_game(decisions, policy):
    """Consistent beliefs are those at the population itself; groups meet their own people."""
    with jax.enable_x64(True):
        fixed = bc.build_model(policy, POPULATION, decisions, beliefs={"log_mean": 5.0, "log_sd": 0.4})
        same = bc.build_model(policy, POPULATION, decisions)
        at = {"log_mean": jnp.asarray(5.0), "log_sd": jnp.asarray(0.4)}
        of_fixed, of_same = density(fixed), density(same)
        np.testing.assert_allclose(of_fixed(at), of_same(at), rtol=1e-12)
        away = at | {"log_mean": jnp.asarray(3.0)}
        assert abs(of_fixed(away) - of_same(away)) > 1e-3

        grouped = bc.build_model(policy, POPULATION, decisions, groups="treatment")
        values, _ = drawn(grouped)
        values |= {"group_sd": jnp.asarray(1.0), "group_offset": jnp.asarray([0.3, -0.6])} | at
        both = log_likelihood(grouped, values)
        for shift, people in ((0.3, range(3)), (-0.6, range(3, PEOPLE))):
            moved = at | {"log_mean": at["log_mean"] + shift}
            alone = log_likelihood(same, moved)
            np.testing.assert_allclose(both[np.array(people)], alone[np.array(people)], atol=1e-9)


@pytest.mark.slow
def test_classes_are_in_order_and_told_apart(policy):
    """Two classes of people, a factor of e^4 apart: both means and the shares are found, in order."""
    rng = np.random.default_rng(2)
    mixture = Mixture((LogNormal(8), LogNormal(8)))
    two = bc.ExactPolicy(bc.get_game("matching-pennies-asymmetric"), population=mixture)
    with jax.enable_x64(True):
        phi = {"weight_1": 0.0, "log_mean_0": -3.0, "log_sd_0": 0.2, "log_mean_1": 1.0, "log_sd_1": 0.2}
        q = two.values(None, phi, None, None)[0, :2]
        cost = np.exp(np.where(np.arange(60) < 40, -3.0, 1.0) + 0.2 * rng.normal(size=60))
        p = np.asarray(jax.nn.softmax(q / cost[:, None], axis=1))
    rows = [(i, "row", "heads", k) for i, k in enumerate(rng.binomial(100, p[:, 0]))]
    rows += [(i, "row", "tails", 100 - k) for i, (_, _, _, k) in enumerate(rows)]
    data = bc.Decisions.from_table(
        pd.DataFrame(rows, columns=["participant", "role", "action", "n"]), {"game": two.environment}
    )
    model = bc.build_model(two, mixture, data, beliefs=phi)
    values, _ = drawn(model)
    assert set(values) == {"weight_1", "log_mean_0", "log_mean_gap_1", "log_sd_0", "log_sd_1"}
    with jax.enable_x64(True):
        located = locate(model, 400, seed=1)
        at = lambda values: handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
        draws = located | {"log_mean_1": np.asarray(jax.jit(jax.vmap(lambda x: at(x)["log_mean_1"]["value"]))(located))}
        completed, _ = model.complete({n: x[None] for n, x in located.items()}, np.random.default_rng(1))
        own = completed["log_cost"].mean(axis=(0, 1))
    assert abs(draws["log_mean_1"].mean() - 1.0) < 4 * draws["log_mean_1"].std() + 0.1
    assert abs(draws["log_mean_0"].mean() + 3.0) < 4 * draws["log_mean_0"].std() + 0.1
    assert abs(draws["weight_1"].mean() - np.log(20 / 40)) < 4 * draws["weight_1"].std()
    assert all(draws[n].std() < 1 for n in ("log_mean_0", "log_mean_1", "weight_1"))
    assert (own[:40] < -1).all() and (own[40:] > -1).all()


def test_other_populations_are_joint_and_marginal_too(decisions):
    population = TruncatedNormal(low=1.0)
    policy = Replies(MARKET, population=population)
    with jax.enable_x64(True):
        for method in ("joint", "marginal"):
            model = bc.build_model(policy, population, decisions, method=method)
            values, _ = drawn(model)
            slopes = jax.jit(jax.grad(density(model)))(values)
            assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
    with pytest.raises(InputError, match="cannot be moved by groups"):
        handlers.trace(handlers.seed(bc.build_model(policy, population, decisions, groups="treatment"), 0)).get_trace()


def test_a_decision_without_others_needs_no_equilibrium():
    """One cost or one each: choices are logit, and costs are integrated out as by hand."""
    payoffs, cost = np.array([0.0, 1.0, 3.0]), np.exp(np.linspace(-7.5, 4.5, 4001))
    game = bc.NormalForm([payoffs])
    policy, log_sd = bc.ExactPolicy(game), 0.8
    play = payoffs / cost[:, None] - logsumexp(payoffs / cost[:, None], axis=1, keepdims=True)
    data = pd.DataFrame({"participant": list("aaabb"), "action": list("22110")})
    decisions = bc.Decisions.from_table(data, {"game": game})
    model = bc.build_model(policy, LogNormal(), decisions, method="marginal")
    with jax.enable_x64(True):
        known = policy.log_prob_all(cost[1000], None, None, None)[0]
        np.testing.assert_allclose(known, np.log(policy.solve(cost[1000]).strategies[0]), atol=1e-9)
        found = log_likelihood(model, {"log_mean": 0.1, "log_sd": log_sd})
    np.testing.assert_allclose(known, play[1000], atol=1e-12)
    density = -0.5 * ((np.log(cost) - 0.1) / log_sd) ** 2
    made = np.stack([2 * play[:, 2] + play[:, 1], play[:, 1] + play[:, 0]]) + np.log([[3], [2]])
    np.testing.assert_allclose(found, logsumexp(density + made, axis=1) - logsumexp(density), atol=1e-3)


def test_it_is_a_plain_numpyro_model(decisions, policy):
    """Inside a larger one, under a scope, with a parameter that the larger one gives it."""
    inner = bc.build_model(policy, POPULATION, decisions)

    def larger():
        mean = numpyro.sample("mean", dist.Normal(4.0, 1.0))
        with handlers.scope(prefix="first"), handlers.substitute(data={"log_mean": mean}):
            inner()
        numpyro.sample("survey", dist.Normal(mean, 0.5), obs=4.2)

    sites = {}

    def prior_and_data():
        sites.update(handlers.trace(handlers.seed(larger, 0)).get_trace())
        return sum(s["fn"].log_prob(s["value"]).sum() for s in sites.values() if s["type"] == "sample")

    with jax.enable_x64(True):
        assert np.isfinite(jax.jit(prior_and_data)())
    assert {"mean", "survey", "first/log_sd", "first/decisions"} <= set(sites)


def test_what_cannot_be_asked_for_is_said(decisions, policy):
    anonymous = bc.Decisions.from_table(table()[["round", "action"]], {"cournot": MARKET})
    none = jnp.zeros((1, 0, 2))
    of_nobody = bc.Evidence(
        (), bc.Domain.of(), jnp.zeros(2), none[..., 0], none, jnp.ones(1), Error(), 1e-3, 0.02, decisions=0, notes=()
    )
    bad = [
        ({"method": "fast"}, "choose"),
        ({"by": "game"}, "Leave out one"),
        ({"covariates": "~ wealth"}, "needs wealth of every participant"),
        ({"covariates": "treatment +"}, "which is no formula"),
        ({"covariates": "~ age + scale(age)"}, "not independent"),
        ({"groups": "session"}, "was read without that column"),
        ({"prior_parameters": "group"}, 'give groups="…"'),
        ({"prior_parameters": "participant", "method": "marginal"}, "personal priors"),
        ({"beliefs": "rational"}, "choose"),
        ({"beliefs": {"log_mean": 1.0}}, "log_mean, log_sd"),
        ({"hyperpriors": {"log_cost": 1.0}}, "this model does not have"),
        ({"evidence": of_nobody}, "compressed"),
    ]
    for options, told in bad:
        with pytest.raises(InputError, match=told):
            bc.build_model(policy, POPULATION, decisions, **options)
    with pytest.raises(InputError, match="Homogeneous"):
        bc.build_model(bc.ExactPolicy(MARKET), Homogeneous(), decisions, groups="treatment")
    with pytest.raises(InputError, match="column 'participant'"):
        bc.build_model(policy, POPULATION, anonymous, lapse=True, learning=True)
    both = pd.concat([table().assign(game=g) for g in ("one", "two")])
    mixed = bc.Decisions.from_table(both, {"one": MARKET, "two": MARKET})
    with pytest.raises(InputError, match="more than one game"):
        bc.build_model(policy, POPULATION, mixed, groups="game")
