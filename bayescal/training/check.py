"""Checks of a game before training, which may take minutes to compile."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from bayescal.environments.base import Environment
from bayescal.errors import InputError

_TRIES = 64


def check_environment(environment: Environment) -> None:
    """Play a few random rounds.

    Raises:
        InputError: `step` changes the state's structure, shapes or types; payoffs have a wrong shape or are not finite;
            or `see` returns numbers that are not finite.
    """
    env, key = environment, jax.random.key(0)
    params = jax.tree.map(jnp.asarray, env.params)
    sizes = jnp.asarray([len(env.action_values[r]) for r, n in enumerate(env.role_counts) for _ in range(n)])
    start = jax.eval_shape(env.reset, key, params)
    joint = jax.ShapeDtypeStruct((env.players,), jnp.int32)
    state, payoffs, done = jax.eval_shape(env.step, key, start, joint, params)
    problems = _changed(start, state)
    if payoffs.shape != (env.players,):
        problems.append(
            f"step returns payoffs of shape {payoffs.shape}, where {(env.players,)} is needed, one a player"
        )
    if done.shape != ():
        problems.append(f"step returns done of shape {done.shape}, where one value is needed")
    if problems:
        raise InputError(f"{env.name}: {'; '.join(problems)}.")

    @jax.jit
    def play(key: PRNGKeyArray) -> PyTree:
        def one_round(state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, PyTree]:
            act, go = jax.random.split(key)
            joint = jax.random.randint(act, (env.players,), 0, sizes)
            state, payoffs, _ = env.step(go, state, joint, params)
            seen = [env.see(env.observe(state, i), params) for i in range(env.players)]
            return state, (joint, payoffs, jnp.stack([jnp.all(jnp.isfinite(x)) for x in seen]))

        first, rest = jax.random.split(key)
        return jax.lax.scan(one_round, env.reset(first, params), jax.random.split(rest, min(env.horizon, 50)))[1]

    joint, payoffs, finite = jax.tree.map(np.asarray, jax.vmap(play)(jax.random.split(key, _TRIES)))
    if not np.all(np.isfinite(payoffs)):
        game, when, player = np.argwhere(~np.isfinite(payoffs))[0]
        problems.append(
            f"step returns the payoff {payoffs[game, when, player]} for player {player} in round {when} after the "
            f"actions {joint[game, when].tolist()}, where a finite number is needed"
        )
    if not np.all(finite):
        game, when, player = np.argwhere(~finite)[0]
        problems.append(f"what player {player} observes after round {when} is not finite (`observe`, `see`)")
    if problems:
        raise InputError(f"{env.name}: {'; '.join(problems)}.")


def _changed(before: PyTree, after: PyTree) -> list[str]:
    if jax.tree.structure(before) != jax.tree.structure(after):
        return [f"step changes the state's structure from {jax.tree.structure(before)} to {jax.tree.structure(after)}"]
    leaves = jax.tree_util.tree_leaves_with_path(before)
    return [
        f"step changes the state{jax.tree_util.keystr(path)} from {x.dtype}{list(x.shape)} to {y.dtype}{list(y.shape)}"
        for (path, x), y in zip(leaves, jax.tree.leaves(after), strict=True)
        if (x.shape, x.dtype) != (y.shape, y.dtype)
    ]
