"""What must hold of every trainer: one is tested the moment it is registered.

A law is a function of a trainer that raises AssertionError. Each runs on `Trainer.example()`, a tiny game that is
solved here by iteration in NumPy. At the end each law is shown a trainer with a planted error, which it must catch.
"""

import itertools
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback
from jax.extend.core import get_opaque_trace_state

import bayescal as bc
from bayescal.environments.base import OneShot
from bayescal.environments.markov import Markov
from bayescal.environments.repeated import Repeated
from bayescal.errors import DomainError
from bayescal.policies.learned import with_network
from bayescal.policies.store import load_policy, save_policy
from bayescal.precision import double_precision
from bayescal.training import TRAINERS, GradientTrainer, Trainer
from bayescal.training.points import sample_points
from bayescal.training.train import CHECKPOINT, read_checkpoint, write_checkpoint
from tests.unit import shops

KEY = jax.random.key(7)


def new_step(trainer: Trainer) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
    """(key, state) -> (next state, figures, the data that the step learned from).

    The data are what `experience` returned during the step; None if it is called in a loop or not at all.
    """
    seen = []

    class Watched(type(trainer)):
        def experience(self, key, state):
            out = super().experience(key, state)
            seen.append((get_opaque_trace_state(), out[1]))
            return out

    watched = object.__new__(Watched)
    vars(watched).update(vars(trainer))

    def step(key, state):
        seen.clear()
        state, info = watched.step(key, state)
        return state, info, next((data for trace, data in seen if trace == get_opaque_trace_state()), None)

    return step


