"""What the data say about each parameter of a fit, and what they cannot say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.stats import rankdata

from bayescal.plain import listed
from bayescal.posterior.tree import group

UNMOVED = 0.1  # contraction, below which the data say almost nothing
RIDGE = 0.9  # rank correlation, above which two parameters form a ridge

MOST = 20  # entries: a larger site has no rows


@dataclass(frozen=True)
class Identifiability:
    """By parameter what the data say (or will say), and combinations that they inform where they inform no part.

    Attributes:
        table: prior sd, posterior sd, contraction and a verdict, by parameter. Before the data the posterior is the
            expected one, and sds are on the unconstrained scale (of the logarithm, for positive parameters).
        ridges: after the data, pairs of rank correlation above 0.9, with the combination that the data inform.
        unknown: before the data, combinations that they will hardly inform, in words.
        after_data: whether this is from a fit; if False it is from a design.
    """

    table: pd.DataFrame
    ridges: pd.DataFrame
    unknown: tuple[str, ...] = ()
    after_data: bool = True

    @property
    def sentences(self) -> list[str]:
        """Warnings for the reader; empty if the data inform every parameter separately."""
        uninformed = [*map(str, self.table.index[self.table["contraction"] < UNMOVED])]
        return self._after(uninformed) if self.after_data else self._before(uninformed)

    def _after(self, uninformed: list[str]) -> list[str]:
        unmoved = [n for n in uninformed if self.table.loc[n, "verdict"] == _NOT_MOVED]
        moved = [n for n in uninformed if n not in unmoved]
        warnings = []
        if unmoved:
            warnings.append(f"The data do not inform {listed(unmoved)}: the posterior is the prior.")
        if moved:
            them = "it" if len(moved) == 1 else "them"
            warnings.append(f"The data move {listed(moved)} without narrowing {them}: check where the prior lies.")
        return warnings + [
            f"The data cannot separate {a} and {b} (rank correlation {rho:.2f}): they inform {known}."
            for a, b, rho, known in self.ridges.itertuples(index=False, name=None)
            if min(self.table.loc[[a, b], "contraction"]) < 0.9
        ]

    def _before(self, uninformed: list[str]) -> list[str]:
        subjects = ([listed(uninformed)] if uninformed else []) + list(self.unknown)
        return [f"These data will say almost nothing about {subject}." for subject in subjects]

    def __str__(self) -> str:
        return "\n".join([self.table.to_string(float_format=lambda x: f"{x:.3g}"), *self.sentences])


_NOT_MOVED = "not moved by the data"


def after(tree: xr.DataTree) -> Identifiability:
    """From the prior and posterior draws of a fit."""
    before, now = scalars(tree, "prior"), scalars(tree, "posterior")
    names = [n for n in now if n in before]
    shrunk = {n: _contraction(before[n], now[n]) for n in names}
    rows = {
        n: {
            "prior sd": before[n].std(),
            "posterior sd": now[n].std(),
            "contraction": shrunk[n],
            "verdict": verdict_of(shrunk[n], (np.median(now[n]) - np.median(before[n])) / _width(before[n])),
        }
        for n in names
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["prior sd", "posterior sd", "contraction", "verdict"])
    return Identifiability(table, _ridges({n: now[n] for n in names}, {n: before[n] for n in names}))


def contraction(tree: xr.DataTree) -> pd.Series:
    """See `Fit.contraction`."""
    before, now = scalars(tree, "prior"), scalars(tree, "posterior")
    return pd.Series({n: _contraction(before[n], now[n]) for n in now if n in before}, name="contraction", dtype=float)


def scalars(tree: xr.DataTree, kind: str) -> dict[str, np.ndarray]:
    """Draws of each sampled scalar and entry of a small array; entries of people and offsets are left out.

    Args:
        kind: "prior" or "posterior"; there are none of a group that the fit was saved without.
    """
    draws = group(tree, kind).data_vars
    sampled = tree["log_prior"].data_vars if "log_prior" in tree.children else draws
    out = {}
    for name, x in draws.items():
        own = x.dims[2:]
        entries = int(np.prod(x.shape[2:]))
        if name not in sampled or "participant" in own or str(name).endswith("_offset") or entries > MOST:
            continue
        flat = x.to_numpy().reshape(-1, entries)
        labels = [
            ", ".join(str(x[d].to_numpy()[i]) if d in x.coords else str(i) for d, i in zip(own, at, strict=True))
            for at in np.ndindex(*x.shape[2:])
        ]
        out |= {f"{name}[{label}]" if own else str(name): flat[:, i] for i, label in enumerate(labels)}
    return out


def _width(x: Float[np.ndarray, " draws"]) -> float:
    """The width of the middle 90 % in sds of a normal, which ignores heavy tails."""
    low, high = np.quantile(x, [0.05, 0.95])
    return float(max(high - low, 1e-300) / 3.2897)


def _contraction(before: np.ndarray, now: np.ndarray) -> float:
    return 1 - (_width(now) / _width(before)) ** 2


def verdict_of(contraction: float, moved: float) -> str:
    """A verdict in words.

    Args:
        contraction: see `Fit.contraction`.
        moved: by how many prior sds the median moved.
    """
    if contraction < UNMOVED:
        return _NOT_MOVED if abs(moved) < 0.5 else "moved, not narrowed"
    if contraction < 0.5:
        return "narrowed a little"
    return "informed by the data" if contraction < 0.9 else "determined by the data"


NO_RIDGES = pd.DataFrame(columns=["first", "second", "correlation", "known"])


def _ridges(now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Pairs that are correlated after the data and were not before."""
    names = [n for n, x in now.items() if np.ptp(x) > 0]
    if len(names) < 2:
        return NO_RIDGES
    later, prior = (_rank_correlation([x[n] for n in names]) for x in (now, before))
    rows = []
    for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
        if abs(later[i, j]) > RIDGE and abs(prior[i, j]) <= RIDGE:
            a, b = names[i], names[j]
            first, second = (a, b) if _width(now[a]) <= _width(now[b]) else (b, a)
            # The narrow direction: a sum if one falls as the other rises.
            slope = np.sign(later[i, j]) * _width(now[first]) / _width(now[second])
            rows.append((first, second, later[i, j], combination([first, second], np.array([1.0, -slope]))))
    return pd.DataFrame(rows, columns=NO_RIDGES.columns) if rows else NO_RIDGES


def _rank_correlation(columns: list[np.ndarray]) -> Float[np.ndarray, "columns columns"]:
    return np.corrcoef([rankdata(x) for x in columns])


def combination(names: list[str], weights: np.ndarray) -> str:
    """`a − 0.8 b`: weights relative to the first."""
    scaled = weights / weights[0]
    rest = "".join(
        f" {'+' if w > 0 else '−'} {'' if f'{abs(w):.2g}' == '1' else f'{abs(w):.2g} '}{n}"
        for n, w in zip(names[1:], scaled[1:], strict=True)
    )
    return names[0] + rest
