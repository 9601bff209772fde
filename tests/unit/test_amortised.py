"""Learned policies before any learning: limits, invariances, their box, and their place in a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.evaluation.sites import compile_prior, sites_of
from bayescal.model.hyperpriors import inside
from bayescal.policies.base import tilt
from bayescal.policies.learned import with_network
from bayescal.populations import Homogeneous, LogNormal
from bayescal.priors import Anchored
from bayescal.training.points import corner_points, sample_points

BOX = {"cost": (0.1, 100.0), "params.payoffs": (-25.0, 25.0)}
MARKET = {"cost": (1.0, 100.0), "phi.log_mean": (1.0, 4.0), "phi.log_sd": (0.1, 1.0)}
ANCHOR = {"psi.anchor": (0.0, 1.0), "psi.pull": (0.0, 10.0)}


def random_weights(policy, seed=0):
    """As wrong as an untrained network is: what holds here holds whatever was learned."""
    return with_network(policy, jax.tree.map(lambda w: 3 * w, policy.fresh(jax.random.key(seed))))


def matrix(roles="shared", **kwargs):
    game = bc.NormalForm(np.zeros((2, 2, 2)), name="2x2")
    return random_weights(bc.AmortisedPolicy(game, BOX, width=16, roles=roles, **kwargs))


def market(**kwargs):
    games = [bc.Cournot(n, np.linspace(0, 40, 9)) for n in (2, 3)]
    return random_weights(
        bc.AmortisedPolicy(games, MARKET | ANCHOR, prior=Anchored(), population=LogNormal(8), width=16, **kwargs)
    )


PHI, PSI = {"log_mean": 2.0, "log_sd": 0.5}, {"anchor": 0.3, "pull": 4.0}


@pytest.mark.parametrize("unit", ["payoff", "cost"])
def test_an_infinite_cost_gives_the_prior_and_a_cost_of_zero_the_best_action(unit):
    policy, payoffs = matrix(unit=unit), {"payoffs": np.random.default_rng(0).uniform(-20, 20, (2, 2, 2))}
    np.testing.assert_array_equal(jnp.exp(policy.log_prob_all(np.inf, None, None, payoffs)), 0.5)
    greedy = np.asarray(policy.log_prob_all(0.0, None, None, payoffs))
    best = np.asarray(policy.values(0.0, None, None, payoffs)).argmax(axis=1)
    np.testing.assert_array_equal(greedy, np.where(np.arange(2) == best[:, None], 0.0, -np.inf))
    own = market()
    np.testing.assert_allclose(own.log_prob_all(np.inf, PHI, PSI, None), own.log_prior(PSI), atol=1e-6)
    assert (np.exp(own.log_prob_all(0.0, PHI, PSI, None)).max(axis=1) == 1).all()


def test_tilt_is_exact_at_its_ends_and_overflows_nothing():
    log_q = jnp.log(jnp.array([0.2, 0.3, 0.5, 0.0]))
    q = jnp.array([1.0, 3.0, 3.0, 100.0])
    np.testing.assert_allclose(jnp.exp(tilt(jnp.maximum(log_q, -1e30), q, jnp.inf)), [0.2, 0.3, 0.5, 0], atol=1e-7)
    for cost in (0.0, 1e-30):  # ties as in the prior; what the prior rules out stays out
        np.testing.assert_allclose(jnp.exp(tilt(jnp.maximum(log_q, -1e30), q, cost)), [0, 0.375, 0.625, 0], atol=1e-6)
    slope = jax.grad(lambda c: tilt(jnp.maximum(log_q, -1e30), q, c)[0])(0.5)
    assert np.isfinite(slope)


def test_constants_names_and_seats_do_not_matter():
    """What cannot matter does not, exactly, whatever the weights."""
    with jax.enable_x64(True):
        policy, rng = matrix(), np.random.default_rng(1)
        payoffs = rng.uniform(-9, 9, (2, 2, 2))
        p = np.asarray(policy.log_prob_all(1.5, None, None, {"payoffs": payoffs}))
        moved = payoffs + np.stack([np.array([[5.0, -3.0]]).repeat(2, 0), np.array([[2.0], [7.0]]).repeat(2, 1)])
        np.testing.assert_allclose(policy.log_prob_all(1.5, None, None, {"payoffs": moved}), p, atol=1e-9)
        np.testing.assert_allclose(policy.log_prob_all(3.0, None, None, {"payoffs": 2 * payoffs}), p, atol=1e-9)
        renamed = policy.log_prob_all(1.5, None, None, {"payoffs": payoffs[:, ::-1]})
        np.testing.assert_allclose(renamed, [p[0, ::-1], p[1]], atol=1e-9)
        swapped = np.stack([payoffs[1].T, payoffs[0].T])
        np.testing.assert_allclose(policy.log_prob_all(1.5, None, None, {"payoffs": swapped}), p[::-1], atol=1e-9)
        costs = np.array([0.5, 2.0])
        p = np.asarray(policy.log_prob_all(costs, None, None, {"payoffs": payoffs}))
        np.testing.assert_allclose(
            policy.log_prob_all(costs[::-1], None, None, {"payoffs": swapped}), p[::-1], atol=1e-9
        )


def test_private_values_do_not_depend_on_the_own_cost():
    policy = market()
    low, high = (tilt(policy.log_prior(PSI)[0], policy.values(c, PHI, PSI, None)[0], 10.0) for c in (2.0, 50.0))
    np.testing.assert_array_equal(low, high)
    by_type = policy.log_prob_by_type(PHI, PSI, None)
    _, weights = LogNormal(8).quadrature(PHI)
    assert by_type.shape == (1, 8, 9)
    expected = np.exp(np.asarray(by_type)).transpose(0, 2, 1) @ np.asarray(weights)
    np.testing.assert_allclose(jnp.exp(policy.log_prob_all(None, PHI, PSI, None)), expected, rtol=1e-4, atol=1e-30)


@pytest.mark.parametrize("roles", ["shared", "embedded", "separate"])
def test_it_jits_vmaps_and_differentiates(roles):
    policy = matrix(roles)
    payoffs = {"payoffs": np.random.default_rng(2).uniform(-20, 20, (2, 2, 2))}
    f = lambda t: policy.log_prob(1, jnp.exp(t), None, None, payoffs)
    batch = jax.jit(jax.vmap(f))(jnp.linspace(-2, 4, 5))
    np.testing.assert_allclose(batch[2], f(1.0), rtol=1e-5)
    with jax.enable_x64(True):
        slope, small = jax.jacfwd(f)(1.0), 1e-5
        np.testing.assert_allclose(slope, (f(1.0 + small) - f(1.0 - small)) / (2 * small), rtol=1e-6, atol=1e-9)


def test_points_lie_in_the_box_and_corners_on_it():
    for policy in (matrix(), market()):
        for points in (sample_points(policy, jax.random.key(0), 200), corner_points(policy)):
            for i in range(0, len(points.cost), 37):
                one = jax.tree.map(lambda x, i=i: np.asarray(x[i]), points)
                policy.check(np.atleast_1d(one.cost), one.phi, one.psi, one.params)
    cost = np.asarray(sample_points(matrix(), jax.random.key(0), 400).cost)
    same = np.mean(cost[:, 0] == cost[:, 1])
    assert abs(same - 0.5) < 4 * 0.5 / np.sqrt(400)  # half of the points, within four standard errors
    corners = corner_points(market())
    assert len(corners.cost) == 2**5 and set(np.asarray(corners.phi["log_sd"]).tolist()) == {
        float(np.float32(0.1)), 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ({"cost": (0.0, 1.0)}, "cost begins at 0"),
        ({"cost": (-1.0, 1.0)}, "cost begins at -1"),
        ({"cost": (1.0, 1.0)}, "low must be below high"),
        ({"cost": (2.0, 1.0)}, "low must be below high"),
        ({"cost": (1.0, np.inf)}, "needs finite ends"),
        ({"params.payoffs": (-1.0, 1.0)}, "cost is missing"),
        ({"cost": (1.0, 2.0), "params.payoff": (-1.0, 1.0)}, "params.payoff is not one of cost, params.payoffs"),
    ],
)
def test_boxes_that_cannot_be(box, message):
    with pytest.raises(bc.DomainError, match=message):
        bc.AmortisedPolicy(bc.NormalForm(np.zeros((2, 2, 2))), box)


def test_every_fault_of_a_box_is_named_at_once():
    with pytest.raises(bc.DomainError, match=r"phi\.log_mean is missing; phi\.log_sd is missing; cost begins at 0"):
        bc.AmortisedPolicy(bc.Cournot(2), {"cost": (0.0, 1.0)}, population=LogNormal())


def test_values_outside_the_box_are_refused():
    policy, payoffs = matrix(), {"payoffs": np.zeros((2, 2, 2))}
    with pytest.raises(bc.DomainError, match=r"cost is 200, outside the trained domain \[0\.1, 100\]"):
        policy.log_prob_all(200.0, None, None, payoffs)
    with pytest.raises(bc.DomainError, match=r"params\.payoffs is 0 to 30, outside the trained domain"):
        policy.log_prob(0, 1.0, None, None, {"payoffs": np.array([[[0, 30], [0, 0]], [[0, 0], [0, 0]]])})
    for bad in (np.nan, -1.0):
        with pytest.raises(bc.DomainError, match="must be a positive number"):
            policy.log_prob_all(bad, None, None, payoffs)
    own = market()
    with pytest.raises(bc.DomainError, match=r"phi\.log_mean is 9.*psi\.pull is 11"):
        own.log_prob_all(10.0, PHI | {"log_mean": 9.0}, PSI | {"pull": 11.0}, None)
    with pytest.raises(bc.DomainError, match=r"slope is 2\.0, but the policy was trained at 1.0 only"):
        own.log_prob_all(10.0, PHI, PSI, {"slope": 2.0})


def test_only_the_games_it_was_trained_for():
    policy = market()
    assert policy.play(bc.Cournot(3, np.linspace(0, 40, 9)), LogNormal(8)).environment.players == 3
    for game in (bc.Cournot(4, np.linspace(0, 40, 9)), bc.Cournot(2, np.linspace(0, 41, 9)), bc.get_game("stag-hunt")):
        with pytest.raises(bc.InputError, match=r"trained for Cournot \(2 players, 9 actions\) or Cournot \(3"):
            policy.play(game, LogNormal(8))
    with pytest.raises(bc.InputError, match="not for costs that everybody knows"):
        policy.play(bc.Cournot(3, np.linspace(0, 40, 9)), Homogeneous())
    with pytest.raises(bc.DomainError, match="intercept is 120"):
        policy.play(bc.Cournot(3, np.linspace(0, 40, 9), intercept=120), LogNormal(8))


def test_it_stands_where_an_exact_policy_stood():
    """The same model, site for site; only that the cost cannot leave the box."""
    study = bc.load_study("selten-chmura")
    for by in (None, "game"):
        learned = bc.build_model(matrix(), Homogeneous(), study.decisions, by=by)
        exact = bc.build_model(bc.ExactPolicy(bc.get_game("stag-hunt")), Homogeneous(), study.decisions, by=by)
        with jax.enable_x64(True):
            ours, theirs = sites_of(learned), sites_of(exact)
        assert {n: (s.kind, s.shape, s.dims) for n, s in ours.items()} == {
            n: (s.kind, s.shape, s.dims) for n, s in theirs.items()
        }
    assert bc.build_model(matrix(), Homogeneous(), study.decisions).box["log_cost"].high == pytest.approx(np.log(100))
    with jax.enable_x64(True):
        prior = compile_prior(bc.build_model(matrix(), Homogeneous(), study.decisions), 200)
        draws = prior(np.random.default_rng(0))["log_cost"]
    assert np.log(0.1) <= draws.min() and draws.max() <= np.log(100)


@pytest.mark.parametrize("name", ["Normal", "HalfNormal", "LogNormal", "Uniform"])
def test_hyperpriors_are_cut_off_at_the_box(name):
    import numpyro.distributions as dist

    wide = {
        "Normal": dist.Normal(0.0, 5.0), "HalfNormal": dist.HalfNormal(5.0),
        "LogNormal": dist.LogNormal(0.0, 3.0), "Uniform": dist.Uniform(-9.0, 9.0),
    }[name]  # fmt: skip
    box = bc.Domain.of(x=(0.5, 2.0)).intervals[0][1]
    cut = inside("x", wide, box)
    draws = cut.sample(jax.random.key(0), (500,))
    assert box.low <= float(draws.min()) and float(draws.max()) <= box.high
    # The density is the old one, up to a constant.
    x = jnp.array([0.6, 1.0, 1.9])
    np.testing.assert_allclose(jnp.diff(cut.log_prob(x)), jnp.diff(wide.log_prob(x)), atol=1e-5)
    with pytest.raises(bc.InputError, match="hyperprior of x is a Gamma, which cannot be cut off"):
        inside("x", dist.Gamma(1.0), box)
