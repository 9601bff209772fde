"""The sharpened policy against the exact one: probabilities and derivatives, over the shipped domains."""

import equinox as eqx
import jax
import jax.numpy as jnp
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


def agrees(policy, points, other):
    """Whether all but a share `other` of the points have the exact policy's probabilities."""
    apart = np.abs(play(policy, points) - play(exact_of(policy), points)).max(axis=(1, 2))
    assert not np.isnan(apart).any()
    assert np.mean(apart > CLOSE) <= other, f"{np.sum(apart > CLOSE)} of {len(apart)} differ, by up to {apart.max()}"


@each_model
def test_probabilities_are_exact_over_the_domain(name):
    policy = sharpened(name)
    agrees(policy, sample_points(policy, jax.random.key(3), 200), OTHER[name])
    agrees(policy, corner_points(policy, 32), OTHER[name] * 5)  # most games at corners have several equilibria


def test_a_newton_step_too_few_is_caught(monkeypatch):
    """Stop one or two steps earlier: when a step is below 0.01 logits."""
    monkeypatch.setattr(one_shot, "_AT_REST", 0.01)
    policy = SharpenedPolicy(bc.load_model("cournot"), steps=7)  # another number of steps is traced anew
    with pytest.raises(AssertionError, match="differ"):
        agrees(policy, sample_points(policy, jax.random.key(3), 20), 0.0)


PHI = {"log_mean": jnp.asarray(np.log(120.0)), "log_sd": jnp.asarray(0.6)}
PSI = {"anchor": jnp.asarray(0.4), "pull": jnp.asarray(3.0)}


def slopes_are_right(policy):
    """Forwards, backwards, those of the exact policy, and finite differences."""
    params = {n: jnp.asarray(x) for n, x in policy.environment.params.items()}

    def of(own):
        return lambda x: own.log_prob_all(
            None,
            {"log_mean": x[0], "log_sd": x[1]},
            {"anchor": x[2], "pull": x[3]},
            params | {"intercept": x[4], "slope": x[5]},
        )[0]

    at = jnp.array([*PHI.values(), *PSI.values(), params["intercept"], params["slope"]], float)
    forward = jax.jit(jax.jacfwd(of(policy)))(at)
    np.testing.assert_allclose(jax.jit(jax.jacrev(of(policy)))(at), forward, atol=1e-9)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(of(exact_of(policy))))(at), forward, atol=1e-7)
    f = jax.jit(of(policy))
    for i, h in enumerate([1e-4, 1e-4, 1e-4, 1e-4, 1e-3, 1e-5]):
        step = h * jnp.eye(6)[i]
        np.testing.assert_allclose((f(at + step) - f(at - step)) / (2 * h), forward[:, i], rtol=1e-4, atol=1e-6)


def test_derivatives_are_exact():
    slopes_are_right(sharpened("cournot"))


class Stopped(SharpenedPolicy):
    """As if the equilibrium did not move with the population."""

    def values(self, cost, phi, psi, params):
        return super().values(cost, jax.lax.stop_gradient(phi), psi, params)


def test_a_wrong_derivative_is_caught():
    with pytest.raises(AssertionError):
        slopes_are_right(Stopped(bc.load_model("cournot")))


def test_a_bad_network_is_left_for_the_principal_branch():
    """With random weights Newton's method is not trusted, and the answer is exact all the same."""
    learned = bc.load_model("normal-form-2x2")
    random = with_network(learned, jax.tree.map(lambda w: 3 * w, learned.network.fresh(jax.random.key(1))))
    policy = replace_environment(SharpenedPolicy(random), bc.get_game("selten-chmura-03"))
    costs = jnp.array([0.2, 0.5, 2.0, 50.0])
    near = jax.jit(jax.vmap(lambda c: policy.found_near(c)))(costs)
    assert not near.all()
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
