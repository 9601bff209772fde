"""How far the posterior hangs on the prior: power-scaling (Kallioinen, Paananen, Bürkner & Vehtari 2024)."""

import warnings

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayescal.diagnostics.base import Check
from bayescal.plain import listed
from bayescal.posterior.fit import Fit
from bayescal.posterior.tree import personal

SENSITIVE = 0.05  # a change of the distribution when a density is raised to a power a little off one

_SAME = 1e-8  # nats
_MOST = 20  # entries of a site of which each is a row
_CONFLICT, _STRONG = "prior and data disagree", "prior-driven"


def sensitivity(fit: Fit) -> pd.DataFrame:
    """By parameter: how much its posterior moves as the hyperpriors, and as the likelihood, are raised to a power, and
    a verdict. What is below the hyperpriors (the costs of people given their population) is part of the model, and is
    not scaled. Where costs are integrated out, so they are here."""
    draws, log_prior = personal(fit.tree), fit.tree["log_prior"].to_dataset()
    log_lik = fit.tree["log_likelihood"].to_dataset()
    log_lik = log_lik[[n for n in log_lik if str(n).startswith("by_")] or list(log_lik)]
    hyper = [n for n in fit.provenance.get("hyperpriors", {}) if n in log_prior] or list(log_prior)
    names = [
        n
        for n, x in draws.items()
        if (n in log_prior or n == "log_cost") and "participant" not in x.dims and not str(n).endswith("_offset")
        and int(np.prod(x.shape[2:])) <= _MOST and float(x.std()) > 0
    ]  # fmt: skip
    if not names or not hyper:
        return pd.DataFrame(columns=["prior", "likelihood", "verdict"])
    tree = xr.DataTree.from_dict({"posterior": draws[names], "log_prior": log_prior[hyper], "log_likelihood": log_lik})
    table = pd.DataFrame({kind: _moves(tree, kind) for kind in ("prior", "likelihood")})
    verdicts = np.select(
        [(table["prior"] >= SENSITIVE) & (table["likelihood"] >= SENSITIVE), table["prior"] >= SENSITIVE],
        [_CONFLICT, _STRONG],
        "fine",
    )
    return table.assign(verdict=np.where(table.isna().any(axis=1), "cannot be told", verdicts))


def _moves(tree: xr.DataTree, kind: str) -> dict[str, float]:
    """By parameter, how much its posterior moves as the prior or the likelihood is raised to a power."""
    parts = tree[f"log_{kind}"].to_dataset()
    total = np.sum([x.sum(x.dims[2:], skipna=False).to_numpy() for x in parts.values()], axis=0)
    all_of_them = lambda value: dict.fromkeys(_rows(tree["posterior"].to_dataset().mean(("chain", "draw"))), value)
    if not np.isfinite(total).all():
        return all_of_them(np.nan)
    if np.ptp(total) < _SAME:  # a density that is the same everywhere
        return all_of_them(0.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the weights of a prior far from the posterior are uneven
            return _rows(azs.psense(tree, group=kind))
    except ValueError:  # too few draws for a tail of the weights
        return all_of_them(np.nan)


def _rows(found: xr.Dataset) -> dict[str, float]:
    out = {}
    for name, x in found.items():
        for at in np.ndindex(*x.shape):
            labels = [str(x[d].to_numpy()[i]) if d in x.coords else str(i) for d, i in zip(x.dims, at, strict=True)]
            out[f"{name}[{', '.join(labels)}]" if labels else str(name)] = float(x.to_numpy()[at])
    return out


def hangs_on_prior(table: pd.DataFrame) -> Check:
    name = "prior sensitivity"
    if table.empty:
        return Check(name, None, "the fit has no hyperpriors to scale", about="model")
    said = []
    for verdict, told in (
        (_STRONG, "{} what the hyperpriors say, more than what the data do"),
        (_CONFLICT, "{} between hyperpriors and data that disagree"),
    ):
        if which := list(map(str, table.index[table["verdict"] == verdict])):
            said.append(told.format(f"{listed(which)} {'is' if len(which) == 1 else 'are'}"))
    if said:
        return Check(
            name, None, f"by power-scaling, {'; '.join(said)}",
            "Say where the hyperpriors come from, or change them (hyperpriors=…) and see what changes.", "model",
        )  # fmt: skip
    if (table["verdict"] == "cannot be told").any():
        return Check(name, None, "it cannot be told: draws are too few, or likelihood values not finite", about="model")
    return Check(
        name, True, f"power-scaling the hyperpriors moves no parameter much (at most {table['prior'].max():.3f}, where "
        f"{SENSITIVE} is little)", about="model",
    )  # fmt: skip
