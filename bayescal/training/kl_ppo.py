"""PPO for games whose players pay for information: the general-purpose learner that SoftQ is measured against.

Player i draws a cost lambda_i and maximises the discounted sum of

    r_t - lambda_i · (log pi(a_t | o_t) - log q_psi(a_t | o_t)),

the log-ratio being part of the reward, computed when the action is taken and a constant to the gradient. Its
expectation is the Kullback-Leibler divergence of the policy from the prior, now and at all later decisions, so that
the optimum is pi = q exp(Q / lambda) / Z. (A divergence in the loss alone would charge for the present decision and
leave the later ones free of charge, which has another fixed point.)

Everything else is PPO (Schulman et al. 2017) as usual: clipped ratios, generalised advantages (Schulman et al. 2016),
Adam. Players of a role share weights. What the networks are told is computed once, when the game is played; the
updates run matrix products on the stored rows and nothing else.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal.domain import Domain, Interval
from bayescal.environments.base import OneShot, role_of_player
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy, with_network
from bayescal.policies.network import Network
from bayescal.training.base import Info, Trainer
from bayescal.training.optimiser import average, fresh_network
from bayescal.training.points import Points, new_games

SLIVER = 1.01  # plain PPO answers for costs from the lowest to this many times the lowest


class View(NamedTuple):
    """What the networks and the reward need to know of players about to decide; leading dimensions as played."""

    x: Float[Array, "*rows players inputs"]
    log_q: Float[Array, "*rows players actions"]
    tilt: Float[Array, "*rows players"]  # logits per unit of the network's answer
    place: Float[Array, "*rows players"]  # the own cost as the critic is told of it, in [-1, 1]
    charge: Float[Array, "*rows players"]  # the own cost in units of the stakes
    scale: Float[Array, "*rows players"]  # the stakes, in money


class Sample(NamedTuple):
    """Decisions and what came of them: rows of players."""

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


class State(NamedTuple):
    """Weights, the running average of the actor's (the policy that is kept), Adam's memory, and the games being
    played: their states, and their points with one cost a role where costs are known, one a player where private."""

    actor: Network
    critic: Network
    average: Network
    memory: Any
    worlds: Any
    games: Points
    count: Int[Array, ""]


class KLPPO(Trainer):
    """PPO with the log-ratio of policy to prior in the reward.

    Args:
        skeleton: the policy to be trained; its weights are only the shape of what is trained.
        steps: how many updates.
        games, rollout: how many games are played side by side, and how many decisions of each an update sees.
        epochs, minibatches: how often an update goes through what it has seen, and in how many parts.
        learning_rate: of Adam at the start; it falls to zero along a line.
        clip: how far a probability may move within an update, as a ratio.
        smoothing: the lambda of generalised advantages.
        plain: plain PPO, the rational baseline: nothing is charged, and the prior is uniform. Rational players need
            neither costs nor populations, so the policy that is trained is one with known costs in a sliver of the
            domain above its lowest cost, and measures its values by the cost: at that cost its logits are, up to a
            bounded factor, the network's own numbers, whatever the cost is.

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
        """The shape of the policy that is trained: the skeleton, or the rational one made from it."""
        return rational(self.skeleton) if self.plain else self.skeleton

    def init(self, key: PRNGKeyArray) -> State:
        act, judge, begin = jax.random.split(key, 3)
        student = self.student
        actor = calm(fresh_network(student, act))
        critic = fresh_network(with_network(student, critic_shape(student)), judge)
        worlds, games = new_games(student, begin, self.games)
        networks: Any = (actor, critic)
        memory = tuple(self._optimiser.init(n) for n in networks)
        return State(actor, critic, actor, memory, worlds, games, jnp.zeros((), jnp.int32))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.student, state.average)

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        play, learn = jax.random.split(key)
        worlds, games, seen, last = self._play(play, state)
        batch = self._judge(state.critic, seen, last)
        (actor, critic), memory, measures = self._learn(learn, (state.actor, state.critic), state.memory, batch)
        kept = average(state.average, actor, state.count, self.steps)
        info = {"reward": jnp.mean(seen.reward)} | jax.tree.map(jnp.mean, measures)
        return State(actor, critic, kept, memory, worlds, games, state.count + 1), info

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        rate = optax.linear_schedule(self.learning_rate, 0.0, max(1, self.steps * self.epochs * self.minibatches))
        return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))

    def _play(self, key: PRNGKeyArray, state: State) -> tuple[Any, Points, Sample, View]:
        """`rollout` decisions of every game; games that are over begin anew, at new points."""
        student, env = self.student, self.skeleton.environment

        def decide(carry, key):
            worlds, games = carry
            choose, move, begin = jax.random.split(key, 3)
            view = look_all(student, worlds, games)
            log_p = log_policy(student, state.actor, view)
            action = jax.random.categorical(choose, log_p)
            taken = at(log_p, action)
            keys = jax.random.split(move, self.games)
            worlds, payoffs, done = jax.vmap(env.step)(keys, worlds, action, games.params)
            reward = payoffs.astype(view.scale.dtype) / view.scale
            if not self.plain:
                reward -= view.charge * (taken - at(view.log_q, action))
            done = jnp.broadcast_to(jnp.asarray(done), (self.games,))
            again = lambda: new_games(student, begin, self.games)
            # Games of one length end together, so that most decisions need no new ones.
            carry = jax.lax.cond(
                jnp.any(done), lambda: choose_rows(done, again(), (worlds, games)), lambda: (worlds, games)
            )
            return carry, Sample(view, action, taken, reward, done)

        carry, seen = jax.lax.scan(decide, (state.worlds, state.games), jax.random.split(key, self.rollout))
        return *carry, seen, look_all(student, *carry)

    def _judge(self, critic: Network, seen: Sample, last: View) -> Batch:
        """Advantages and the values that the critic aims at, with decisions and games as rows."""
        values = value_of(self.student, critic, seen.view)
        final = value_of(self.student, critic, last)
        discount = float(self.skeleton.environment.discount)
        advantage = advantages(seen.reward, values, seen.done, final, discount, self.smoothing)
        batch = Batch(seen.view, seen.action, seen.log_p, advantage, advantage + values)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def _learn(self, key: PRNGKeyArray, networks: Any, memory: Any, batch: Batch) -> tuple[Any, Any, Info]:
        rows = self.games * self.rollout

        def update(carry, rows):
            networks, memory = carry
            part = jax.tree.map(lambda x: x[rows], batch)
            (loss, measures), slope = jax.value_and_grad(self._loss, has_aux=True)(networks, part)
            # Each network's gradient is clipped by itself: errors of values may be large, and are not the actor's.
            updates, memory = zip(*map(self._optimiser.update, slope, memory), strict=True)
            return (optax.apply_updates(networks, updates), memory), measures | {"loss": loss}

        order = jax.vmap(lambda k: jax.random.permutation(k, rows))(jax.random.split(key, self.epochs))
        order = order.reshape(self.epochs * self.minibatches, -1)
        (networks, memory), measures = jax.lax.scan(update, (networks, memory), order)
        return networks, memory, measures

    def _loss(self, networks: tuple[Network, Network], batch: Batch) -> tuple[Float[Array, ""], Info]:
        actor, critic = networks
        log_all = log_policy(self.student, actor, batch.view)
        log_ratio = at(log_all, batch.action) - batch.log_p
        ratio = jnp.exp(log_ratio)
        advantage = (batch.advantage - jnp.mean(batch.advantage)) / (jnp.std(batch.advantage) + 1e-8)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - self.clip, 1 + self.clip) * advantage)
        error = (value_of(self.student, critic, batch.view) - batch.aim) / span(self.student)
        measures = {
            "entropy": -jnp.mean(jnp.sum(jnp.exp(log_all) * log_all, axis=-1)),
            "kl": jnp.mean(ratio - 1 - log_ratio),
        }
        # No bonus for entropy: what dispersion is worth is in the reward.
        return 0.5 * jnp.mean(error**2) - jnp.mean(gain), jax.lax.stop_gradient(measures)


