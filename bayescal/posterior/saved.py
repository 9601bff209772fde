"""Fits on disk: netCDF (one file) or Zarr (a folder), written atomically."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayescal._types import Facts
from bayescal.errors import InputError
from bayescal.files import whole_file, whole_folder
from bayescal.posterior.container import check_netcdf, check_zarr
from bayescal.posterior.contents import check_facts, check_tree
from bayescal.posterior.status import Status, status_of_draws, status_of_grid, status_of_guide
from bayescal.posterior.summary import SHARE_AT_BOUNDS
from bayescal.reading import parse_json


def write(tree: xr.DataTree, facts: Facts, path: Path) -> None:
    """Write Zarr if the name ends in .zarr, otherwise netCDF.

    Args:
        facts: status and provenance, stored as JSON.

    Raises:
        InputError: the path cannot be written, or something else is there.
    """
    tree = tree.copy()
    tree.attrs = {n: json.dumps(x) for n, x in {**facts, "groups": list(tree.children)}.items()}
    if path.suffix == ".zarr":
        _needs_zarr(path)
        if path.exists() and not _is_store(path):
            raise InputError(f"{path}: this exists and is not a Zarr store; choose another name.")
        with whole_folder(path) as temporary:
            tree.to_zarr(temporary, mode="w", consolidated=False, zarr_format=3)
        return
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give the name of a file (.nc) or of a Zarr store (.zarr).")
    encoding = {
        f"/{name}": {v: {"zlib": True} for v, x in node.data_vars.items() if x.dtype.kind in "fiub"}
        for name, node in tree.children.items()
    }
    with whole_file(path) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def read(path: Path) -> tuple[xr.DataTree, dict[str, Any]]:
    """(tree, facts) of a fit that `write` wrote.

    Raises:
        InputError: there is no file, or it is not a fit.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file; a fit is saved by `fit.save(path)`.")
    store = path.is_dir()
    if store and not _is_store(path):
        raise InputError(
            f"{path}: this folder is not a Zarr store, so not a fit; give the path that `fit.save(path)` was given."
        )
    if store:
        _needs_zarr(path)
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False} if store else {"engine": "h5netcdf"}
    try:
        attributes = check_zarr(path) if store else check_netcdf(path)
        facts = {n: _from_json(x, str(path)) for n, x in attributes.items() if not n.startswith("_")}
        if not {"status", "provenance"} <= set(facts):
            raise InputError(f"{path}: this was not written by bayescal (it has no status).")
        check_facts(facts, str(path))
        with xr.open_datatree(path, decode_times=False, **options) as opened:
            tree = opened.load()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the libraries make of a damaged file
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(f"{path}: cannot be read as a fit ({reason}).") from None
    check_tree(tree, facts, str(path))
    order = facts.get("groups", list(tree.children))  # Zarr does not keep the order
    return xr.DataTree.from_dict({n: tree[n].to_dataset() for n in order}), facts


def status_in(facts: Facts, tree: xr.DataTree) -> Status:
    """The status that a fit was saved with. Until version 0.1 it was a sentence: those are computed again from the
    draws and the provenance."""
    saved, provenance = facts["status"], facts["provenance"]
    if not isinstance(saved, str):
        return Status.from_dict(saved)
    at_bounds = provenance.get(SHARE_AT_BOUNDS)
    method = provenance.get("method", "NUTS")
    if method == "Grid":  # nothing but the sentence holds the mass at the edge
        edge = _EDGE.search(saved)
        return status_of_grid(float(edge[1]) / (100 if edge[2] else 1) if edge else np.nan, at_bounds)
    if method == "SVI":  # how far the bound rose was not kept
        measured = [provenance[n] for n in ("pareto_k_hat", "weights_ess")]
        return status_of_guide(*measured, np.nan, np.nan, provenance["steps_skipped"], at_bounds)
    return status_of_draws(tree, at_bounds)


_EDGE = re.compile(r"([\d.e+-]+)(%?) of the posterior lies at the edge of the grid")


def _from_json(text: object, where: str) -> Any:
    if not isinstance(text, str) or text.startswith(("converged", "not to be trusted")):  # of an earlier version
        return text
    return parse_json(text, where, "the facts of a fit are JSON", finite=False)


def _is_store(path: Path) -> bool:
    return (path / "zarr.json").is_file() or (path / ".zgroup").is_file()


def _needs_zarr(path: Path) -> None:
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise InputError(f'{path}: Zarr stores need the package zarr: pip install "zarr>=3", or name it .nc.') from None
