"""The sharpened policy against the exact one: probabilities and derivatives, over the shipped domains."""

from functools import cache

import equinox as eqx
import jax
import numpy as np
import pytest

import bayescal as bc
from bayescal.errors import InputError
from bayescal.policies import one_shot
from bayescal.policies.base import PolicyFacts, PolicyKind
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import replace_environment, with_network
from bayescal.policies.sharpened import SharpenedPolicy
from bayescal.training.points import corner_points, sample_points

CLOSE = 1e-8
INSIDE, CORNERS = 200, 32  # points of a domain
# In 0.5 % of 2x2 games the network has learned another equilibrium (93 of 20,000 points of its domain).
OTHER = {"cournot": 0.0, "beauty-contest": 0.0, "normal-form-2x2": 0.02}
each_model = pytest.mark.parametrize("name", OTHER)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def sharpened(name):
    """A shipped policy in the first of its games."""
    return SharpenedPolicy(bc.load_model(name))


def exact_of(policy):
    return ExactPolicy(policy.environment, policy.prior, policy.population)


def random_person(policy, point):
    cost, phi = (None, point.phi) if policy.private else (point.cost, None)
    return policy.log_prob_all(cost, phi, point.psi, point.params)


def play(policy, points):
    each = eqx.filter_jit(lambda policy, points: jax.vmap(lambda p: random_person(policy, p))(points))
    return np.exp(each(policy, points))


@cache
def solved(name):
    """(points over the domain and its corners, the exact probabilities there)."""
    policy = sharpened(name)
    inside, corners = sample_points(policy, jax.random.key(3), INSIDE), corner_points(policy, CORNERS)
    points = jax.tree.map(lambda *x: np.concatenate(x), inside, corners)
    return points, play(exact_of(policy), points)


def agrees(policy, name):
    """Whether all but a few of the points have the exact policy's probabilities."""
    points, exact = solved(name)
    apart = np.abs(play(policy, points) - exact).max(axis=(1, 2))
    assert not np.isnan(apart).any()
    few = {"inside": OTHER[name], "corners": OTHER[name] * 5}  # most games at corners have several equilibria
    for where, part in (("inside", apart[:INSIDE]), ("corners", apart[INSIDE:])):
        off = part > CLOSE
        assert np.mean(off) <= few[where], f"{np.sum(off)} of {len(off)} {where} differ, by up to {part.max()}"


@each_model
def test_probabilities_are_exact_over_the_domain(name):
    agrees(sharpened(name), name)


def test_a_newton_step_too_few_is_caught(monkeypatch):
    """Stop one or two steps earlier: when a step is below 0.01 logits."""
    monkeypatch.setattr(one_shot, "_AT_REST", 0.01)
    policy = SharpenedPolicy(bc.load_model("cournot"), steps=7)  # another number of steps is traced anew
    with pytest.raises(AssertionError, match="inside differ"):
        agrees(policy, "cournot")


AT = np.array([np.log(120.0), 0.6, 0.4, 3.0, 100.0, 1.0])  # of the population, the habit and the market
NAMES = ("intercept", "slope")


def choices_at(policy):
    """The first role's log-probabilities, as a function of six parameters."""
    assert [float(policy.environment.params[n]) for n in NAMES] == list(AT[4:])
    params = {n: np.asarray(x) for n, x in policy.environment.params.items()}

    def at(x):
        phi, psi = {"log_mean": x[0], "log_sd": x[1]}, {"anchor": x[2], "pull": x[3]}
        return policy.log_prob_all(None, phi, psi, params | dict(zip(NAMES, x[4:], strict=True)))[0]

    return at


def forwards(policy):
    """A function of several points, each with (slopes, log-probabilities)."""
    f = choices_at(policy)
    return jax.jit(jax.vmap(jax.jacfwd(lambda x: (f(x),) * 2, has_aux=True)))


@cache
def exact_slopes():
    return np.asarray(forwards(exact_of(sharpened("cournot")))(AT[None])[0][0])


def slopes_are_right(found):
    np.testing.assert_allclose(exact_slopes(), found, atol=1e-7)


def test_derivatives_are_exact():
    """Forwards, backwards, those of the exact policy, and finite differences."""
    policy = sharpened("cournot")
    h = np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-3, 1e-5])
    slopes, values = map(np.asarray, forwards(policy)(np.stack([AT, *(AT + np.diag(h)), *(AT - np.diag(h))])))
    slopes_are_right(slopes[0])
    np.testing.assert_allclose(jax.jit(jax.jacrev(choices_at(policy)))(AT), slopes[0], atol=1e-9)
    differences = (values[1:7] - values[7:]) / (2 * h[:, None])
    np.testing.assert_allclose(differences.T, slopes[0], rtol=1e-4, atol=1e-6)


class Stopped(SharpenedPolicy):
    """As if the equilibrium did not move with the population."""

    def values(self, cost, phi, psi, params):
        return super().values(cost, jax.lax.stop_gradient(phi), psi, params)


def test_a_wrong_derivative_is_caught():
    wrong = np.asarray(forwards(Stopped(bc.load_model("cournot")))(AT[None])[0][0])
    with pytest.raises(AssertionError):
        slopes_are_right(wrong)


def test_a_bad_network_is_left_for_the_principal_branch():
    """With random weights Newton's method is not trusted, and the answer is exact all the same."""
    learned = bc.load_model("normal-form-2x2")
    random = with_network(learned, jax.tree.map(lambda w: 3 * w, learned.network.fresh(jax.random.key(1))))
    policy = replace_environment(SharpenedPolicy(random), bc.get_game("selten-chmura-03"))
    costs = np.array([0.2, 0.5, 2.0, 50.0])
    near = jax.jit(jax.vmap(lambda c: policy.found_near(c)))(costs)
    assert not np.all(near)
    found = jax.jit(jax.vmap(lambda c: policy.log_prob_all(c, None, None, None)))(costs)
    exact = jax.jit(jax.vmap(lambda c: exact_of(policy).log_prob_all(c, None, None, None)))(costs)
    np.testing.assert_allclose(np.exp(found), np.exp(exact), atol=CLOSE)


def test_what_cannot_be_sharpened_is_refused():
    with pytest.raises(InputError, match="game over time"):
        SharpenedPolicy(bc.load_model("newsvendor"))
    with pytest.raises(InputError, match="at least one"):
        SharpenedPolicy(bc.load_model("cournot"), steps=0)


def test_it_says_what_it_is():
    policy = sharpened("cournot").play(bc.Cournot(3, np.linspace(0, 60, 31)), bc.populations.LogNormal(16))
    assert policy.facts == PolicyFacts(PolicyKind.SHARPENED, "SharpenedPolicy", "Anchored", False)
    assert policy.environment.players == 3 and PolicyFacts.from_dict(policy.facts.as_dict()) == policy.facts
