"""Learned policies for private costs against games solved here in NumPy and by Gambit (../shared/golden).

In a 2x2 game an equilibrium is one number: the root of one equation, found by bisection. In a 3x3 game plain replies,
damped, are followed from dear information down. Both see all roots that there are, or none is compared.
"""

import json
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.one_shot import sharpen_one_shot

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
MODELS = Path(__file__).parents[2] / "models"
PAYOFFS = json.loads((GOLDEN / "gambit_qre.json").read_text())["games"]
TYPED = json.loads((GOLDEN / "gambit_ext.json").read_text())["hqre_types"]["games"]
GAMES = 60
Z, W = np.polynomial.hermite_e.hermegauss(32)
W = W / W.sum()


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def drawn(actions, seed, log_mean):
    """Games of the domain: payoffs, mean and sd of log cost, tilt towards the first action."""
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(-25, 25, (GAMES, 2, actions, actions)), rng.uniform(log_mean, np.log(100), GAMES),
        rng.uniform(0.1, 2.0, GAMES), rng.uniform(-2, 2, GAMES),
    )  # fmt: skip


def reply(values, tilt, log_mean, log_sd):
    """Average choices of a population with these values of its actions, whose habit leans to the first."""
    lean = np.arange(values.shape[-1]) == 0
    cost = np.exp(np.asarray(log_mean)[..., None] + np.asarray(log_sd)[..., None] * Z)
    x = np.asarray(tilt)[..., None, None] * lean + values[..., None, :] / cost[..., None]
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.einsum("k,...ka->...a", W, p / p.sum(axis=-1, keepdims=True))


