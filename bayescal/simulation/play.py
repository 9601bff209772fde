"""Simulated play: a table of decisions such as an experiment would leave."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int

from bayescal.environments.base import OneShot, role_of_player
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.simulation.costs import WALLED_OUT, box_of_costs, draw_cost
from bayescal.simulation.given import check_box, is_count, population_of, read_params, read_phi, read_psi
from bayescal.simulation.solved import choice_tables, has_table, situation


def simulate(
    policy: Policy,
    *,
    groups: int = 10,
    cost: Any = None,
    phi: Mapping[str, Any] | None = None,
    psi: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    rounds: int | None = None,
) -> pd.DataFrame:
    """Let groups of people play the policy's game: `simulate(policy, cost=5.0, seed=1)`.

    Args:
        policy: how people choose; its environment is the game.
        groups: how many games are played side by side, each by its own people.
        cost: of information, in payoff units per nat: one number, one for each role, or an array (groups, players).
            Where everybody's cost is known to all, people of one role share it. Where costs are private, leave it
            out to draw each person's from the policy's population (a draw that a learned policy does not answer for
            is drawn again: `phi` then describes the population before it is cut off there).
        phi: the population's parameters, where costs are private.
        psi, params: of the prior and of the game, by name; others are as the policy and its game have them.
        seed: everything random follows from it. More groups, or more rounds, leave the first ones as they were.
        rounds: of a game over time, at most (default: its horizon; it may be over before). A one-shot game is played
            that many times, with nothing carried from one to the next (default: once).

    Returns:
        One row a decision, by group, round and player: participant, group, role (if the game has several), round,
        action (its label), the game's own columns (`Environment.columns`), payoff, and the person's true cost.

    Raises:
        InputError: numbers of a wrong name, shape or range, outside a learned policy's box, or without a solution.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.ExactPolicy(bc.get_game("selten-chmura-01"))
        >>> table = bc.simulate(policy, cost=0.8, groups=2, rounds=3, seed=1)
        >>> list(table.columns), len(table)
        (['participant', 'group', 'role', 'round', 'action', 'payoff', 'cost'], 12)
    """
    sizes = {"groups": groups, "rounds": 1 if rounds is None else rounds}
    if small := [f"{name} is {x!r}" for name, x in sizes.items() if not is_count(x)]:
        raise InputError(f"{'; '.join(small)}: give a whole number of at least 1.")
    env = policy.environment
    given = read_phi(policy, phi), read_psi(policy, psi), read_params(env, params)
    draw, play = jax.random.split(jax.random.key(seed))
    own = _costs(policy, cost, given[0], groups, draw)
    check_box(policy, own, *given)
    length = rounds or (1 if isinstance(env, OneShot) else env.horizon)
    choices = _choices(policy, own, *given) if has_table(policy) else None
    played = _play(policy, jnp.asarray(own, jnp.result_type(float)), choices, *given, play, length)
    return _table(policy, jax.tree.map(np.asarray, played), own)


def _costs(policy: Policy, cost: Any, phi: Any, groups: int, key: Any) -> Float[np.ndarray, "groups players"]:
    """Everybody's own cost."""
    env, population = policy.environment, population_of(policy)
    if cost is None:
        if population is None:
            raise InputError("No cost was given: pass cost=…, in payoff units per nat (one number, or one per role).")
        one = lambda key: draw_cost(population, key, phi, box_of_costs(policy))
        each = lambda g: jax.vmap(one)(jax.random.split(jax.random.fold_in(key, g), env.players))
        drawn = np.asarray(jax.jit(jax.vmap(each))(jnp.arange(groups)))
        if np.isnan(drawn).any():
            raise InputError(f"phi is {', '.join(f'{n} = {x:g}' for n, x in phi.items())}: {WALLED_OUT}")
        return drawn
    own = np.asarray(cost, float)
    if own.shape == (env.roles,):
        own = own[list(role_of_player(env.role_counts))]
    elif own.shape not in ((), (groups, env.players)):
        raise InputError(
            f"cost has shape {own.shape}: give one number, one for each role of {env.name} "
            f"({', '.join(env.role_names)}), or an array {(groups, env.players)} (groups, players)."
        )
    if np.isnan(own).any():
        raise InputError("cost is NaN: every cost must be a positive number of payoff units per nat.")
    own = np.broadcast_to(own, (groups, env.players))
    if population is None:
        first = own[:, _first_players(env)][:, list(role_of_player(env.role_counts))]
        if np.any(own != first):
            raise InputError(
                f"cost differs between people of one role in {env.name}, but the policy is for costs that everybody "
                "knows, one for each role: give them one cost, or use a policy with a population."
            )
    return own


