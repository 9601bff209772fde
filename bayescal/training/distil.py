"""Distillation: a repeated game is solved at points of the domain, and the networks learn the solutions.

Each step solves one more point by backward induction (`policies.rounds.solve`), keeps what was found, and improves the
networks on everything that was kept so far. So the error falls from the first seconds on, and there is nothing to
bootstrap: targets are exact, corners included.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bayescal._types import Parameters
from bayescal.environments.cournot_repeated import RepeatedCournot
from bayescal.policies.learned import with_network
from bayescal.policies.network import Network
from bayescal.policies.rounds.learned import Learned, RepeatedPolicy
from bayescal.policies.rounds.solve import Types, play_at, solve_rounds
from bayescal.policies.rounds.stage import Continuation, LogPrior, chain_of, stage_of
from bayescal.precision import FULL
from bayescal.priors.near import Previous
from bayescal.training.base import GradientTrainer, Info
from bayescal.training.optimiser import average, descend, memory_of, optimiser
from bayescal.training.points import Points, array_sizes, assemble

TYPES = 10  # of a population's, the most likely ones
OWN = 10  # own costs at which a game is solved
MARKETS, ANYWHERE = 2, 4  # simulated markets, and states drawn from all, in each round of a solved game
TOLERANCE = 2e-5


class Lesson(NamedTuple):
    """A solved game.

    Attributes:
        point: the point of the domain, as inputs of the networks.
        cost: own costs at which it was solved.
        worth: what states are worth to them after each round but the last, as weights of shapes.
        state, log_q, met: in each round, states as inputs of the network, the habit of somebody who saw the round from
            the other side, and the others' average play.
    """

    point: Float[Array, "*games inputs"]
    cost: Float[Array, "*games costs"]
    worth: Float[Array, "*games rounds costs shapes"]
    state: Float[Array, "*games played states inputs"]
    log_q: Float[Array, "*games played states actions"]
    met: Float[Array, "*games played states actions"]


class Batch(NamedTuple):
    """Rows of lessons: inputs and targets of both networks, and the mean square of each shape over states."""

    worth_inputs: Float[Array, "rows inputs"]
    cost: Float[Array, " rows"]
    worth: Float[Array, "rows shapes"]
    size: Float[Array, " shapes"]
    meeting_inputs: Float[Array, "rows numbers"]
    log_q: Float[Array, "rows actions"]
    met: Float[Array, "rows actions"]


class Pupil(NamedTuple):
    """The weights, their running average, the optimiser's state, steps done, what was solved so far, and how much each
    state counts."""

    network: Learned
    average: Learned
    memory: PyTree
    count: Int[Array, ""]
    kept: Lesson
    weight: Float[Array, "own seen"]


class Distil(GradientTrainer):
    """Distils a `RepeatedPolicy` from exact solutions.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps: in each of them points are solved, and the networks improved.
        updates, batch, learning_rate: updates of the networks in each step, the size of their batches, and the
            optimiser's peak rate.
        games: how many points are solved at once in a step: more on an accelerator.
        begin: how many points are solved before the first step; the functions of the state that worth is put together
            from are the principal components of these solutions.

    Example:
        >>> import bayescal as bc
        >>> game = bc.RepeatedGame(bc.PublicGoods(4, mpcr=0.4), rounds=10)
        >>> policy = bc.RepeatedPolicy(game, {"cost": (0.5, 50.0)}, width=32, depth=2)
        >>> trainer = bc.Distil(policy, steps=50)  # bc.train(trainer) learns it
        >>> trainer.steps
        50
    """

    skeleton: RepeatedPolicy
    steps: int = eqx.field(static=True, default=500)
    updates: int = eqx.field(static=True, default=50)
    batch: int = eqx.field(static=True, default=1024)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    games: int = eqx.field(static=True, default=1)
    begin: int = eqx.field(static=True, default=32)

    @classmethod
    def example(cls) -> "Distil":
        game = RepeatedCournot(2, quantities=range(0, 61, 20), rounds=3)
        policy = RepeatedPolicy(game, {"cost": (100.0, 1000.0)}, prior=Previous(), width=16, depth=1)
        return cls(policy, steps=40, updates=20, batch=64, begin=8)

    def init(self, key: PRNGKeyArray) -> Pupil:
        first, weights = jax.random.split(key)
        games, raw = jax.lax.map(self._solve, jax.random.split(first, self.begin))
        weight = weight_of_states(self.skeleton, games)
        count = len(self.skeleton.network.shapes)
        shapes = principal_shapes(raw, games.cost, self._level_off, count, weight)
        network = eqx.tree_at(lambda n: n.shapes, self.skeleton.fresh(weights), shapes)
        found = games._replace(worth=in_shapes(raw, shapes, weight))
        room = lambda x: jnp.concatenate([x, jnp.zeros((self.steps * self.games, *x.shape[1:]), x.dtype)])
        memory = memory_of(self.optimiser, _moving(network))
        return Pupil(network, network, memory, jnp.zeros((), jnp.int32), jax.tree.map(room, found), weight)

    def policy(self, state: Pupil) -> RepeatedPolicy:
        return with_network(self.skeleton, state.average)

    def weights(self, state: Pupil) -> Learned:
        return state.network

    def step(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Info]:
        solve, learn = jax.random.split(key)
        games, raw = jax.vmap(self._solve)(jax.random.split(solve, self.games))
        games = games._replace(worth=in_shapes(raw, state.network.shapes, state.weight))
        known = self.begin + state.count * self.games
        put = lambda kept, new: jax.lax.dynamic_update_slice_in_dim(kept, new, known, 0)
        state = state._replace(kept=jax.tree.map(put, state.kept, games))

        def update(carry: tuple[Pupil, Array], key: PRNGKeyArray) -> tuple[tuple[Pupil, Array], Info]:
            state, done = carry
            state, data = self.experience(key, state)
            (_, info), slope = self.gradient(state.network, data)
            moved, memory = descend(self.optimiser, _moving(state.network), _moving(slope), state.memory)
            network = Learned(*moved, state.network.shapes)
            mean = average(state.average, network, done, self.steps * self.updates)
            return (state._replace(network=network, average=mean, memory=memory), done + 1), info

        first = state.count * self.updates
        (state, _), info = jax.lax.scan(update, (state, first), jax.random.split(learn, self.updates))
        return state._replace(count=state.count + 1), jax.tree.map(jnp.mean, info)

    def experience(self, key: PRNGKeyArray, state: Pupil) -> tuple[Pupil, Batch]:
        """Rows of the games that were solved so far, drawn at random."""
        policy, kept, n = self.skeleton, state.kept, (self.batch,)
        keys = iter(jax.random.split(key, 6))
        draw = lambda high: jax.random.randint(next(keys), n, 0, high)
        solved = self.begin + (state.count + 1) * self.games
        i, t, k = draw(solved), draw(max(1, policy.environment.horizon - 1)), draw(OWN)
        inputs = jax.vmap(policy.worth_inputs)(kept.point[i], kept.cost[i, k], t.astype(kept.cost.dtype))
        j, u, c = draw(solved), draw(policy.environment.horizon), draw(kept.met.shape[2])
        return state, Batch(
            inputs, kept.cost[i, k], kept.worth[i, t, k], mean_square(state.network.shapes, state.weight),
            jnp.concatenate([kept.point[j], kept.state[j, u, c]], axis=1), kept.log_q[j, u, c], kept.met[j, u, c],
        )  # fmt: skip

    def loss(self, weights: Learned, data: Batch) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)
        error = jax.vmap(weights.worth)(data.worth_inputs) - data.worth
        # At moderate costs a squared error of values is worth 1 / cost in nats: choices spread over a width of √cost.
        worth = jnp.mean(jnp.sum(error**2 * data.size, axis=1) / (data.cost + self._level_off))
        log_met = jax.vmap(policy.log_meeting_from)(data.meeting_inputs, data.log_q)
        gap = jnp.where(data.met > 0, jnp.log(jnp.maximum(data.met, 1e-30)) - log_met, 0.0)
        meeting = jnp.mean(jnp.sum(data.met * gap, axis=1))
        return worth + meeting, {"worth": worth, "meeting": meeting}

    @property
    def optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps * self.updates)

    @property
    def _level_off(self) -> Float[Array, ""]:
        policy = self.skeleton
        _, params = policy.in_own_unit(None, policy.all_params(None))
        return 0.004 * policy.environment.payoff_scale(params)

    def _solve(self, key: PRNGKeyArray) -> tuple[Lesson, Float[Array, "rounds costs own seen"]]:
        """(a solved game with no worth yet, what states are worth at the nodes)."""
        policy, env = self.skeleton, self.skeleton.environment
        draw, costs, play = jax.random.split(key, 3)
        at = point_towards_faces(policy, draw)
        params = policy.all_params(at.params)
        log_prior = lambda seen: policy.log_prior_of(0, at.psi, seen)
        box = policy.input_costs
        spread = 0.5 * (1 - jnp.cos(jnp.pi * (jnp.arange(OWN) + jax.random.uniform(costs, (OWN,))) / OWN))
        own = box.low * (box.high / box.low) ** spread if policy.private else at.cost[None]
        types = likely_types(policy, at)
        stage = stage_of(env, params, policy.nodes)
        rounds = solve_rounds(env, stage, log_prior, types, own, params, tolerance=TOLERANCE)
        known = len(types.costs)
        worth = rounds.worth[:-1, known:] if env.horizon > 1 else rounds.worth[:, known:]
        worth = worth - jnp.sum(worth * stage.own.share[:, None], axis=2, keepdims=True)  # moves no choice
        worth = jnp.broadcast_to(worth, (worth.shape[0], OWN, *worth.shape[2:]))
        total = Continuation(stage, rounds.worth[:, :known])
        seen, log_q, met = meetings(policy, total, types, log_prior, params, play)
        point = policy.point_inputs(at.phi, at.psi, params)
        inputs = jax.vmap(jax.vmap(lambda s: policy.meeting_inputs(point, s, own[0])))(seen)[..., len(point) :]
        nothing = jnp.zeros((*worth.shape[:2], 0), worth.dtype)
        return Lesson(point, jnp.broadcast_to(own, (OWN,)), nothing, inputs, log_q, met), worth


def weight_of_states(policy: RepeatedPolicy, games: Lesson) -> Float[Array, "own seen"]:
    """How much each node counts: half of the weight is spread over all states, the rest lies where these games were
    played."""
    stage = stage_of(policy.environment, policy.environment.params, policy.nodes)
    actions = jnp.asarray(policy.environment.action_values[0])
    played = games.met[:, :, : MARKETS * policy.environment.players]
    density = jnp.mean(played, axis=tuple(range(played.ndim - 1))) * len(actions)
    often = lambda nodes: jnp.interp(jnp.asarray(nodes.at, density.dtype), actions, density)
    weight = jnp.asarray(stage.area, density.dtype) * (0.5 + 0.5 * jnp.outer(often(stage.own), often(stage.seen)))
    return weight / jnp.sum(weight)


def mean_square(shapes: Float[Array, "shapes own seen"], weight: Float[Array, "own seen"]) -> Float[Array, " shapes"]:
    """Of each shape over states."""
    return jnp.sum(shapes**2 * weight, axis=(1, 2))


def in_shapes(
    worth: Float[Array, "*rows own seen"], shapes: Float[Array, "shapes own seen"], weight: Float[Array, "own seen"]
) -> Float[Array, "*rows shapes"]:
    """The weights of the (orthogonal) shapes that come closest."""
    size = jnp.maximum(mean_square(shapes, weight), 1e-30)
    return jnp.einsum("...ij,kij->...k", worth * weight, shapes, precision=FULL) / size


def _moving(network: Learned) -> tuple[Network, Network]:
    """The parts that are trained."""
    return network.worth, network.meeting


def point_towards_faces(policy: RepeatedPolicy, key: PRNGKeyArray) -> Points:
    """A random point of the domain, more often near its faces, where interpolation is hardest; where payoffs have a
    unit, of the domain in that unit."""
    values = policy.input_box.sample(key, (1,), sizes=array_sizes(policy), faces=True)
    at = jax.tree.map(lambda x: x[0], assemble(policy, values, 1))
    if policy.own_box is None:
        return at
    # Parameters that have become one number are not in the box: any point of the domain has them.
    low = {n.removeprefix("params."): i.low for n, i in policy.domain.intervals if n.startswith("params.")}
    rescaled, _ = policy.environment.rescale(policy.all_params({n: jnp.asarray(x) for n, x in low.items()}))
    fixed = {n: x for n, x in rescaled.items() if f"params.{n}" not in policy.own_box.names}
    return at._replace(params={**at.params, **fixed})


def likely_types(policy: RepeatedPolicy, at: Points) -> Types:
    """The population's most likely quadrature costs; all others together have a probability of about 1e-5."""
    if policy.population is None:
        return Types(at.cost[None], jnp.ones(1, at.cost.dtype))
    costs, weights = policy.population.quadrature(at.phi)
    weights, which = jax.lax.top_k(weights, min(TYPES, len(weights)))
    return Types(costs[which], weights / jnp.sum(weights))


