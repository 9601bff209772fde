"""SoftQ: values by regression on what every own action would have brought.

A simulator gives for free what a player in the world cannot have: from one state, the outcome of *all* of a
player's own actions, the others' actions and the noise held fixed (common random numbers). The network is
regressed on

    r(a) + gamma · V(o'(a)),    V(o) = lambda · log sum_a q(a | o) exp(Q(o, a) / lambda),

with a slowly following copy of itself in V. There is no actor, and there are no importance ratios. The concept is
trajectory-KL: V contains the player's own future cost of information.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bayescal.environments.base import role_of_player
from bayescal.policies.amortised import AmortisedPolicy, with_network
from bayescal.policies.base import ABSENT
from bayescal.training.base import Info, Trainer
from bayescal.training.optimiser import average, fresh_network, optimiser
from bayescal.training.points import Points, new_games


class Game(NamedTuple):
    """One game in progress: where in the domain it is played, everybody's costs, its state, who explores."""

    point: Points
    costs: Float[Array, " players"]
    state: Any
    explores: Any = None


class State(NamedTuple):
    """Weights, their running average (the final policy), those of the target, the optimiser's memory, the games in
    progress."""

    network: Any
    average: Any
    target: Any
    memory: Any
    games: Game
    count: Int[Array, ""]


