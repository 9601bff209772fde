"""Distillation of one-shot games: equilibria are solved at random points of the domain, and the network learns them.

Each step solves more points along the principal branch (`policies.one_shot`), keeps what was found, and improves the
network on everything that was kept so far. Targets are exact, also where a game has several equilibria, so nothing is
bootstrapped and no error of the network enters its own targets.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal.environments.base import OneShot
from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy, with_network
from bayescal.policies.meeting import MeetingPolicy
from bayescal.populations.log_normal import LogNormal
from bayescal.solvers.path import CONVERGED
from bayescal.training.base import GradientTrainer, Info
from bayescal.training.mixtures import choice_errors, values_at_point
from bayescal.training.optimiser import average, descend, memory_of, optimiser
from bayescal.training.points import Points, sample_points

BEGIN = 10  # times as many points as a step solves are solved before the first


class Solved(NamedTuple):
    """Points of the domain, and the expected payoffs there in equilibrium."""

    points: Points
    values: Float[Array, "*games roles actions"]
    solved: Bool[Array, "*games"]


class Batch(NamedTuple):
    """Solved points, and the own costs at which choices are compared."""

    known: Solved
    looks: Float[Array, "batch roles looks"]


class Pupil(NamedTuple):
    """The weights, their running average, the optimiser's state, steps done, and what was solved so far."""

    network: PyTree
    average: PyTree
    memory: PyTree
    count: Int[Array, ""]
    kept: Solved


class DistilOneShot(GradientTrainer):
    """Distils a learned policy for a one-shot game with private costs from exact solutions.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps: in each of them points are solved, and the network improved.
        games: how many points are solved in a step; the first step begins with ten times as many.
        updates, batch, learning_rate: updates of the network in each step, the size of their batches, and the
            optimiser's peak rate.
        looks: how many own costs each game's choices are compared at.
        outlier: divergences above this many nats count only logarithmically: where the equilibrium jumps from one
            game to the next no network can follow, and those games must not dominate the loss.

    Example:
        >>> import bayescal as bc
        >>> box = {"cost": (0.1, 100.0), "phi.log_mean": (0.0, 3.0), "phi.log_sd": (0.1, 1.0)}
        >>> policy = bc.MeetingPolicy(bc.get_game("stag-hunt"), box, width=8, depth=1)
        >>> trainer = bc.DistilOneShot(policy, steps=50)  # bc.train(trainer) learns it
        >>> trainer.steps
        50
    """

    skeleton: LearnedPolicy
    steps: int = eqx.field(static=True, default=200)
    games: int = eqx.field(static=True, default=1000)
    updates: int = eqx.field(static=True, default=50)
    batch: int = eqx.field(static=True, default=512)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    looks: int = eqx.field(static=True, default=4)
    outlier: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self) -> None:
        env = self.skeleton.environment
        if not isinstance(env, OneShot) or not self.skeleton.private:
            raise InputError(
                f"DistilOneShot is for one-shot games with private costs, and {env.name} is not played so: use "
                "SoftQExpected for known costs, Distil for repeated games."
            )

    @classmethod
    def example(cls) -> "DistilOneShot":
        game = NormalForm([[[3, 0], [0, 1]], [[0, 1], [1, 0]]], name="asymmetric matching pennies")
        domain = {"cost": (0.5, 5.0), "phi.log_mean": (-1.0, 1.0), "phi.log_sd": (0.1, 1.0)}
        policy = MeetingPolicy(game, domain, population=LogNormal(8), width=8, depth=1)
        return cls(policy, steps=40, games=8, updates=10, batch=32)

    def init(self, key: PRNGKeyArray) -> Pupil:
        first, weights = jax.random.split(key)
        network = self.skeleton.fresh(weights)
        # In parts as large as those of a step: the same program solves them.
        parts = jax.lax.map(self._solve, jax.random.split(first, BEGIN))
        begin = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), parts)
        room = lambda x: jnp.concatenate([x, jnp.zeros((self.steps * self.games, *x.shape[1:]), x.dtype)])
        memory = memory_of(self.optimiser, network)
        return Pupil(network, network, memory, jnp.zeros((), jnp.int32), jax.tree.map(room, begin))

    def policy(self, state: Pupil) -> LearnedPolicy:
        return with_network(self.skeleton, state.average)

    def weights(self, state: Pupil) -> PyTree:
        return state.network

    def step(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Info]:
        solve, learn = jax.random.split(key)
        known = self._known(state) - self.games
        put = lambda kept, new: jax.lax.dynamic_update_slice_in_dim(kept, new, known, 0)
        state = state._replace(kept=jax.tree.map(put, state.kept, self._solve(solve)))

        def update(carry: tuple[Pupil, Array], key: PRNGKeyArray) -> tuple[tuple[Pupil, Array], Info]:
            state, done = carry
            state, data = self.experience(key, state)
            (loss, _), slope = self.gradient(state.network, data)
            network, memory = descend(self.optimiser, state.network, slope, state.memory)
            mean = average(state.average, network, done, self.steps * self.updates)
            return (state._replace(network=network, average=mean, memory=memory), done + 1), {"loss": loss}

        first = state.count * self.updates
        (state, _), info = jax.lax.scan(update, (state, first), jax.random.split(learn, self.updates))
        return state._replace(count=state.count + 1), jax.tree.map(jnp.mean, info)

    def experience(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Batch]:
        """Some of the points that were solved so far, drawn at random."""
        draw, look = jax.random.split(key)
        which = jax.random.randint(draw, (self.batch,), 0, self._known(state))
        box, n = self.skeleton.cost_interval, self.looks
        even = (jnp.arange(n) + jax.random.uniform(look, (self.batch, n))) / n
        cost = (box.low * (box.high / box.low) ** even)[:, None, :]
        looks = jnp.broadcast_to(cost, (self.batch, self.skeleton.environment.roles, n))
        return state, Batch(jax.tree.map(lambda x: x[which], state.kept), looks)

    def loss(self, weights: PyTree, data: Batch) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)

        def one(known: Solved, looks: Float[Array, "roles looks"]) -> Float[Array, ""]:
            log_q = policy.log_prior(known.points.psi)
            kl = choice_errors(log_q, values_at_point(policy, known.points), known.values, looks)
            return jnp.where(known.solved, jnp.mean(self.outlier * jnp.log1p(kl / self.outlier)), 0.0)

        return jnp.mean(jax.vmap(one)(*data)), {}

    @property
    def optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps * self.updates)

    def _known(self, state: Pupil) -> Int[Array, ""]:
        """How many points are solved once this step has solved its own."""
        return (BEGIN + state.count + 1) * self.games

    def _solve(self, key: PRNGKeyArray) -> Solved:
        policy = self.skeleton
        exact = ExactPolicy(policy.environment, policy.prior, policy.population)
        points = sample_points(policy, key, self.games)
        found = jax.vmap(lambda p: exact.solve(phi=p.phi, psi=p.psi, params=p.params))(points)
        solved = found.status == CONVERGED
        return Solved(points, jnp.where(solved[:, None, None], found.expected_payoffs, 0.0), solved)
