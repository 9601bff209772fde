"""PPO for games with a cost of information: the general-purpose learner that SoftQ is compared with.

Player i draws a cost lambda_i and maximises the discounted sum of

    r_t - lambda_i · (log pi(a_t | o_t) - log q_psi(a_t | o_t)),

where the log-ratio is part of the reward: it is computed when the action is taken, and is constant in the gradient.
Its expectation is the Kullback-Leibler divergence of the policy from the habit, now and at all later decisions, so the
optimum is pi = q exp(Q / lambda) / Z. (A divergence in the loss alone would charge for the present decision but not
for later ones, which has another fixed point.)

Everything else is standard PPO (Schulman et al. 2017): clipped ratios, generalised advantages (Schulman et al. 2016),
Adam. Players of a role share weights. The networks' inputs are computed once, when the game is played (`views`), so
that updates are matrix products on stored rows.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal.domain import Domain, Interval
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import with_network
from bayescal.policies.network import Network
from bayescal.training.base import GradientTrainer, Info, example_policy
from bayescal.training.optimiser import average, descend, memory_of
from bayescal.training.points import Points, new_games
from bayescal.training.views import View, discounted_rounds, log_policy, look_all, value_of

SLIVER = 1.01  # plain PPO is for costs from the lowest to this many times the lowest


class Sample(NamedTuple):
    """Decisions and their consequences: rows of players."""

    view: View
    action: Int[Array, "*rows players"]
    log_p: Float[Array, "*rows players"]
    reward: Float[Array, "*rows players"]
    done: Bool[Array, "*rows"]


class Batch(NamedTuple):
    """What an update learns from."""

    view: View
    action: Int[Array, "rows players"]
    log_p: Float[Array, "rows players"]
    advantage: Float[Array, "rows players"]
    aim: Float[Array, "rows players"]
    reward: Float[Array, "rows players"]


class Actors(NamedTuple):
    """The two networks: the actor decides, the critic predicts what is still to come."""

    actor: Network
    critic: Network


class State(NamedTuple):
    """The networks, the running average of the actor's weights (which the trained policy uses), Adam's state, and the
    games being played: their states, and their points with one cost a role where costs are known, one a player where
    they are private."""

    networks: Actors
    average: Network
    memory: PyTree
    worlds: PyTree
    games: Points
    count: Int[Array, ""]


class KLPPO(GradientTrainer):
    """PPO with the log-ratio of policy to habit in the reward.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps: the number of updates.
        games, rollout: number of games in parallel, and of decisions per game in an update.
        epochs, minibatches: number of passes over the data of an update, and of parts of each pass.
        learning_rate: Adam's initial rate; it falls linearly to zero.
        clip: the largest relative change of a probability in an update.
        smoothing: the lambda of generalised advantages.
        plain: plain PPO, the rational baseline: information is free, and the habit is uniform. Rational players need
            neither costs nor populations. The trained policy therefore has known costs, in a narrow interval above the
            lowest cost of the domain, and its values are in units of the cost: its logits are the network's output, up
            to a bounded factor.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(
        ...     bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=8, depth=1
        ... )
        >>> trainer = bc.KLPPO(policy, steps=100)
        >>> trainer.steps
        100
    """

    skeleton: AmortisedPolicy
    steps: int = eqx.field(static=True, default=500)
    games: int = eqx.field(static=True, default=256)
    rollout: int = eqx.field(static=True, default=32)
    epochs: int = eqx.field(static=True, default=4)
    minibatches: int = eqx.field(static=True, default=4)
    learning_rate: float = eqx.field(static=True, default=2e-3)
    clip: float = eqx.field(static=True, default=0.2)
    smoothing: float = eqx.field(static=True, default=0.95)
    plain: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if len(self.skeleton.variants) > 1:
            raise InputError(
                f"KLPPO plays one game, and this policy is for {len(self.skeleton.variants)} that differ in their "
                "number of players: use SoftQExpected, or train one policy for each."
            )
        if (self.games * self.rollout) % self.minibatches:
            raise InputError(
                f"KLPPO: {self.games} games x {self.rollout} steps do not divide into {self.minibatches} minibatches."
            )

    @property
    def student(self) -> AmortisedPolicy:
        """The shape of the trained policy: the skeleton, or the rational policy made from it."""
        return rational(self.skeleton) if self.plain else self.skeleton

    @classmethod
    def example(cls) -> "KLPPO":
        return cls(example_policy(), steps=100, games=64, rollout=4, learning_rate=5e-3)

    def init(self, key: PRNGKeyArray) -> State:
        act, judge, begin = jax.random.split(key, 3)
        student = self.student
        actor = with_small_output(student.fresh(act))
        critic = with_network(student, critic_shape(student)).fresh(judge)
        worlds, games = new_games(student, begin, self.games)
        memory = (memory_of(self._optimiser, actor), memory_of(self._optimiser, critic))
        return State(Actors(actor, critic), actor, memory, worlds, games, jnp.zeros((), jnp.int32))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.student, state.average)

    def weights(self, state: State) -> Actors:
        return state.networks

    def experience(self, key: PRNGKeyArray, state: State) -> tuple[State, Batch]:
        worlds, games, seen, last = self._play(key, state)
        return state._replace(worlds=worlds, games=games), self._judge(state.networks.critic, seen, last)

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        play, learn = jax.random.split(key)
        state, batch = self.experience(play, state)
        networks, memory, measures = self._learn(learn, state.networks, state.memory, batch)
        mean = average(state.average, networks.actor, state.count, self.steps)
        info = {"reward": jnp.mean(batch.reward)} | measures
        return State(networks, mean, memory, state.worlds, state.games, state.count + 1), info

    def loss(self, weights: Actors, data: Batch) -> tuple[Float[Array, ""], Info]:
        log_all = log_policy(self.student, weights.actor, data.view)
        log_ratio = at(log_all, data.action) - data.log_p
        ratio = jnp.exp(log_ratio)
        advantage = (data.advantage - jnp.mean(data.advantage)) / (jnp.std(data.advantage) + 1e-8)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - self.clip, 1 + self.clip) * advantage)
        error = (value_of(self.student, weights.critic, data.view) - data.aim) / discounted_rounds(self.student)
        measures = {
            "entropy": -jnp.mean(jnp.sum(jnp.exp(log_all) * log_all, axis=-1)),
            "kl": jnp.mean(ratio - 1 - log_ratio),
        }
        # No entropy bonus: the reward already contains the divergence from the habit.
        return 0.5 * jnp.mean(error**2) - jnp.mean(gain), jax.lax.stop_gradient(measures)

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        rate = optax.linear_schedule(self.learning_rate, 0.0, max(1, self.steps * self.epochs * self.minibatches))
        return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))

    def _play(self, key: PRNGKeyArray, state: State) -> tuple[PyTree, Points, Sample, View]:
        """Play `rollout` decisions of every game; finished games start again at new points."""
        student, env = self.student, self.skeleton.environment

        def decide(carry: tuple[PyTree, Points], key: PRNGKeyArray) -> tuple[tuple[PyTree, Points], Sample]:
            worlds, games = carry
            choose, move, begin = jax.random.split(key, 3)
            view = look_all(student, worlds, games)
            log_p = log_policy(student, state.networks.actor, view)
            action = jax.random.categorical(choose, log_p)
            taken = at(log_p, action)
            keys = jax.random.split(move, self.games)
            worlds, payoffs, done = jax.vmap(env.step)(keys, worlds, action, games.params)
            reward = payoffs.astype(view.scale.dtype) / view.scale
            if not self.plain:
                reward -= view.charge * (taken - at(view.log_q, action))
            done = jnp.broadcast_to(jnp.asarray(done), (self.games,))
            again = lambda: new_games(student, begin, self.games)
            # Games of equal length end together, so most rounds need no new games.
            carry = jax.lax.cond(
                jnp.any(done), lambda: choose_rows(done, again(), (worlds, games)), lambda: (worlds, games)
            )
            return carry, Sample(view, action, taken, reward, done)

        carry, seen = jax.lax.scan(decide, (state.worlds, state.games), jax.random.split(key, self.rollout))
        return *carry, seen, look_all(student, *carry)

    def _judge(self, critic: Network, seen: Sample, last: View) -> Batch:
        """Advantages and the targets of the critic; rows are decisions and games."""
        values = value_of(self.student, critic, seen.view)
        final = value_of(self.student, critic, last)
        discount = float(self.skeleton.environment.discount)
        advantage = advantages(seen.reward, values, seen.done, final, discount, self.smoothing)
        batch = Batch(seen.view, seen.action, seen.log_p, advantage, advantage + values, seen.reward)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def _learn(self, key: PRNGKeyArray, networks: Actors, memory: PyTree, batch: Batch) -> tuple[Actors, PyTree, Info]:
        rows = self.games * self.rollout

        def update(carry: tuple[Actors, PyTree], rows: Int[Array, " rows"]) -> tuple[tuple[Actors, PyTree], Info]:
            networks, memory = carry
            (loss, measures), slope = self.gradient(networks, jax.tree.map(lambda x: x[rows], batch))
            # Each network's gradient is clipped separately: those of the critic may be much larger.
            moved = [descend(self._optimiser, *one) for one in zip(networks, slope, memory, strict=True)]
            networks, memory = zip(*moved, strict=True)
            return (Actors(*networks), memory), measures | {"loss": loss}

        order = jax.vmap(partial(jax.random.permutation, x=rows))(jax.random.split(key, self.epochs))
        order = order.reshape(self.epochs * self.minibatches, -1)
        (networks, memory), measures = jax.lax.scan(update, (networks, memory), order)
        return networks, memory, jax.tree.map(jnp.mean, measures)


def advantages(
    rewards: Float[Array, "time games players"],
    values: Float[Array, "time games players"],
    done: Bool[Array, "time games"],
    last: Float[Array, "games players"],
    discount: float,
    smoothing: float,
) -> Float[Array, "time games players"]:
    """Generalised advantages: A_t = d_t + discount · smoothing · A_{t+1}, d_t = r_t + discount · V_{t+1} - V_t, with
    V_{t+1} = A_{t+1} = 0 at the end of a game. `last` are the values of the states after the last reward."""

    def back(carry: tuple[Array, Array], now: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        ahead, following = carry
        reward, value, over = now
        on = discount * jnp.where(over[..., None], 0.0, 1.0)
        ahead = reward + on * following - value + on * smoothing * ahead
        return (ahead, value), ahead

    start = jnp.zeros_like(last), last
    return jax.lax.scan(back, start, (rewards, values, done), reverse=True)[1]


def at(table: Float[Array, "*rows actions"], action: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    """The entry of each action. Not by indexing: its gradient is a scatter, which is slow on CPUs."""
    return jnp.sum(jnp.where(jnp.arange(table.shape[-1]) == action[..., None], table, 0.0), axis=-1)


def choose_rows(new: Bool[Array, " games"], yes: PyTree, no: PyTree) -> PyTree:
    """The games of `yes` where `new`, else those of `no`."""
    return jax.tree.map(lambda y, n: jnp.where(new.reshape(-1, *[1] * (n.ndim - 1)), y, n), yes, no)


def with_small_output(actor: Network) -> Network:
    """The actor with its last layer divided by ten: at the lowest costs small values already make choices extreme."""
    *weights, last = actor.weights
    return Network((*weights, 0.1 * last), actor.biases)


def critic_shape(policy: AmortisedPolicy) -> Network:
    """A network of the policy's size; its inputs are those of the policy and the own cost, its output one number."""
    inputs, width, depth = size(policy)
    shape = Network.of(inputs + 1, 1, width, depth)
    count = policy.environment.roles
    return jax.tree.map(lambda w: jnp.stack([w] * count), shape) if policy.roles == "separate" else shape


def size(policy: AmortisedPolicy) -> tuple[int, int, int]:
    """(inputs, width, depth) of a policy's network."""
    first = policy.network.weights[0]
    return first.shape[-1], first.shape[-2], len(policy.network.weights) - 1


def rational(policy: AmortisedPolicy) -> AmortisedPolicy:
    """The shape of the policy that plain PPO trains (see `KLPPO`)."""
    _, width, depth = size(policy)
    low = policy.cost_interval.low
    params = tuple((n, box) for n, box in policy.domain.intervals if n.startswith("params."))
    domain = Domain((("cost", Interval(low, low * SLIVER)), *params))
    return AmortisedPolicy(policy.environment, domain, width=width, depth=depth, roles=policy.roles, unit="cost")
