"""Trainers against exact solutions, the loop's promises, certificates that catch bad policies, and files."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import Walk

import bayescal as bc
from bayescal.environments.base import OneShot, symmetric_fields
from bayescal.errors import InputError
from bayescal.policies.learned import with_network
from bayescal.policies.store import describe, load_policy, save_policy
from bayescal.populations import LogNormal
from bayescal.training.card import write_card
from bayescal.training.certificate import Settings, certify, oracle_kl
from bayescal.training.certificate.verdict import Measured
from bayescal.training.check import check_environment
from bayescal.training.rounds import soft_value
from bayescal.training.soft_q import SoftQ
from bayescal.training.train import CHECKPOINT, over_members, train

BOX = {"cost": (2.0, 200.0), "phi.log_mean": (2.0, 4.0), "phi.log_sd": (0.1, 0.8)}


def market(**kwargs):
    games = [bc.Cournot(n, np.linspace(0, 40, 9)) for n in (2, 3)]
    return bc.AmortisedPolicy(games, BOX, population=LogNormal(8), width=32, **kwargs)


def duopoly():
    """For tests that do not depend on there being several games."""
    return bc.AmortisedPolicy(bc.Cournot(2, np.linspace(0, 40, 9)), BOX, population=LogNormal(8), width=32)


def recipe(policy=None, steps=1500, **kwargs):
    return bc.SoftQExpected(market() if policy is None else policy, steps=steps, batch=64, **kwargs)


@pytest.fixture(scope="module")
def learned():
    return train(recipe(steps=2500)).policy


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.slow
def test_soft_q_with_expectations_learns_the_equilibrium(learned):
    """Small enough for a test: a mean divergence that a player would need thousands of decisions to notice."""
    assert oracle_kl(learned, points=60)(learned) < 3e-4


@pytest.mark.slow
def test_newton_targets_learn_what_replies_cannot():
    """Matching pennies at a fortieth of its payoffs: replies circle, Newton's method does not."""
    pennies = bc.NormalForm([[[4, 0], [0, 1]], [[0, 1], [1, 0]]])
    policy = bc.AmortisedPolicy(pennies, {"cost": (0.1, 10.0)}, width=32, roles="embedded")
    settings = {"steps": 800, "batch": 64, "curriculum": 0.3, "outlier": 1e-2}
    kl = oracle_kl(policy, points=60)
    newton = kl(train(bc.SoftQExpected(policy, **settings)).policy)
    replies = kl(train(bc.SoftQExpected(policy, newton=False, **settings)).policy)
    assert newton < 1e-3 and replies > 10 * newton


@pytest.mark.slow
def test_soft_q_from_play_learns_a_market():
    policy = duopoly()
    trained = train(SoftQ(policy, steps=2000, games=128)).policy
    # Sampled targets leave an error that falls with the square root of the decisions seen.
    assert oracle_kl(policy, points=60)(trained) < 5e-3


@pytest.mark.slow
def test_soft_q_from_play_learns_to_plan():
    """The continuation value holds the player's own later information costs (trajectory-KL)."""
    walk = Walk()
    policy = bc.AmortisedPolicy(walk, {"cost": (0.1, 3.0)}, width=32, unit="payoff")
    trained = train(SoftQ(policy, steps=3000, games=64)).policy
    worst = 0.0
    for cost in (0.2, 0.6, 2.0):
        for place in range(4):
            seen = jax.nn.one_hot(place, 4)
            p = np.exp(np.asarray(trained.log_prob((0, seen), cost, None, None, None)))
            worst = max(worst, np.abs(p - walk.exact(cost)[0][place]).max())
    assert worst < 0.03
    myopic = 1 / (
        1
        + np.exp((np.asarray(walk.rents) - (0.9 * np.roll(walk.rents, -1) + 0.1 * np.asarray(walk.rents) - 0.3)) / 0.6)
    )
    assert np.abs(myopic - walk.exact(0.6)[0][:, 1]).max() > 0.1  # so planning is what was learned


