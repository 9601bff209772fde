"""What others read: values as JSON has them, and names as a sentence has them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """As JSON has it: keys are texts, arrays are lists, and what is not a finite number is null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def listed(names: Sequence[str], most: int | None = 4) -> str:
    """`a, b and c`; of many the first few (None: all), and how many there are besides."""
    shown = names if most is None or len(names) <= most + 1 else [*names[:most], f"{len(names) - most:,} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
