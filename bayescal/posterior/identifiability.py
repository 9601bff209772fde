"""What the data say of each parameter of a fit, and what they cannot say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from bayescal.plain import listed

UNMOVED = 0.1  # a contraction below it is next to nothing
RIDGE = 0.9  # a rank correlation beyond it

MOST = 20  # entries of a site of which each is a row


@dataclass(frozen=True)
class Identifiability:
    """By parameter what was learned (or will be), and which combinations are known where their parts are not.

    Attributes:
        table: prior sd, posterior sd, contraction and a verdict, by parameter. Before the data the posterior is the one
            to expect, and sds are on the unconstrained scale (of the logarithm, for what is positive).
        ridges: after the data, pairs of rank correlation above 0.9, with what is known of them.
        unknown: before the data, combinations that they will say next to nothing of, in words.
    """

    table: pd.DataFrame
    ridges: pd.DataFrame
    unknown: tuple[str, ...] = ()
    after_data: bool = True

    @property
    def sentences(self) -> list[str]:
        """What a reader must know; none where every parameter is known apart from the others."""
        low = self.table.index[self.table["contraction"] < UNMOVED]
        told = []
        if self.after_data:
            still = [n for n in low if self.table.loc[n, "verdict"] == _NOT_MOVED]
            moved = [n for n in low if n not in still]
            if still:
                told.append(f"The data do not move {listed(still)}: what is said of {_it(still)} is what was assumed.")
            if moved:
                told.append(f"The data move {listed(moved)} without narrowing {_it(moved)}: look at the prior's place.")
            told += [
                f"{a} and {b} cannot be told apart (rank correlation {rho:.2f}): {known} is what the data say."
                for a, b, rho, known in self.ridges.itertuples(index=False, name=None)
                if min(self.table.loc[[a, b], "contraction"]) < 0.9
            ]
            return told
        if len(low):
            told.append(f"These data can be expected to say next to nothing of {listed(list(low))}.")
        return told + [f"These data can be expected to say next to nothing of {u}." for u in self.unknown]

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
    before, now = scalars(tree, "prior"), scalars(tree, "posterior")
    return pd.Series({n: _contraction(before[n], now[n]) for n in now if n in before}, name="contraction", dtype=float)


def scalars(tree: xr.DataTree, group: str) -> dict[str, np.ndarray]:
    """Draws of each number that was sampled, those of single people and offsets left out."""
    sampled = tree["log_prior"].data_vars if "log_prior" in tree.children else tree[group].data_vars
    out = {}
    for name, x in tree[group].data_vars.items():
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


def _width(x: np.ndarray) -> float:
    """Of the middle 90 %, in sds of a normal: heavy tails do not count."""
    low, high = np.quantile(x, [0.05, 0.95])
    return float(max(high - low, 1e-300) / 3.2897)


def _contraction(before: np.ndarray, now: np.ndarray) -> float:
    return 1 - (_width(now) / _width(before)) ** 2


def verdict_of(contraction: float, moved: float) -> str:
    """By the contraction, and by how many prior sds the median moved."""
    if contraction < UNMOVED:
        return _NOT_MOVED if abs(moved) < 0.5 else "moved, not narrowed"
    if contraction < 0.5:
        return "narrowed a little"
    return "informed by the data" if contraction < 0.9 else "told by the data"


NO_RIDGES = pd.DataFrame(columns=["first", "second", "correlation", "known"])


def _ridges(now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Pairs that the data tie to each other more than the prior did."""
    names = [n for n, x in now.items() if np.ptp(x) > 0]
    if len(names) < 2:
        return NO_RIDGES
    later, prior = (_rank_correlation([x[n] for n in names]) for x in (now, before))
    rows = []
    for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
        if abs(later[i, j]) > RIDGE and abs(prior[i, j]) <= RIDGE:
            a, b = names[i], names[j]
            first, second = (a, b) if _width(now[a]) <= _width(now[b]) else (b, a)
            # The narrow direction: what is said by the data is the sum where one falls as the other rises.
            slope = np.sign(later[i, j]) * _width(now[first]) / _width(now[second])
            rows.append((first, second, later[i, j], combination([first, second], np.array([1.0, -slope]))))
    return pd.DataFrame(rows, columns=NO_RIDGES.columns) if rows else NO_RIDGES


def _rank_correlation(columns: list[np.ndarray]) -> np.ndarray:
    return np.corrcoef([rankdata(x) for x in columns])


def combination(names: list[str], weights: np.ndarray) -> str:
    """`a - 0.8 b`: the first weight made one."""
    scaled = weights / weights[0]
    rest = "".join(
        f" {'+' if w > 0 else '−'} {'' if f'{abs(w):.2g}' == '1' else f'{abs(w):.2g} '}{n}"
        for n, w in zip(names[1:], scaled[1:], strict=True)
    )
    return names[0] + rest


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