@pytest.mark.slow
def test_without_an_oracle_residuals_and_disagreement_are_what_is_left():
    """Trained longer, a policy is nearer to what it predicts, and its seeds agree more."""
    policy = bc.AmortisedPolicy(Walk(), {"cost": (0.1, 3.0)}, width=32)
    figures = []
    for steps in (20, 3000):
        members = train(SoftQ(policy, steps=steps, games=64), members=2).policies
        few = Settings(costs=3, games=512, chunk=512)
        figures.append(certify(members[0], points=16, ensemble=members[1:], settings=few))
    assert figures[0]["oracle"] is None
    # The planted error: who has hardly learned leaves much to be gained; who has learned, nothing that shows.
    facts = {
        "policy": json.loads(json.dumps(describe(policy))),
        "provenance": {"trainer": {"trainer": "SoftQ"}, "seed": 0, "seconds_training": 1.0, "seconds_compiling": 1.0}
        | {"versions": {}},
        "weights_sha256": "w" * 64,
        "environment_hash": "e" * 64,
    }
    card = write_card("A walk", "For tests.", facts, figures[1])
    assert "This game has no exact policy here" in card and f"**Verdict: {figures[1]['verdict']}**" in card
    early, late = ([Measured.from_dict(c["played"]) for c in f["cells"]] for f in figures)
    assert figures[0]["verdict"] == "fail" and max(x.mean - 5 * x.error for x in early) > 0.01
    assert max(x.mean for x in late) < 0.1 * max(x.mean for x in early)
    for what in ("bellman_residual", "ensemble_disagreement_kl"):
        assert figures[1][what]["median"] < 0.3 * figures[0][what]["median"]


def test_soft_value_is_the_best_that_can_be_had():
    log_q, q = jnp.log(jnp.array([0.5, 0.3, 0.2])), jnp.array([1.0, 2.0, -1.0])
    p = jax.nn.softmax(log_q + q / 0.7)
    np.testing.assert_allclose(soft_value(log_q, q, 0.7), jnp.sum(p * (q - 0.7 * (jnp.log(p) - log_q))), rtol=1e-5)


class Stop:
    """Ctrl-C, once a step is reached."""

    def __init__(self, step):
        self.step = step

    def __call__(self, report, peek):
        if report.step >= self.step:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path):
    trainer = recipe(steps=200)
    whole = train(trainer).policy
    for stop in (11, 60):
        with pytest.raises(KeyboardInterrupt):
            train(trainer, folder=tmp_path, every=1e-9, progress=Stop(stop))
        assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    resumed = train(trainer, folder=tmp_path)
    assert resumed.history[0].step > 60
    assert same(whole.network, resumed.policy.network)
    assert not same(whole.network, train(trainer, seed=1).policy.network)


@pytest.mark.slow
def test_members_of_an_ensemble_differ_and_their_disagreement_is_measured():
    both = train(recipe(duopoly(), steps=300), members=2)
    assert not same(*[p.network for p in both.policies])
    figures = certify(both.policies[0], points=10, ensemble=both.policies[1:])
    assert figures["ensemble_disagreement_kl"]["mean"] > 0


def test_of_games_that_differ_in_their_players_one_is_computed_in_a_step():
    trainer = recipe(steps=5)

    def conditions(members):
        """How many conditions the program of a step has: under vmap each branch of them would be computed."""
        keys = jax.random.split(jax.random.key(0), members)
        states = jax.vmap(trainer.init)(keys)
        return str(jax.make_jaxpr(over_members(trainer.step, members))(keys, states)).count("branches=")

    # Two: targets, and the gradient of the loss.
    assert conditions(1) == conditions(2) + 2


