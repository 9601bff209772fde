"""Finite games over time: the tables, the trees, their exact solutions and the laws that these obey."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move, centipede, kuhn_poker
from bayescal.environments.markov import MarkovGame, dynamic_cournot
from bayescal.solvers.policy_iteration import soft_values
from bayescal.training.check import check_environment

RNG = np.random.default_rng(0)
PENNIES = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [2.0, 0.0]]])  # payoffs[player][a1][a2]


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def problem(states=5, actions=3):
    payoffs = RNG.normal(size=(states, actions))
    transitions = RNG.dirichlet(np.ones(states), size=(states, actions))
    return payoffs, transitions, np.log(RNG.dirichlet(np.ones(actions), size=states))


def value_iteration(payoffs, transitions, log_q, cost, discount, rounds=3000):
    v = np.zeros(len(payoffs))
    for _ in range(rounds):
        q = payoffs + discount * transitions @ v
        v = cost * np.log(np.sum(np.exp(log_q + q / cost), axis=1))
    return q, v


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.99])
def test_values_are_those_of_value_iteration(discount):
    parts = problem()
    q, v = value_iteration(*parts, 0.7, discount)
    found = soft_values(*map(jnp.asarray, parts), jnp.asarray(0.7), discount)
    np.testing.assert_allclose(found.v, v - v[0], atol=1e-9)
    np.testing.assert_allclose(found.per_round, (1 - discount) * v[0], atol=1e-9)
    np.testing.assert_allclose(found.q - found.q[:, :1], q - q[:, :1], atol=1e-9)
    assert found.steps < 12


def test_a_discount_of_one_gives_the_average_payoff():
    parts = tuple(map(jnp.asarray, problem()))
    near, at = (soft_values(*parts, jnp.asarray(0.7), d) for d in (1 - 1e-7, 1.0))
    np.testing.assert_allclose(near.v, at.v, atol=1e-5)
    np.testing.assert_allclose(near.per_round, at.per_round, atol=1e-5)


def test_first_and_second_derivatives_of_values():
    payoffs, transitions, log_q = map(jnp.asarray, problem())
    direction = jnp.asarray(RNG.normal(size=payoffs.shape))
    f = lambda t: soft_values(payoffs + t * direction, transitions, log_q, 0.7 + t, 0.95).q[2, 1]
    slope, h = jax.grad(f), 1e-4
    together = jax.jit(jax.vmap(lambda t: (f(t), slope(t), jax.jacfwd(f)(t), jax.grad(slope)(t))))
    values, slopes, forward, curvature = map(np.asarray, together(np.array([0.0, h, -h])))
    np.testing.assert_allclose(slopes[0], (values[1] - values[2]) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(forward[0], slopes[0], rtol=1e-10)
    np.testing.assert_allclose(curvature[0], (slopes[1] - slopes[2]) / (2 * h), rtol=1e-5)


def test_the_limits_are_the_prior_and_the_best_policy():
    payoffs, transitions, _ = problem()
    env = MarkovGame(payoffs[:, None, :], transitions, 0.9)
    policy = bc.ExactPolicy(env)
    np.testing.assert_allclose(policy.solve(1e7).strategies, 1 / 3, atol=1e-6)
    v = np.zeros(5)
    for _ in range(2000):
        q = payoffs + 0.9 * transitions @ v
        v = q.max(axis=1)
    best = np.asarray(policy.solve(1e-4).strategies)[0]
    np.testing.assert_array_equal(best.argmax(axis=1), q.argmax(axis=1))
    assert best.max(axis=1).min() > 0.999


def one_state(payoffs, discount=0.6):
    """A one-shot game played for ever: the same play, whatever the discount."""
    return MarkovGame(payoffs[None], np.ones((1, *payoffs.shape[1:], 1)), discount)


@pytest.mark.parametrize("concept", ["trajectory", "agent"])
def test_one_state_is_the_one_shot_game(concept):
    one_shot = bc.ExactPolicy(bc.NormalForm(PENNIES))
    forever = bc.ExactPolicy(one_state(PENNIES), concept=concept)
    costs = jnp.array([0.4, 0.9])
    np.testing.assert_allclose(forever.solve(costs).strategies[:, 0], one_shot.solve(costs).strategies, atol=1e-9)


def test_private_costs_in_one_state_are_those_of_the_one_shot_game():
    population = bc.populations.LogNormal(3)
    phi = {"log_mean": np.log(0.5), "log_sd": np.asarray(0.8)}
    one_shot = bc.ExactPolicy(bc.NormalForm(PENNIES), population=population)
    forever = bc.ExactPolicy(one_state(PENNIES), population=population)
    tree = bc.ExactPolicy(simultaneous(PENNIES), population=population)
    want = one_shot.solve(phi=phi).strategies
    np.testing.assert_allclose(forever.solve(phi=phi).strategies[:, 0], want, atol=1e-8)
    np.testing.assert_allclose(tree.solve(phi=phi).strategies[:, 0], want, atol=1e-8)
    own = one_shot.log_prob(1, 0.3, phi, None, None)  # of somebody whose cost is known to us
    np.testing.assert_allclose(forever.log_prob((1, {"state": 0}), 0.3, phi, None, None), own, atol=1e-8)
    seen = {"situation": 0, "moving": 1.0}
    np.testing.assert_allclose(tree.log_prob((1, seen), 0.3, phi, None, None), own, atol=1e-8)


def simultaneous(payoffs):
    """A 2x2 game as a tree: the second player does not see what the first did."""
    end = lambda a, b: End((payoffs[0, a, b], payoffs[1, a, b]))
    second = lambda a: Move(1, "blind", {"L": end(a, 0), "R": end(a, 1)})
    return ExtensiveForm(Move(0, "start", {"U": second(0), "D": second(1)}), role_names=("row", "column"))


def test_private_costs_are_learned_from_what_was_done():
    """After a pass, the passer is more likely one to whom information is dear: Bayes' rule, worked out by hand."""
    # Player 0 goes on (or ends with 1 each); player 1 sees that, and is paid for guessing right what 0 does next.
    guess = lambda right, wrong: Move(0, "again", {"x": right, "y": wrong})
    last = Move(1, "asked", {"x": guess(End((1, 2)), End((0, 0))), "y": guess(End((1, 0)), End((0, 1)))})
    game = ExtensiveForm(Move(0, "first", {"stop": End((1, 1)), "go": last}), role_names=("one", "two"))
    types = bc.populations.Discrete([0.2, 5.0], [0.5, 0.5])
    solution = bc.ExactPolicy(game, population=types).solve(phi={})
    assert solution.converged
    by_type = np.exp(np.asarray(solution.log_by_type))[0, :, :, :]  # types, situations, actions
    first, again = (game.tree.situations[0].index(s) for s in ("first", "again"))
    goes = by_type[:, first, 1] / by_type[:, first, 1].sum()
    chance_of_x = float(goes @ by_type[:, again, 0])
    gain = 2 * chance_of_x - (1 - chance_of_x)
    for k, cost in enumerate((0.2, 5.0)):
        want = 1 / (1 + np.exp(-gain / cost))
        np.testing.assert_allclose(np.exp(solution.log_by_type[1, k, 0, 0]), want, atol=1e-8)


