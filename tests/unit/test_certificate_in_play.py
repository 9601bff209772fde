"""The instruments of certificates without an exact policy, on a decision problem that is solved exactly here: the right
policy is not failed, planted errors are found, and a reply that loses decides nothing."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import bayescal as bc
from bayescal import schema
from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.computed import certificate_check
from bayescal.domain import Domain
from bayescal.environments.base import Environment, rules
from bayescal.policies.base import PolicyFacts, PolicyKind, padded_log_prior
from bayescal.results.checkpoints import fault_of, find_checkpoints
from bayescal.training import facts as json_facts
from bayescal.training.card import in_play
from bayescal.training.certificate import Keeper, Settings, certify_in_play
from bayescal.training.certificate.cells import KEPT, Asked, measure_cell, measure_cells
from bayescal.training.certificate.improvement import improvement, residual
from bayescal.training.certificate.verdict import Cell, Measured, Verdict, overall
from bayescal.training.replies import rules_of
from bayescal.training.replies.base import Reply, tilted
from bayescal.training.rollouts import Place, interpolated, spread_actions
from tests.unit.test_check import normal_fit

STATES, ACTIONS, DISCOUNT, COST = 4, 5, 0.9, 0.5
FEW = Settings(costs=2, games=256, per_game=4, tries=ACTIONS, horizon=4, chunk=256, chosen_by=32, blocks=8)
MANY = Settings(costs=2, games=2048, per_game=4, tries=ACTIONS, horizon=4, redraws=4, chunk=512)
NOWHERE = Place({}, {}, {})
RNG = np.random.default_rng(0)
PAYOFFS = RNG.normal(size=(STATES, ACTIONS))
MOVES = RNG.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))


class Maze(Environment):
    """One player moves between a few states."""

    def __init__(self):
        vars(self).update(
            rules("maze", {"walker": 1}, [np.arange(ACTIONS)], ordered=True, horizon=30, discount=DISCOUNT)
        )

    def reset(self, key, params):
        return jax.random.randint(key, (), 0, STATES)

    def step(self, key, state, joint_action, params):
        chances = jnp.asarray(MOVES, jnp.float32)[state, joint_action[0]]
        after = jnp.sum(jnp.cumsum(chances)[:-1] < jax.random.uniform(key)).astype(jnp.int32)
        return after, jnp.asarray(PAYOFFS, jnp.float32)[state, joint_action[0]][None], jnp.asarray(False)

    def observe(self, state, player):
        return {"state": state}

    def see(self, observation, params):
        return jax.nn.one_hot(observation["state"], STATES)

    def payoff_scale(self, params):
        return jnp.asarray(3.0)


class Table(eqx.Module):
    """A policy given by its values in every state."""

    environment: Environment
    values: Array
    domain: Domain = eqx.field(static=True)
    population: None = None

    def log_prior_of(self, role, psi, observation):
        return jnp.full(ACTIONS, -jnp.log(float(ACTIONS)))

    def values_of(self, role, observation, cost, phi, psi, params):
        return self.values[observation["state"]]


class Lazy(Reply):
    """Always the first action."""

    @property
    def name(self):
        return "lazy"

    def settings(self, environment, role, params):
        return np.zeros((1, 1))

    def log_choices(self, environment, role, at, setting):
        return tilted(at.log_q, jnp.where(jnp.arange(ACTIONS) == 0, 20.0, 0.0))


def soft_value(q):
    return COST * np.log(np.mean(np.exp(q / COST), axis=1))


def solved():
    """Q of the soft Bellman equation at the cost COST."""
    q = np.zeros((STATES, ACTIONS))
    for _ in range(500):
        q = PAYOFFS + DISCOUNT * MOVES @ soft_value(q)
    return q


def played_on(q, rounds):
    """The value of each action by `rounds` rounds of the policy of `q`, then by its own values."""
    log_p = q / COST - np.log(np.sum(np.exp(q / COST), axis=1, keepdims=True))
    p = np.exp(log_p)
    paid = COST * np.sum(p * (log_p + np.log(ACTIONS)), axis=1)
    g = PAYOFFS + DISCOUNT * MOVES @ soft_value(q)
    for _ in range(rounds - 1):
        g = PAYOFFS + DISCOUNT * MOVES @ (np.sum(p * g, axis=1) - paid)
    return g


def table(q):
    return Table(Maze(), jnp.asarray(q, jnp.float32), Domain.of(cost=(COST, 4.0)))


def skewed(share):
    """Values that are wrong by a share of their spread, one way in some states and the other way in others."""
    q = solved()
    tilt = np.linspace(-1, 1, ACTIONS)[None] * np.array([1.0, -1.0, 1.0, -1.0])[:, None]
    return q + share * q.std() * tilt


@pytest.mark.parametrize("redraws", [0, 4])
def test_rolled_out_values_are_those_of_dynamic_programming(redraws):
    q = skewed(0.5)
    settings = Settings(games=512, per_game=4, tries=ACTIONS, horizon=4, redraws=redraws, chunk=512)
    found = residual(table(q), 0, COST, NOWHERE, settings, seed=1)
    centred = lambda x: x - x.mean(axis=-1, keepdims=True)  # what all actions have in common is noisier
    state, d = np.asarray(found.seen["state"]), centred(found.d)
    assert len(state) == 2048
    here = [d[state == s] for s in range(STATES)]
    mean, error = np.stack([x.mean(axis=0) for x in here]), np.stack([x.std(axis=0) / len(x) ** 0.5 for x in here])
    away = lambda rounds: np.max(np.abs(mean - centred((played_on(q, rounds) - q) / COST)) / error)
    assert away(4) < 4.5
    assert away(1) > 6  # the planted error: the values of one round


def test_the_right_policy_is_not_failed_and_five_percent_are_found():
    right = measure_cell(table(solved()), Asked(0, COST, "middle", NOWHERE), (), MANY, 0)
    assert right.p > 1e-3 and right.reply_found()
    assert right.verdict(1) is Verdict.PASS, right
    for scale in (1.05, 0.95):
        wrong = improvement(table(scale * solved()), 0, COST, NOWHERE, (), MANY)
        assert wrong.p < 1e-4, (scale, wrong.p)
        assert abs(wrong.scale.mean - (1 / scale - 1)) < 4 * wrong.scale.error + 0.01
    assert improvement(table(skewed(0.05)), 0, COST, NOWHERE, (), MANY).p < 1e-4  # the scale alone does not show it


class Solved(eqx.Module):
    """The exact policy of a myopic newsvendor who stays near the last order, its values off by a factor."""

    environment: Environment
    factor: Array
    prior: bc.priors.Previous = bc.priors.Previous()
    domain: Domain = eqx.field(static=True, default=Domain.of(cost=(30.0, 300.0)))
    population: None = None

    def log_prior_of(self, role, psi, observation):
        return padded_log_prior(self.environment, self.prior, role, psi, observation)

    def values_of(self, role, observation, cost, phi, psi, params):
        return self.factor * self.environment.expected_profits(params)


def test_five_percent_are_found_in_a_newsvendor_with_a_habit():
    shop = bc.Newsvendor(orders=range(0, 101, 20), demand=range(0, 101, 20), rounds=4, discount=0)
    place = Place({}, {"pull": jnp.asarray(3.0)}, {n: jnp.asarray(x, jnp.float32) for n, x in shop.params.items()})
    much = Settings(games=2048, per_game=2, tries=6, horizon=1, redraws=8, chunk=4096)
    measure = lambda factor: improvement(Solved(shop, jnp.asarray(factor)), 0, 60.0, place, (), much, seed=1)
    right = measure(1.0)
    assert right.p > 1e-3 and not right.gain.above(0.001)
    assert measure(1.05).p < 1e-4 and measure(0.95).p < 1e-4


def test_a_gain_is_found_and_played():
    """By values that are wrong by their own spread; by the exact improvement nothing more can be gained."""
    q = skewed(1.0)
    found = measure_cell(table(q), Asked(0, COST, "middle", NOWHERE), (), FEW, 0)
    assert found.gain.above(0.01) and found.played.above(0.01) and found.reply == "fitted"
    assert found.verdict(1) is Verdict.FAIL
    d = (played_on(q, 4) - q) / COST
    p = np.exp(q / COST) / np.sum(np.exp(q / COST), axis=1, keepdims=True)
    most = np.max(np.log(np.sum(p * np.exp(d), axis=1)) - np.sum(p * d, axis=1))
    assert found.gain.mean < most + 4 * found.gain.error


def test_a_reply_that_loses_decides_nothing():
    lost = measure_cell(table(solved()), Asked(0, COST, "middle", NOWHERE), (), FEW, 0, (Lazy(),))
    assert lost.reply == "lazy" and lost.played.mean < -5 * lost.played.error
    assert not lost.reply_found() and lost.verdict(1) is Verdict.UNDECIDED


def test_verdicts():
    none, small, vague = Measured(0.0, 0.0), Measured(0.001, 0.001), Measured(0.0, 0.1)
    cell = lambda gain=small, scale=small, p=0.5, played=none: Cell("r", 1.0, "m", gain, scale, 0.5, p, "x", played)
    assert cell().verdict(10) is Verdict.PASS
    assert cell(gain=Measured(0.05, 0.01)).verdict(10) is Verdict.FAIL
    assert cell(played=Measured(0.05, 0.01)).verdict(10) is Verdict.FAIL
    assert cell(p=5e-4).verdict(1) is Verdict.FAIL and cell(p=5e-4).verdict(10) is Verdict.PASS
    assert cell(gain=vague).verdict(10) is Verdict.UNDECIDED
    assert cell(scale=vague).verdict(10) is Verdict.UNDECIDED
    assert cell(played=Measured(-1.0, 0.1)).verdict(10) is Verdict.UNDECIDED
    assert cell(played=Measured(-5e-9, 1e-9)).verdict(10) is Verdict.PASS  # sums of the same numbers, rounded
    assert Cell.from_dict(json.loads(json.dumps(cell().as_dict()))) == cell()
    assert overall([Verdict.PASS, Verdict.UNDECIDED]) is Verdict.UNDECIDED
    assert overall([Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED]) is Verdict.FAIL
    assert overall([]) is Verdict.UNDECIDED


def test_a_certificate_goes_on_where_it_was(tmp_path):
    class StopError(Exception):
        pass

    def stop(what, done, total):
        if done == 1:
            raise StopError

    keeper, policy = Keeper(tmp_path / KEPT, "weights"), table(solved())
    quiet = lambda *x: None
    whole = measure_cells(policy, settings=FEW, seed=0, progress=quiet)
    with pytest.raises(StopError):
        measure_cells(policy, settings=FEW, seed=0, keeper=keeper, progress=stop)
    assert find_checkpoints(tmp_path) == [tmp_path / KEPT] and fault_of(tmp_path / KEPT) is None
    told = []
    on = measure_cells(policy, settings=FEW, seed=0, keeper=keeper, progress=lambda *x: told.append(x))
    assert [t[1:] for t in told] == [(1, 2), (2, 2)]  # the first was there
    assert [c.as_dict() for c in on] == [c.as_dict() for c in whole]
    told.clear()
    other = Keeper(keeper.path, "other weights")
    measure_cells(policy, settings=FEW, seed=0, keeper=other, progress=lambda *x: told.append(x))
    assert told[0][1:] == (0, 2)
    keeper.path.write_text('{"cells": 3}')
    with pytest.raises(bc.InputError, match="cells"):
        measure_cells(policy, settings=FEW, seed=0, keeper=keeper, progress=quiet)


def test_the_certificate_is_shown():
    measured = certify_in_play(table(skewed(1.0)), games=2, seed=0, settings=FEW)
    assert measured["verdict"] == "fail" and len(measured["cells"]) == 2
    whole = {"title": "A maze", "weights_sha256": "a" * 64, "environment_hash": "b" * 64, "seconds": 1.0} | measured
    schema.check(json.loads(json.dumps(whole)), json_facts.certificate, "certificate.json", "fix it")
    card = "\n".join(in_play(measured))
    assert "**Verdict: fail**" in card and "| walker | 0.5 | middle |" in card
    learned = normal_fit(policy=PolicyFacts(PolicyKind.LEARNED, "AmortisedPolicy", "Uniform", learned=True).as_dict())
    failed = certificate_check(learned, measured, 10)
    assert failed.outcome is Outcome.FAILED and "walker, cost 0.5, middle" in failed.found
    assert certificate_check(learned, measured | {"verdict": "undecided"}, 10).warns
    assert certificate_check(learned, measured | {"verdict": "pass"}, 10).passed


def test_tried_actions_are_spread_and_different():
    log_pi = np.log(RNG.dirichlet(np.full(30, 0.05), size=200) + 1e-12)
    tried = spread_actions(log_pi, 8)
    assert tried.shape == (200, 8) and np.all(np.diff(tried, axis=1) > 0)
    assert np.all(tried[:, 0] == 0) and np.all(tried[:, -1] == 29)
    straight = 3.0 * tried - 7.0
    np.testing.assert_allclose(interpolated(straight, tried, 30), np.broadcast_to(3.0 * np.arange(30) - 7, (200, 30)))


def test_every_rule_wants_something_that_can_be_played():
    for name in ("beer-game", "cobweb-stable", "cournot-repeated"):
        env = bc.get_game(name)
        assert rules_of(env)
        seen = env.observe(env.reset(jax.random.key(0), env.params), 0)
        for rule in rules_of(env):
            assert np.all(np.isfinite(rule.wanted(env, 0, seen, env.params))), rule.name
    assert rules_of(Maze()) == ()
