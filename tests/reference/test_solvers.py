"""Solvers of equations against NumPy: linear systems, roots, curves with folds, and choices at a cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from bayescal.policies.base import tilt
from bayescal.solvers.branch import principal_branch
from bayescal.solvers.linear import SMALL, Linear, change, negative_directions, solve_with_sign
from bayescal.solvers.path import follow_path
from bayescal.solvers.policy_iteration import soft_values, value_policy
from bayescal.solvers.root import implicit_root, newton

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("size", [1, 2, 3, 6, SMALL + 1])
def test_linear_systems_and_the_sign_of_their_determinant(size):
    """Of 20 matrices each, among them some of either sign."""
    matrices, rhs = RNG.normal(size=(20, size, size)), RNG.normal(size=(20, size, 3))
    solved, signs = jax.vmap(solve_with_sign)(jnp.asarray(matrices), jnp.asarray(rhs))
    np.testing.assert_allclose(solved, np.linalg.solve(matrices, rhs), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(signs, np.sign(np.linalg.det(matrices)))
    assert len(set(np.asarray(signs))) == 2


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_systems_of_few_outer_products(rank):
    left, right, rhs = RNG.normal(size=(20, rank, 5)), RNG.normal(size=(20, rank, 5)), RNG.normal(size=(20, 5, 2))
    solve = lambda left, right, rhs: Linear.low_rank(left, right).solve(rhs)
    solved, signs = jax.vmap(solve)(*map(jnp.asarray, (left, right, rhs)))
    matrices = np.eye(5) - np.swapaxes(left, 1, 2) @ right
    np.testing.assert_allclose(solved, np.linalg.solve(matrices, rhs), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(signs, np.sign(np.linalg.det(matrices)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, SMALL + 1])
def test_negative_eigenvalues_are_counted(size):
    """Against NumPy's eigenvalues; of the change between two matrices, against zeros of a determinant."""
    old, new = np.eye(size) + 0.4 * RNG.normal(size=(40, size, size)), RNG.normal(size=(40, size, size))
    found, ratio = jax.vmap(negative_directions)(jnp.asarray(new)), jax.vmap(change)(jnp.asarray(old), jnp.asarray(new))
    np.testing.assert_array_equal(found, np.sum(np.linalg.eigvals(new).real < 0, axis=1))
    np.testing.assert_allclose(ratio, np.linalg.solve(new, old), rtol=1e-6, atol=1e-8)
    assert size == 1 or len(set(np.asarray(found).tolist())) > 2
    lines = np.stack([np.diag(np.linspace(-1.5, 1, size)), np.eye(size)])
    passed = np.sum(np.diagonal(lines[0]) < 0)
    assert int(negative_directions(change(jnp.asarray(lines[1]), jnp.asarray(lines[0])))) == passed


def test_pivots_and_what_has_no_inverse():
    """Zeros on the diagonal, rows of very different size, eigenvalues near zero and near the imaginary axis."""
    turned = np.array([[0, 0, 1.0], [1e-9, 0, 0], [0, 1e9, 0]])
    solved, sign = solve_with_sign(jnp.asarray(turned), jnp.asarray(turned))
    np.testing.assert_allclose(solved, np.eye(3), atol=1e-12)
    assert float(sign) == np.sign(np.linalg.det(turned)) == 1
    singular, _ = solve_with_sign(jnp.ones((4, 4)), jnp.ones((4, 1)))
    assert not np.isfinite(singular).all()
    base = RNG.normal(size=(5, 5))
    real = lambda *values: base @ np.diag(values) @ np.linalg.inv(base)
    pair = np.array([[1e-6, 1.0], [-1.0, 1e-6]])
    nearly = (
        base @ np.block([[pair, np.zeros((2, 3))], [np.zeros((3, 2)), np.diag([-2.0, 3.0, 1.0])]]) @ np.linalg.inv(base)
    )
    matrices = [real(-1e-9, 1e9, 1.0, 2.0, -3.0), real(1e-9, 1.0, 1.0, 1.0, 1.0), nearly, np.full((5, 5), np.nan)]
    assert [int(negative_directions(jnp.asarray(m))) for m in matrices] == [2, 0, 1, 0]


