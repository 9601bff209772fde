"""A fit: draws, status and provenance."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayescal._types import Facts
from bayescal.posterior import saved
from bayescal.posterior.identifiability import Identifiability, after, contraction
from bayescal.posterior.status import Status
from bayescal.posterior.summary import summarise


@dataclass(frozen=True)
class Fit:
    """The result of inference.

    Attributes:
        tree: an ArviZ DataTree with posterior, sample_stats, log_likelihood, log_prior, prior, prior_predictive,
            posterior_predictive, observed_data and constant_data.
        status: whether it converged, or what is wrong; as text, one sentence.
        provenance: seed, versions, settings, data hash, model, policy and hyperpriors, seconds compiling and sampling.
        checkpoint: the checkpoint of the run; `save` removes it.

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
    status: Status
    provenance: dict[str, Any]
    checkpoint: Path | None = field(default=None, repr=False, compare=False)

    @property
    def converged(self) -> bool:
        return self.status.converged

    def summary(self, var_names: list[str] | None = None) -> pd.DataFrame:
        """Mean, sd, 90 % equal-tailed interval, effective sample sizes, R-hat and Monte-Carlo error, by parameter."""
        return summarise(self.tree, var_names)

    @property
    def contraction(self) -> pd.Series:
        """By parameter, 1 - (posterior width / prior width)², where widths are those of the middle 90 %. For normals
        that is 1 - var(posterior) / var(prior)."""
        return contraction(self.tree)

    def identifiability(self) -> Identifiability:
        """What the data say about each parameter, and which parameters they cannot separate."""
        return after(self.tree)

    @property
    def _facts(self) -> Facts:
        return {"status": self.status.as_dict(), "provenance": self.provenance}

    def to_netcdf(self) -> bytes:
        """The content of the file that `save` writes."""
        return saved.to_netcdf(self.tree, self._facts)

    def save(self, path: str | Path) -> Path:
        """Write netCDF, or Zarr if the name ends in .zarr, atomically."""
        path = Path(path)
        saved.write(self.tree, self._facts, path)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Fit":
        """Read a fit that was saved."""
        tree, facts = saved.read(Path(path))
        return cls(tree, saved.status_in(facts, tree), facts["provenance"])