def advantages(
    rewards: Float[Array, "time games players"],
    values: Float[Array, "time games players"],
    done: Bool[Array, "time games"],
    last: Float[Array, "games players"],
    discount: float,
    smoothing: float,
) -> Float[Array, "time games players"]:
    """Generalised advantages: A_t = d_t + discount · smoothing · A_{t+1}, d_t = r_t + discount · V_{t+1} - V_t, where
    nothing is carried over the end of a game. `last` are the values of the states after the last reward."""

    def back(carry, now):
        ahead, following = carry
        reward, value, over = now
        on = discount * jnp.where(over[..., None], 0.0, 1.0)
        ahead = reward + on * following - value + on * smoothing * ahead
        return (ahead, value), ahead

    start = jnp.zeros_like(last), last
    return jax.lax.scan(back, start, (rewards, values, done), reverse=True)[1]


def look_all(policy: AmortisedPolicy, worlds: Any, games: Points) -> View:
    return jax.vmap(lambda world, game: look(policy, world, game))(worlds, games)


def look(policy: AmortisedPolicy, world: Any, game: Points) -> View:
    """The players of one game about to decide: logits are log_q + tilt · network(x), as in the policy itself."""
    env = policy.environment
    player_roles = role_of_player(env.role_counts)
    own = game.cost if policy.private else game.cost[np.array(player_roles)]
    scale = jnp.stack([env.stake_scale(game.params, role) for role in range(env.roles)])[np.array(player_roles)]
    box = policy.cost_interval
    place = 2 * jnp.log(own / box.low) / np.log(box.high / box.low) - 1
    tilt = scale / (own + scale) if policy.unit == "cost" and policy.sees_cost else scale / own
    rows = [look_role(policy, role, world, game) for role in range(env.roles)]
    x, log_q = (jnp.concatenate(parts) for parts in zip(*rows, strict=True))
    return jax.tree.map(lambda a: a.astype(jnp.float32), View(x, log_q, tilt, place, own / scale, scale))