def test_the_core_of_a_matrix_with_an_identity_block():
    matrix, alone = np.eye(5) + RNG.normal(size=(5, 5)), np.array([True, False, True, False, False])
    matrix[np.ix_(alone, alone)] = np.eye(2)
    linear = Linear.bordered(jnp.asarray(matrix), alone)
    solved, sign = linear.solve(jnp.ones((5, 1)))
    np.testing.assert_allclose(solved, np.linalg.solve(matrix, np.ones((5, 1))), rtol=1e-9)
    assert linear.core.shape == (3, 3) and float(sign) == np.sign(np.linalg.det(matrix))
    np.testing.assert_allclose(np.linalg.det(linear.core), np.linalg.det(matrix), rtol=1e-9)


def cubic(v, s):
    """An S: s rises to a fold at v = 0.59, falls to one at v = 1.41 and rises again."""
    slope = 1 - 2.4 * v + 1.2 * v**2
    return v - 1.2 * v**2 + 0.4 * v**3 - s, Linear(slope[None]), -jnp.ones(1)


@pytest.mark.parametrize("end", [1e-3, 0.1, 0.25, 0.26, 1.0, 300.0])
def test_a_curve_is_followed_through_its_folds_to_the_first_point_at_the_end(end):
    roots = np.roots([0.4, -1.2, 1.0, -end])
    expected = roots.real[np.abs(roots.imag) < 1e-9].min()
    path = follow_path(cubic, jnp.zeros(1), jnp.asarray(end), tie_break=jnp.ones(1))
    assert int(path.status) == 0 and int(path.iterations) < 120
    np.testing.assert_allclose(path.point, [expected], rtol=1e-9)


def test_a_path_that_runs_out_of_steps_or_ends_says_so():
    short = follow_path(cubic, jnp.zeros(1), jnp.asarray(300.0), tie_break=jnp.ones(1), max_iterations=5)
    assert int(short.status) == 2 and int(short.iterations) == 5

    def ends(v, s):  # v = 1 - sqrt(1 - s) and nothing beyond s = 1/2, where the equation breaks off
        broken = jnp.where(v > 0.3, jnp.nan, v - 0.5 * v**2 - 0.5 * s)
        return broken, Linear((1 - v)[None]), -0.5 * jnp.ones(1)

    assert int(follow_path(ends, jnp.zeros(1), jnp.asarray(5.0), tie_break=jnp.ones(1)).status) == 1


def test_the_branch_of_a_coordination_game_with_its_slopes():
    """Two players who want the same: v = 2 s (σ(w) - 0.4), w alike. Damped replies from the prior, in small steps of s,
    are the reference; slopes are differences of it."""

    def reference(end, bias=0.4):
        v = np.zeros(2)
        for s in np.linspace(0, end, 400):
            for _ in range(200):
                v = 0.5 * v + 0.5 * 2 * s * (expit(v[::-1]) - bias)
        return v

    update = lambda v, s, bias: 2 * s * (jax.nn.sigmoid(v[::-1]) - bias)
    at = lambda bias: principal_branch(update, 2, jnp.asarray(1.5), bias, jnp.ones(2))
    (point, path), slopes = jax.jit(lambda bias: (at(bias), jax.jacrev(lambda b: at(b)[0])(bias)))(0.4)
    assert int(path.status) == 0
    np.testing.assert_allclose(point, reference(1.5), atol=1e-8)
    np.testing.assert_allclose(slopes, (reference(1.5, 0.401) - reference(1.5, 0.399)) / 0.002, rtol=1e-4)


def test_a_symmetric_branch_leaves_its_bifurcation_where_it_is_told_to():
    """v = s tanh(v) has v = 0 for all s, and two mirror images beyond s = 1. F_v = 1 - s sech²(v)."""
    for towards in (1.0, -1.0):
        update = lambda v, s, _: s * jnp.tanh(v)
        point, path = principal_branch(update, 1, jnp.asarray(1.5), None, towards * jnp.ones(1))
        v = 1.0
        for _ in range(500):
            v = 1.5 * np.tanh(v)
        assert int(path.status) == 0
        np.testing.assert_allclose(point, [towards * v], rtol=1e-8)


