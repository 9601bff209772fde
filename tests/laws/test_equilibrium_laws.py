"""What must hold of the solved policy in every game: its limits, its symmetries, its derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.environments.cournot import Cournot
from bayescal.environments.named import get_game
from bayescal.environments.normal_form import NormalForm
from bayescal.policies.exact import ExactPolicy, equilibrium
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.empirical import Empirical
from bayescal.priors.log_linear import LogLinear


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_game(seed: int, *sizes: int) -> NormalForm:
    # Normal payoffs: no ties and no symmetry, so the principal branch is unique (McKelvey & Palfrey 1995).
    return NormalForm(np.random.default_rng(seed).normal(0, 3, (len(sizes), *sizes)))


def skewed(environment) -> Empirical:
    """A prior that is far from uniform."""
    rows = [np.arange(1, len(v) + 1) ** 1.5 for v in environment.action_values]
    return Empirical([row / row.sum() for row in rows])


GAMES = {
    "2x2": random_game(1, 2, 2),
    "3x4": random_game(2, 3, 4),
    "2x3x2": random_game(3, 2, 3, 2),
    "selten-chmura-01": get_game("selten-chmura-01"),
    "stag-hunt": get_game("stag-hunt"),
    "travelers-dilemma": get_game("travelers-dilemma"),
    "volunteers-dilemma": get_game("volunteers-dilemma"),
    "request-11-20": get_game("request-11-20"),
    "cournot": Cournot(firms=4, quantities=np.linspace(0, 40, 21)),
    "beauty-contest": BeautyContest(players=3, multiplier=2 / 3, guesses=np.linspace(0, 100, 11)),
}
each_game = pytest.mark.parametrize("name", GAMES)
# One of each kind by default; the others take minutes to compile and are run as slow.
_KINDS = ("2x2", "2x3x2", "cournot", "volunteers-dilemma")
each_kind = pytest.mark.parametrize(
    "name", [g if g in _KINDS else pytest.param(g, marks=pytest.mark.slow) for g in GAMES]
)


@eqx.filter_jit
def _solve(policy, cost, params):
    return policy.solve(cost, params=params)


def solve(policy, cost, params=None):
    """One program serves all costs and payoffs of games of one shape: a number would be part of the program."""
    return _solve(policy, np.asarray(cost, float), policy.environment.params if params is None else params)


@eqx.filter_jit
def expected_payoffs(game, strategies):
    return game.expected_payoffs(strategies, game.params)


@each_game
def test_infinite_cost_plays_the_prior(name):
    game = GAMES[name]
    policy = ExactPolicy(game, skewed(game))
    scale = float(game.payoff_scale(game.params))
    solved = solve(policy, 1e7 * scale)
    np.testing.assert_allclose(solved.strategies, np.exp(policy.log_prior()) * game.mask, atol=1e-6)


@each_game
def test_vanishing_cost_plays_a_nash_equilibrium(name):
    game = GAMES[name]
    policy = ExactPolicy(game, skewed(game))
    scale = float(game.payoff_scale(game.params))
    dearest = -float(jnp.min(jnp.where(game.mask, policy.log_prior(), 0.0)))
    for cost in scale * np.array([1e-2, 1e-3, 1e-4]):
        solved = solve(policy, cost)
        assert bool(solved.converged), name
        # Nobody gives up more than the information would have cost: lambda · KL(best reply || prior).
        assert float(jnp.max(solved.exploitability)) <= cost * dearest
        assert float(jnp.min(solved.exploitability)) >= -1e-9 * scale


@each_game
def test_it_is_a_fixed_point(name):
    game = GAMES[name]
    cost = 0.1 * float(game.payoff_scale(game.params))
    policy = ExactPolicy(game, skewed(game))
    solved = solve(policy, cost)
    values = expected_payoffs(game, solved.strategies)
    logits = np.where(game.mask, np.asarray(policy.log_prior()) + np.asarray(values) / cost, -np.inf)
    reply = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(solved.strategies, reply / reply.sum(axis=1, keepdims=True), atol=1e-9)
    assert float(solved.residual) < 1e-9


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
def test_relabelling_players_and_actions_relabels_the_solution(sizes):
    rng = np.random.default_rng(5)
    game = random_game(7, *sizes)
    prior = skewed(game)
    payoffs = np.asarray(game.params["payoffs"])
    players = rng.permutation(len(sizes))
    actions = [rng.permutation(n) for n in sizes]
    relabelled = payoffs[(slice(None), *np.ix_(*actions))]
    relabelled = relabelled[players].transpose(0, *(1 + players))
    rows = [np.asarray(prior.probabilities[i])[actions[i]] for i in players]
    for cost in (3.0, 0.3, 0.03):
        before = solve(ExactPolicy(game, prior), cost).strategies
        after = solve(ExactPolicy(NormalForm(relabelled), Empirical(rows)), cost).strategies
        for new, old in enumerate(players):
            relabelled_row = np.asarray(before)[old][actions[old]]
            np.testing.assert_allclose(np.asarray(after)[new, : sizes[old]], relabelled_row, atol=1e-8)


def test_relabelling_the_players_of_a_symmetric_game_past_its_bifurcation_gives_the_mirror_image():
    """Chicken is its own relabelling, and below cost 0.73 its principal branch has two mirror images.

    `tie_break` picks one of them; the other is found from its start point.
    """
    chicken = get_game("chicken")
    policy = ExactPolicy(chicken)
    solved = policy.solve(0.5)
    assert float(jnp.max(jnp.abs(solved.strategies[0] - solved.strategies[1]))) > 0.5
    mirror = policy.solve(0.5, start=solved.strategies[::-1])
    np.testing.assert_allclose(mirror.strategies, solved.strategies[::-1], atol=1e-9)


@pytest.mark.parametrize("name", ["3x4", "2x3x2"])
def test_constants_added_to_payoffs_change_nothing(name):
    game = GAMES[name]
    payoffs = game.params["payoffs"]
    constants = np.array([5.0, -200.0, 31.0])[: game.players].reshape(-1, *[1] * game.players)
    # Nor does a constant that depends on what the others do.
    varying = np.stack([5 * np.sin(u).mean(axis=i, keepdims=True) + 0 * u for i, u in enumerate(payoffs)])
    policy = ExactPolicy(game, skewed(game))
    for cost in (3.0, 0.3):
        before = solve(policy, cost).strategies
        after = solve(policy, cost, {"payoffs": payoffs + constants + varying}).strategies
        np.testing.assert_allclose(after, before, atol=1e-8)


@pytest.mark.parametrize("name", ["3x4", "2x3x2"])
def test_scaling_payoffs_and_costs_together_changes_nothing(name):
    game = GAMES[name]
    policy = ExactPolicy(game, skewed(game))
    for factor in (1e-3, 17.0, 1e6):
        before = solve(policy, 0.3).strategies
        after = solve(policy, 0.3 * factor, {"payoffs": factor * game.params["payoffs"]}).strategies
        np.testing.assert_allclose(after, before, atol=1e-8)


def check_derivatives(f, x, rtol=1e-5):
    """Forward, reverse and central differences agree on the derivative of a scalar function of an array."""
    x = np.asarray(x, float)
    # Value and slopes in one program each, of which most is the solver.
    both = jax.jit(lambda x: (jax.value_and_grad(f)(x), jax.jacfwd(f)(x)))
    (_, reverse), forward = both(x)
    numeric = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        h = 1e-5 * max(1.0, abs(float(x[i])))
        step = np.zeros(x.shape)
        step[i] = h
        (up, _), _ = both(x + step)
        (down, _), _ = both(x - step)
        numeric[i] = (up - down) / (2 * h)
    size = np.abs(numeric).max()
    assert size > 1e-4, "the derivative is nearly zero: the test would show nothing"
    np.testing.assert_allclose(reverse, numeric, rtol=rtol, atol=rtol * size)
    np.testing.assert_allclose(forward, reverse, rtol=1e-8, atol=1e-10 * size)


def likelihood(log_strategies, game):
    """A log-likelihood of uneven counts."""
    counts = jnp.arange(1.0, 1 + game.mask.size).reshape(game.mask.shape)
    return jnp.sum(jnp.where(game.mask, counts * log_strategies, 0.0))


@each_kind
def test_derivatives_in_cost_and_prior(name):
    game = GAMES[name]
    policy = ExactPolicy(game, LogLinear())
    scale = float(game.payoff_scale(game.params))
    (psi_name,) = policy.prior.parameters

    def f(x):
        solved = policy.solve(scale * jnp.exp(x[: game.roles]), psi={psi_name: x[game.roles]})
        return likelihood(solved.log_strategies, game)

    check_derivatives(f, [-1.5] * game.roles + [0.3])


@pytest.mark.parametrize("name", ["3x4", "2x3x2"])
def test_derivatives_in_payoffs(name):
    game = GAMES[name]
    check_derivatives(
        lambda u: likelihood(ExactPolicy(game).solve(0.8, params={"payoffs": u}).log_strategies, game),
        game.params["payoffs"],
    )


@pytest.mark.parametrize("name", ["3x4", "cournot"])
def test_derivatives_in_the_population(name):
    game = GAMES[name]
    policy = ExactPolicy(game, population=LogNormal())
    scale = float(game.payoff_scale(game.params))

    def f(x):
        solved = policy.solve(phi={"log_mean": x[0] + jnp.log(scale), "log_sd": jnp.exp(x[1])})
        return likelihood(solved.log_strategies, game)

    check_derivatives(f, [-1.5, -0.3])


def test_second_derivatives():
    game = GAMES["2x2"]
    f = jax.jit(lambda x: likelihood(ExactPolicy(game).solve(jnp.exp(x)).log_strategies, game))
    h = 1e-3
    numeric = (f(h) - 2 * f(0.0) + f(-h)) / h**2
    np.testing.assert_allclose(jax.jit(jax.hessian(f))(0.0), numeric, rtol=1e-4)


def test_a_narrow_population_is_a_common_cost():
    game = GAMES["3x4"]
    private = ExactPolicy(game, population=LogNormal()).solve(phi={"log_mean": jnp.log(0.7), "log_sd": 1e-4})
    np.testing.assert_allclose(private.strategies, equilibrium(game, 0.7).strategies, atol=1e-6)


def test_private_costs_answer_the_population():
    """A person of cost c in a population plays softmax(U / c) against the population's mixture."""
    game = GAMES["3x4"]
    policy = ExactPolicy(game, population=LogNormal())
    phi = {"log_mean": 0.1, "log_sd": 0.8}
    solved = policy.solve(phi=phi)
    mixture = jnp.einsum("k,rka->ra", solved.type_weights, solved.strategies_by_type)
    np.testing.assert_allclose(solved.strategies, mixture, atol=1e-12)
    u = game.expected_payoffs(mixture, game.params)
    own = policy.log_prob(1, 0.4, phi, None, None)
    np.testing.assert_allclose(own, jax.nn.log_softmax(u[1] / 0.4), atol=1e-10)
    everyone = policy.log_prob_all(None, phi, None, None)
    np.testing.assert_allclose(jnp.exp(everyone), solved.strategies, atol=1e-12)