def look_role(policy: AmortisedPolicy, role: int, world: Any, game: Points) -> tuple[Array, Array]:
    """(network inputs, log prior) of the players of a role."""
    env = policy.environment
    members = [i for i, r in enumerate(role_of_player(env.role_counts)) if r == role]

    def one(observation, cost):
        x = policy.inputs(role, observation, cost, game.phi, game.psi, game.params)
        return x, policy.log_prior_of(role, game.psi, observation)

    if isinstance(env, OneShot):  # all see the same, and private costs are not seen
        pair = one(role, None if policy.private else game.cost)
        x, log_q = (jnp.broadcast_to(a, (len(members), *a.shape)) for a in pair)
        return x, log_q
    seen = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[env.observe(world, i) for i in members])
    if policy.private:
        return jax.vmap(one)(seen, game.cost[np.array(members)])
    return jax.vmap(lambda o: one(o, game.cost))(seen)


def log_policy(policy: AmortisedPolicy, actor: Network, view: View) -> Float[Array, "*rows players actions"]:
    return jax.nn.log_softmax(view.log_q + view.tilt[..., None] * on_rows(policy, actor, view.x))


def value_of(policy: AmortisedPolicy, critic: Network, view: View) -> Float[Array, "*rows players"]:
    """What is still to come, in units of the stakes. The network's own numbers are averages over the horizon."""
    return span(policy) * on_rows(policy, critic, jnp.concatenate([view.x, view.place[..., None]], axis=-1))[..., 0]


def span(policy: AmortisedPolicy) -> float:
    """How many present payoffs a constant stream of payoffs is worth."""
    env = policy.environment
    return float(np.sum(float(env.discount) ** np.arange(env.horizon)))


def on_rows(policy: AmortisedPolicy, network: Network, x: Float[Array, "*rows players inp"]) -> Float[Array, "..."]:
    """The network on many rows: one matrix product a layer (one a player and layer where roles have their own)."""
    if policy.roles == "separate":
        roles = np.array(role_of_player(policy.environment.role_counts))
        by_player = jax.tree.map(lambda w: w[roles], network)
        y = jax.vmap(forward, in_axes=(0, 0))(by_player, jnp.moveaxis(x, -2, 0).reshape(len(roles), -1, x.shape[-1]))
        return jnp.moveaxis(y.reshape(len(roles), *x.shape[:-2], -1), 0, -2)
    return forward(network, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def forward(network: Network, x: Float[Array, "rows inp"]) -> Float[Array, "rows out"]:
    *hidden, last = zip(network.weights, network.biases, strict=True)
    for w, b in hidden:
        x = jax.nn.silu(x @ w.T + b)
    return x @ last[0].T + last[1]


def at(table: Float[Array, "*rows actions"], action: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    # Not a gather, whose gradient is a scatter, which is slow on CPUs.
    return jnp.sum(jnp.where(jnp.arange(table.shape[-1]) == action[..., None], table, 0.0), axis=-1)


def choose_rows(new: Bool[Array, " games"], yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda y, n: jnp.where(new.reshape(-1, *[1] * (n.ndim - 1)), y, n), yes, no)


def calm(actor: Network) -> Network:
    """A last layer a tenth as large: at the lowest private costs small values already make extreme choices."""
    *weights, last = actor.weights
    return Network((*weights, 0.1 * last), actor.biases)


def critic_shape(policy: AmortisedPolicy) -> Network:
    """A network of the policy's size on its inputs and the own cost, with one answer."""
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
