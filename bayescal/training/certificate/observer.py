"""What somebody who sees what a player sees could gain by deviating once.

A guess g(o, a) of the improvement d(o, a) is learned on some games, stopped on others, and judged on games that it has
not seen:

    gain = E[ sum_a (pi_g(a) - pi(a)) d(a) - KL(pi_g || pi) ],    pi_g ~ pi exp(g).

This is linear in the rolled-out d, so that noise in d does not bias it, and is a lower bound on what one deviation
brings, in nats a decision.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from bayescal.training.replies.base import Rule
from bayescal.training.replies.guess import Basis, Guess, guessed

FOLDS = 4
Layers = tuple[Array, Array, Array]
_SHRINKAGE = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_WIDE = 0.3  # share of a tempered policy in the weights of the regression


class Observed(NamedTuple):
    """The gain at each state by a guess that has not seen its game; that of plain regression; and the guess."""

    gains: Float[np.ndarray, " states"]
    plain: Float[np.ndarray, " states"]
    guess: Guess


def observe(
    basis: Basis,
    log_pi: Float[np.ndarray, "states actions"],
    d: Float[np.ndarray, "states actions"],
    game: np.ndarray,
    rules: tuple[Rule, ...] = (),
    *,
    steps: int = 100,
    width: int = 16,
    seed: int = 0,
) -> Observed:
    """Learn a guess of d, crossed over games.

    Args:
        game: of which game each state is; a game's states are in one fold.
        steps, width: of the small network beside the linear guess.
    """
    pi = np.exp(log_pi)
    centred = lambda x, p: x - np.sum(p * x, axis=1, keepdims=True)
    d = centred(d, pi)
    features, pairs = np.asarray(basis.features, float), np.asarray(basis.pairs, float)
    pairs = centred(pairs, pi[..., None])
    norm = np.sqrt(np.mean(np.sum(_weights(log_pi, np)[..., None] * pairs**2, axis=1), axis=0)) + 1e-6
    centre, spread = features.mean(axis=0), features.std(axis=0)
    constant = spread < 1e-6
    centre, spread = np.where(constant, 0.0, centre), np.where(constant, 1.0, spread)
    games, which = np.unique(game, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(np.arange(len(games)) % FOLDS)[which]
    f32 = lambda x: jnp.asarray(x, jnp.result_type(float))
    slopes, layers, gains, plain = _crossed(
        f32(log_pi), f32(d), f32((features - centre) / spread), f32(pairs / norm), jnp.asarray(fold), steps, width, seed
    )
    guess = Guess(slopes, layers, f32(centre), f32(spread), f32(norm), rules)
    return Observed(np.asarray(gains, float), np.asarray(plain, float), guess)


def _weights(log_pi: PyTree, xp: object = jnp) -> PyTree:
    """The policy, and a little of everything: what the regression weighs actions with."""
    soft = np if xp is np else jnp
    tempered = soft.exp((log_pi - soft.max(log_pi, axis=-1, keepdims=True)) / 4)
    return (1 - _WIDE) * soft.exp(log_pi) + _WIDE * tempered / soft.sum(tempered, axis=-1, keepdims=True)


def gain_of(
    log_pi: Float[Array, "*states actions"], guess: Float[Array, "*states actions"], d: Float[Array, "*states actions"]
) -> Float[Array, "*states"]:
    """sum_a (pi_g - pi) d - KL(pi_g || pi) with pi_g ~ pi exp(guess)."""
    log_p = jax.nn.log_softmax(log_pi + guess, axis=-1)
    p = jnp.exp(log_p)
    return jnp.sum((p - jnp.exp(log_pi)) * d, axis=-1) - jnp.sum(p * (log_p - log_pi), axis=-1)


@eqx.filter_jit
def _crossed(
    log_pi: Array, d: Array, features: Array, pairs: Array, fold: Array, steps: int, width: int, seed: int
) -> tuple[Array, Layers, Array, Array]:
    """(slopes, layers) of each fold's guess, and the gains of each state by the guess that has not seen its fold and by
    plain regression."""

    def one(k: Array) -> tuple[Array, Layers, Array, Array]:
        test, stop = fold == k, fold == (k + 1) % FOLDS
        (slopes, layers), ridge = _learn(log_pi, d, features, pairs, ~test & ~stop, stop, steps, width, seed)
        gains = lambda guess: jnp.where(test, gain_of(log_pi, guess, d), 0.0)
        return slopes, layers, gains(guessed(slopes, layers, features, pairs)), gains(pairs @ ridge)

    slopes, layers, gains, plain = jax.lax.map(one, jnp.arange(FOLDS))
    return slopes, layers, jnp.sum(gains, axis=0), jnp.sum(plain, axis=0)


def _learn(
    log_pi: Array, d: Array, features: Array, pairs: Array, train: Array, stop: Array, steps: int, width: int, seed: int
) -> tuple[tuple[Array, Layers], Array]:
    """Ridge regression of d on pairs, then gradient ascent of the gain itself with a small network beside it; the best
    on `stop` is kept, which is no deviation at all if nothing gains more there than its standard error. Also the slopes
    of the regression."""
    used, held = train.astype(d.dtype), stop.astype(d.dtype)
    weighted = pairs * (_weights(log_pi) * used[:, None])[..., None]
    moments = jnp.einsum("naj,nak->jk", weighted, pairs) / jnp.sum(used)
    target = jnp.einsum("naj,na->j", weighted, d) / jnp.sum(used)
    count = pairs.shape[2]
    ridge = jax.vmap(lambda s: jnp.linalg.solve(moments + s * jnp.eye(count), target))(jnp.asarray(_SHRINKAGE))
    shape = (features.shape[1], width)
    layers = (
        jax.random.normal(jax.random.key(seed), shape) / jnp.sqrt(shape[0]),
        jnp.zeros(width),
        jnp.zeros((width, log_pi.shape[1])),
    )
    nothing = (jnp.zeros(count), layers)
    gains = lambda p: gain_of(log_pi, guessed(*p, features, pairs), d)
    score = lambda p, m: jnp.sum(m * gains(p)) / jnp.sum(m)

    def surely(p: PyTree) -> Array:
        """The gain on `stop` less its standard error."""
        each, count = gains(p), jnp.sum(held)
        mean = jnp.sum(held * each) / count
        return mean - jnp.sqrt(jnp.sum(held * (each - mean) ** 2) / count / count)

    scores = jax.vmap(lambda b: score((b, layers), used + held))(ridge)
    best_ridge = (ridge[jnp.argmax(scores)], layers)
    first = surely(best_ridge)
    start = jax.tree.map(lambda a, b: jnp.where(first > 0, a, b), best_ridge, nothing)
    size = 1 + jnp.mean(jnp.abs(d))
    loss = lambda p: -score(p, used) / size + 1e-4 * jnp.mean(p[1][2] ** 2)
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        p, memory, best, kept = carry
        update, memory = optimiser.update(jax.grad(loss)(p), memory)
        p = optax.apply_updates(p, update)
        now = surely(p)
        kept = jax.tree.map(lambda a, b: jnp.where(now > best, a, b), p, kept)
        return (p, memory, jnp.maximum(now, best), kept), None

    begin = (start, optimiser.init(start), jnp.maximum(first, 0.0), start)
    return jax.lax.scan(step, begin, None, length=steps)[0][3], best_ridge[0]
