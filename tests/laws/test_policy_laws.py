"""What must hold of every policy: learned, solved, rational, of levels, habitual. Equilibria have laws of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.normal_form import NormalForm
from bayescal.errors import DomainError, InputError
from bayescal.policies.action_sampling import ActionSamplingPolicy
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import PolicyKind
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.habitual import HabitualPolicy
from bayescal.policies.impulse_balance import ImpulseBalancePolicy
from bayescal.policies.learned import with_network
from bayescal.policies.level_k import LevelKPolicy
from bayescal.policies.luce import LucePolicy
from bayescal.policies.meeting import MeetingPolicy
from bayescal.policies.noisy_introspection import NoisyIntrospectionPolicy
from bayescal.policies.payoff_sampling import PayoffSamplingPolicy
from bayescal.policies.rational import RationalPolicy
from bayescal.policies.sharpened import SharpenedPolicy
from bayescal.policies.store import load_policy, save_policy
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.empirical import Empirical

# Three actions against two; for each player the first is best whatever the other does, by 1 at least.
PAYOFFS = np.array([[[4.0, 6.0], [3.0, 2.0], [1.0, 4.5]], [[3.0, 1.0], [5.0, 2.5], [2.0, 1.0]]])
GAME = NormalForm(PAYOFFS)
HABIT = Empirical([[0.2, 0.5, 0.3], [0.4, 0.6]])
BOX = {"cost": (0.05, 20.0)}


def trained(prior=HABIT):
    """Not trained: but with weights that are not zero."""
    skeleton = AmortisedPolicy(GAME, BOX, prior=prior, width=8, depth=1)
    return with_network(skeleton, skeleton.network.fresh(jax.random.key(0)))


def meeting():
    """The same of a policy for private costs."""
    box = {**BOX, "phi.log_mean": (-1.0, 1.0), "phi.log_sd": (0.1, 1.0)}
    skeleton = MeetingPolicy(GAME, box, prior=HABIT, population=LogNormal(8), width=8, depth=1)
    return with_network(skeleton, skeleton.network.fresh(jax.random.key(0)))


PHI = {"tau": 1.5, "growth": 1.0, "mu": 0.5, "sample_size": 2.5}  # each policy looks at its own
ALL = {
    "solved": ExactPolicy(GAME, HABIT),
    "solved, private costs": ExactPolicy(GAME, HABIT, LogNormal(8)),
    "learned": trained(),
    "learned, private costs": meeting(),
    "sharpened": SharpenedPolicy(trained()),
    "rational": RationalPolicy(GAME, HABIT),
    "rational, learned": RationalPolicy(GAME, learned=trained()),
    "levels": LevelKPolicy(GAME, "cognitive hierarchy", HABIT, levels=3),
    "habit": HabitualPolicy(GAME, HABIT),
    "noisy introspection": NoisyIntrospectionPolicy(GAME, HABIT),
    "Luce": LucePolicy(GAME),
    "action sampling": ActionSamplingPolicy(GAME, largest=3),
    "payoff sampling": PayoffSamplingPolicy(GAME, largest=3),
    "impulse balance": ImpulseBalancePolicy(GAME),
}
SLOW = ("Luce", "action sampling", "payoff sampling", "impulse balance")  # to compile
each_policy = pytest.mark.parametrize(
    "policy", [pytest.param(p, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name, p in ALL.items()]
)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def phi_of(policy):
    if getattr(policy, "private", False):
        return {"log_mean": 0.0, "log_sd": 0.5}
    return PHI if hasattr(policy, "parameters") or isinstance(policy, ExactPolicy) else None


def play(policy, cost, unit=1.0):
    """Everybody's log-probabilities, with payoffs in a unit. What no solver computes is computed in one program."""
    params = {"payoffs": unit * PAYOFFS}
    if policy.facts.kind in EAGER:
        return np.asarray(policy.log_prob_all(cost, phi_of(policy), None, params))
    if has_box(policy):
        policy.check(cost, phi_of(policy), None, params)
    return np.asarray(_play(policy, np.asarray(cost, float), phi_of(policy), params))


# Called eagerly, these run compiled programs of their own.
EAGER = (PolicyKind.SOLVED, PolicyKind.SHARPENED, PolicyKind.RATIONAL, PolicyKind.STATIONARY)


