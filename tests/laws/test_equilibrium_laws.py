"""What must hold of the solved policy in every game: its limits, its symmetries, its derivatives."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.environments.cournot import Cournot
from bayescal.environments.named import get_game
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.symmetric import travelers_dilemma
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.log_normal import LogNormal
from bayescal.priors.base import Known
from bayescal.priors.log_linear import LogLinear


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_game(seed: int, *sizes: int) -> NormalForm:
    # Normal payoffs: no ties and no symmetry, so the principal branch is unique (McKelvey & Palfrey 1995).
    return NormalForm(np.random.default_rng(seed).normal(0, 3, (len(sizes), *sizes)))


class Given(Known):
    """A habit as arrays, by role: all habits of a game share a program."""

    rows: tuple[np.ndarray, ...]

    def log_prob(self, observation, psi, *, role, action_values):
        return jnp.log(jnp.asarray(self.rows[role], jnp.result_type(float)))


def skewed(environment) -> Given:
    """A prior that is far from uniform."""
    rows = [np.arange(1, len(v) + 1) ** 1.5 for v in environment.action_values]
    return Given(tuple(row / row.sum() for row in rows))


def uniform(environment) -> Given:
    return Given(tuple(np.full(len(v), 1 / len(v)) for v in environment.action_values))


GAMES = {
    "2x2": random_game(1, 2, 2),
    "3x4": random_game(2, 3, 4),
    "2x3x2": random_game(3, 2, 3, 2),
    "selten-chmura-01": get_game("selten-chmura-01"),
    "stag-hunt": get_game("stag-hunt"),
    "travelers-dilemma": travelers_dilemma(high=270.0),  # as many actions as in the request game
    "volunteers-dilemma": get_game("volunteers-dilemma"),
    "request-11-20": get_game("request-11-20"),
    "cournot": Cournot(firms=4, quantities=np.linspace(0, 40, 21)),
    "beauty-contest": BeautyContest(players=3, multiplier=2 / 3, guesses=np.linspace(0, 100, 11)),
}
each_game = pytest.mark.parametrize("name", GAMES)
# The others take long to compile and are run as slow.
_SLOW = ("travelers-dilemma", "request-11-20", "beauty-contest")
each_kind = pytest.mark.parametrize(
    "name", [pytest.param(g, marks=pytest.mark.slow) if g in _SLOW else g for g in GAMES]
)


@cache
def scale_of(name: str) -> float:
    game = GAMES[name]
    return float(jax.jit(lambda params: game.payoff_scale(params))(game.params))


def solve(policy, cost=None, params=None, **options) -> Any:
    """One program serves all costs, habits and payoffs of games of one shape: all are its arguments."""
    cost = None if cost is None else np.asarray(cost, float)
    params = {n: np.asarray(x, float) for n, x in (params or policy.environment.params).items()}
    return jax.tree.map(np.asarray, policy.solve(cost, params=params, **options))


@eqx.filter_jit
def expected_payoffs(game, strategies):
    return game.expected_payoffs(strategies, game.params)


@each_game
def test_infinite_cost_plays_the_prior(name):
    game = GAMES[name]
    habit = skewed(game)
    solved = solve(ExactPolicy(game, habit), 1e7 * scale_of(name))
    for row, q, mask in zip(solved.strategies, habit.rows, game.mask, strict=True):
        np.testing.assert_allclose(row[mask], q, atol=1e-6)
        assert (row[~mask] == 0).all()


@each_game
def test_vanishing_cost_plays_a_nash_equilibrium(name):
    game = GAMES[name]
    habit, scale = skewed(game), scale_of(name)
    dearest = -min(np.log(row).min() for row in habit.rows)
    for cost in scale * np.array([1e-2, 1e-3, 1e-4]):
        solved = solve(ExactPolicy(game, habit), cost)
        assert solved.message == "converged", name
        # Nobody gives up more than the information would have cost: lambda · KL(best reply || prior).
        assert solved.exploitability.max() <= cost * dearest
        assert solved.exploitability.min() >= -1e-9 * scale


@each_game
def test_it_is_a_fixed_point(name):
    game = GAMES[name]
    cost, habit = 0.1 * scale_of(name), skewed(game)
    solved = solve(ExactPolicy(game, habit), cost)
    logits = np.where(game.mask, np.asarray(expected_payoffs(game, solved.strategies)) / cost, -np.inf)
    logits[game.mask] += np.log(np.concatenate(habit.rows))
    reply = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(solved.strategies, reply / reply.sum(axis=1, keepdims=True), atol=1e-9)
    assert float(solved.residual) < 1e-9


@pytest.mark.parametrize("name", ["2x2", "2x3x2"])
def test_relabelling_players_and_actions_relabels_the_solution(name):
    """The relabelled game has the same shape, so that one program solves both."""
    rng, game = np.random.default_rng(5), GAMES[name]
    prior, payoffs = skewed(game), np.asarray(game.params["payoffs"])
    sizes = payoffs.shape[1:]
    players = np.arange(len(sizes))[::-1]
    actions = [np.roll(rng.permutation(n), 1) if n > 2 else np.array([1, 0]) for n in sizes]
    relabelled = payoffs[(slice(None), *np.ix_(*actions))]
    relabelled = relabelled[players].transpose(0, *(1 + players))
    rows = tuple(prior.rows[i][actions[i]] for i in players)
    for cost in (3.0, 0.3, 0.03):
        before = solve(ExactPolicy(game, prior), cost).strategies
        after = solve(ExactPolicy(NormalForm(relabelled), Given(rows)), cost).strategies
        for new, old in enumerate(players):
            np.testing.assert_allclose(after[new, : sizes[old]], before[old][actions[old]], atol=1e-8)


def test_relabelling_the_players_of_a_symmetric_game_past_its_bifurcation_gives_the_mirror_image():
    """Chicken is its own relabelling, and below cost 0.73 its principal branch has two mirror images.

    `tie_break` picks one of them; the other is found from its start point.
    """
    chicken = get_game("chicken")
    policy = ExactPolicy(chicken, uniform(chicken))
    solved = solve(policy, 0.5)
    assert np.abs(solved.strategies[0] - solved.strategies[1]).max() > 0.5
    mirror = solve(policy, 0.5, start=solved.strategies[::-1].copy())
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


@eqx.filter_jit
def value_and_slopes(f, policy, x):
    """(value, slopes by reverse mode, slopes by forward mode) of f(policy, x) with one solution."""
    value, push = jax.linearize(lambda x: f(policy, x), x)
    (reverse,) = jax.linear_transpose(push, x)(jnp.ones_like(value))
    return value, reverse, jax.vmap(push)(jnp.eye(x.size))


def check_derivatives(f, policy, *blocks, rtol=1e-5):
    """Forward, reverse and central differences agree on the derivative of f(policy, x), where x is put together from
    blocks, each of which has slopes of a size of its own."""
    x = np.concatenate([np.ravel(np.asarray(block, float)) for block in blocks])
    _, reverse, forward = map(np.asarray, value_and_slopes(f, policy, x))
    steps = np.diag(1e-5 * np.maximum(1.0, np.abs(x)))
    value = lambda x: float(value_and_slopes(f, policy, x)[0])
    numeric = np.array([(value(x + step) - value(x - step)) / (2 * step.max()) for step in steps])
    first = 0
    for block in blocks:
        part = slice(first, first := first + np.size(block))
        size = np.abs(numeric[part]).max()
        assert size > 1e-4, "the derivative is nearly zero: the test would show nothing"
        np.testing.assert_allclose(reverse[part], numeric[part], rtol=rtol, atol=rtol * size)
        np.testing.assert_allclose(forward[part], reverse[part], rtol=1e-8, atol=1e-10 * size)


def likelihood(log_strategies, game):
    """A log-likelihood of uneven counts."""
    counts = jnp.arange(1.0, 1 + game.mask.size).reshape(game.mask.shape)
    return jnp.sum(jnp.where(game.mask, counts * log_strategies, 0.0))


def in_cost_prior_and_payoffs(policy, x):
    """Of log costs, the tilt of the prior, and payoffs if x has more numbers."""
    game = policy.environment
    n, shape = game.roles, np.shape(game.params.get("payoffs", ()))
    params = {"payoffs": x[n + 1 :].reshape(shape)} if x.size > n + 1 else None
    solved = policy.solve(jnp.exp(x[:n]), psi={"tilt": x[n]}, params=params)
    return likelihood(solved.log_strategies, game)


@each_kind
def test_derivatives_in_cost_prior_and_payoffs(name):
    game = GAMES[name]
    tensor = type(game) is NormalForm
    if tensor:  # without names, so that games of one shape share a program
        game = NormalForm(game.params["payoffs"])
    payoffs = [game.params["payoffs"]] if tensor else []
    costs = [np.log(scale_of(name)) - 1.5] * game.roles
    check_derivatives(in_cost_prior_and_payoffs, ExactPolicy(game, LogLinear()), costs, [0.3], *payoffs)


def in_population(policy, x):
    solved = policy.solve(phi={"log_mean": x[0], "log_sd": jnp.exp(x[1])})
    return likelihood(solved.log_strategies, policy.environment)


@pytest.mark.parametrize("name", ["3x4", "cournot"])
def test_derivatives_in_the_population(name):
    policy = ExactPolicy(GAMES[name], population=LogNormal())
    check_derivatives(in_population, policy, [np.log(scale_of(name)) - 1.5, -0.3])


def test_second_derivatives():
    policy = ExactPolicy(GAMES["2x2"])
    f = lambda x: likelihood(policy.solve(jnp.exp(x)).log_strategies, policy.environment)

    @jax.jit
    def value_and_second(x):
        (value, _), push = jax.linearize(jax.value_and_grad(f), x)
        return value, push(jnp.ones(()))[1]

    h = 1e-3
    (up, _), (here, second), (down, _) = (value_and_second(x) for x in (h, 0.0, -h))
    np.testing.assert_allclose(second, (up - 2 * here + down) / h**2, rtol=1e-4)


def test_a_narrow_population_is_a_common_cost():
    game = GAMES["3x4"]
    private = ExactPolicy(game, skewed(game), LogNormal())
    phi = {"log_mean": np.log(0.7), "log_sd": np.asarray(1e-4)}
    common = solve(ExactPolicy(game, skewed(game)), 0.7)
    np.testing.assert_allclose(solve(private, phi=phi).strategies, common.strategies, atol=1e-6)


def test_private_costs_answer_the_population():
    """A person of cost c in a population plays softmax(U / c) against the population's mixture."""
    game = GAMES["3x4"]
    habit, phi = skewed(game), {"log_mean": np.asarray(0.1), "log_sd": np.asarray(0.8)}
    policy = ExactPolicy(game, habit, LogNormal())
    solved = solve(policy, phi=phi)
    mixture = np.einsum("k,rka->ra", solved.type_weights, solved.strategies_by_type)
    np.testing.assert_allclose(solved.strategies, mixture, atol=1e-12)
    logits = np.log(habit.rows[1]) + np.asarray(expected_payoffs(game, mixture))[1] / 0.4
    params = {n: np.asarray(x) for n, x in game.params.items()}
    own = np.exp(policy.log_prob(1, 0.4, phi, None, params))
    np.testing.assert_allclose(own, np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(), atol=1e-10)
    everyone = policy.log_prob_all(None, phi, None, params)
    np.testing.assert_allclose(np.exp(everyone), solved.strategies, atol=1e-12)


def test_other_equilibria_from_a_start_point():
    game = get_game("stag-hunt")
    policy = ExactPolicy(game, uniform(game))
    hare = solve(policy, 0.2).strategies
    stag = solve(policy, 0.2, start=np.array([[0.99, 0.01], [0.99, 0.01]]))
    assert stag.message == "converged" and hare[0, 0] < 0.01 < 0.9 < stag.strategies[0, 0]


def test_many_players_are_solved_through_their_aggregate():
    market = Cournot(firms=12, quantities=np.linspace(0, 100, 101))
    solved = solve(ExactPolicy(market), 5.0)
    assert solved.message == "converged"
    mean = float(solved.strategies[0] @ np.linspace(0, 100, 101))
    assert 0 < mean < 30
    # As cost falls play approaches the Nash quantity (a - c) / (b (n + 1)) = 99/13.
    rational = solve(ExactPolicy(market), 0.02)
    assert rational.message == "converged"
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
