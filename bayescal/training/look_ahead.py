"""LookAhead: what actions are worth in later rounds, by following the policy over several of them.

Two things are learned together from play in which everybody decides by the policy so far. How the others' part is
distributed given what a player sees: by maximum likelihood. What each own action brings over the next `horizon` rounds,
beyond what it is known to pay: by regression on rounds that are played on from the same state with the same chance for
all actions. What is hidden from a player then counts as it does in play; a target of one step would not see it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal.domain import Domain, towards_ends
from bayescal.environments.supply_chain import SupplyChain
from bayescal.errors import InputError
from bayescal.policies.learned import with_network
from bayescal.policies.staged import Foreseen, StagedPolicy
from bayescal.training.base import Info
from bayescal.training.points import Points, new_games
from bayescal.training.regression import Learner, Regression
from bayescal.training.rollouts import Place, follow, looks, play_on
from bayescal.training.rounds import evenly_spread_actions, roles_of


class Tables(NamedTuple):
    """Games in progress: points of the domain with everybody's costs, states, and the player who learns.

    `odd` says whether that player's cost is from anywhere in the box; what the others meet is then not learned from.
    """

    point: Points
    state: PyTree
    player: Int[Array, ""]
    odd: Bool[Array, ""]


class Met(NamedTuple):
    """Decisions: the own action, the others' part, and how much each counts."""

    inputs: Float[Array, "*rows inputs"]
    held: Float[Array, "*rows numbers"]
    action: Float[Array, "*rows"]
    part: Float[Array, "*rows"]
    weight: Float[Array, "*rows"]


class Worth(NamedTuple):
    """Decisions of the learner, and what own actions were worth beyond what is known."""

    role: Int[Array, " rows"]
    inputs: Float[Array, "rows inputs"]
    own: Float[Array, " rows"]
    cost: Float[Array, " rows"]
    params: dict[str, Float[Array, "..."]]
    tried: Int[Array, "rows tries"]
    weight: Float[Array, "rows tries"]
    target: Float[Array, "rows tries"]


class State(NamedTuple):
    """The learner, and games in progress."""

    learner: Learner
    games: Tables