class SoftQ(Trainer):
    """SoftQ from play, for any game, over time or not.

    Args:
        skeleton: the policy to be trained; its weights are only the shape of what is trained.
        steps, learning_rate: of the optimiser.
        games, rollout: how many games are played side by side, and for how many rounds between two updates.
        explore: the share of players who decide by the prior, all game long, so that what people with other costs
            see is learned too. It moves the game on; what own actions bring is found against others' own policies.
        tries: how many of the own actions are looked at in a state, evenly spread from a random one; None for all.
            Fewer let more states be seen in the same time.
        draws: of chance, over which what an action brings is averaged.
        everyone: whether all players learn from what they see, or only the first of each role, where its players
            differ in nothing and one learner a game is as good as six.
        others: who everybody meets: the policy that is learned (None), or a frozen one. What is learned is then the
            best reply to it, starting from the skeleton's own weights.
        level: the weight of what an error has in common over the own actions, beside its differences between them;
            None for one over the rounds that matter. It moves no choice, and is the noisier the more of what is paid
            is out of one's hands; but what is common here makes the differences a round before, so a large one learns
            long chains of consequences better.
        lag: over how many steps the target network forgets old weights; 0: as slowly as the average that is kept.

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
    everyone: bool = eqx.field(static=True, default=True)
    others: AmortisedPolicy | None = None
    level: float | None = eqx.field(static=True, default=None)
    lag: int = eqx.field(static=True, default=0)

    def init(self, key: PRNGKeyArray) -> State:
        weights, play = jax.random.split(key)
        network: Any = fresh_network(self.skeleton, weights) if self.others is None else self.skeleton.network
        games = self._begin(play, self.games)
        return State(network, network, network, self._optimiser.init(network), games, jnp.zeros((), jnp.int32))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.skeleton, state.average)

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        target = with_network(self.skeleton, state.target)
        playing = with_network(self.skeleton, state.network) if self.others is None else self.others

        def round_(games, key):
            play, fresh, leave = jax.random.split(key, 3)
            keys = jax.random.split(play, self.games)
            games, done, seen = jax.vmap(lambda k, g: self._round(playing, target, k, g))(keys, games)
            anew = self._begin(fresh, self.games)
            # Games that do not end are left now and then, so that all of the domain is played.
            done = done | jax.random.bernoulli(leave, 0.5 / self.skeleton.environment.horizon, (self.games,))
            pick = lambda new, old: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old)
            return jax.tree.map(pick, anew, games), seen

        games, seen = jax.lax.scan(round_, state.games, jax.random.split(key, self.rollout))

        def loss(network):
            policy = with_network(self.skeleton, network)
            errors = [
                jax.vmap(jax.vmap(lambda s, p, role=role: self._error(policy, role, s, p)))(one, seen["point"])
                for role, one in zip(self._learners.values(), seen["players"], strict=True)
            ]
            return jnp.mean(jnp.stack(errors))

        error, slope = jax.value_and_grad(loss)(state.network)
        updates, memory = self._optimiser.update(slope, state.memory, state.network)
        network: Any = optax.apply_updates(state.network, updates)
        kept = average(state.average, network, state.count, self.steps)
        target = average(state.target, network, state.count, 100 * self.lag) if self.lag else kept
        return State(network, kept, target, memory, games, state.count + 1), {"loss": error}

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps)

    @property
    def _roles(self) -> tuple[int, ...]:
        return role_of_player(self.skeleton.environment.role_counts)

    @property
    def _learners(self) -> dict[int, int]:
        """Who learns from what is seen, and their roles."""
        numbered = dict(enumerate(self._roles))
        return numbered if self.everyone else {self._roles.index(r): r for r in sorted(set(self._roles))}

    def _begin(self, key: PRNGKeyArray, n: int) -> Game:
        """New games: points of the domain, costs of the players, first states."""
        states, points = new_games(self.skeleton, key, n)
        costs = points.cost if self.skeleton.private else points.cost[:, jnp.asarray(self._roles)]
        explores = jax.random.bernoulli(jax.random.fold_in(key, 1), self.explore, costs.shape)
        return Game(points, costs, states, explores)

    def _round(self, playing: AmortisedPolicy, target: AmortisedPolicy, key: PRNGKeyArray, game: Game) -> Any:
        """Everybody decides; what each own action would have brought; the game goes on with what was decided."""
        env, point = self.skeleton.environment, game.point
        act, noise = jax.random.split(key)
        players, decided, taken = {}, [], []
        for i, role in enumerate(self._roles):
            seen = env.observe(game.state, i)
            known = self._known(game, i)
            inputs = playing.inputs(role, seen, known, point.phi, point.psi, point.params)
            log_q = playing.log_prior_of(role, point.psi, seen)
            q = playing.values_at(role, inputs, known, point.params)
            logits = log_q + jnp.stack([q / game.costs[i], jnp.where(game.explores[i], 0.0, q / game.costs[i])])
            # One draw serves both, so that who does not explore plays what others are told of.
            own, goes = jnp.argmax(logits + jax.random.gumbel(jax.random.fold_in(act, i), q.shape), axis=1)
            decided.append(own)
            taken.append(goes)
            players[i] = {"inputs": inputs, "known": known, "cost": game.costs[i]}
        joint = jnp.stack(decided).astype(jnp.int32)
        after, _, done = env.step(noise, game.state, jnp.stack(taken).astype(jnp.int32), point.params)
        # The same noise for every own action.
        noises = noise[None] if self.draws == 1 else jax.random.split(noise, self.draws)
        for i, role in self._learners.items():
            tried = self._tried(jax.random.fold_in(noise, i), len(env.action_values[role]))
            outcome = lambda k, a, i=i, role=role: self._outcome(target, k, game, joint.at[i].set(a), i, role)
            each = jax.vmap(jax.vmap(outcome, (None, 0)), (0, None))(noises, tried)
            nothing = jnp.zeros(env.mask.shape[1], each.dtype)
            players[i]["target"] = nothing.at[tried].set(jnp.mean(each, axis=0))
            players[i]["tried"] = nothing.astype(bool).at[tried].set(True)
        seen = {"players": [jax.lax.stop_gradient(players[i]) for i in self._learners], "point": point}
        return game._replace(state=after), done, seen

    def _tried(self, key: PRNGKeyArray, size: int) -> Int[Array, " tries"]:
        """The own actions whose outcome is looked at."""
        if self.tries is None or self.tries >= size:
            return jnp.arange(size)
        steps = np.arange(self.tries) * size // self.tries
        return (jax.random.randint(key, (), 0, size) + steps) % size

    def _outcome(self, target: AmortisedPolicy, noise: Any, game: Game, joint: Any, i: int, role: int) -> Any:
        """Payoff of player i and the value of where it leads."""
        env, point = self.skeleton.environment, game.point
        after, payoffs, done = env.step(noise, game.state, joint, point.params)
        if env.horizon == 1:
            return payoffs[i]
        seen = env.observe(after, i)
        q = target.values_of(role, seen, self._known(game, i), point.phi, point.psi, point.params)
        log_q = target.log_prior_of(role, point.psi, seen)
        return payoffs[i] + env.discount * jnp.where(done, 0.0, soft_value(log_q, q, game.costs[i]))

    def _known(self, game: Game, player: int) -> Any:
        """What a player knows of costs: everybody's by role, or its own."""
        return game.costs[player] if self.skeleton.private else game.point.cost

    def _error(self, policy: AmortisedPolicy, role: int, seen: Any, point: Points) -> Float[Array, ""]:
        q = policy.values_at(role, seen["inputs"], seen["known"], point.params)
        scale = policy.environment.stake_scale(point.params, role)
        # Small costs magnify errors of values into errors of choices; up to a tenth of the stakes they weigh more.
        weight = 1 / (0.1 + seen["cost"] / scale)
        tried, count = seen["tried"], jnp.sum(seen["tried"])
        error = jnp.where(tried, (q - seen["target"]) / scale, 0.0)
        level = jnp.sum(error) / count
        spread = jnp.sum(jnp.where(tried, error - level, 0.0) ** 2) / count
        # What all actions have in common moves no choice, and is the larger the more rounds are to come.
        return weight * (spread + (1 / self._rounds if self.level is None else self.level) * level**2)

    @property
    def _rounds(self) -> float:
        """How many rounds ahead matter."""
        env = self.skeleton.environment
        return min(env.horizon, 1 / (1 - env.discount)) if env.discount < 1 else env.horizon


def soft_value(log_q: Float[Array, " actions"], q: Float[Array, " actions"], cost: Any) -> Float[Array, ""]:
    """lambda · log sum_a q(a) exp(Q(a) / lambda)."""
    return cost * jax.nn.logsumexp(jnp.where(log_q <= ABSENT / 2, ABSENT, log_q + q / cost))
