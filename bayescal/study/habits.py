"""The `prior` of a dataset.toml: habits by name, whose product is the prior."""

from collections.abc import Mapping, Sequence

from bayescal.errors import InputError
from bayescal.priors import HABITS
from bayescal.priors.base import Prior
from bayescal.priors.product import Product

# A name, or {"kind": name} with the habit's options beside it.
Habit = str | Mapping[str, object]


def build_prior(habits: Sequence[Habit]) -> Prior | None:
    """The product of these habits; None if there are none.

    Raises:
        InputError: a name that is not registered, or options that the habit does not have.
    """
    parts: list[Prior] = []
    faults: list[str] = []
    for habit in habits:
        given = {"kind": habit} if isinstance(habit, str) else habit
        name, options = str(given["kind"]), {k: v for k, v in given.items() if k != "kind"}
        if name not in HABITS:
            faults.append(f"there is no habit {name!r}; there are {', '.join(HABITS)}")
            continue
        try:
            kind = HABITS[name]
            parts.append(kind(**options) if options else kind.example())
        except InputError as error:
            faults.append(f"{name}: {str(error).rstrip('.')}")
        except Exception:  # noqa: BLE001 - whatever a habit makes of options of a wrong kind
            faults.append(
                f"{name} does not take {', '.join(f'{k} = {v!r}' for k, v in options.items()) or 'no options'}"
            )
    if faults:
        raise InputError(f"prior under [model]: {'; '.join(faults)}.")
    if len(parts) > 1:
        return Product(tuple(parts))
    return parts[0] if parts else None