class LookAhead(Regression):
    """Trains a `StagedPolicy` in games that it plays with itself.

    In every game one player learns. In half of them that player's cost is from anywhere in the box; all other costs are
    from the population. So every cost is learned in every population, and what people meet is only learned from those
    who meet the population.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps, learning_rate: number of steps and rate of the optimiser.
        games, rounds: games in parallel, and rounds that are played in each step.
        branched: in how many of these games own actions are tried and followed up: more on an accelerator.
        tries: how many actions are tried, evenly spaced from a random one.
        horizon: over how many rounds they are followed before the policy's own value is taken.
        level: the weight of the error that all actions have in common, beside the differences between them.
        focus: the part of the domain in which games are played; training then goes on from the skeleton's own weights.
            None for the whole domain.

    Example:
        >>> import bayescal as bc
        >>> domain = {"cost": (50.0, 5000.0), "phi.log_mean": (5.0, 8.0), "phi.log_sd": (0.1, 1.0)}
        >>> policy = bc.StagedPolicy(bc.Cobweb(), domain, population=bc.populations.LogNormal(16), width=8, depth=1)
        >>> trainer = bc.LookAhead(policy, steps=100)  # bc.train(trainer) learns it
        >>> trainer.horizon
        4
    """

    skeleton: StagedPolicy
    steps: int = eqx.field(static=True, default=5000)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    games: int = eqx.field(static=True, default=256)
    rounds: int = eqx.field(static=True, default=2)
    branched: int = eqx.field(static=True, default=32)
    tries: int = eqx.field(static=True, default=8)
    horizon: int = eqx.field(static=True, default=4)
    level: float = eqx.field(static=True, default=0.1)
    focus: Domain | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        env = self.skeleton.environment
        if self.horizon <= env.paid_after:
            raise InputError(
                f"LookAhead: in {env.name} an action is paid {env.paid_after} rounds later; a horizon of "
                f"{self.horizon} does not see it: give more."
            )
        if self.branched > self.games:
            raise InputError(f"LookAhead: {self.branched} of {self.games} games cannot be branched: give more games.")

    @classmethod
    def example(cls) -> "LookAhead":
        demand = {0: 0.25, 1: 0.5, 2: 0.25}
        shop = SupplyChain(1, orders=range(3), demand=demand, weeks=4, order_delay=1, shipping_delay=1)
        policy = StagedPolicy(shop, {"cost": (0.5, 5.0)}, width=16, depth=1)
        return cls(policy, steps=400, games=32, branched=32, tries=3, horizon=6)

    def init(self, key: PRNGKeyArray) -> State:
        weights, play = jax.random.split(key)
        network = self.skeleton.fresh(weights) if self.focus is None else self.skeleton.network
        return State(self.begin(network), self._begin(play))

    def policy(self, state: State) -> StagedPolicy:
        return with_network(self.skeleton, state.learner.average)

    def weights(self, state: State) -> Foreseen:
        return state.learner.network

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        state, data = self.experience(key, state)
        learner, info = self.improve(state.learner, data)
        return State(learner, state.games), info

    def _begin(self, key: PRNGKeyArray) -> Tables:
        """New games. Half of the learners have a cost from the population, half one from anywhere in the box."""
        policy = self.skeleton
        states, points = new_games(policy, key, self.games, faces=True, box=self.focus)
        box = dict((self.focus or policy.domain).intervals)["cost"]
        anywhere, own, who = jax.random.split(jax.random.fold_in(key, 1), 3)
        u = towards_ends(jax.random.uniform(anywhere, (self.games,)))
        free = box.low * (box.high / box.low) ** u
        odd = jax.random.bernoulli(own, 0.5, (self.games,))
        player = jax.random.randint(who, (self.games,), 0, policy.environment.players)
        costs = jax.vmap(lambda c, i, x, odd: c.at[i].set(jnp.where(odd, x, c[i])))(points.cost, player, free, odd)
        return Tables(points._replace(cost=costs), states, player, odd)

    def experience(self, key: PRNGKeyArray, state: State) -> tuple[State, tuple[Met, Worth]]:
        policy, env = with_network(self.skeleton, state.learner.network), self.skeleton.environment
        play, on, fresh, leave, which = jax.random.split(key, 5)
        each = lambda key, n=self.games: jax.random.split(key, n)
        games, met, done = jax.vmap(lambda k, g: self._play(policy, k, g))(each(play), state.games)
        first = jax.random.randint(which, (), 0, self.games)
        some = jax.tree.map(lambda x: jnp.roll(x, -first, axis=0)[: self.branched], state.games)
        worth = jax.vmap(lambda k, g: self._branch(policy, k, g))(each(on, self.branched), some)
        done = done | jax.random.bernoulli(leave, 0.5 * self.rounds / env.horizon, (self.games,))
        pick = lambda new, old: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old)
        games = jax.tree.map(pick, self._begin(fresh), games)
        return state._replace(games=games), jax.lax.stop_gradient((met, worth))

    def _play(self, policy: StagedPolicy, key: PRNGKeyArray, game: Tables) -> tuple[Tables, Met, Array]:
        """(the game some rounds on, everybody's decisions in these rounds, whether it is over)."""
        env, point = policy.environment, game.point
        place, roles = Place(point.phi, point.psi, point.params), jnp.asarray(roles_of(policy))
        grid = jnp.asarray(env.action_values[0], jnp.result_type(float))

        lag = env.shown_after
        played = play_on(policy, key, game.state, point.cost, place, self.rounds + lag)
        cut = lambda tree, first: jax.tree.map(lambda x: x[first : first + self.rounds], tree)
        before, later, actions = cut(played.seen, 0), cut(played.seen, lag), grid[cut(played.joint, 0)]
        part_of = lambda before, own, later: env.part(before, own, later, point.params)
        part = jax.vmap(jax.vmap(part_of))(before, actions, later)
        one = lambda seen, cost, role: policy.inputs_of(role, seen, cost, point.phi, point.psi, point.params)
        inputs, _ = jax.vmap(jax.vmap(one), (0, None, None))(before, point.cost, roles)
        held = jax.vmap(jax.vmap(env.held))(before)
        counts = ~game.odd | (jnp.arange(env.players) == game.player)
        weight = jnp.where(counts & cut(played.live, lag)[:, None], 1.0, 0.0)
        state, live = (jax.tree.map(lambda x: x[self.rounds], tree) for tree in (played.state, played.live))
        return game._replace(state=state), Met(inputs, held, actions, part, weight), ~live

    def _branch(self, policy: StagedPolicy, key: PRNGKeyArray, game: Tables) -> Worth:
        env, point, i = policy.environment, game.point, game.player
        place, roles = Place(point.phi, point.psi, point.params), jnp.asarray(roles_of(policy))
        spread, chance = jax.random.split(key)
        size = len(env.action_values[0])
        tried = evenly_spread_actions(spread, size, self.tries)

        def beyond(a: Array) -> Array:
            got, paid = follow(policy, chance, game.state, point.cost, a, place, i, self.horizon)
            return jnp.sum(got) - paid[env.paid_after]

        target = jax.vmap(beyond)(tried)
        seen, at = looks(policy, game.state, point.cost, place)
        mine = jax.tree.map(lambda x: x[i], seen)
        inputs, own = policy.inputs_of(roles[i], mine, point.cost[i], point.phi, point.psi, point.params)
        weight = 0.5 * jax.nn.softmax(at.log_pi[i][tried] / 4) + 0.5 / self.tries
        return Worth(roles[i], inputs, own, point.cost[i], point.params, tried, weight, target)

    def loss(self, weights: Foreseen, data: tuple[Met, Worth]) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)
        met, worth = data
        roles = jnp.asarray(roles_of(policy))

        def surprise(role: Array, x: Met) -> Array:
            return -x.weight * policy.meeting_at(role, x.inputs, x.held).log_density(x.part, x.action)

        each = jax.vmap(jax.vmap(jax.vmap(surprise), (None, 0)), (None, 0))(roles, met)
        meeting = jnp.sum(each) / jnp.sum(met.weight)

        def miss(x: Worth) -> Array:
            error = policy.worth_at(x.role, x.inputs, x.own, x.params)[x.tried] - x.target
            level = jnp.sum(x.weight * error)
            scale = policy.environment.payoff_scale(x.params)
            squares = jnp.sum(x.weight * (error - level) ** 2)
            if policy.has_level:
                squares = squares + self.level * level**2
            return squares / (x.cost + 0.03 * scale) / scale

        value = jnp.mean(jax.vmap(miss)(worth))
        return meeting + value, {"meeting": meeting, "worth": value}
