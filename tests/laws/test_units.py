"""Doubling every payoff and every cost of information changes nobody's choices, in a learned policy too.

The law holds with random weights: it is about how numbers enter the network, not about what it has learned.
"""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.learned import with_network
from bayescal.policies.store import load_policy, save_policy

PEOPLE = {"phi.log_mean": (3.0, 7.0), "phi.log_sd": (0.2, 1.0)}
COURNOT = {"params.intercept": (50.0, 250.0), "params.slope": (0.5, 2.5), "params.cost": (0.0, 25.0)}
LOG_NORMAL = bc.populations.LogNormal(8)


def repeated():
    game = bc.RepeatedCournot(2, range(0, 61, 20), rounds=4)
    box = {"cost": (2.0, 2000.0), **PEOPLE, **COURNOT}
    policy = bc.RepeatedPolicy(game, box, population=LOG_NORMAL, width=8, depth=1, shapes=4)
    shapes = jax.random.normal(jax.random.key(5), policy.network.shapes.shape)
    return with_network(policy, dataclasses.replace(policy.network, shapes=40 * shapes))


def chain():
    box = {"cost": (0.2, 50.0), "phi.log_mean": (0.0, 3.0), "phi.log_sd": (0.2, 1.0)}
    box |= {"params.holding": (0.1, 1.5), "params.backlog": (0.5, 2.5)}
    return bc.StagedPolicy(bc.SupplyChain(2, range(0, 9, 2)), box, population=LOG_NORMAL, width=8, depth=1)


AT = {"cost": 90.0, "phi": {"log_mean": 4.5, "log_sd": 0.5}, "psi": None}
MARKET = {"intercept": 100.0, "slope": 1.0, "cost": 9.0}
CASES = {
    "repeated": (repeated, AT, MARKET, (0, {"own": 20.0, "seen": 40.0, "began": 1.0, "round": 2})),
    "chain": (
        chain,
        {"cost": 2.0, "phi": {"log_mean": 1.0, "log_sd": 0.5}, "psi": None},
        {"holding": 0.5, "backlog": 1.0},
        (1, {"own": 4.0, "seen": 6.0, "began": 1.0, "inventory": -3.0, "supply_line": 9.0, "round": 3.0}),
    ),
}


def play(policy, at, params, observation, unit=1.0):
    """Choice probabilities with payoffs and costs counted in another unit."""
    phi = at["phi"] | {"log_mean": at["phi"]["log_mean"] + np.log(unit)}
    role, seen = observation
    cost, given = unit * at["cost"], {n: unit * x for n, x in params.items()}
    policy.check(cost, phi, at["psi"], given)
    return np.exp(log_prob(policy, role, jax.tree.map(np.asarray, (seen, cost, phi, given))))


@eqx.filter_jit
def log_prob(policy, role, at):
    seen, cost, phi, params = at
    return policy.log_prob((role, seen), cost, phi, None, params)


def moved(policy, at, params, observation):
    """The largest change of a probability if the unit doubles."""
    return np.abs(play(policy, at, params, observation, 2.0) - play(policy, at, params, observation)).max()


def fresh(make):
    policy = make()
    return with_network(policy, jax.jit(lambda key: policy.fresh(key))(jax.random.key(1)))


@pytest.mark.parametrize("name", CASES)
def test_a_unit_changes_no_choice(name):
    make, at, params, observation = CASES[name]
    with jax.enable_x64(True):
        policy = fresh(make)
        assert moved(policy, at, params, observation) < 1e-9
        # It is no constant: choices depend on the ratio of the parameters.
        other = params | ({"slope": 1.1} if "slope" in params else {"holding": 0.6})
        change = play(policy, at, other, observation) - play(policy, at, params, observation)
        assert np.abs(change).max() > 1e-5


@pytest.mark.parametrize("name", CASES)
def test_a_network_that_sees_money_is_caught(name):
    make, at, params, observation = CASES[name]

    class InMoney(type(make())):
        def in_own_unit(self, phi, params):
            return phi, params

        def unit_of(self, params):
            return 1.0

    with jax.enable_x64(True):
        policy = fresh(make)
        blunt = object.__new__(InMoney)
        vars(blunt).update(vars(policy))
        assert moved(blunt, at, params, observation) > 1e-6


def test_the_box_in_the_own_unit_holds_every_point_of_the_domain():
    policy = repeated()
    points = policy.domain.sample(jax.random.key(2), (200,))
    phi, params = ({n.split(".")[1]: x for n, x in points.items() if n.startswith(k)} for k in ("phi", "params"))
    unit = params["slope"]
    rescaled = {
        "cost": points["cost"] / unit, "phi.log_mean": phi["log_mean"] - jnp.log(unit), "phi.log_sd": phi["log_sd"],
        "params.intercept": params["intercept"] / unit, "params.cost": params["cost"] / unit,
    }  # fmt: skip
    policy.own_box.check(rescaled)
    with pytest.raises(bc.DomainError, match=r"params\.intercept is"):
        policy.own_box.check(rescaled | {"params.intercept": params["intercept"] * unit * 2})


def test_games_in_their_own_unit_are_not_rescaled():
    box = {"cost": (2.0, 200.0), "params.intercept": (80.0, 120.0)}
    game = bc.RepeatedCournot(2, range(0, 61, 20), rounds=4)
    assert bc.RepeatedPolicy(game, box, width=8, depth=1, shapes=4).own_box is None
    box = {"cost": (50.0, 5000.0), **PEOPLE, "params.kappa": (0.2, 2.0)}
    assert bc.StagedPolicy(bc.Cobweb(), box, population=LOG_NORMAL, width=8, depth=1).own_box is None


@pytest.mark.parametrize("make", [repeated, chain])
def test_a_rescaled_policy_survives_being_saved(make, tmp_path):
    policy = fresh(make)
    save_policy(policy, tmp_path)
    again, facts = load_policy(make(), tmp_path)
    assert facts["policy"]["own_box"] == policy.own_box.as_dict()
    for one, other in zip(jax.tree.leaves(policy.network), jax.tree.leaves(again.network), strict=True):
        np.testing.assert_array_equal(one, other)
    # A file of a policy that saw money has numbers of another meaning, and is refused.
    text = json.loads((tmp_path / "policy.json").read_text())
    del text["policy"]["own_box"]
    (tmp_path / "policy.json").write_text(json.dumps(text))
    with pytest.raises(bc.InputError):
        load_policy(make(), tmp_path)
