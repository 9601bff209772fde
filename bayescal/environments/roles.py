"""Players and their roles; this file imports no JAX."""

from collections.abc import Sequence


def role_of_player(role_counts: Sequence[int]) -> tuple[int, ...]:
    """The role of each player, players being numbered role by role."""
    return tuple(r for r, n in enumerate(role_counts) for _ in range(n))