def test_bad_checkpoints_are_refused_and_stay(tmp_path):
    trainer = recipe(duopoly(), steps=20)
    train(trainer, folder=tmp_path)
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    for cut in (3, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(bc.InputError, match="damaged or cut short"):
            train(trainer, folder=tmp_path)
        assert path.read_bytes() == whole[:cut]
    path.write_bytes(whole)
    with pytest.raises(bc.InputError, match="batch was 64, now 32; steps was 20, now 30"):
        train(bc.SoftQExpected(duopoly(), steps=30, batch=32), folder=tmp_path)
    with pytest.raises(bc.InputError, match="seed was 0, now 5"):
        train(trainer, folder=tmp_path, seed=5)
    train(trainer, folder=tmp_path, seed=5, restart=True)


def test_training_that_diverges_says_so(tmp_path):
    with pytest.raises(bc.InputError, match="Training diverged between steps"):
        train(recipe(duopoly(), steps=100, learning_rate=1e30), folder=tmp_path)


class Broken(OneShot):
    """A duel whose faults can be chosen."""

    fault: str = eqx.field(static=True)
    name: str = eqx.field(static=True)
    role_names: tuple[str, ...] = eqx.field(static=True)
    role_counts: tuple[int, ...] = eqx.field(static=True)
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    ordered: bool = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    discount: float = eqx.field(static=True)

    def __init__(self, fault):
        self.fault = fault
        vars(self).update(symmetric_fields("duel", "player", 2, range(3), ordered=True))

    @property
    def params(self):
        return {}

    def payoff_scale(self, params):
        return jnp.asarray(1.0)

    def payoffs(self, joint_action, params):
        pay = joint_action.astype(float) / (joint_action[0] - 1 if self.fault == "nan" else 1)
        return pay[:1] if self.fault == "shape" else pay

    def expected_payoffs(self, strategies, params):
        return jnp.zeros_like(strategies)

    def step(self, key, state, joint_action, params):
        state, pay, done = super().step(key, state, joint_action, params)
        return (state.astype(float) if self.fault == "type" else state), pay, done


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", r"duel: step returns the payoff (nan|inf|-inf) for player \d in round 0 after the actions \[1, \d\]"),
        ("shape", r"duel: step returns payoffs of shape \(1,\), where \(2,\) is needed"),
        ("type", r"duel: step changes the state from int32\[\] to float32\[\]"),
    ],
)
def test_broken_games_are_refused_before_training(fault, message, unchecked):
    with unchecked(), pytest.raises(bc.InputError, match=message):
        check_environment(Broken(fault))


def test_games_of_the_package_are_fit_to_be_trained_on():
    for game in (bc.Cournot(3), bc.get_game("stag-hunt"), bc.BeautyContest(3), bc.request_game(), Walk()):
        check_environment(game)


@pytest.mark.slow
def test_the_certificate_measures_what_it_says(learned):
    figures = certify(learned, points=40)
    assert figures["points_solved"] == 40 and figures["corners_solved"] == figures["corners"] == 16
    assert figures["kl"]["mean"] < 3e-4 and figures["kl"]["max"] >= figures["kl"]["q95"] >= figures["kl"]["median"]
    # Pinsker: total variation is at most the root of half the divergence.
    assert figures["total_variation"]["max"] <= np.sqrt(figures["kl"]["max"] / 2) * (1 + 1e-6)
    # A divergence is at least what a best reply could still gain, and values are near what they predict.
    assert figures["soft_exploitability"]["mean"] < 1e-3 and figures["bellman_residual"]["mean"] < 0.01


@pytest.mark.slow
def test_the_certificate_catches_a_bad_policy(learned):
    """The planted error: a network a tenth too sure of itself."""
    off = with_network(
        learned, eqx.tree_at(lambda n: n.weights[-1], learned.network, 1.1 * learned.network.weights[-1])
    )
    good, bad = certify(learned, points=40), certify(off, points=40)
    assert bad["kl"]["mean"] > 5 * good["kl"]["mean"]
    assert bad["soft_exploitability"]["mean"] > 5 * good["soft_exploitability"]["mean"]
    budget = lambda c: c["decisions_below_a_tenth_of_sd"]["phi.log_mean"]["median"]
    assert budget(bad) < budget(good) / 5