class Run:
    """A trainer with its functions compiled once, and a short training."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.init = jax.jit(lambda key: trainer.init(key))
        self.step = jax.jit(new_step(trainer))
        self.keys = [jax.random.fold_in(KEY, i) for i in range(trainer.steps)]

    @cached_property
    def start(self) -> Any:
        return self.init(KEY)

    def state(self, steps: int, state: Any = None, first: int = 0) -> Any:
        """The state after `steps` steps."""
        state = self.start if state is None else state
        for key in self.keys[first:steps]:
            state, *_ = self.step(key, state)
        return state

    @cached_property
    def data(self) -> Any:
        """Data that a step learns from."""
        *_, data = self.step(KEY, self.start)
        return jax.jit(lambda *given: self.trainer.experience(*given))(KEY, self.start)[1] if data is None else data


@cache
def example(name: str) -> Run:
    return Run(TRAINERS[name].example())


def same(a, b) -> bool:
    """Equal to the bit, structure and types included."""
    leaves, others = jax.tree.leaves(a), jax.tree.leaves(b)
    alike = lambda x, y: x.dtype == y.dtype and np.array_equal(np.asarray(x), np.asarray(y))
    return jax.tree.structure(a) == jax.tree.structure(b) and all(map(alike, map(jnp.asarray, leaves), others))


def differ(a, b) -> float:
    """The largest difference between two trees of weights."""
    return max(float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def is_pure(run: Run) -> None:
    """Traced twice it is the same program; the same key and state give the same result, and another key another."""
    programs = [step.trace(KEY, run.start).jaxpr for step in (run.step, jax.jit(new_step(run.trainer)))]
    assert str(programs[0]) == str(programs[1]) and same(programs[0].consts, programs[1].consts)
    state = run.state(3)
    once, info, _ = run.step(KEY, state)
    again, info_again, _ = run.step(KEY, state)
    assert same(once, again) and same(info, info_again)
    assert not same(once, run.step(jax.random.key(8), state)[0])
    assert jax.tree.structure(once) == jax.tree.structure(state), "a step must keep the structure of the state"
    kinds = lambda tree: [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]
    assert kinds(once) == kinds(state), "a step must keep shapes and types"
    assert all(np.isfinite(x) for x in info.values())


def may_be_mapped_over_keys(run: Run) -> None:
    """Mapping over keys is a loop over keys, up to rounding."""
    keys = jax.random.split(KEY, 2)
    states = [run.init(key) for key in keys]
    mapped, *_ = jax.jit(jax.vmap(run.step))(keys, jax.tree.map(lambda *x: np.stack(x), *states))
    mapped = jax.tree.map(np.asarray, run.trainer.policy(mapped).network)
    for i, (key, state) in enumerate(zip(keys, states, strict=True)):
        alone = run.trainer.policy(run.step(key, state)[0]).network
        assert differ(jax.tree.map(lambda x, i=i: x[i], mapped), alone) < 1e-4
    assert differ(*(jax.tree.map(lambda x, i=i: x[i], mapped) for i in range(2))) > 1e-3


def resumes(run: Run, folder) -> None:
    """A run that goes through a checkpoint ends exactly where an uninterrupted one does."""
    write_checkpoint(folder / CHECKPOINT, run.state(3), 3, 0.0, {})
    state, steps, _ = read_checkpoint(folder / CHECKPOINT, run.init(jax.random.key(0)), {})
    assert same(run.state(6, state, steps), run.state(6))


def gradient_is_that_of_the_loss(run: Run) -> None:
    """Along random directions the gradient equals central differences of the loss, in float64."""
    trainer = run.trainer
    assert isinstance(trainer, GradientTrainer)
    kind = lambda x: np.dtype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype
    widen = lambda tree: jax.tree.map(lambda x: np.asarray(x, kind(x)), tree)
    data, weights = widen(run.data), widen(trainer.weights(run.start))
    rng, h = np.random.default_rng(0), 1e-6
    normal = lambda size: jax.tree.map(lambda w: size * rng.normal(size=w.shape), weights)
    # Away from the weights that collected the data, where PPO's clipping begins.
    weights = jax.tree.map(np.add, weights, normal(1e-3))
    directions = [normal(1.0) for _ in range(3)]
    moves = [jax.tree.map(lambda d, by=by: by * d, one) for one in directions for by in (0.0, h, -h)]

    def both(weights, moves, data):
        loss = lambda by: trainer.loss(jax.tree.map(jnp.add, weights, by), data)[0]
        return trainer.gradient(weights, data), jax.lax.map(loss, moves)

    with double_precision():
        out = jax.jit(both)(weights, jax.tree.map(lambda *x: np.stack(x), *moves), data)
    ((value, _), slope), losses = jax.tree.map(np.asarray, out)
    for direction, (here, up, down) in zip(directions, losses.reshape(3, 3), strict=True):
        np.testing.assert_allclose(value, here, rtol=1e-9)
        along = sum(np.sum(a * b) for a, b in zip(*map(jax.tree.leaves, (slope, direction)), strict=True))
        np.testing.assert_allclose(along, (up - down) / (2 * h), rtol=1e-4, atol=1e-7)


def learns(run: Run) -> None:
    """Training removes most of the distance to the exact solution."""
    steps = run.trainer.steps
    middle = run.state(steps // 2)
    before, half, after = (
        distance(run.trainer.policy(s)) for s in (run.start, middle, run.state(steps, middle, steps // 2))
    )
    assert after < 0.35 * before
    assert half < before


def survives_saving(run: Run, folder) -> None:
    policy = run.trainer.policy(run.state(3))
    save_policy(policy, folder)
    back, _ = load_policy(run.trainer.policy(run.init(jax.random.key(1))), folder)
    assert np.array_equal(choices(back), choices(policy))


def refuses_points_outside_its_domain(run: Run) -> None:
    policy = run.trainer.policy(run.start)
    inside = points_of(policy)
    points = jax.tree.map(lambda x: np.asarray(x)[0], inside)
    policy.check(points.cost, points.phi, points.psi, points.params)
    assert np.isfinite(log_choices(policy, inside)[0]).any()
    ask = lambda p: policy.log_prob(*observed(policy)[0], p.cost, p.phi, p.psi, p.params)
    for name, box in policy.domain.intervals:
        kind, _, key = name.partition(".")
        outside = box.high + 0.5 * (box.high - box.low)
        point = {f: getattr(points, f) for f in points._fields}
        old = point[kind] if kind == "cost" else point[kind][key]
        moved = np.full_like(old, outside)
        with pytest.raises(DomainError, match=key or name):
            ask(type(points)(**{**point, kind: moved if kind == "cost" else {**point[kind], key: moved}}))


# --- The exact solution, by iteration --------------------------------------------------------------------------------


def observed(policy) -> list[tuple[Any]]:
    """Everything that somebody may observe, as `log_prob` takes it."""
    env = policy.environment
    if isinstance(env, OneShot):
        return [(r,) for r in range(env.roles)]
    if isinstance(env, Repeated):
        states = [(0.0, 0.0, 0), (0.0, 60.0, 1), (20.0, 40.0, 1), (60.0, 0.0, 2)]
        return [((0, env.seen_after(jnp.asarray(a), jnp.asarray(b), t, env.params)),) for a, b, t in states]
    if isinstance(env, bc.SupplyChain):
        return [((0, week_of_shop(stock, line)),) for stock, line in ((1, 2), (0, 4), (3, 1), (-1, 2))]
    assert isinstance(env, Markov)
    return [((0, {"state": jnp.asarray(s)}),) for s in range(env.states)]


def week_of_shop(stock: int, line: int) -> dict[str, Any]:
    numbers = {"own": 1.0, "seen": 1.0, "began": 1.0, "inventory": stock, "supply_line": line, "round": 5}
    return {name: jnp.asarray(float(x)) for name, x in numbers.items()}


@eqx.filter_jit
def points_of(policy):
    """Sixteen points of the domain."""
    return sample_points(policy, jax.random.key(3), 16)


def choices(policy) -> np.ndarray:
    """Probabilities (points, observations, actions) at points of the domain."""
    return choices_at(policy, points_of(policy))


def choices_at(policy, points) -> np.ndarray:
    return np.exp(np.asarray(log_choices(policy, points), float))


@eqx.filter_jit
def log_choices(policy, points):
    ask = lambda p: jnp.stack([policy.log_prob(*o, p.cost, p.phi, p.psi, p.params) for o in observed(policy)])
    return jax.vmap(ask)(points)


def softmax(x):
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def exact(policy) -> np.ndarray:
    """The same from the equations, with a uniform habit: damped replies in a game of two players, soft value iteration
    in a decision problem. Other examples are solved by ExactPolicy."""
    env, points = policy.environment, points_of(policy)
    cost = np.asarray(points.cost, float)
    n = len(cost)
    if isinstance(env, bc.NormalForm) and env.players == 2:
        u, p = np.asarray(points.params["payoffs"], float), np.full((n, 2, 2), 0.5)
        own = np.broadcast_to(cost[:, None] if policy.private else cost, (n, 2))[:, :, None]
        types, weights = own, np.ones(1)
        if policy.private:  # others' log costs are normal
            mean, sd = (np.asarray(points.phi[name], float)[:, None, None] for name in ("log_mean", "log_sd"))
            x, weights = np.polynomial.hermite_e.hermegauss(20)
            types, weights = np.exp(mean + sd * x), weights / weights.sum()
        for _ in range(1000):
            pays = np.stack([np.einsum("nab,nb->na", u[:, 0], p[:, 1]), np.einsum("nab,na->nb", u[:, 1], p[:, 0])], 1)
            p = 0.95 * p + 0.05 * weights @ softmax(pays[:, :, None] / types[..., None])
        return softmax(pays / own)
    if isinstance(env, bc.MarkovGame) and env.players == 1:
        r, t, v = np.asarray(env.params["payoffs"])[:, 0], np.asarray(env.params["transitions"]), np.zeros((n, 1))
        for _ in range(500):
            q = r + env.discount * np.einsum("sat,nt->nsa", t, np.broadcast_to(v, (n, env.states)))
            best = q.max(axis=2)
            soft = np.mean(np.exp((q - best[:, :, None]) / cost[:, :, None]), axis=2)
            v = best + cost * np.log(soft)
        return softmax(q / cost[:, :, None])
    if isinstance(env, bc.SupplyChain) and env.players == 1:
        return np.stack([shops.choices(env, c, -60, 60)[np.array([3, 4, 4, 1]) + 60] for c in cost[:, 0]])
    if isinstance(env, bc.RepeatedCournot) and isinstance(policy.prior, bc.priors.Previous) and not policy.private:
        play = duopoly(env, cost[:, 0], np.asarray(points.psi["pull"], float))
        return np.stack([play[0][:, 0, 0], play[1][:, 0, 3], play[1][:, 1, 2], play[2][:, 3, 0]], axis=1)
    return choices_at(bc.ExactPolicy(env, policy.prior, policy.population), points)


def duopoly(env, cost, pull) -> list[np.ndarray]:
    """By round: choice probabilities (points, own last action, the other's, actions), by backward induction. People
    tend to do what they did before."""
    grid, market = np.array(env.action_values[0], float), {n: float(x) for n, x in env.params.items()}
    price = np.maximum(market["intercept"] - market["slope"] * (grid[:, None] + grid), 0.0)
    pay, cost = (price - market["cost"]) * grid[:, None], cost[:, None, None, None]
    near = np.sqrt(((grid[:, None] - grid) / np.ptp(grid)) ** 2 + 1e-4)
    worth, out = np.zeros((len(cost), len(grid), len(grid))), []
    for t in reversed(range(env.horizon)):
        habit = softmax(-(t > 0) * pull[:, None, None, None] * near[:, None])
        p = np.broadcast_to(habit, (len(cost), *[len(grid)] * 3))
        for _ in range(300):
            # The other sees the same two actions the other way round.
            q = np.einsum("njib,nab->nija", p, pay + worth)
            p = 0.7 * p + 0.3 * softmax(np.log(habit) + q / cost)
        best = q.max(axis=3, keepdims=True)
        worth = (best + cost * np.log((habit * np.exp((q - best) / cost)).sum(axis=3, keepdims=True)))[..., 0]
        out.insert(0, p)
    return out


def distance(policy) -> float:
    """Mean total variation from the exact solution."""
    return float(0.5 * np.abs(choices(policy) - exact(policy)).sum(axis=-1).mean())


# --- Every registered trainer ----------------------------------------------------------------------------------------

every_trainer = pytest.mark.parametrize("name", list(TRAINERS))


@every_trainer
@pytest.mark.parametrize(
    "law", [is_pure, may_be_mapped_over_keys, gradient_is_that_of_the_loss, learns, refuses_points_outside_its_domain]
)
def test_law(name, law):
    law(example(name))


@every_trainer
@pytest.mark.parametrize("law", [resumes, survives_saving])
def test_law_of_files(name, law, tmp_path):
    law(example(name), tmp_path)


# --- Planted errors --------------------------------------------------------------------------------------------------

DRAWN = np.random.default_rng(0)
CALLS = itertools.count()


class Wanders(Trainer):
    """Moves its weights at random: a trainer without an error, but for not learning."""

    skeleton: bc.AmortisedPolicy
    steps: int = 40

    def init(self, key):
        return self.skeleton.fresh(key)

    def step(self, key, state):
        shift = lambda w: w + 0.01 * jax.random.normal(key, w.shape)
        return jax.tree.map(shift, state), {}

    def policy(self, state):
        return with_network(self.skeleton, state)


class Impure(Wanders):
    """Adds a number that Python draws when the step is traced."""

    def step(self, key, state):
        by = DRAWN.normal()
        return super().step(key, jax.tree.map(lambda w: w + by, state))


class Rounded(Wanders):
    """Steps in half precision where it is mapped over keys."""

    def step(self, key, state):
        once = jax.custom_batching.custom_vmap(lambda w: w)
        half = lambda size, batched, w: (w.astype(jnp.bfloat16).astype(w.dtype), batched[0])
        once.def_vmap(half)
        state, info = super().step(key, state)
        return jax.tree.map(once, state), info


class Forgetful(Wanders):
    """Counts its steps outside the state."""

    def step(self, key, state):
        count = io_callback(lambda: np.float32(next(CALLS)), jax.ShapeDtypeStruct((), jnp.float32))
        return super().step(key, jax.tree.map(lambda w: w + 0.01 * count, state))


class Steeper(bc.SoftQExpected):
    """Follows a gradient that is five per cent too large."""

    def gradient(self, weights, data):
        value, slope = super().gradient(weights, data)
        return value, jax.tree.map(lambda x: 1.05 * x, slope)


class Careless(bc.AmortisedPolicy):
    """Answers for everything."""

    def log_prob(self, *given):
        return jnp.zeros(2)


def test_an_impure_step_is_caught():
    is_pure(Run(Wanders.example()))
    with pytest.raises(AssertionError):
        is_pure(Run(Impure.example()))


def test_a_step_that_differs_when_mapped_is_caught():
    may_be_mapped_over_keys(Run(Wanders.example()))
    with pytest.raises(AssertionError):
        may_be_mapped_over_keys(Run(Rounded.example()))


def test_a_state_that_is_not_saved_is_caught(tmp_path):
    resumes(Run(Wanders.example()), tmp_path)
    with pytest.raises(AssertionError):
        resumes(Run(Forgetful.example()), tmp_path)


def test_a_wrong_gradient_is_caught():
    run, sound = Run(Steeper.example()), example("SoftQExpected")
    run.start, run.data = sound.start, sound.data
    with pytest.raises(AssertionError):
        gradient_is_that_of_the_loss(run)


def test_a_trainer_that_does_not_learn_is_caught():
    with pytest.raises(AssertionError):
        learns(Run(Wanders.example()))


def test_other_weights_are_caught_after_saving(tmp_path):
    run = example("SoftQExpected")
    policy = run.trainer.policy(run.state(3))
    save_policy(policy, tmp_path)
    back, _ = load_policy(policy, tmp_path)
    nudged = jax.tree.map(lambda w: w * (1 + 1e-5), back.network)
    assert not np.array_equal(choices(with_network(back, nudged)), choices(policy))


def test_a_policy_without_bounds_is_caught():
    example = bc.SoftQExpected.example()
    careless = Careless(example.skeleton.environment, example.skeleton.domain, width=8, depth=1)
    with pytest.raises(pytest.fail.Exception):
        refuses_points_outside_its_domain(Run(Wanders(careless)))
