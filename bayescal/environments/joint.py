"""Joint actions of the other players, listed one by one."""

from collections.abc import Callable, Sequence
from math import prod

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal.errors import InputError

LARGEST_TABLE = 2_000_000  # payoffs of one role that are enumerated


def payoffs_by_enumeration(
    payoffs: Callable[[Int[Array, " players"]], Float[Array, " players"]], sizes: Sequence[int], player: int
) -> Float[Array, "actions others"]:
    """Payoff of each action of a player against each joint action of the others, the last player's action fastest.

    Args:
        payoffs: of a joint action (indices into the grid).
        sizes: how many actions each player has.
    """
    others = [n for i, n in enumerate(sizes) if i != player]
    # Without the barrier XLA folds the table of a game with known payoffs into a constant, which takes seconds.
    columns = jax.lax.optimization_barrier(jnp.arange(prod(others)))

    def one(action: Int[Array, ""], column: Int[Array, ""]) -> Float[Array, ""]:
        joint = list(jnp.unravel_index(column, others))
        joint.insert(player, action)
        return payoffs(jnp.stack(joint))[player]

    return jax.vmap(lambda action: jax.vmap(lambda column: one(action, column))(columns))(jnp.arange(sizes[player]))


def joint_probabilities(mixtures: Sequence[Float[Array, " _"]]) -> Float[Array, " joint"]:
    """The probability of each joint action of independent players, the last player's action fastest."""
    joint = jnp.ones(1, mixtures[0].dtype if mixtures else jnp.result_type(float))
    for mixture in mixtures:
        joint = jnp.outer(joint, mixture).reshape(-1)
    return joint


def check_enumerable(name: str, entries: int) -> None:
    """Refuse a table of payoffs that is too large to be enumerated."""
    if entries > LARGEST_TABLE:
        raise InputError(
            f"{name}: each own action against each joint action of the others makes {entries:,} payoffs, more than "
            f"{LARGEST_TABLE:,}: use fewer actions or players, or write `expected_payoffs` (and `joint_table`) of the "
            "game, for example as a `GameOfTotals`."
        )
