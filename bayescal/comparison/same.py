"""Whether fits are of the same decisions, on the same grid and in the same rounds: only then can they be compared."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescal.comparison.pointwise import Constants, constants_of
from bayescal.errors import InputError
from bayescal.posterior.fit import Fit

_SHOWN = 5  # differences in a message


def refuse_different(fits: Mapping[str, Fit]) -> None:
    """Refuse fits that cannot be compared.

    Raises:
        InputError: the rows, grids or rounds that differ.
    """
    first, *others = fits
    for other in others:
        if differences := _differences(fits[first], fits[other], first, other):
            raise InputError(
                f"The fits {first!r} and {other!r} cannot be compared, because they are not of the same decisions: "
                f"{'; '.join(differences)}. Fit both to one table."
            )


def _differences(a: Fit, b: Fit, first: str, second: str) -> list[str]:
    known = {name: f.provenance["grids"] for name, f in ((first, a), (second, b)) if "grids" in f.provenance}
    if len(known) == 2 and known[first] != known[second]:
        return [f"the grid of {name!r} is {', '.join(grid[:_SHOWN])}" for name, grid in known.items()]
    here, there = rows_of(a), rows_of(b)
    if over_time(a) != over_time(b):
        return ["one is of a game over time, decision by decision, and the other of counts"]
    if grids := _other_grids(a, b, first, second):
        return grids
    shared = [c for c in here if c in there and c != "n"]
    tables = [t.groupby(shared, observed=True)["n"].sum() for t in (here, there)]
    both = pd.concat(tables, axis=1, keys=["first", "second"]).fillna(0).astype(int)
    differ = both[both["first"] != both["second"]]
    if len(differ):
        some = [
            f"{_row(shared, label)} is there {x} times in {first!r} and {y} times in {second!r}"
            for label, (x, y) in zip(differ.index[:_SHOWN], differ.to_numpy()[:_SHOWN], strict=True)
        ]
        more = f", and {len(differ) - _SHOWN:,} more rows differ" if len(differ) > _SHOWN else ""
        return [f"{', '.join(some)}{more}"]
    hashes = [f.provenance.get("data_hash") for f in (a, b)]
    if None not in hashes and hashes[0] != hashes[1]:
        return ["no decision differs, but what was seen before decisions, the rounds or the covariates do"]
    return []


def over_time(fit: Fit) -> bool:
    return "choice" in fit.tree["observed_data"]


def rows_of(fit: Fit) -> pd.DataFrame:
    """The decisions of a fit, with the columns that it has of game, participant, role, round, action and count (n)."""
    constants, observed = constants_of(fit), fit.tree["observed_data"].to_dataset()
    if "choice" in observed:
        names = [n for n in ("game", "participant", "role", "round", "action") if n in constants]
        table = pd.DataFrame({n: constants[n] for n in names})
        if "action" not in table:
            table["action"] = observed["choice"].to_numpy()
        return table.assign(n=1)
    counts = observed["choices"].to_numpy()
    cell, action = np.nonzero(counts)
    names = [n for n in ("game", "participant", "role") if f"cell_{n}" in constants]
    table = pd.DataFrame({n: constants[f"cell_{n}"][cell] for n in names})
    return table.assign(action=action, n=counts[cell, action])


def _other_grids(a: Fit, b: Fit, first: str, second: str) -> list[str]:
    """The games and roles whose number of actions differs, of counted choices."""
    sizes = [_grid_sizes(constants_of(f)) for f in (a, b)]
    apart = [k for k in sizes[0] if k in sizes[1] and sizes[0][k] != sizes[1][k]]
    return [
        f"{game}, role {role} has {sizes[0][game, role]} actions in {first!r} and {sizes[1][game, role]} in {second!r}"
        for game, role in apart[:_SHOWN]
    ]


def _grid_sizes(constants: Constants) -> dict[tuple[str, str], int]:
    if "available" not in constants:
        return {}
    size = constants["available"].sum(axis=1)
    keys = zip(constants["cell_game"].astype(str), constants["cell_role"].astype(str), strict=True)
    return {k: int(n) for k, n in zip(keys, size, strict=True)}


def _row(names: list[str], label: object) -> str:
    values = label if isinstance(label, tuple) else (label,)
    return ", ".join(f"{n} {v}" for n, v in zip(names, values, strict=True))