def meetings(
    policy: RepeatedPolicy,
    total: Continuation,
    types: Types,
    log_prior: LogPrior,
    params: Parameters,
    key: PRNGKeyArray,
) -> tuple[dict[str, Array], Float[Array, "played states actions"], Float[Array, "played states actions"]]:
    """(observations, the mirrored habit there, the others' play there) in each round: those of simulated markets, and
    some drawn from all states.

    Args:
        total: with the worth after each round for the types.
    """
    env = policy.environment
    actions, players = jnp.asarray(env.action_values[0], total.worth.dtype), env.players
    low, high = env.action_values[0][0], env.action_values[0][-1]

    def one_round(last: Array, x: tuple[Array, Array, PRNGKeyArray]) -> tuple[Array, tuple[Array, ...]]:
        played, worth, key = x
        act, anywhere = jax.random.split(key)
        others = (jnp.sum(last, axis=1, keepdims=True) - last) / (players - 1)
        free = low + (high - low) * jax.random.uniform(anywhere, (2, ANYWHERE), last.dtype)
        began = (played > 0).astype(last.dtype)
        own = jnp.concatenate([last.ravel(), began * free[0]])
        seen = jnp.concatenate([others.ravel(), began * free[1]])
        chain = chain_of(env, own, seen)
        now = Continuation(total.stage, worth)
        (play, _), log_q = play_at(env, now, types, log_prior, chain, played, params, tolerance=TOLERANCE)
        mine, mirror = play[: last.size], chain.mirror[: len(own)]
        drawn = jax.random.categorical(act, jnp.log(jnp.maximum(mine, 1e-30)))
        return actions[drawn].reshape(last.shape), (own, seen, log_q[mirror], play[mirror])

    rounds = jnp.arange(env.horizon)
    start = jnp.zeros((MARKETS, players), total.worth.dtype)
    inputs = (rounds, total.worth, jax.random.split(key, env.horizon))
    _, (own, seen, log_q, met) = jax.lax.scan(one_round, start, inputs)
    played = jnp.broadcast_to(rounds[:, None], own.shape)
    after = env.seen_after(own, seen, played, params)
    return {n: jnp.asarray(x) for n, x in after.items()}, log_q, met


def principal_shapes(
    worth: Float[Array, "games rounds costs own seen"],
    cost: Float[Array, "games costs"],
    level_off: Float[Array, ""],
    count: int,
    weight: Float[Array, "own seen"],
) -> Float[Array, "shapes own seen"]:
    """The principal components of what states are worth, each in the size that it has (no less than 0.003 of the
    largest), with costs weighted as in the loss."""
    share = jnp.sqrt(weight).ravel()
    rows = worth.reshape(*worth.shape[:3], -1) / jnp.sqrt(cost + level_off)[:, None, :, None] * share
    rows = rows.reshape(-1, rows.shape[-1])
    size, parts = jnp.linalg.eigh(jnp.matmul(rows.T, rows, precision=FULL) / len(rows))
    typical = 1 / jnp.mean(1 / (cost + level_off))
    size = jnp.sqrt(jnp.maximum(size[::-1][:count], 0.0) * typical)
    size = jnp.maximum(size, 0.003 * size[0]) + 1e-12
    shapes = size[:, None] * parts.T[::-1][:count] / jnp.maximum(share, 1e-12)
    return shapes.reshape(count, *weight.shape).astype(jnp.float32)
