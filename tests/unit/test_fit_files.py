"""Fits on disk: netCDF and Zarr, whole or not at all, and nothing of somebody else's overwritten."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayescal.errors import InputError
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS


class Model:
    coords = {"person": ["Ada", "Grete", "Émilie"]}  # noqa: RUF012
    constant_data = {"name": (("person",), np.array(["Ada", "Grete", "Émilie"]))}  # noqa: RUF012

    def __call__(self):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("person", 3):
            numpyro.sample("y", dist.Normal(mean, 1.0), obs=np.array([0.1, 0.2, 0.4]))


@pytest.fixture(scope="module")
def fit():
    return infer(Model(), NUTS(draws=50, warmup=50, chains=2), provenance={"study": "three people"})


def equal(a, b):
    assert a.status == b.status and a.provenance == b.provenance
    assert list(a.tree.children) == list(b.tree.children)
    for name, group in a.tree.children.items():
        xr.testing.assert_identical(group.to_dataset(), b.tree[name].to_dataset())


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_saved_replaced_and_read_back(fit, tmp_path, name):
    path = tmp_path / "new" / name
    assert fit.save(path) == path
    equal(Fit.load(path), fit)
    other = Fit(fit.tree, "converged: another", {"seed": 3})
    other.save(str(path))
    equal(Fit.load(path), other)
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_failing_leaves_what_was_there(fit, tmp_path, name):
    path = tmp_path / name
    fit.save(path)
    broken = fit.tree.copy()
    broken["posterior"]["bad"] = xr.DataArray(np.array([object()], dtype=object), dims="z")
    with pytest.raises(Exception, match=r".+"):
        Fit(broken, "converged: no", {}).save(path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    equal(Fit.load(path), fit)


def test_what_is_not_ours(fit, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Fit.load(tmp_path / "nothing.zarr")
    mine = tmp_path / "mine.zarr"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else than a Zarr store"):
        fit.save(mine)
    with pytest.raises(InputError, match="no Zarr store, so no fit"):
        Fit.load(mine)
    assert (mine / "thesis.txt").read_text() == "years of work"
    with pytest.raises(InputError, match="this is a folder"):
        fit.save(tmp_path)
    xr.Dataset({"x": ("t", [1.0])}).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(InputError, match="not written by bayescal"):
        Fit.load(tmp_path / "other.zarr")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(InputError, match="cannot be read as a fit"):
        Fit.load(tmp_path / "text.nc")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        fit.save(tmp_path / "file" / "fit.zarr")
