"""Fits as this version saves them, and their numbers: later versions must open them and find the same.

    python tests/golden_fits/golden.py FOLDER

Run once for each change of `bayescal.posterior.saved.FORMAT`, into a new folder beside this file (format-1, format-2).
Existing folders stay as they are: they are what users have.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

import bayescal as bc
from bayescal.posterior.fit import Fit


class People:
    """Three people around a mean."""

    coords = {"person": [1, 2, 3]}  # noqa: RUF012
    constant_data = {"name": (("person",), np.array(["Ada", "Grete", "Émilie"]))}  # noqa: RUF012
    description = "three people around a mean"

    def __call__(self):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("person", 3):
            numpyro.sample("y", dist.Normal(mean, 1.0), obs=np.array([0.1, 0.2, 0.4]))


METHODS = {
    "nuts.nc": bc.NUTS(draws=20, warmup=60, chains=2, seed=1),
    "nuts.zarr": bc.NUTS(draws=10, warmup=40, chains=2, seed=2),
    "grid.nc": bc.Grid(draws=60, seed=3),
    "svi.nc": bc.SVI(draws=100, steps=300, seed=4),
}
LESS = {"nuts.nc": ("prior_predictive", "posterior_predictive"), "svi.nc": ("prior_predictive",)}


def numbers(fit: Fit) -> dict[str, object]:
    """What a saved fit must still say."""
    groups = {
        f"{group}/{name}": hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
        for group, node in fit.tree.children.items()
        for name, x in node.data_vars.items()
        if x.dtype.kind in "fiub"
    }
    return {
        "status": str(fit.status),
        "converged": fit.converged,
        "method": fit.provenance["method"],
        "seed": fit.provenance["seed"],
        "study": fit.provenance["study"],
        "mean": float(fit.tree["posterior"]["mean"].mean()),
        "people": fit.tree["constant_data"]["name"].to_numpy().tolist(),
        "arrays": groups,
    }


def thinned(fit: Fit, less: tuple[str, ...]) -> Fit:
    """With fewer draws of the prior, and without some groups: these files are in the repository."""
    groups = {name: node.to_dataset() for name, node in fit.tree.children.items() if name not in less}
    few = {n: g.isel(draw=slice(0, 20)) if n.startswith("prior") else g for n, g in groups.items()}
    return replace(fit, tree=xr.DataTree.from_dict(few))


def main(folder: Path) -> None:
    folder.mkdir()
    found = {}
    for name, method in METHODS.items():
        thinned(bc.infer(People(), method, provenance={"study": "three people"}), LESS.get(name, ())).save(
            folder / name
        )
        found[name] = numbers(Fit.load(folder / name))
    estimate = bc.maximum_likelihood(People())
    found["maximum likelihood"] = {
        "values": dict(estimate.values),
        "standard_errors": dict(estimate.standard_errors),
        "log_likelihood": estimate.log_likelihood,
        "status": str(estimate.status),
    }
    (folder / "numbers.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
