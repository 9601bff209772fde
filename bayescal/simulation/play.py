"""Simulated play: a table of decisions such as an experiment would leave."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal._types import AnyArray, Parameters
from bayescal.environments.base import Environment, OneShot, Params, role_of_player
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.simulation.costs import NOBODY_INSIDE, box_of_costs, draw_cost
from bayescal.simulation.given import Numbers, check_box, is_count, population_of, read_params, read_phi, read_psi
from bayescal.simulation.solved import choice_tables, has_table, situation


class Played(NamedTuple):
    """What happened, by group, round and player."""

    actions: Int[AnyArray, "groups rounds players"]
    payoffs: Float[AnyArray, "groups rounds players"]
    recorded: Mapping[str, Float[AnyArray, "groups rounds players"]]  # the game's own columns
    live: Bool[AnyArray, "groups rounds players"]  # whether the game was still on


def simulate(
    policy: Policy,
    *,
    groups: int = 10,
    cost: Numbers | None = None,
    phi: Mapping[str, Numbers] | None = None,
    psi: Mapping[str, Numbers] | None = None,
    params: Mapping[str, Numbers] | None = None,
    seed: int = 0,
    rounds: int | None = None,
) -> pd.DataFrame:
    """Let groups of people play the policy's game: `simulate(policy, cost=5.0, seed=1)`.

    Args:
        policy: how people choose; its environment is the game.
        groups: how many games are played side by side, each by its own people.
        cost: of information, in payoff units per nat: one number, one for each role, or an array (groups, players).
            Where everybody's cost is known to all, people of one role share it. Where costs are private, leave it
            out to draw each person's from the policy's population. Draws outside a learned policy's trained domain
            are drawn again, so `phi` then describes the population before truncation.
        phi: the population's parameters, where costs are private.
        psi, params: of the prior and of the game, by name; those left out keep their defaults.
        seed: determines everything random. More groups, or more rounds, leave the first ones unchanged.
        rounds: the most rounds of a game over time (default: its horizon; it may end earlier). A one-shot game is
            played that many times, with nothing carried from one to the next (default: once).

    Returns:
        One row a decision, by group, round and player: participant, group, role (if the game has several), round,
        action (its label), the game's own columns (`Environment.columns`), payoff, and the person's true cost.

    Raises:
        InputError: a number with a wrong name, shape or range, or outside a learned policy's trained domain; a game
            that could not be solved.

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
    parameters = read_phi(policy, phi), read_psi(policy, psi), read_params(env, params)
    draw, play = jax.random.split(jax.random.key(seed))
    own = _costs(policy, cost, parameters[0], groups, draw)
    check_box(policy, own, *parameters)
    length = rounds or (1 if isinstance(env, OneShot) else env.horizon)
    choices = _choices(policy, own, *parameters) if has_table(policy) else None
    played = _play(policy, jnp.asarray(own, jnp.result_type(float)), choices, *parameters, play, length)
    return _table(env, jax.tree.map(np.asarray, played), own)


def _costs(
    policy: Policy, cost: Numbers | None, phi: Parameters | None, groups: int, key: PRNGKeyArray
) -> Float[np.ndarray, "groups players"]:
    """Everybody's own cost."""
    env, population = policy.environment, population_of(policy)
    if cost is None:
        if population is None or phi is None:
            raise InputError("No cost was given: pass cost=…, in payoff units per nat (one number, or one per role).")
        one = lambda key: draw_cost(population, key, phi, box_of_costs(policy))
        each = lambda g: jax.vmap(one)(jax.random.split(jax.random.fold_in(key, g), env.players))
        costs = np.asarray(jax.jit(jax.vmap(each))(jnp.arange(groups)))
        if np.isnan(costs).any():
            raise InputError(f"phi is {', '.join(f'{n} = {x:g}' for n, x in phi.items())}: {NOBODY_INSIDE}")
        return costs
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
                f"cost differs between people of one role in {env.name}, but the policy takes costs that everybody "
                "knows, one for each role: give them one cost, or use a policy with a population."
            )
    return own


def _first_players(env: Environment) -> list[int]:
    """The first player of each role."""
    return np.cumsum([0, *env.role_counts[:-1]]).tolist()


