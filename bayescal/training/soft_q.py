"""SoftQ: values by regression on the outcomes of all own actions.

A simulator can compute, from one state, the outcomes of *all* of a player's own actions, with the others' actions
and the noise held fixed (common random numbers). The network is regressed on

    r(a) + gamma · V(o'(a)),    V(o) = lambda · log sum_a q(a | o) exp(Q(o, a) / lambda),

with a slowly following copy of itself in V. There is no actor, and there are no importance ratios. The concept is
trajectory-KL: V contains the player's own future cost of information.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import with_network
from bayescal.policies.network import Network
from bayescal.training.base import Info, example_policy
from bayescal.training.optimiser import average
from bayescal.training.points import Points
from bayescal.training.regression import Learner, Regression
from bayescal.training.rounds import Game, Lesson, begin_games, play_round, roles_of


class State(NamedTuple):
    """The learner, the weights for the value of later rounds, and the games in progress."""

    learner: Learner
    target: Network
    games: Game


class Lessons(NamedTuple):
    """Lessons of each learning player, and the points of their games: (rounds, games) each."""

    players: list[Lesson]
    point: Points


class SoftQ(Regression):
    """SoftQ from play, for any game, one-shot or over time.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps, learning_rate: number of steps and rate of the optimiser.
        games, rollout: number of games in parallel, and of rounds between two updates.
        explore: the share of players who follow the habit for a whole game, so that states reached by people with
            other costs are learned too. It only determines which states are visited; the values of actions are
            computed against the others' policies. It is refused where people meet the same others all game long
            (`AmortisedPolicy(others="persistent")`): there a state says something about them, which it would change.
        tries: how many of the own actions are tried in a state, evenly spaced from a random one; None for all.
            With fewer tries more states are visited in the same time.
        draws: number of draws of chance over which the outcome of an action is averaged.
        expected: games of two players: outcomes are averaged over everything that the other may do, by its probability,
            instead of over what it happened to do. The noise of the other's choices then leaves the targets.
        everyone: whether all players learn, or only the first of each role. If the players of a role are identical,
            one learner per game is enough.
        others: the opponents: the policy being trained (None), or a fixed one. With a fixed one the best reply to it
            is learned, starting from the skeleton's own weights.
        level: the weight of the error's mean over the own actions, beside its differences between them; None for one
            over the number of rounds that matter. The mean moves no choice, and is noisy where most of a payoff is
            out of the player's hands. But it makes the differences of the round before, so a large weight learns long
            chains of consequences better.
        lag: over how many steps the target network forgets old weights; 0: as slowly as the averaged weights.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(bc.Newsvendor(orders=range(0, 101, 20), rounds=5), {"cost": (10.0, 1000.0)})
        >>> trainer = bc.SoftQ(policy, steps=5000, games=64)  # bc.train(trainer) learns it
        >>> trainer.steps, trainer.rollout
        (5000, 1)
    """

    skeleton: AmortisedPolicy
    steps: int = eqx.field(static=True, default=10_000)
    games: int = eqx.field(static=True, default=128)
    rollout: int = eqx.field(static=True, default=1)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    explore: float = eqx.field(static=True, default=0.0)
    tries: int | None = eqx.field(static=True, default=None)
    draws: int = eqx.field(static=True, default=1)
    expected: bool = eqx.field(static=True, default=False)
    everyone: bool = eqx.field(static=True, default=True)
    others: AmortisedPolicy | None = None
    level: float | None = eqx.field(static=True, default=None)
    lag: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        if self.expected and self.skeleton.environment.players != 2:
            raise InputError(
                f"SoftQ: expected is for games of two players, and {self.skeleton.environment.name} has "
                f"{self.skeleton.environment.players}: leave it out, or average over draws=…."
            )
        if self.explore > 0 and self.skeleton.meets_people and self.skeleton.others == "persistent":
            raise InputError(
                f"SoftQ: explore is {self.explore:g} and others are persistent: people who explore would change what a "
                "state says about the others, and so the equilibrium that is learned. Use explore=0, or "
                'others="average".'
            )

    @classmethod
    def example(cls) -> "SoftQ":
        return cls(example_policy(), steps=400, games=64)

    def init(self, key: PRNGKeyArray) -> State:
        weights, play = jax.random.split(key)
        network = self.skeleton.fresh(weights) if self.others is None else self.skeleton.network
        return State(self.begin(network), network, begin_games(self.skeleton, play, self.games, self.explore))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.skeleton, state.learner.average)

    def weights(self, state: State) -> Network:
        return state.learner.network

    def experience(self, key: PRNGKeyArray, state: State) -> tuple[State, Lessons]:
        target = with_network(self.skeleton, state.target)
        playing = with_network(self.skeleton, state.learner.network) if self.others is None else self.others
        one_game = lambda key, game: play_round(
            playing, target, self.learners, key, game, tries=self.tries, draws=self.draws, expected=self.expected
        )

        def one_round(games: Game, key: PRNGKeyArray) -> tuple[Game, Lessons]:
            play, fresh, leave = jax.random.split(key, 3)
            point = games.point
            games, done, lessons = jax.vmap(one_game)(jax.random.split(play, self.games), games)
            anew = begin_games(self.skeleton, fresh, self.games, self.explore)
            # Games without an end are abandoned at random, so that new points of the domain are played.
            done = done | jax.random.bernoulli(leave, 0.5 / self.skeleton.environment.horizon, (self.games,))
            pick = lambda new, old: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old)
            return jax.tree.map(pick, anew, games), Lessons(lessons, point)

        games, lessons = jax.lax.scan(one_round, state.games, jax.random.split(key, self.rollout))
        return state._replace(games=games), lessons

    def loss(self, weights: Network, data: Lessons) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)
        errors = [
            jax.vmap(jax.vmap(lambda lesson, point, role=role: self._error(policy, role, lesson, point)))(
                lessons, data.point
            )
            for role, lessons in zip(self._roles_of_learners, data.players, strict=True)
        ]
        return jnp.mean(jnp.stack(errors)), {}

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        state, lessons = self.experience(key, state)
        learner, info = self.improve(state.learner, lessons)
        target = learner.average
        if self.lag:
            target = average(state.target, learner.network, state.learner.count, 100 * self.lag)
        return State(learner, target, state.games), info

    @property
    def learners(self) -> tuple[int, ...]:
        """Indices of the players who learn."""
        roles = roles_of(self.skeleton)
        return tuple(range(len(roles))) if self.everyone else tuple(roles.index(r) for r in sorted(set(roles)))

    @property
    def _roles_of_learners(self) -> list[int]:
        return [roles_of(self.skeleton)[i] for i in self.learners]

    def _error(self, policy: AmortisedPolicy, role: int, lesson: Lesson, point: Points) -> Float[Array, ""]:
        q = policy.values_at(role, lesson.inputs, lesson.known, point.params)
        scale = policy.environment.stake_scale(point.params, role)
        # Errors of values matter more for choices at small costs; the weight is bounded, at a tenth of the stakes.
        weight = 1 / (0.1 + lesson.cost / scale)
        count = jnp.sum(lesson.tried)
        error = jnp.where(lesson.tried, (q - lesson.target) / scale, 0.0)
        level = jnp.sum(error) / count
        spread = jnp.sum(jnp.where(lesson.tried, error - level, 0.0) ** 2) / count
        # The mean over actions changes no choice, and grows with the number of rounds to come.
        return weight * (spread + (1 / self._rounds if self.level is None else self.level) * level**2)

    @property
    def _rounds(self) -> float:
        """The number of future rounds that matter."""
        env = self.skeleton.environment
        return float(min(env.horizon, 1 / (1 - env.discount)) if env.discount < 1 else env.horizon)