def test_other_equilibria_from_a_start_point():
    game = get_game("stag-hunt")
    policy = ExactPolicy(game)
    hare = policy.solve(0.2).strategies
    stag = policy.solve(0.2, start=jnp.array([[0.99, 0.01], [0.99, 0.01]]))
    assert bool(stag.converged) and float(hare[0, 0]) < 0.01 < 0.9 < float(stag.strategies[0, 0])


def test_many_players_are_solved_through_their_aggregate():
    market = Cournot(firms=12, quantities=np.linspace(0, 100, 101))
    solved = solve(ExactPolicy(market), 5.0)
    assert bool(solved.converged)
    mean = float(solved.strategies[0] @ np.linspace(0, 100, 101))
    assert 0 < mean < 30
    # As cost falls play approaches the Nash quantity (a - c) / (b (n + 1)) = 99/13.
    rational = solve(ExactPolicy(market), 0.02)
    assert bool(rational.converged)
    assert abs(float(rational.strategies[0] @ np.linspace(0, 100, 101)) - 99 / 13) < 0.25


class _Dense(BeautyContest):
    """Without the knowledge that only the others' mean matters."""

    def slope_factors(self, params):
        return None


def _contest(kind, population):
    """A likelihood as a function of the cost(s), the prior and the game, and what the solver says."""
    policy = ExactPolicy(kind(7, 1.2, np.linspace(0, 100, 9)), LogLinear(), population)

    def f(x):
        who = {"cost": jnp.exp(x[0])} if population is None else {"phi": {"log_mean": x[0], "log_sd": x[1]}}
        solved = policy.solve(**who, psi={"tilt": x[2]}, params={"multiplier": x[3]})
        return likelihood(solved.log_strategies, policy.environment), solved.steps

    return f, jnp.array([-5.0, 0.8, 0.5, 1.3])