def _first_players(env: Any) -> list[int]:
    """The first player of each role, for what all players of a role share."""
    return np.cumsum([0, *env.role_counts[:-1]]).tolist()


def _choices(
    policy: Policy, own: Any, phi: Any, psi: Any, params: Any
) -> Float[Array, "groups players situations actions"]:
    """What everybody does in every situation of a game that is solved once for each distinct cost (where all know
    everybody's: for each distinct vector of them)."""
    roles = np.array(role_of_player(policy.environment.role_counts))
    if population_of(policy) is not None:
        distinct, which = np.unique(own, return_inverse=True)
        which = which.reshape(own.shape)
    else:
        distinct, which = np.unique(own[:, _first_players(policy.environment)], axis=0, return_inverse=True)
        which = which.reshape(-1, 1)
    costs = jnp.asarray(distinct, jnp.result_type(float))
    tables = choice_tables(policy, costs, phi, psi, params)
    return jnp.asarray(tables[which, roles])


@eqx.filter_jit
def _play(policy: Policy, own: Any, choices: Any, phi: Any, psi: Any, params: Any, key: Any, rounds: int) -> Any:
    """(actions, payoffs, recorded columns, whether the game was still on): (groups, rounds, players) each."""
    env = policy.environment
    private = population_of(policy) is not None
    players = jnp.arange(env.players)

    def log_probs(state: Any, own: Any, choices: Any) -> Float[Array, "players actions"]:
        if choices is not None:
            seen = [situation(policy, env.observe(state, i)) for i in range(env.players)]
            return choices[players, jnp.stack(seen)]
        rows, first = [], 0
        for role, count in enumerate(env.role_counts):
            seen = [env.observe(state, i) for i in range(first, first + count)]
            known = own[first : first + count] if private else own[jnp.asarray(_first_players(env))]
            ask = lambda o, c, role=role: policy.log_prob((role, o), c, phi, psi, params)
            in_axes = (0, 0 if private else None)
            rows.append(jax.vmap(ask, in_axes=in_axes)(jax.tree.map(lambda *x: jnp.stack(x), *seen), known))
            first += count
        return jnp.concatenate(rows)

    def game(group: Int[Array, ""], own: Float[Array, " players"], choices: Any) -> Any:
        mine = jax.random.fold_in(key, group)

        def round_(carry: Any, t: Int[Array, ""]) -> Any:
            state, over = carry
            act, noise = jax.random.split(jax.random.fold_in(mine, t))
            log_p = log_probs(state, own, choices)
            keys = jax.vmap(lambda i: jax.random.fold_in(act, i))(players)
            joint = jax.vmap(jax.random.categorical)(keys, log_p).astype(jnp.int32)
            after, payoffs, done = env.step(noise, state, joint, params)
            out = joint, payoffs, env.record(state, joint, after, params), jnp.broadcast_to(~over, joint.shape)
            # People meet strangers in every repetition of a one-shot game: it begins anew.
            return ((state, over) if isinstance(env, OneShot) else (after, over | done)), out

        start = env.reset(jax.random.fold_in(mine, 0), params), jnp.asarray(False)
        return jax.lax.scan(round_, start, jnp.arange(1, rounds + 1))[1]

    groups = jnp.arange(own.shape[0])
    return jax.vmap(game, in_axes=(0, 0, None if choices is None else 0))(groups, own, choices)


def _table(policy: Policy, played: Any, own: Float[np.ndarray, "groups players"]) -> pd.DataFrame:
    env = policy.environment
    actions, payoffs, recorded, written = played
    group, when, player = np.nonzero(written)
    role = np.array(role_of_player(env.role_counts))[player]
    width = env.mask.shape[1]
    labels = np.array([[*row, *[""] * (width - len(row))] for row in env.action_labels], object)
    groups = np.array([f"g{i + 1:03d}" for i in range(len(own))], object)
    people = np.array([f"-p{i + 1:0{len(str(env.players))}d}" for i in range(env.players)], object)
    columns: dict[str, Any] = {"participant": groups[group] + people[player], "group": groups[group]}
    if env.roles > 1:
        columns["role"] = np.array(env.role_names, object)[role]
    columns |= {"round": when + 1, "action": labels[role, actions[written]]}
    columns |= {n: x[written] for n, x in recorded.items()}
    return pd.DataFrame({**columns, "payoff": payoffs[written], "cost": own[group, player]})
