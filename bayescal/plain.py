"""Values as JSON has them, and lists of names and of faults as a sentence has them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

# By name, values as JSON or TOML have them: options of a game, keys of a section.
Options = Mapping[str, Any]


@runtime_checkable
class Listable(Protocol):
    """An array, or a number of NumPy or JAX."""

    def tolist(self) -> Any: ...


def plain(value: object) -> Any:
    """A value as JSON has it: keys are texts, arrays are lists, and numbers that are not finite are null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Listable):
        value = value.tolist()
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def listed(names: Sequence[str], most: int | None = 4) -> str:
    """`a, b and c`. Of many names only the first few (None: all), and how many more there are."""
    shown = names if most is None or len(names) <= most + 1 else [*names[:most], f"{len(names) - most:,} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def joined(faults: Sequence[str], most: int = 5) -> str:
    """`a; b`. Of many faults only the first few, and how many more there are."""
    more = f" and {len(faults) - most:,} more" if len(faults) > most else ""
    return f"{'; '.join(faults[:most])}{more}"
