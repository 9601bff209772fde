"""Distillation of one-shot games: equilibria are solved at random points of the domain, and the network learns them.

Each step solves a few more points along the principal branch (`policies.one_shot`), keeps what was found, and improves
the network on some of all that was kept so far. Targets are exact, also where a game has several equilibria: no error
of the network enters its own targets.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from bayescal.environments.base import OneShot
from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy, with_network
from bayescal.policies.meeting import MeetingPolicy
from bayescal.populations.log_normal import LogNormal
from bayescal.solvers.path import CONVERGED
from bayescal.training.base import Info
from bayescal.training.mixtures import choice_loss, private_looks
from bayescal.training.points import Points, sample_points
from bayescal.training.regression import Learner, Regression


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
    """The learner, and what was solved so far, with room for the rest."""

    learner: Learner
    kept: Solved


class DistilOneShot(Regression):
    """Distils a learned policy for a one-shot game with private costs from exact solutions.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps, batch, learning_rate: the number of updates, the solved points in each, and the optimiser's peak rate.
        games: how many new points are solved in each step.
        looks: how many own costs each game's choices are compared at.
        outlier: divergences above this many nats count only logarithmically: where the equilibrium jumps from one
            game to the next no network can follow, and those games must not dominate the loss.

    Example:
        >>> import bayescal as bc
        >>> box = {"cost": (0.1, 100.0), "phi.log_mean": (0.0, 3.0), "phi.log_sd": (0.1, 1.0)}
        >>> policy = bc.MeetingPolicy(bc.get_game("stag-hunt"), box, width=8, depth=1)
        >>> trainer = bc.DistilOneShot(policy, steps=2000)  # bc.train(trainer) learns it
        >>> trainer.steps
        2000
    """

    skeleton: LearnedPolicy
    steps: int = eqx.field(static=True, default=10_000)
    batch: int = eqx.field(static=True, default=512)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    games: int = eqx.field(static=True, default=20)
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
        return cls(policy, steps=600, batch=32, learning_rate=1e-2, games=4)

    def init(self, key: PRNGKeyArray) -> Pupil:
        room = lambda x: jnp.zeros((self.steps * self.games, *x.shape[1:]), x.dtype)
        kept = jax.tree.map(room, jax.eval_shape(self._solve, key))
        return Pupil(self.begin(self.skeleton.fresh(key)), kept)

    def policy(self, state: Pupil) -> LearnedPolicy:
        return with_network(self.skeleton, state.learner.average)

    def weights(self, state: Pupil) -> PyTree:
        return state.learner.network

    def step(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Info]:
        state, data = self.experience(key, state)
        learner, info = self.improve(state.learner, data)
        return state._replace(learner=learner), info

    def experience(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Batch]:
        """New solved points are kept; the batch is drawn from all that were."""
        solve, draw, look = jax.random.split(key, 3)
        before = state.learner.count * self.games
        put = lambda kept, new: jax.lax.dynamic_update_slice_in_dim(kept, new, before, 0)
        kept = jax.tree.map(put, state.kept, self._solve(solve))
        which = jax.random.randint(draw, (self.batch,), 0, before + self.games)
        looks = private_looks(self.skeleton, look, self.batch, self.looks)
        return state._replace(kept=kept), Batch(jax.tree.map(lambda x: x[which], kept), looks)

    def loss(self, weights: PyTree, data: Batch) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)

        def one(known: Solved, looks: Float[Array, "roles looks"]) -> Float[Array, ""]:
            return jnp.where(known.solved, choice_loss(policy, known.points, known.values, looks, self.outlier), 0.0)

        return jnp.mean(jax.vmap(one)(*data)), {}

    def _solve(self, key: PRNGKeyArray) -> Solved:
        policy = self.skeleton
        exact = ExactPolicy(policy.environment, policy.prior, policy.population)
        points = sample_points(policy, key, self.games)
        found = jax.vmap(lambda p: exact.solve(phi=p.phi, psi=p.psi, params=p.params))(points)
        solved = found.status == CONVERGED
        return Solved(points, jnp.where(solved[:, None, None], found.expected_payoffs, 0.0), solved)