def by_bisection(payoffs, *at):
    """The equilibria (games, 2, 2) of 2x2 games; NaN where there are several."""
    u, v = payoffs[:, None, 0], payoffs[:, None, 1]
    each = [x[:, None] for x in at]
    column = lambda p: reply(np.einsum("...a,...ab->...b", np.stack([p, 1 - p], -1), v), *each)
    gap = lambda p: reply(np.einsum("...ab,...b->...a", u, column(p)), *each)[..., 0] - p
    grid = np.linspace(0, 1, 1001)
    changes = np.diff(np.sign(gap(np.tile(grid, (len(payoffs), 1)))), axis=1) != 0
    low = grid[changes.argmax(axis=1)][:, None]
    high = low + grid[1]
    for _ in range(50):
        middle = (low + high) / 2
        above = gap(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    row = np.stack([low, 1 - low], -1)
    return np.where((changes.sum(axis=1) == 1)[:, None, None], np.concatenate([row, column(low)], axis=1), np.nan)


def by_replies(payoffs, *at):
    """The equilibria (games, 2, 3) of 3x3 games; NaN where damped replies from some start do not end there."""
    u, v = payoffs[:, None, 0], payoffs[:, None, 1]
    each = [x[:, None] for x in at]
    start = np.stack([*np.eye(3), np.full(3, 1 / 3)])
    p, q = (np.tile(s, (len(payoffs), 1, 1)) for s in (start, start[::-1]))
    for _ in range(400):
        new = reply(np.einsum("...ab,...b->...a", u, q), *each), reply(np.einsum("...a,...ab->...b", p, v), *each)
        moved = np.maximum(np.abs(new[0] - p).max(axis=(1, 2)), np.abs(new[1] - q).max(axis=(1, 2)))
        p, q = p + 0.2 * (new[0] - p), q + 0.2 * (new[1] - q)
    found = np.stack([p, q], axis=2)  # games, starts, players, actions
    settled = (moved < 1e-10) & (np.ptp(found, axis=1).max(axis=(1, 2)) < 1e-9)
    return np.where(settled[:, None, None], found[:, 0], np.nan)


@eqx.filter_jit
def meetings(policy, payoffs, log_mean, log_sd, tilt):
    """How all play on average, and where Newton steps from there lead."""

    def one(u, mean, sd, tilt):
        phi, psi, params = {"log_mean": mean, "log_sd": sd}, {"tilt": tilt}, {"payoffs": u}
        sharp = bc.SharpenedPolicy(policy)
        return (
            jnp.exp(policy.log_prob_all(None, phi, psi, params)),
            jnp.exp(sharp.log_prob_all(None, phi, psi, params)),
            sharp.found_near(None, phi, psi, params),
        )

    return jax.vmap(one)(payoffs, log_mean, log_sd, tilt)


SOLVERS = {"normal-form-2x2-private": (2, by_bisection, 0.0), "normal-form-3x3-private": (3, by_replies, 1.5)}


def errors(policy, name):
    """(the largest error of the network in each game, that after Newton steps), of games with one equilibrium."""
    actions, solve, lowest = SOLVERS[name]
    payoffs, mean, sd, tilt = drawn(actions, 5, lowest)
    exact = solve(payoffs, tilt, mean, sd)
    known = np.isfinite(exact).all(axis=(1, 2))
    assert known.sum() > GAMES / 2
    found = meetings(policy, *map(jnp.asarray, (payoffs, mean, sd, tilt)))
    learned, sharp, near = (np.asarray(x)[known] for x in found)
    assert near.mean() > 0.9
    return tuple(np.abs(p - exact[known]).max(axis=(1, 2)) for p in (learned, sharp))


@cache
def shipped(name):
    return errors(bc.load_model(name), name)


def network_is_close(error, name):
    """Errors are as the certificate states, which has thousands of games, of which some have several equilibria."""
    stated = json.loads((MODELS / name / "certificate.json").read_text())["total_variation"]
    assert np.median(error) < 1e-3 and np.quantile(error, 0.95) < 1.5 * stated["q95"]


each_network = pytest.mark.parametrize(
    "name", ["normal-form-2x2-private", pytest.param("normal-form-3x3-private", marks=pytest.mark.slow)]
)


@each_network
def test_networks_are_close(name):
    network_is_close(shipped(name)[0], name)


@each_network
def test_newton_steps_lead_to_the_equilibrium(name):
    assert shipped(name)[1].max() < 1e-8


class Dearer(bc.MeetingPolicy):
    """Values are five per cent too low."""

    def values(self, cost, phi, psi, params):
        return 0.95 * super().values(cost, phi, psi, params)


@pytest.mark.slow
def test_a_small_error_of_values_is_caught():
    name = "normal-form-2x2-private"
    own = bc.load_model(name)
    policy = Dearer(own.environment, own.domain, prior=own.prior)
    learned, _ = errors(eqx.tree_at(lambda p: p.network, policy, own.network), name)
    with pytest.raises(AssertionError):
        network_is_close(learned, name)


@pytest.mark.parametrize("name", [n for n in TYPED if n in PAYOFFS])
def test_gambits_types(name):
    """Two or three types, which the network has never met: near Gambit's solution, and there after Newton steps."""
    policy = bc.load_model("normal-form-2x2-private")
    env, u = policy.environment, jnp.asarray(PAYOFFS[name]["payoffs"], float)
    log_q = jnp.full((2, 2), -jnp.log(2.0))
    for golden in TYPED[name]:
        costs, weights = 1 / jnp.asarray(golden["types"]), jnp.asarray(golden["probs"])
        meeting = jnp.exp(jnp.stack(policy.meet((u[0], u[1].T), (log_q[0], log_q[1]), costs, weights)))
        assert np.abs(meeting - np.array(golden["population"])).max() < 0.05
        values = env.expected_payoffs(meeting, {"payoffs": u})
        by_role = jnp.broadcast_to(costs, (2, len(costs)))
        found, near = sharpen_one_shot(env, log_q, by_role, weights, {"payoffs": u}, values, 8)
        assert near
        np.testing.assert_allclose(found.strategies, golden["population"], atol=1e-7)
