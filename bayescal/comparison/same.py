"""Are fits of the same decisions, on the same grid and in the same rounds? Otherwise they cannot be compared."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescal.comparison.pointwise import Constants, constants_of
from bayescal.errors import InputError
from bayescal.posterior.fit import Fit

_TOLD = 5


def refuse_different(fits: Mapping[str, Fit]) -> None:
    """
    Raises:
        InputError: which rows, grids or rounds differ.
    """
    first, *others = fits
    for other in others:
        if told := _differences(fits[first], fits[other], first, other):
            raise InputError(
                f"The fits {first!r} and {other!r} cannot be compared, because they are not of the same decisions: "
                f"{'; '.join(told)}. Fit both to one table."
            )


def _differences(a: Fit, b: Fit, first: str, second: str) -> list[str]:
    grids = {name: f.provenance["grids"] for name, f in ((first, a), (second, b)) if "grids" in f.provenance}
    if len(grids) == 2 and grids[first] != grids[second]:
        return [f"the grid of {name!r} is {', '.join(grid[:_TOLD])}" for name, grid in grids.items()]
    here, there = rows_of(a), rows_of(b)
    if over_time(a) != over_time(b):
        return ["one is of a game over time, decision by decision, and the other of counts"]
    if told := _other_grids(a, b, first, second):
        return told
    shared = [c for c in here if c in there and c != "n"]
    tables = [t.groupby(shared, observed=True)["n"].sum() for t in (here, there)]
    both = pd.concat(tables, axis=1, keys=["first", "second"]).fillna(0).astype(int)
    rows = both[both["first"] != both["second"]]
    if len(rows):
        some = [
            f"{_row(shared, label)} is there {x} times in {first!r} and {y} times in {second!r}"
            for label, (x, y) in zip(rows.index[:_TOLD], rows.to_numpy()[:_TOLD], strict=True)
        ]
        more = f", and {len(rows) - _TOLD:,} more rows differ" if len(rows) > _TOLD else ""
        return [f"{', '.join(some)}{more}"]
    hashes = [f.provenance.get("data_hash") for f in (a, b)]
    if None not in hashes and hashes[0] != hashes[1]:
        return ["no decision differs, but what was seen before decisions, the rounds or the covariates do"]
    return []


def over_time(fit: Fit) -> bool:
    return "choice" in fit.tree["observed_data"]


def rows_of(fit: Fit) -> pd.DataFrame:
    """What was decided, as far as a fit says it: game, group, participant, role, round, action and how often (n)."""
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
    """Of counted choices: how many actions there are in each game and role."""
    sizes = [_grid_sizes(constants_of(f)) for f in (a, b)]
    apart = [k for k in sizes[0] if k in sizes[1] and sizes[0][k] != sizes[1][k]]
    return [
        f"{game}, role {role} has {sizes[0][game, role]} actions in {first!r} and {sizes[1][game, role]} in {second!r}"
        for game, role in apart[:_TOLD]
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
