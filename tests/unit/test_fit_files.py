"""Fits on disk: netCDF and Zarr, whole or not at all, and nothing of somebody else's overwritten."""

import json

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from drawn import drawn_fit

import bayescal as bc
from bayescal.comparison.pointwise import pointwise
from bayescal.diagnostics import check
from bayescal.diagnostics.base import Outcome
from bayescal.errors import InputError
from bayescal.posterior import saved
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS
from bayescal.posterior.status import Problem, Status
from bayescal.report import write_report


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
    other = Fit(fit.tree, Status(numbers={"r_hat": 1.0}), {"seed": 3})
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
        Fit(broken, Status(), {}).save(path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    equal(Fit.load(path), fit)


def test_what_is_not_ours(fit, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Fit.load(tmp_path / "nothing.zarr")
    mine = tmp_path / "mine.zarr"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="this exists and is not a Zarr store"):
        fit.save(mine)
    with pytest.raises(InputError, match="not a Zarr store, so not a fit"):
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


def as_before(path, fit, sentence, provenance):
    """A file as it was written when a status was a sentence."""
    saved.write(fit.tree, {"status": sentence, "provenance": provenance}, path)
    return Fit.load(path)


@pytest.mark.parametrize("sentence", ["converged: R-hat at most 1.000", "not to be trusted yet: R-hat is 3"])
def test_the_status_of_an_earlier_file_is_computed_from_its_draws(fit, tmp_path, sentence):
    again = as_before(tmp_path / "fit.nc", fit, sentence, fit.provenance)
    assert again.status == fit.status and again.status.problems
    crowded = {"posterior_share_at_the_walls": {"mean": 0.4}}
    there = as_before(tmp_path / "there.nc", fit, sentence, fit.provenance | crowded).status
    assert there.problems == (Problem.AT_BOUNDS, *fit.status.problems) and there.at_bounds == {"mean": 0.4}


def test_the_status_of_an_earlier_grid_or_guide_is_computed_from_what_was_kept(fit, tmp_path):
    path = tmp_path / "fit.nc"
    for edge, problems in (("0.004", (Problem.BEYOND_GRID,)), ("1e-09", ()), ("12.0%", (Problem.BEYOND_GRID,))):
        sentence = f"converged: {edge} of the posterior lies at the edge of the grid"
        status = as_before(path, fit, sentence, {"method": "Grid"}).status
        assert status.problems == problems
        assert status.numbers["edge"] == pytest.approx(0.12 if edge == "12.0%" else float(edge))
    known = {"method": "SVI", "weights_ess": 900.0, "steps_skipped": 0.0}
    assert as_before(path, fit, "not to be trusted", known | {"pareto_k_hat": 0.4}).converged
    far = as_before(path, fit, "converged", known | {"pareto_k_hat": 0.9}).status
    assert far.problems == (Problem.FAR_GUIDE,)


def test_a_status_is_data(fit):
    assert Status.from_dict(json.loads(json.dumps(fit.status.as_dict()))) == fit.status
    assert len({fit.status, Status.from_dict(fit.status.as_dict())}) == 1
    assert Status().converged and str(Status()) == "converged" and Status().reason == ""


OPTIONAL = ("prior", "sample_stats", "log_prior", "log_likelihood", "prior_predictive", "posterior_predictive")


@pytest.mark.parametrize("without", [*((name,) for name in OPTIONAL), OPTIONAL])
def test_fits_need_only_the_groups_that_are_used(tmp_path, without):
    """Reports and checks leave out what they cannot compute, and say so; comparisons are refused."""
    whole = drawn_fit(6)
    groups = {n: node.to_dataset() for n, node in whole.tree.children.items() if n not in without}
    path = Fit(xr.DataTree.from_dict(groups), whole.status, whole.provenance).save(tmp_path / "fit.nc")
    fit = Fit.load(path)
    assert set(fit.tree.children) == set(groups)
    page = write_report(None, {"fit": fit}, tmp_path / "report").read_text()
    assert "log_mean" in page or "typical cost" in page
    skipped = {c.name: c.found for c in check(fit).items if c.outcome is Outcome.NOT_APPLICABLE}
    assert ("saved without" in skipped.get("likelihood", "")) == ("log_likelihood" in without)
    assert ("saved without" in skipped.get("identifiability", "")) == ("prior" in without)
    assert ("divergences" in skipped) == ("sample_stats" in without)
    if "log_likelihood" in without:
        with pytest.raises(bc.InputError, match="no log-likelihood"):
            pointwise(fit, "participant")
    if "prior" in without:
        with pytest.raises(bc.InputError, match="without draws of its prior"):
            bc.prior_picture(fit)


@pytest.mark.parametrize("name", ["posterior", "observed_data", "constant_data"])
def test_fits_without_what_everything_needs_are_refused(tmp_path, name):
    whole = drawn_fit(6)
    groups = {n: node.to_dataset() for n, node in whole.tree.children.items() if n != name}
    path = Fit(xr.DataTree.from_dict(groups), whole.status, whole.provenance).save(tmp_path / "fit.nc")
    with pytest.raises(bc.InputError, match=f"the group '{name}' is missing"):
        Fit.load(path)
