"""Tables of payoffs, checked; this file imports no JAX."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from bayescal.errors import InputError


def check_payoffs(payoffs: object, where: str) -> Float[np.ndarray, "players ..."]:
    """Payoffs as one (players, A1, …, An) array of finite numbers, or a sentence that says what is wrong."""
    expected = "payoffs must be nested lists payoffs[player][a1][a2]…, one table of the same shape for each player"
    if (odd := next(_not_numbers(payoffs), None)) is not None:
        raise InputError(f"{where}: the payoffs are not all numbers, there is {odd!r}; {expected}.")
    try:
        tensor = np.array(payoffs, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: the payoffs are ragged or not all numbers; {expected}.") from None
    except OverflowError:
        raise InputError(f"{where}: one of the payoffs is too large; {expected}.") from None
    if tensor.ndim < 2 or tensor.shape[0] != tensor.ndim - 1:
        tables = tensor.shape[0] if tensor.ndim else 0
        raise InputError(
            f"{where}: found {tables} payoff tables, each with {max(tensor.ndim - 1, 0)} dimensions "
            f"(shape {tensor.shape}); {expected}, with as many dimensions as players."
        )
    if not np.all(np.isfinite(tensor)):
        at = np.argwhere(~np.isfinite(tensor))[0]
        raise InputError(f"{where}: payoffs{[int(i) for i in at]} is {tensor[tuple(at)]}; {expected}, all finite.")
    if min(tensor.shape) == 0:
        raise InputError(f"{where}: the payoffs have shape {tensor.shape}; every player needs at least one action.")
    if max(tensor.shape[1:]) == 1:
        raise InputError(f"{where}: nobody has a choice (shape {tensor.shape}); give somebody two actions.")
    return tensor


def _not_numbers(payoffs: object) -> Iterator[object]:
    """What stands in nested lists and is no number, though NumPy would take it for one."""
    if isinstance(payoffs, list | tuple):
        for entry in payoffs:
            yield from _not_numbers(entry)
    elif isinstance(payoffs, bool | str | bytes):
        yield payoffs