def test_few_unknowns_give_the_solution_and_derivatives_of_many():
    def solved(kind):
        f, x = _contest(kind, LogNormal())
        return jax.jit(jax.value_and_grad(f, has_aux=True))(x)

    (few, few_steps), few_slopes = solved(BeautyContest)
    (many, many_steps), many_slopes = solved(_Dense)
    assert few_steps == many_steps  # the same path, too
    np.testing.assert_allclose(few, many, rtol=1e-10)
    np.testing.assert_allclose(few_slopes, many_slopes, rtol=1e-8, atol=1e-8)


@pytest.mark.slow
def test_few_unknowns_give_the_second_derivatives_of_many():
    def second(kind):
        f, x = _contest(kind, None)
        return jax.jit(jax.hessian(lambda x: f(x)[0]))(x)

    np.testing.assert_allclose(second(BeautyContest), second(_Dense), rtol=1e-7, atol=1e-6)


def test_failure_is_reported_and_never_hidden():
    """Float32 cannot resolve the mixed equilibrium of a game solved at a millionth of a payoff."""
    with jax.enable_x64(False):
        games = np.random.default_rng(5).integers(0, 10, (100, 2, 5, 4)).astype(np.float32)
        policy = ExactPolicy(NormalForm(games[0]))
        solved = jax.jit(jax.vmap(lambda u: policy.solve(1e-6, params={"payoffs": u})))(games)
    failed = ~np.asarray(solved.converged)
    assert failed.any()
    assert np.isnan(np.asarray(solved.strategies)[failed]).all()
    assert np.isfinite(np.asarray(solved.strategies)[~failed]).all()
