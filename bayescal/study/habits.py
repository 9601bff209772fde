"""The `prior` of a dataset.toml: habits by name, of which the product is the prior."""

from collections.abc import Sequence
from typing import Any

from bayescal import priors
from bayescal.errors import InputError
from bayescal.priors.base import Prior


def build_prior(habits: Sequence[Any]) -> Prior | None:
    """None where there are none."""
    parts, faults = [], []
    for habit in habits:
        options = {} if isinstance(habit, str) else {k: v for k, v in habit.items() if k != "kind"}
        kind = habit if isinstance(habit, str) else habit["kind"]
        made = getattr(priors, kind, None)
        if not (isinstance(made, type) and issubclass(made, Prior)):
            faults.append(f"there is no habit {kind!r}; there are {', '.join(_kinds())}")
            continue
        try:
            parts.append(made(**options))
        except TypeError:
            faults.append(f"{kind} does not take {', '.join(options) or 'no options'}")
    if faults:
        raise InputError(f"prior under [model]: {'; '.join(faults)}.")
    return None if not parts else parts[0] if len(parts) == 1 else priors.Product(tuple(parts))


def _kinds() -> list[str]:
    single = (n for n in priors.__all__ if n not in ("Mixture", "Product", "Empirical"))
    return [n for n in single if isinstance(getattr(priors, n), type)]