def double(unlike):
    """v = s (tanh(v) + unlike): where `unlike` is zero two eigenvalues pass zero together at s = 1."""

    def linearise(v, s):
        rise = jnp.tanh(v) + unlike
        return v - s * rise, Linear(jnp.diag(1 - s / jnp.cosh(v) ** 2)), -rise

    return linearise


def test_two_eigenvalues_that_pass_zero_together_do_not_go_unseen(monkeypatch):
    """Nearly together: the branch bends off, one unknown up and the other down, and stays stable. Exactly together: a
    fork of which both arms can be had. Without the count the path goes straight on, to where nothing is stable."""

    def settled(start):
        v = np.array(start)
        for _ in range(500):
            v = 1.5 * np.tanh(v)
        return v

    unlike = jnp.array([1e-3, -2e-3])
    follow = lambda f, arm=1.0: follow_path(f, jnp.zeros(2), jnp.asarray(1.5), tie_break=arm * jnp.array([1.0, 0.0]))
    near = follow(double(unlike))
    expected = np.array([1.0, -1.0])
    for _ in range(500):
        expected = 1.5 * (np.tanh(expected) + np.asarray(unlike))
    np.testing.assert_allclose(near.point, expected, rtol=1e-8)
    assert int(near.status) == 0 and int(near.unstable) == 0 and not bool(near.forked)

    arms = [follow(double(jnp.zeros(2)), arm) for arm in (1.0, -1.0)]
    for path, side in zip(arms, (1.0, -1.0), strict=True):
        assert int(path.status) == 0 and int(path.unstable) == 0 and bool(path.forked)
        np.testing.assert_allclose(np.abs(path.point), settled([1.0, 1.0]), rtol=1e-8)
        assert np.sign(path.point[0]) == side
    np.testing.assert_allclose(arms[0].point, -arms[1].point, rtol=1e-8)

    monkeypatch.setattr("bayescal.solvers.path.change", lambda old, new: jnp.eye(2))
    blind = follow(double(jnp.zeros(2)))
    np.testing.assert_allclose(blind.point, 0.0, atol=1e-9)
    assert int(blind.status) == 0 and int(blind.unstable) == 2


def test_newtons_method_takes_no_step_that_is_too_long():
    """arctan: plain Newton diverges from 3."""
    linearise = lambda v: (jnp.arctan(v), Linear(1 / (1 + v[None] ** 2)))
    found = newton(linearise, jnp.asarray([3.0]), longest=1.0)
    assert int(found.status) == 0 and int(found.iterations) < 12
    np.testing.assert_allclose(found.point, [0.0], atol=1e-10)
    none = newton(lambda v: (v**2 + 1, Linear(2 * v[None])), jnp.asarray([0.7]))
    assert int(none.status) == 2 and int(none.iterations) == 200
    few = newton(linearise, jnp.asarray([50.0]), longest=1.0, max_iterations=10)
    np.testing.assert_allclose(few.point, [40.0], rtol=1e-9)  # ten steps of one


def test_slopes_of_a_root():
    """v = A(θ) tanh(v) + θ b: by differences, in both modes, also where only few directions move."""
    left, right = 0.4 * RNG.normal(size=(2, 4)), 0.4 * RNG.normal(size=(2, 4))
    b = RNG.normal(size=4)

    def root(theta):
        v = np.zeros(4)
        for _ in range(400):
            v = theta * left.T @ (right @ np.tanh(v)) + theta * b
        return v

    residual = lambda v, th: v - th * left.T @ (right @ jnp.tanh(v)) - th * b
    slope = (root(0.9 + 1e-6) - root(0.9 - 1e-6)) / 2e-6
    bend = (root(0.9 + 1e-3) - 2 * root(0.9) + root(0.9 - 1e-3)) / 1e-6
    for moved in (None, jnp.asarray(left)):
        f = lambda th, moved=moved: implicit_root(residual, jnp.asarray(root(0.9)), th, moved)
        value, forward, back, twice = jax.jit(
            lambda th, f=f: (f(th), jax.jacfwd(f)(th), jax.jacrev(f)(th), jax.jacfwd(jax.jacfwd(f))(th))
        )(0.9)
        np.testing.assert_allclose(value, root(0.9), rtol=1e-12)
        np.testing.assert_allclose(forward, slope, rtol=1e-6)
        np.testing.assert_allclose(back, slope, rtol=1e-6)
        np.testing.assert_allclose(twice, bend, rtol=1e-3)


