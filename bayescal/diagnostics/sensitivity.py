"""How much the posterior depends on the prior: power-scaling (Kallioinen, Paananen, Bürkner & Vehtari 2024)."""

import warnings as python_warnings

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayescal.diagnostics.base import Check, Outcome
from bayescal.plain import listed
from bayescal.posterior.fit import Fit
from bayescal.posterior.tree import group, personal

SENSITIVE = 0.05  # a change of the distribution when a density is raised to a power a little off one

_SAME = 1e-8  # nats, below which a density is constant
_MOST = 20  # entries: a larger site has no rows
_CONFLICT, _STRONG, _UNKNOWN = "prior and data disagree", "prior-driven", "unknown"


def sensitivity(fit: Fit) -> pd.DataFrame:
    """By parameter: how much its posterior changes when the hyperpriors, or the likelihood, are raised to a power, and
    a verdict. Levels below the hyperpriors (the costs of people given their population) are part of the model and are
    not scaled. Where the model integrates costs out, its marginal likelihood is scaled."""
    draws, log_prior = personal(fit.tree), group(fit.tree, "log_prior")
    log_lik = group(fit.tree, "log_likelihood")
    log_lik = log_lik[[n for n in log_lik if str(n).startswith("by_")] or list(log_lik)]
    hyper = [n for n in fit.provenance.get("hyperpriors", {}) if n in log_prior] or list(log_prior)
    names = [
        n
        for n, x in draws.items()
        if (n in log_prior or n == "log_cost") and "participant" not in x.dims and not str(n).endswith("_offset")
        and int(np.prod(x.shape[2:])) <= _MOST and float(x.std()) > 0
    ]  # fmt: skip
    if not names or not hyper or not log_lik:
        return pd.DataFrame(columns=["prior", "likelihood", "verdict"])
    tree = xr.DataTree.from_dict({"posterior": draws[names], "log_prior": log_prior[hyper], "log_likelihood": log_lik})
    table = pd.DataFrame({kind: _moves(tree, kind) for kind in ("prior", "likelihood")})
    verdicts = np.select(
        [(table["prior"] >= SENSITIVE) & (table["likelihood"] >= SENSITIVE), table["prior"] >= SENSITIVE],
        [_CONFLICT, _STRONG],
        "fine",
    )
    return table.assign(verdict=np.where(table.isna().any(axis=1), _UNKNOWN, verdicts))


def _moves(tree: xr.DataTree, kind: str) -> dict[str, float]:
    """By parameter, how much its posterior changes when the prior or the likelihood is raised to a power."""
    parts = tree[f"log_{kind}"].to_dataset()
    total = np.sum([x.sum(x.dims[2:], skipna=False).to_numpy() for x in parts.values()], axis=0)
    for_all = lambda value: dict.fromkeys(_rows(tree["posterior"].to_dataset().mean(("chain", "draw"))), value)
    if not np.isfinite(total).all():
        return for_all(np.nan)
    if np.ptp(total) < _SAME:  # a constant density
        return for_all(0.0)
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # uneven weights, where the prior is far from the posterior
            return _rows(azs.psense(tree, group=kind))
    except ValueError:  # too few draws to fit the tail of the weights
        return for_all(np.nan)


def _rows(found: xr.Dataset) -> dict[str, float]:
    out = {}
    for name, x in found.items():
        for at in np.ndindex(*x.shape):
            labels = [str(x[d].to_numpy()[i]) if d in x.coords else str(i) for d, i in zip(x.dims, at, strict=True)]
            out[f"{name}[{', '.join(labels)}]" if labels else str(name)] = float(x.to_numpy()[at])
    return out


def prior_check(table: pd.DataFrame) -> Check:
    """Whether no parameter is determined by its hyperprior."""
    name = "prior sensitivity"
    if table.empty:
        return Check(
            name,
            Outcome.NOT_APPLICABLE,
            "the fit has no hyperpriors to scale, or was saved without log-likelihoods",
            about="model",
        )
    warnings = []
    for verdict, text in (
        (_STRONG, "{} determined by the hyperpriors more than by the data"),
        (_CONFLICT, "{} between hyperpriors and data that disagree"),
    ):
        if which := list(map(str, table.index[table["verdict"] == verdict])):
            warnings.append(text.format(f"{listed(which)} {'is' if len(which) == 1 else 'are'}"))
    if warnings:
        return Check(
            name, Outcome.WARNING, f"by power-scaling, {'; '.join(warnings)}",
            "Say where the hyperpriors come from, or change them (hyperpriors=…) and see what changes.", "model",
        )  # fmt: skip
    if (table["verdict"] == _UNKNOWN).any():
        unknown = "it cannot be computed: too few draws, or likelihood values that are not finite"
        return Check(name, Outcome.UNDECIDED, unknown, about="model")
    return Check(
        name, Outcome.PASSED, "power-scaling the hyperpriors changes no posterior much (by at most "
        f"{table['prior'].max():.3f}, where {SENSITIVE} is little)", about="model",
    )  # fmt: skip