def test_an_equilibrium_is_differentiable():
    game = dynamic_cournot()
    policy = bc.ExactPolicy(game)
    f = lambda c: policy.solve(jnp.stack([c, 0.7])).log_strategies[1, 0, 2]
    h = 1e-5
    values, slopes = map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(f)))(np.array([0.5, 0.5 + h, 0.5 - h])))
    np.testing.assert_allclose(slopes[0], (values[1] - values[2]) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize("build", [dynamic_cournot, kuhn_poker, centipede, bc.BusEngine])
def test_they_are_fit_to_be_trained_on(build):
    check_environment(build())


def spelled(env, player, number):
    """A recorded number as tables have it: in a tree the name of the situation."""
    named = env.named_situations(player)
    return named[int(number)][0] if named and np.isfinite(number) else number


def recorded(env, games=6, rounds=7, key=0):
    """A table of random play, and what everybody observed."""
    rows, seen = [], []
    step = jax.jit(lambda *x: env.step(*x))
    for g in range(games):
        state = env.reset(jax.random.key(100 * key + g), env.params)
        for t in range(rounds):
            joint = jnp.asarray(RNG.integers(0, 2, env.players), jnp.int32)
            after, _, done = step(jax.random.key(1000 * g + t), state, joint, env.params)
            columns = env.record(state, joint, after, env.params)
            for i, role in enumerate(env.role_names):
                row = {"group": g, "participant": f"{g}-{i}", "role": role, "round": t + 1}
                row["action"] = env.action_labels[i][int(joint[i])]
                rows.append(row | {k: spelled(env, i, float(v[i])) for k, v in columns.items()})
                seen.append({k: np.asarray(v) for k, v in env.observe(state, i).items()})
            state = after
            if bool(done):
                break
    return pd.DataFrame(rows), seen


@pytest.mark.parametrize("build", [dynamic_cournot, kuhn_poker])
def test_what_was_seen_is_rebuilt(build):
    env = build()
    table, seen = recorded(env)
    order = RNG.permutation(len(table))
    decisions = bc.Decisions.from_table(table.iloc[order], {env.name: env})
    name = next(iter(seen[0]))
    moving = table[name].notna().to_numpy()
    assert len(decisions.play.row) == moving.sum()
    want = np.array([seen[i][name] for i in order if moving[i]])
    np.testing.assert_array_equal(decisions.play.observations[env.name][name], want)


def test_an_impossible_state_is_reported():
    env = dynamic_cournot()
    table, _ = recorded(env, games=2)
    table.loc[3, "state"] = 7
    with pytest.raises(bc.InputError, match=r"column 'state'.*row 3 holds 7 where the game makes it 1 \(off by 6\)"):
        bc.Decisions.from_table(table, {env.name: env})


def test_rounds_and_states_are_needed_over_time():
    env = dynamic_cournot()
    table, _ = recorded(env, games=1)
    with pytest.raises(bc.InputError, match="no column 'state'"):
        bc.Decisions.from_table(table.drop(columns="state"), {env.name: env})
    with pytest.raises(bc.InputError, match="no column 'round'"):
        bc.Decisions.from_table(table.drop(columns="round"), {env.name: env})


def test_bad_tables_and_trees_are_refused():
    with pytest.raises(bc.InputError, match="must be probabilities that sum to 1"):
        MarkovGame(np.zeros((2, 1, 2)), np.full((2, 2, 2), 0.4), 0.9)
    with pytest.raises(bc.InputError, match="the discount is 1"):
        MarkovGame(np.zeros((1, 1, 2)), np.ones((1, 2, 1)), 1.0)
    with pytest.raises(bc.InputError, match=r"one axis of actions for each player"):
        MarkovGame(np.zeros((2, 2, 2)), np.ones((2, 2, 2)), 0.9)
    with pytest.raises(bc.InputError, match="do not sum to 1"):
        ExtensiveForm(Chance(((0.5, End((0,))), (0.4, End((1,))))), role_names=("one",))
    inner = Move(0, "s", {"c": End((0,)), "d": End((1,))})
    with pytest.raises(bc.InputError, match="situation 's' has the actions"):
        ExtensiveForm(Move(0, "s", {"a": inner, "b": End((1,))}), role_names=("one",))
    with pytest.raises(bc.InputError, match="cannot be solved exactly"):
        bc.ExactPolicy(bc.get_game("beer-game"))
    with pytest.raises(bc.InputError, match="did you mean bus-engine"):
        bc.get_game("bus-engines")
    with pytest.raises(bc.InputError, match="cannot be built with colour"):
        bc.get_game("bus-engine", colour="red")