def _choices(
    policy: Policy,
    own: Float[np.ndarray, "groups players"],
    phi: Parameters | None,
    psi: Parameters,
    params: Parameters,
) -> Float[Array, "#groups players situations actions"]:
    """Everybody's log-probabilities in every situation. The game is solved once for each distinct cost (for each
    distinct vector of costs where everybody knows them)."""
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
def _play(
    policy: Policy,
    own: Float[Array, "groups players"],
    choices: Float[Array, "groups players situations actions"] | None,
    phi: Parameters | None,
    psi: Parameters,
    params: Params,
    key: PRNGKeyArray,
    rounds: int,
) -> Played:
    env = policy.environment
    private = population_of(policy) is not None
    players = jnp.arange(env.players)

    def log_probs(
        state: PyTree, own: Float[Array, " players"], choices: Float[Array, "players situations actions"] | None
    ) -> Float[Array, "players actions"]:
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

    def game(
        group: Int[Array, ""],
        own: Float[Array, " players"],
        choices: Float[Array, "players situations actions"] | None,
    ) -> Played:
        of_game = jax.random.fold_in(key, group)

        def one_round(carry: tuple[PyTree, Array], t: Int[Array, ""]) -> tuple[tuple[PyTree, Array], Played]:
            state, over = carry
            act, noise = jax.random.split(jax.random.fold_in(of_game, t))
            log_p = log_probs(state, own, choices)
            keys = jax.vmap(lambda i: jax.random.fold_in(act, i))(players)
            joint = jax.vmap(jax.random.categorical)(keys, log_p).astype(jnp.int32)
            after, payoffs, done = env.step(noise, state, joint, params)
            live = jnp.broadcast_to(~over, joint.shape)
            played = Played(joint, payoffs, env.record(state, joint, after, params), live)
            # People meet strangers in every repetition of a one-shot game, so it begins again.
            return ((state, over) if isinstance(env, OneShot) else (after, over | done)), played

        start = env.reset(jax.random.fold_in(of_game, 0), params), jnp.asarray(False)
        return jax.lax.scan(one_round, start, jnp.arange(1, rounds + 1))[1]

    groups = jnp.arange(own.shape[0])
    return jax.vmap(game, in_axes=(0, 0, None if choices is None else 0))(groups, own, choices)


def _table(env: Environment, played: Played, own: Float[np.ndarray, "groups players"]) -> pd.DataFrame:
    roles = np.array(role_of_player(env.role_counts))
    named = [[("", labels), *env.named_situations(r)] for r, labels in enumerate(env.action_labels)]
    live, payoffs, recorded = np.asarray(played.live), np.asarray(played.payoffs), dict(played.recorded)
    place = np.zeros(live.shape, int)
    if max(map(len, named)) > 1:  # a tree: who does not move decides nothing, and is paid after their last move
        situation = np.asarray(recorded["situation"])
        live = live & np.isfinite(situation)
        place = np.where(live, np.nan_to_num(situation) + 1, 0).astype(int)
        last = live & (np.cumsum(live[:, ::-1], axis=1)[:, ::-1] == 1)
        earned = np.where(played.live, payoffs, 0.0).sum(axis=1, keepdims=True)
        payoffs = np.where(last, earned, 0.0)
        recorded["situation"] = _padded([[name for name, _ in row] for row in named])[roles, place]
    group, when, player = np.nonzero(live)
    role = roles[player]
    labels = np.stack(
        [_padded([labels for _, labels in row], env.mask.shape[1], max(map(len, named))) for row in named]
    )
    groups = np.array([f"g{i + 1:03d}" for i in range(len(own))], object)
    people = np.array([f"-p{i + 1:0{len(str(env.players))}d}" for i in range(env.players)], object)
    columns: dict[str, np.ndarray] = {"participant": groups[group] + people[player], "group": groups[group]}
    if env.roles > 1:
        columns["role"] = np.array(env.role_names, object)[role]
    columns |= {"round": when + 1, "action": labels[role, place[live], played.actions[live]]}
    columns |= {n: np.asarray(x)[live] for n, x in recorded.items()}
    return pd.DataFrame({**columns, "payoff": payoffs[live], "cost": own[group, player]})


def _padded(rows: Sequence[Sequence[str]], width: int | None = None, height: int | None = None) -> np.ndarray:
    """Texts as an array, rows filled up with empty ones."""
    width, height = width or max(map(len, rows)), height or len(rows)
    return np.array([[*row, *[""] * (width - len(row))] for row in [*rows, *[()] * (height - len(rows))]], object)