def test_the_worth_of_a_policy_is_its_discounted_income():
    """Two thousand rounds of it, added up; where an action is never taken nothing is paid for it."""
    payoffs, moves = RNG.normal(size=(4, 3)), RNG.dirichlet(np.ones(4), size=(4, 3))
    q = RNG.dirichlet(np.ones(3), size=4)
    policy = RNG.dirichlet(np.ones(3), size=4)
    policy[0] = [0.3, 0.7, 0.0]
    kl = np.sum(np.where(policy > 0, policy * np.log(np.where(policy > 0, policy, 1) / q), 0), axis=1)
    income, chain = np.sum(policy * payoffs, axis=1) - 0.6 * kl, np.einsum("sa,sat->st", policy, moves)
    worth, there = np.zeros(4), np.eye(4)
    for t in range(2000):
        worth, there = worth + 0.97**t * there @ income, there @ chain
    log_policy = jnp.where(policy > 0, jnp.log(np.where(policy > 0, policy, 1)), -jnp.inf)
    v, level = value_policy(log_policy, jnp.asarray(payoffs), jnp.asarray(moves), jnp.log(q), 0.6, 0.97)
    np.testing.assert_allclose(v, worth - worth[0], atol=1e-9)
    np.testing.assert_allclose(level, 0.03 * worth[0], atol=1e-9)
    solved = soft_values(jnp.asarray(payoffs), jnp.asarray(moves), jnp.log(q), jnp.asarray(0.6), 0.97)
    best = np.zeros(4)
    for _ in range(2000):
        best = 0.6 * np.log(np.sum(q * np.exp((payoffs + 0.97 * moves @ best) / 0.6), axis=1))
    assert int(solved.status) == 0 and np.all(best > worth)
    np.testing.assert_allclose(solved.v, best - best[0], atol=1e-9)
    np.testing.assert_allclose(solved.per_round, 0.03 * best[0], atol=1e-9)
    gain = (payoffs + 0.97 * moves @ best) / 0.6
    choices = jax.nn.softmax(jnp.log(q) + solved.q / 0.6, axis=1)
    np.testing.assert_allclose(choices, q * np.exp(gain) / np.sum(q * np.exp(gain), axis=1, keepdims=True), atol=1e-10)


def test_choices_at_any_cost():
    q, worth = np.array([0.2, 0.0, 0.5, 0.3]), np.array([1.0, 9.0, 1.5, 1.5])
    log_q = jnp.asarray(np.where(q > 0, np.log(np.where(q > 0, q, 1)), -1e30))
    at = lambda cost, worth=worth: np.exp(tilt(log_q, jnp.asarray(worth), cost))
    for cost in (0.01, 0.5, 40.0):
        expected = q * np.exp(np.minimum(worth - 1.5, 0.0) / cost)
        np.testing.assert_allclose(at(cost), expected / expected.sum(), rtol=1e-10)
    np.testing.assert_allclose(at(0.0), [0.0, 0.0, 0.625, 0.375], rtol=1e-12)  # ties as in the prior
    np.testing.assert_allclose(at(np.inf), q, rtol=1e-12)
    np.testing.assert_allclose(at(1e-300), [0.0, 0.0, 0.625, 0.375], rtol=1e-12)
    assert float(tilt(log_q, jnp.asarray(worth), 0.5)[1]) == -np.inf
    slopes = jax.jacobian(lambda c: jnp.where(q > 0, tilt(log_q, jnp.asarray(worth), c), 0.0))(0.5)
    assert np.isfinite(slopes).all()