@eqx.filter_jit
def _play(policy, cost, phi, params):
    return policy.log_prob_all(cost, phi, None, params)


@eqx.filter_jit
def _rows(policy, cost, phi, params):
    return jax.vmap(lambda role: policy.log_prob(role, cost, phi, None, params))(jnp.arange(2))


H = 1e-5  # of finite differences
COSTS = np.array([0.2, 1.5, 0.8, 0.8 + H, 0.8 - H])


def batch(policy):
    """(log-probabilities, slopes of one of them) at all of COSTS, by one program."""
    if id(policy) not in _batches:
        _batches[id(policy)] = policy, jax.tree.map(np.asarray, _batch(policy, COSTS, phi_of(policy)))
    return _batches[id(policy)][1]


_batches = {}


@eqx.filter_jit
def _batch(policy, costs, phi):
    def one(cost):
        log_p = policy.log_prob_all(cost, phi, None, {"payoffs": jnp.asarray(PAYOFFS)})
        return log_p[0, 1], log_p

    if has_cost(policy):
        (_, log_p), slope = jax.vmap(jax.value_and_grad(one, has_aux=True))(costs)
        return log_p, slope
    return jax.vmap(one)(costs)[1], None


def has_cost(policy):
    return policy.facts.kind not in (PolicyKind.RATIONAL, PolicyKind.HABIT, PolicyKind.STATIONARY)


def has_box(policy):
    """Whether it answers for costs of a trained domain, and for their limits."""
    return hasattr(policy, "domain")


def everybody_is_here():
    assert {policy.facts.kind for policy in ALL.values()} == set(PolicyKind) - {PolicyKind.OTHER}


# Each law raises AssertionError where it is broken.
def normalised(policy):
    for cost in (0.1, 3.0):
        p = np.exp(play(policy, cost))
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
        assert np.all(p[~GAME.mask] == 0)


def one_role_is_a_row_of_all(policy):
    if policy.facts.kind in EAGER:
        rows = [policy.log_prob(role, 0.7, phi_of(policy), None, {"payoffs": PAYOFFS}) for role in range(2)]
    else:
        rows = _rows(policy, np.asarray(0.7), phi_of(policy), {"payoffs": PAYOFFS})
    np.testing.assert_allclose(np.exp(rows), np.exp(play(policy, 0.7)), atol=1e-9)


def dear_information_is_habit(policy):
    if policy.facts.kind in (PolicyKind.RATIONAL, PolicyKind.STATIONARY):
        return
    cost = np.inf if has_box(policy) else 1e8
    q = np.array([[0.2, 0.5, 0.3], [0.4, 0.6, 0.0]])
    np.testing.assert_allclose(np.exp(play(policy, cost)), q, atol=1e-6)


def free_information_is_the_best_reply(policy):
    """The first action of each player is best, whatever the other does."""
    without_cost = (PolicyKind.HABIT, PolicyKind.STATIONARY)
    if policy.facts.kind in without_cost or policy.facts.learned:  # a network that is not trained knows no payoffs
        return
    levels = isinstance(policy, LevelKPolicy)
    below = np.exp(policy.log_shares(PHI)[0]) * (1 - np.array([0.2, 0.4])) if levels else 0.0  # of level 0, the habit
    np.testing.assert_allclose(np.exp(play(policy, 0.0 if has_box(policy) else 1e-4))[:, 0], 1 - below, atol=1e-6)


def units_do_not_matter(policy):
    """In cents: payoffs and costs a hundred times as large. (A network is trained in one unit.)"""
    if policy.facts.learned or has_box(policy) or getattr(policy, "private", False):
        return
    np.testing.assert_allclose(np.exp(play(policy, 70.0, 100.0)), np.exp(play(policy, 0.7)), atol=1e-9)


def vmap_is_a_loop(policy):
    together, _ = batch(policy)
    alone = [play(policy, float(cost)) for cost in COSTS[:2]]
    np.testing.assert_allclose(np.exp(together[:2]), np.exp(alone), atol=1e-8)


