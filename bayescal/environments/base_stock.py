"""Base-stock policies of a supply chain: the benchmark for players whose cost of information is zero."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.supply_chain import ChainState, SupplyChain
from bayescal.errors import InputError

Levels = Float[Array, " echelons"]


class BaseStock(NamedTuple):
    """The best levels found, their mean discounted payoff per game, and its standard error."""

    levels: tuple[float, ...]
    payoff: float
    standard_error: float


def base_stock_orders(environment: SupplyChain, state: ChainState, levels: Levels) -> Int[Array, " echelons"]:
    """Each echelon orders up to its level of inventory plus supply line: the nearest order of the grid."""
    wanted = levels - state.inventory - state.supply_line
    grid = jnp.asarray(environment.action_values[0])
    return jnp.argmin(jnp.abs(wanted[:, None] - grid), axis=1).astype(jnp.int32)


def rounds_that_count(environment: SupplyChain) -> int:
    """All rounds, or the first ones with 99.9 % of the discounted weight."""
    if environment.discount == 1:
        return environment.horizon
    return math.ceil(math.log(1e-3) / math.log(environment.discount))


def base_stock_payoffs(
    environment: SupplyChain, levels: Levels, *, games: int = 256, seed: int = 0
) -> Float[Array, " games"]:
    """The discounted payoff of each of `games` games, averaged over the echelons. Same seed, same demand."""
    params = jax.tree.map(jnp.asarray, environment.params)

    def play(key):
        def week(carry, key):
            state, weight = carry
            state, payoffs, _ = environment.step(key, state, base_stock_orders(environment, state, levels), params)
            return (state, weight * environment.discount), weight * jnp.mean(payoffs)

        begin, go = jax.random.split(key)
        keys = jax.random.split(go, rounds_that_count(environment))
        _, paid = jax.lax.scan(week, (environment.reset(begin, params), jnp.ones(())), keys)
        return jnp.sum(paid)

    return jax.vmap(play)(jax.random.split(jax.random.key(seed), games))


def best_base_stock(
    environment: SupplyChain, *, games: int = 256, seed: int = 0, reach: int = 12, most_sweeps: int = 30
) -> BaseStock:
    """Search for the levels that are best for the whole chain: one echelon at a time, whole numbers, the same demand
    for all candidates, until no level changes. The payoff is then computed again with other demand.

    Args:
        games: number of simulated games per candidate.
        reach: the largest change of a level in one step.
    """
    weekly, lead = environment.usual, environment.order_delay + environment.shipping_delay
    levels = np.full(environment.roles, np.round(weekly * (lead + 1)))
    steps = np.arange(-reach, reach + 1)

    @jax.jit
    def try_all(candidates):
        return jax.lax.map(lambda s: jnp.mean(base_stock_payoffs(environment, s, games=games, seed=seed)), candidates)

    best = -np.inf
    for _ in range(most_sweeps):
        before = levels.copy()
        for i in reversed(range(environment.roles)):
            candidates = np.repeat(levels[None], len(steps), axis=0)
            candidates[:, i] += steps
            payoffs = np.asarray(try_all(jnp.asarray(candidates)))
            if payoffs.max() > best:
                levels, best = candidates[payoffs.argmax()], payoffs.max()
        if np.array_equal(levels, before):
            break
    else:
        raise InputError(f"{environment.name}: the search for base-stock levels did not end; raise most_sweeps.")
    again = jax.jit(lambda s: base_stock_payoffs(environment, s, games=4 * games, seed=seed + 1))
    paid = np.asarray(again(jnp.asarray(levels)))
    return BaseStock(tuple(levels.tolist()), float(paid.mean()), float(paid.std() / np.sqrt(len(paid))))