@pytest.mark.slow
def test_the_error_budget_is_right_where_it_can_be_worked_out():
    """With costs known and a common bias, decisions n = 0.01 I / b²; here against a direct computation."""
    policy = train(
        bc.SoftQExpected(
            bc.AmortisedPolicy(bc.get_game("selten-chmura-01"), {"cost": (0.5, 5.0)}, width=16), steps=100, batch=32
        )
    ).policy
    figures = certify(policy, points=12, seed=3)["decisions_below_a_tenth_of_sd"]["log cost"]
    from bayescal.training.points import sample_points

    with jax.enable_x64(True):
        costs = np.asarray(sample_points(policy, jax.random.fold_in(jax.random.key(3), 0), 12).cost)
        exact = lambda t, c: bc.equilibrium(policy.environment, c * jnp.exp(t)).log_strategies
        network = lambda t, c: policy.log_prob_all(c * jnp.exp(t), None, None, policy.environment.params)
        small = 1e-5
        shifts = np.array([0.0, small, -small])
        both = lambda c: tuple(jax.vmap(lambda t, f=f: f(t, c))(shifts) for f in (exact, network))
        truth, learned = map(np.asarray, jax.jit(jax.vmap(both))(costs))
    slope = lambda x: (x[:, 1] - x[:, 2]) / (2 * small)
    p, score = np.exp(truth[:, 0]), slope(truth)
    bias = np.sum(p * slope(learned), axis=(1, 2)) / 2
    information = np.sum(p * score**2, axis=(1, 2)) / 2
    decisions = 0.01 * information / bias**2
    np.testing.assert_allclose(figures["median"], np.median(decisions), rtol=0.01)


def test_saved_and_loaded_equal(learned, tmp_path):
    save_policy(learned, tmp_path, {"seed": 0})
    back, facts = load_policy(market(), tmp_path)
    assert same(back.network, learned.network) and facts["provenance"] == {"seed": 0}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "policy.json", "policy.safetensors"]


def test_files_that_do_not_belong_are_refused(learned, tmp_path):
    with pytest.raises(bc.InputError, match=r"holds no trained policy \(policy.json is missing\)"):
        load_policy(market(), tmp_path)
    save_policy(learned, tmp_path)
    games = [bc.Cournot(n, np.linspace(0, 44, 9)) for n in (2, 3)]
    other = bc.AmortisedPolicy(games, BOX, population=LogNormal(8), width=32)
    with pytest.raises(
        bc.InputError, match=r"trained for something else.*environments\[0\].action_values.* was 5.0, now 5.5"
    ):
        load_policy(other, tmp_path)
    wider = bc.AmortisedPolicy(learned.variants, BOX | {"cost": (1.0, 200.0)}, population=LogNormal(8), width=32)
    with pytest.raises(bc.InputError, match=r"domain\.cost\[0\] was 2\.0, now 1\.0"):
        load_policy(wider, tmp_path)
    facts = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps(facts | {"format": 0}))
    with pytest.raises(bc.InputError, match="has format 0, this version of bayescal reads format 1"):
        load_policy(market(), tmp_path)
    (tmp_path / "policy.json").write_text(json.dumps(facts)[:-20])
    with pytest.raises(bc.InputError, match="is damaged"):
        load_policy(market(), tmp_path)
    (tmp_path / "policy.json").write_text(json.dumps(facts))
    weights = (tmp_path / "policy.safetensors").read_bytes()
    (tmp_path / "policy.safetensors").write_bytes(weights[:-4] + b"\0\0\0\0")
    with pytest.raises(bc.InputError, match="hashes differ"):
        load_policy(market(), tmp_path)


def test_persistent_others_allow_no_exploring():
    """People who explore would change what a state says about others, and so the equilibrium that is learned."""
    game = bc.RepeatedCournot(2, quantities=(0, 20, 40, 60), rounds=2)
    box = {"cost": (100.0, 1000.0), "phi.log_mean": (5.0, 6.0), "phi.log_sd": (0.5, 1.0)}
    people = bc.populations.LogNormal(8)
    persistent = bc.AmortisedPolicy(game, box, population=people, others="persistent")
    with pytest.raises(InputError, match=r"explore is 0\.3 and others are persistent"):
        bc.SoftQ(persistent, explore=0.3)
    bc.SoftQ(bc.AmortisedPolicy(game, box, population=people), explore=0.3)
    assert persistent.architecture["others"] == "persistent"