def gradients_are_slopes(policy):
    if not has_cost(policy):
        return
    log_p, slopes = batch(policy)
    slope = (log_p[3, 0, 1] - log_p[4, 0, 1]) / (2 * H)
    assert abs(slope) > 1e-4
    np.testing.assert_allclose(slopes[2], slope, rtol=1e-5)


def eager_calls_do_not_depend_on_the_precision(policy):
    """What is solved is solved in float64 and then rounded."""
    if policy.facts.kind not in EAGER or policy.facts.learned:
        return
    exact = play(policy, 0.3)
    with jax.enable_x64(False):
        rounded = play(policy, 0.3)
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded, np.asarray(exact, np.float32))


LAWS = [
    normalised, one_role_is_a_row_of_all, dear_information_is_habit, free_information_is_the_best_reply,
    units_do_not_matter, vmap_is_a_loop, gradients_are_slopes, eager_calls_do_not_depend_on_the_precision,
]  # fmt: skip


def test_every_kind_of_policy_is_here():
    everybody_is_here()


@each_policy
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_policies_obey(law, policy):
    law(policy)


class Broken(ExactPolicy):
    """A solved policy with one fault at a time."""

    fault: str = ""

    def log_prob_all(self, cost, phi, psi, params):
        batched = isinstance(cost, jax.core.Tracer)
        if self.fault == "gradient":
            cost = jax.lax.stop_gradient(cost)
        if self.fault == "units":
            cost = cost + 0.1
        if self.fault == "free":
            cost = jnp.maximum(cost, 0.3) if batched else max(cost, 0.3)
        if self.fault == "dear":
            cost = jnp.minimum(cost, 50.0) if batched else min(cost, 50.0)
        if self.fault == "vmap" and batched:
            cost = 1.01 * cost
        out = super().log_prob_all(cost, phi, psi, params)
        return out + 1e-5 if self.fault == "mass" else out.astype(jnp.float16) if self.fault == "precision" else out

    def log_prob(self, observation, cost, phi, psi, params):
        return self.log_prob_all(cost, phi, psi, params)[1 - observation if self.fault == "role" else observation]


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        (normalised, "mass"), (one_role_is_a_row_of_all, "role"), (dear_information_is_habit, "dear"),
        (free_information_is_the_best_reply, "free"), (units_do_not_matter, "units"), (vmap_is_a_loop, "vmap"),
        (gradients_are_slopes, "gradient"), (eager_calls_do_not_depend_on_the_precision, "precision"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)  # fmt: skip
def test_a_planted_fault_is_caught(law, fault):
    with pytest.raises(AssertionError):
        law(Broken(GAME, HABIT, fault=fault))


def test_a_learned_policy_survives_being_saved(tmp_path):
    policy = trained()
    save_policy(policy, tmp_path)
    skeleton = AmortisedPolicy(GAME, BOX, prior=HABIT, width=8, depth=1)
    loaded, _ = load_policy(skeleton, tmp_path)
    np.testing.assert_array_equal(play(loaded, 0.7), play(policy, 0.7))
    other = AmortisedPolicy(GAME, {"cost": (0.05, 10.0)}, prior=HABIT, width=8, depth=1)
    with pytest.raises(InputError, match=r"domain.cost\[1\] was 20.0, now 10.0"):
        load_policy(other, tmp_path)


@pytest.mark.parametrize("cost", [0.01, 30.0, -1.0, np.nan])
def test_a_learned_policy_refuses_costs_outside_its_domain(cost):
    with pytest.raises(DomainError, match="cost"):
        trained().log_prob_all(cost, None, None, None)


@pytest.mark.parametrize("cost", [0.0, -1.0, np.nan])
def test_a_solved_policy_refuses_costs_that_are_not_positive(cost):
    with pytest.raises(InputError, match="every cost must be a positive number"):
        play(ALL["solved"], cost)


def test_a_learned_policy_refuses_a_game_that_it_was_not_trained_for():
    with pytest.raises(DomainError, match=r"(?s)payoffs is .* but the policy was trained at"):
        trained().log_prob_all(0.7, None, None, {"payoffs": 2 * PAYOFFS})
    with pytest.raises(InputError, match="was trained for NormalForm"):
        trained().play(NormalForm(PAYOFFS[:, :2]))
