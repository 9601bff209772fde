"""Fits on disk: netCDF (one file) or Zarr (a folder), written atomically.

Both are made in memory first: on a full disk, HDF5 crashes the whole process.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayescal._types import Facts
from bayescal.errors import InputError
from bayescal.files import restore_folder, whole_folder, write_atomically, write_new
from bayescal.posterior.container import check_netcdf, check_zarr
from bayescal.posterior.contents import check_facts, check_tree
from bayescal.posterior.status import Status, status_of_draws, status_of_grid, status_of_guide
from bayescal.posterior.summary import SHARE_AT_BOUNDS
from bayescal.reading import parse_json

FORMAT = 1


def write(tree: xr.DataTree, facts: Facts, path: Path) -> None:
    """Write Zarr if the name ends in .zarr, otherwise netCDF.

    Args:
        facts: status and provenance, stored as JSON.

    Raises:
        InputError: something else is at that path.
        WriteError: it cannot be written.
    """
    if path.suffix == ".zarr":
        _needs_zarr(path)
        if path.exists() and not _is_store(path):
            raise InputError(f"{path}: this exists and is not a Zarr store; choose another name.")
        _write_store(_with_facts(tree, facts), path)
        return
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give the name of a file (.nc) or of a Zarr store (.zarr).")
    write_atomically(path, to_netcdf(tree, facts))


def to_netcdf(tree: xr.DataTree, facts: Facts) -> bytes:
    """The content of a netCDF file."""
    encoding = {
        f"/{name}": {v: {"zlib": True} for v, x in node.data_vars.items() if x.dtype.kind in "fiub"}
        for name, node in tree.children.items()
    }
    with io.BytesIO() as buffer:
        _with_facts(tree, facts).to_netcdf(buffer, engine="h5netcdf", encoding=encoding)
        return buffer.getvalue()


def _write_store(tree: xr.DataTree, path: Path) -> None:
    from zarr.storage import MemoryStore

    content: dict[str, Any] = {}
    tree.to_zarr(MemoryStore(content), mode="w", consolidated=False, zarr_format=3)
    with whole_folder(path) as temporary:
        for name, part in content.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_new(temporary / name, part.to_bytes())


def _with_facts(tree: xr.DataTree, facts: Facts) -> xr.DataTree:
    tree = tree.copy()
    known = {**facts, "format": FORMAT, "groups": list(tree.children)}
    tree.attrs = {n: json.dumps(x) for n, x in known.items()}
    return tree


def read(path: Path) -> tuple[xr.DataTree, dict[str, Any]]:
    """(tree, facts) of a fit that `write` wrote.

    Raises:
        InputError: there is no file, or it is not a fit, or of a later version.
    """
    restore_folder(path)
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
        _check_format(facts.get("format", 0), path)
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


def _check_format(number: object, path: Path) -> None:
    """Fits of earlier versions have no number."""
    if not isinstance(number, int) or number > FORMAT:
        raise InputError(
            f"{path}: this fit has format {number}, and this version of bayescal reads formats up to {FORMAT}: upgrade "
            "bayescal."
        )


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
