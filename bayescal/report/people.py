"""The posterior of each person's, group's or game's own cost (or level)."""

import numpy as np
import pandas as pd
import xarray as xr

from bayescal.posterior.fit import Fit
from bayescal.posterior.tree import personal

SHOWN = 60  # rows on the page; of more the extremes are shown
_SAME_AS_COST = ("log_cost", "log_cost_offset", "precision")  # not shown, because the cost says the same


def own_dimension(fit: Fit) -> str | None:
    """Whose cost (or level) is their own: "participant", "group" or "game"; None where it is one for all."""
    draws = personal(fit.tree)
    return next((str(draws[n].dims[-1]) for n in ("cost", "level") if n in draws and draws[n].ndim == 3), None)


def own_costs(fit: Fit) -> xr.DataArray | None:
    """The draws of each one's own cost; None where it is one for all."""
    draws = personal(fit.tree)
    return draws["cost"] if "cost" in draws and draws["cost"].ndim == 3 else None


def everyone(fit: Fit) -> pd.DataFrame | None:
    """By label, the number of decisions, and the median and 90 % interval of each parameter.

    Columns are "decisions" and, for each parameter, its name, "NAME low" and "NAME high". A level is a whole number: it
    has its most probable value, and "level probability".
    """
    dim = own_dimension(fit)
    if dim is None:
        return None
    draws = personal(fit.tree)
    labels = [str(x) for x in draws[dim].to_numpy()]
    columns: dict[str, object] = {}
    if (made := decisions_of(fit, dim)) is not None:
        columns["decisions"] = [made.get(label, 0) for label in labels]
    for name, x in draws.data_vars.items():
        if x.dims[2:] != (dim,) or name in _SAME_AS_COST or str(name).endswith("_offset"):
            continue
        values = x.to_numpy().reshape(-1, len(labels))
        plain = str(name).removesuffix(f"_by_{dim}")
        if values.dtype.kind in "iub":
            kinds = np.unique(values)
            shares = (values[:, :, None] == kinds).mean(axis=0)
            columns[plain], columns[f"{plain} probability"] = kinds[shares.argmax(axis=1)], shares.max(axis=1)
            continue
        low, mid, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
        columns |= {plain: mid, f"{plain} low": low, f"{plain} high": high}
    return pd.DataFrame(columns, index=pd.Index(labels, name=dim))


def decisions_of(fit: Fit, dim: str) -> dict[str, int] | None:
    """The number of decisions by label; None where the fit does not say."""
    constant = fit.tree["constant_data"].to_dataset()
    if f"cell_{dim}" in constant:
        labels_of_rows, n = constant[f"cell_{dim}"].to_numpy(), constant["total"].to_numpy()
    elif dim in constant:
        labels_of_rows = constant[dim].to_numpy()
        n = np.ones(len(labels_of_rows), int)
    else:
        return None
    labels, index = np.unique(labels_of_rows.astype(str), return_inverse=True)
    return dict(zip(labels.tolist(), np.bincount(index, n).astype(int).tolist(), strict=True))


def extremes(table: pd.DataFrame, by: str, shown: int = SHOWN) -> pd.DataFrame:
    """All rows, or of many the lowest and the highest."""
    ordered = table.sort_values(by, kind="stable")
    return ordered if len(ordered) <= shown else pd.concat([ordered.head(shown // 2), ordered.tail(shown // 2)])


def name_of(dim: str, n: int = 1) -> str:
    """What a reader calls the units of a dimension."""
    plain = {"participant": ("person", "people"), "group": ("group", "groups"), "game": ("game", "games")}
    one, several = plain.get(dim, (dim, f"{dim}s"))
    return one if n == 1 else several
