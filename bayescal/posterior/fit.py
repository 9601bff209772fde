"""A fit: every draw and everything needed to judge, save and repeat it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayescal.domain import REAL, Interval
from bayescal.posterior import saved
from bayescal.posterior.convergence import ESS, R_HAT
from bayescal.posterior.identifiability import Identifiability, after, contraction
from bayescal.posterior.psis import K_HAT

CROWDED = 0.05  # of the posterior in the outermost hundredth of a policy's box


@dataclass(frozen=True)
class Fit:
    """The result of inference.

    Attributes:
        tree: an ArviZ DataTree with posterior, sample_stats, log_likelihood, log_prior, prior, prior_predictive,
            posterior_predictive, observed_data and constant_data.
        status: one sentence: converged, or what is wrong and what to do about it.
        provenance: seed, versions, settings, data hash, model and hyperpriors, seconds compiling and sampling.
        checkpoint: of the run that it came from; `save` removes it.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid())
        >>> fit.converged
        True
        >>> fit.summary(["cost"])[["mean", "sd"]].round(2).values.tolist()
        [[0.67, 0.03]]
    """

    tree: xr.DataTree
    status: str
    provenance: dict[str, Any]
    checkpoint: Path | None = field(default=None, repr=False, compare=False)

    @property
    def converged(self) -> bool:
        return self.status.startswith("converged")

    def summary(self, var_names: list[str] | None = None) -> pd.DataFrame:
        """Mean, sd, 90 % equal-tailed interval, effective sample sizes, R-hat and Monte-Carlo error, by parameter."""
        return summarise(self.tree, var_names)

    @property
    def contraction(self) -> pd.Series:
        """By parameter: how much narrower it is after the data, 1 - (posterior width / prior width)², where widths are
        of the middle 90 %. For normals that is 1 - var(posterior) / var(prior)."""
        return contraction(self.tree)

    def identifiability(self) -> Identifiability:
        """What the data say of each parameter, and which of them they cannot tell apart."""
        return after(self.tree)

    def save(self, path: str | Path) -> Path:
        """Write netCDF, or Zarr where the name ends in .zarr; it appears whole or not at all."""
        path = Path(path)
        saved.write(self.tree, {"status": self.status, "provenance": self.provenance}, path)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Fit":
        """A fit that was saved, with its provenance."""
        tree, facts = saved.read(Path(path))
        return cls(tree, facts["status"], facts["provenance"])


def summarise(tree: xr.DataTree, var_names: list[str] | None = None) -> pd.DataFrame:
    with np.errstate(divide="ignore", invalid="ignore"):  # what never changes has no R-hat
        table = azs.summary(tree, var_names=var_names, ci_prob=0.9, ci_kind="eti", round_to="none")
    return table.apply(pd.to_numeric, errors="coerce")


def wall_mass(
    posterior: Any, box: Mapping[str, Interval], natural: Mapping[str, Interval] | None = None
) -> dict[str, float]:
    """For each site in a learned policy's box: the share of draws in the outermost hundredth at either wall.

    Args:
        natural: where parameters end by themselves (a pull has no negative values): no wall of the policy's.
    """
    out = {}
    for name, interval in box.items():
        if name in posterior:
            x, edge = posterior[name].to_numpy(), 0.01 * (interval.high - interval.low)
            own = (natural or {}).get(name, REAL)
            below = (x < interval.low + edge) & (interval.low > own.low)
            above = (x > interval.high - edge) & (interval.high < own.high)
            out[name] = float(np.mean(below | above))
    return out


def status_of(tree: xr.DataTree, walls: Mapping[str, float] | None = None) -> str:
    """Whether the draws can be trusted, in one sentence."""
    # Types of people are drawn given the rest, one draw apart from the next: no chain of theirs is to converge.
    names = [str(n) for n in tree["posterior"].data_vars if n != "level"]
    table = summarise(tree, names)
    moving = table[table["sd"] > 0]
    r_hat = float(np.nanmax(moving["r_hat"], initial=1.0)) if "r_hat" in moving else np.nan
    ess = float(np.nanmin(moving[["ess_bulk", "ess_tail"]].to_numpy(), initial=np.inf))
    divergences = int(tree["sample_stats"].to_dataset()["diverging"].sum())
    unsolved = sum(int(v.isnull().sum()) for v in tree["log_likelihood"].to_dataset().data_vars.values())
    facts = f"R-hat at most {r_hat:.3f}, {divergences} divergences, effective sample size at least {ess:.0f}"
    problems = []
    if not r_hat < R_HAT:
        problems.append(f"R-hat is {r_hat:.3f} where it should be below {R_HAT}")
    if divergences:
        problems.append(f"{divergences} transition{'s' * (divergences != 1)} diverged")
    if ess < ESS:
        problems.append(f"the smallest effective sample size is {ess:.0f} where {ESS} are wanted")
    if unsolved:
        problems.append(f"{unsolved} likelihood values could not be solved")
    if crowded := _crowded(walls):
        return f"not to be trusted: {crowded} ({facts}). Use a policy with a larger box, or ExactPolicy."
    if not problems:
        return f"converged: {facts}"
    remedy = "raise target_accept" if divergences else "take more warmup and draws"
    return f"not to be trusted yet: {'; '.join(problems)} ({facts}). Try to {remedy}."


def status_of_grid(edge: float, walls: Mapping[str, float] | None = None) -> str:
    """The same for a grid: is there anything beyond it?"""
    if crowded := _crowded(walls):
        return f"not to be trusted: {crowded}. Use a policy with a larger box, or ExactPolicy."
    if edge > 1e-3:
        return (
            f"not to be trusted: {edge:.1%} of the posterior lies at the edge of the grid, so there is more beyond it. "
            "Give it wider ranges."
        )
    return f"converged: {edge:.1g} of the posterior lies at the edge of the grid"


def status_of_svi(
    guide: str,
    k_hat: float,
    ess: float,
    rise: tuple[float, float],
    skipped: float,
    walls: Mapping[str, float] | None = None,
) -> str:
    """The same for variational inference: is the guide near enough to the posterior?

    Args:
        ess: effective sample size of the weights.
        rise: of the bound in the last tenth of the steps, in nats, and its standard error.
        skipped: share of the steps without a finite slope.
    """
    weights = f"PSIS k-hat of the {guide} guide {k_hat:.2f}"
    went = f"effective sample size {ess:.0f}, the bound changed by {rise[0]:.2g} nats in the last tenth of the steps"
    facts = f"{weights}, {went}"
    if crowded := _crowded(walls):
        return f"not to be trusted: {crowded} ({facts}). Use a policy with a larger box, or ExactPolicy."
    if skipped > 0.1:
        return f"not to be trusted: {skipped:.0%} of the steps found no finite slope ({facts}). Use NUTS."
    if not k_hat <= K_HAT:
        richer = {"mean-field": "guide full-rank or flow, or ", "full-rank": "guide flow, or "}.get(guide, "")
        return (
            f"not to be trusted: the PSIS k-hat of the {guide} guide is {k_hat:.2f}, and above {K_HAT} it is too far "
            f"from the posterior even to be reweighted ({went}). Use {richer}NUTS."
        )
    if ess < ESS:
        return f"not to be trusted yet: an effective sample size of {ESS} is wanted ({facts}). Take more draws."
    if rise[0] > max(0.1, 4 * rise[1]):
        return f"not to be trusted yet: the bound still rises ({facts}). Take more steps."
    return f"converged: {facts}"


def _crowded(walls: Mapping[str, float] | None) -> str:
    names = [f"{n} ({share:.0%})" for n, share in (walls or {}).items() if share > CROWDED]
    if not names:
        return ""
    return f"the posterior of {', '.join(names)} lies against the walls of the box that the learned policy answers for"
