"""The improvement residual: could somebody who plays a frozen policy gain by deviating once?

    d(a) = (G(a) - Q(o, a)) / lambda        nats, up to what all actions have in common

is zero on average if the values are right, given what is seen. Two figures follow. The **gain** of an observer who
deviates once (`observer`) is second order in an error of the values. The **first-order tests** find small errors: the
slope of d on Q / lambda ("scale": by which share the values are too small) and moments of d with functions of what is
seen. The divergence from the policy that is best given the whole state is not used: where something is hidden it is not
zero for the right policy.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree
from scipy import stats

from bayescal.environments.base import role_of_player
from bayescal.training.certificate.observer import observe
from bayescal.training.certificate.verdict import Measured
from bayescal.training.replies.base import Play, Rule
from bayescal.training.replies.guess import Basis, Guess, basis_of
from bayescal.training.rollouts import (
    Place,
    Valued,
    branch,
    chosen_rounds,
    interpolated,
    looks_at,
    rounds_of,
    spread_actions,
    visit,
)

_DIRECTIONS = 4  # principal components of what is seen, for the moments


@dataclass(frozen=True)
class Settings:
    """How much a certificate rolls out and plays.

    Args:
        costs: how many costs of each role are measured, from one end of the box to the other.
        games, per_game: games that are played, and states of each.
        tries: own actions that are tried, both ends of the grid among them.
        horizon: rounds that are played on before the network's value is taken.
        redraws: of chance and the others' actions in each round, against noise.
        chosen_by, blocks: games by which a reply is chosen, and how many times as many it is judged in.
    """

    costs: int = 10
    games: int = 256
    per_game: int = 4
    tries: int = 10
    horizon: int = 12
    redraws: int = 0
    chosen_by: int = 32
    blocks: int = 8
    chunk: int = 256

    def times(self, effort: int) -> "Settings":
        """The same with so many times as many games: standard errors fall with the root.

        Example:
            >>> from bayescal.training.certificate import Settings
            >>> Settings().times(4).games
            1024
        """
        return replace(self, games=self.games * effort, blocks=self.blocks * effort)


class Residual(NamedTuple):
    """The improvement of every own action at visited states, in nats, and what was seen there.

    Attributes:
        d: from the tried actions, linear in between.
        game: which game a state is of.
        after: the next observation in the same game, where the game goes on (`follows`).
    """

    d: Float[np.ndarray, "states actions"]
    q: Float[np.ndarray, "states actions"]
    log_pi: Float[np.ndarray, "states actions"]
    seen: PyTree
    after: PyTree
    follows: Bool[np.ndarray, " states"]
    game: Int[np.ndarray, " states"]


class Improvement(NamedTuple):
    """What `improvement` measures; see `verdict.Cell`."""

    gain: Measured
    scale: Measured
    information: float
    p: float
    guess: Guess
    rules: tuple[Rule, ...]


def residual(
    policy: Valued, player: int, cost: float, place: Place, settings: Settings = Settings(), *, seed: int = 0
) -> Residual:
    """Visit states, and roll out from them."""
    env = policy.environment
    size = len(env.action_values[role_of_player(env.role_counts)[player]])
    at, who = jnp.asarray(cost, jnp.result_type(float)), jnp.asarray(player)
    play, go = jax.random.split(jax.random.key(seed))
    visited = visit(policy, play, place, who, at, settings.games, rounds_of(env))
    game, when = chosen_rounds(np.asarray(visited.live), env.discount, settings.per_game, seed)
    take = lambda when: jax.tree.map(lambda x: x[game, when], visited.states)
    states, costs = take(when), visited.costs[game]
    seen, at_state = looks_at(policy, states, costs, place, who)
    later = np.minimum(when + 1, rounds_of(env) - 1)
    follows = (later > when) & np.asarray(visited.live)[game, later]
    after, _ = looks_at(policy, take(later), costs, place, who)
    log_pi, q = (np.asarray(x, float)[:, :size] for x in (at_state.log_pi, at_state.q))
    tried = spread_actions(log_pi, settings.tries)
    keys = jax.random.split(go, len(game))
    steps, redraws, chunk = settings.horizon, settings.redraws, settings.chunk
    g = branch(policy, keys, states, costs, tried.astype(np.int32), place, who, steps, redraws, chunk)
    d = np.asarray(g, float) - np.take_along_axis(q, tried, axis=1)
    return Residual(interpolated(d, tried, size), q, log_pi, seen, after, follows, game)


def improvement(
    policy: Valued,
    player: int,
    cost: float,
    place: Place,
    rules: tuple[Rule, ...] = (),
    settings: Settings = Settings(),
    *,
    seed: int = 0,
) -> Improvement:
    """The improvement residual of one player at one cost and point of the domain.

    Args:
        rules: rules of thumb, which the observer's guess may use.
    """
    found = residual(policy, player, cost, place, settings, seed=seed)
    env = policy.environment
    role = role_of_player(env.role_counts)[player]
    features = np.asarray(_features(policy, found.seen, place), float)
    play = Play(jax.tree.map(lambda x: np.asarray(x)[found.follows], found.after), features[found.follows])
    rules = tuple(rule.fitted(env, role, play) for rule in rules)
    basis = _bases(policy, role, rules, found.seen, jnp.asarray(found.q, jnp.result_type(float)), place)
    observed = observe(basis, found.log_pi, found.d, found.game, rules, seed=seed)
    scale, information = scale_of(found)
    tests = (p_of_scale(scale, len(np.unique(found.game))), p_of_moments(found, features))
    p = min(1.0, len(tests) * min(tests))
    gain, plain = (clustered(x, found.game) for x in (observed.gains, observed.plain))
    # Not to deviate at all has no error: the noise is then that of a guess which always deviates.
    gain = Measured(gain.mean, max(gain.error, plain.error))
    return Improvement(gain, scale, information, p, observed.guess, rules)


def clustered(x: Float[np.ndarray, " states"], game: Int[np.ndarray, " states"]) -> Measured:
    """The mean over states; states of one game are not independent."""
    sums = np.bincount(np.unique(game, return_inverse=True)[1], x - x.mean())
    count = len(sums)
    return Measured(float(x.mean()), float(np.sqrt(np.sum(sums**2) * count / max(count - 1, 1)) / len(x)))


def scale_of(found: Residual) -> tuple[Measured, float]:
    """(slope of d on the values in nats, variance of these under the policy): the share by which values are too small,
    and the information of a decision about log cost."""
    p = np.exp(found.log_pi)
    x = found.q - np.sum(p * found.q, axis=1, keepdims=True)
    d = found.d - np.sum(p * found.d, axis=1, keepdims=True)
    together, alone = np.sum(p * x * d, axis=1), np.sum(p * x * x, axis=1)
    information = float(alone.mean())
    if information < 1e-12:  # all actions are worth the same
        return Measured(0.0, 0.0), 0.0
    slope = together.sum() / alone.sum()
    return Measured(float(slope), clustered(together - slope * alone, found.game).error / information), information


def p_of_scale(scale: Measured, games: int) -> float:
    """Of the hypothesis that the values have the right scale."""
    return float(2 * stats.t.sf(abs(scale.mean) / max(scale.error, 1e-30), games - 1))


def p_of_moments(found: Residual, features: Float[np.ndarray, "states features"]) -> float:
    """Of the hypothesis that d has mean zero given what is seen: Hotelling's test of
    E[sum_a pi x(o, a) f(o) d] = 0, for x the values, the action and its square, and f the main directions of what is
    seen."""
    p = np.exp(found.log_pi)
    centred = lambda x: x - np.sum(p * x, axis=1, keepdims=True)
    a = centred(np.broadcast_to(np.linspace(-1, 1, p.shape[1]), p.shape))
    a = a / (np.sqrt(np.sum(p * a**2, axis=1, keepdims=True)) + 1e-3)
    weighted = p * centred(found.d)
    x = np.stack([centred(found.q), a, centred(a**2)])
    moments = np.einsum("xna,na,nf->nxf", x, weighted, _directions(features)).reshape(len(p), -1)
    games, which = np.unique(found.game, return_inverse=True)
    sums = np.zeros((len(games), moments.shape[1]))
    np.add.at(sums, which, moments)
    sums = sums / (sums.std(axis=0) + 1e-30)
    values, vectors = np.linalg.eigh(np.cov(sums.T))
    kept = values > max(1e-6 * values.max(), 1e-12)
    count, k = len(games), int(kept.sum())
    if not 0 < k < count - 1:  # nothing varies, or too few games to say
        return 1.0
    z = sums.mean(axis=0) @ vectors[:, kept] / np.sqrt(values[kept] / count)
    return float(stats.f.sf(np.sum(z**2) * (count - k) / (k * (count - 1)), k, count - k))


def _directions(features: Float[np.ndarray, "states features"]) -> Float[np.ndarray, "states directions"]:
    """A constant and the first principal components, bounded."""
    x = features - features.mean(axis=0)
    x = x / np.where(x.std(axis=0) > 1e-6, x.std(axis=0), np.inf)
    _, sizes, vectors = np.linalg.svd(x, full_matrices=False)
    kept = sizes[:_DIRECTIONS] > 1e-3 * max(sizes[0], 1e-30)
    z = x @ vectors[:_DIRECTIONS][kept].T
    return np.concatenate([np.ones((len(x), 1)), np.tanh(z / (z.std(axis=0) + 1e-30))], axis=1)


@eqx.filter_jit
def _features(policy: Valued, seen: PyTree, place: Place) -> Float[Array, "states features"]:
    see = lambda o: jnp.concatenate([jnp.ones(1), policy.environment.see(o, place.params)])
    return jax.vmap(see)(seen)


@eqx.filter_jit
def _bases(
    policy: Valued, role: int, rules: tuple[Rule, ...], seen: PyTree, q: Float[Array, "states actions"], place: Place
) -> Basis:
    one = lambda seen, q: basis_of(policy.environment, role, rules, seen, place.params, q)
    return jax.vmap(one)(seen, q)
