"""Mutated models, checkpoints, evidence and fits: they open, or are refused with a sentence."""

import hashlib
import json
import shutil

import h5py
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import strategies as st
from mutations import damaged, explore, mutable, mutated, to_json
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as to_tensors

import bayescal as bc
from bayescal.cli.saved import comparison_of
from bayescal.cli.train import _figures
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.policies.store import FACTS, WEIGHTS, load_policy, save_policy
from bayescal.posterior import checkpoint
from bayescal.posterior.fit import Fit
from bayescal.resources import resource_path
from bayescal.training.card import write_card
from bayescal.training.recipe import CERTIFICATE, read_certificate
from bayescal.training.train import read_checkpoint, write_checkpoint

HEAD = {"model": "a model", "data": "0123456789ab"}


def skeleton():
    return bc.AmortisedPolicy(bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=4, depth=1)


def shipped(name: str) -> dict:
    return json.loads((resource_path("models", "cournot") / name).read_text())


# Models.
def policy_json(tmp_path):
    folder, like = tmp_path / "model", skeleton()
    save_policy(like, folder, shipped(FACTS)["provenance"])
    facts, measured = json.loads((folder / FACTS).read_text()), shipped(CERTIFICATE)

    def open_it(content):
        write_atomically(folder / FACTS, to_json(content).encode("utf-8", "surrogatepass"))
        write_card("title", "about", load_policy(like, folder)[1], measured)

    return mutated(facts), open_it


def certificate_json(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()

    def open_it(content):
        (folder / CERTIFICATE).write_bytes(to_json(content).encode("utf-8", "surrogatepass"))
        found = read_certificate(folder)
        _figures(found)
        write_card("title", "about", shipped(FACTS), found)

    return mutated(shipped(CERTIFICATE)), open_it


def with_sum(folder, raw: bytes) -> None:
    """Weights that policy.json vouches for."""
    facts = json.loads((folder / FACTS).read_text()) | {"weights_sha256": hashlib.sha256(raw).hexdigest()}
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / WEIGHTS).write_bytes(raw)


def weights(tmp_path):
    folder, like = tmp_path / "model", skeleton()
    save_policy(like, folder)
    raw = (folder / WEIGHTS).read_bytes()

    def open_it(raw):
        with_sum(folder, raw)
        load_policy(like, folder)

    return damaged(raw), open_it


# Checkpoints: of training, and of a sampler.
def of_training(tmp_path):
    path, state, settings = tmp_path / "c.safetensors", skeleton().network, {"steps": 3, "seed": 0}
    write_checkpoint(path, state, 2, 1.5, settings)
    return damaged(path.read_bytes()), lambda raw: path.write_bytes(raw) and read_checkpoint(path, state, settings)


def sampler_state(path):
    arrays = {"draw a": np.ones((2, 3)), "stat lp": np.zeros((2, 3))}
    state = [np.zeros((2, 4)), np.arange(2, dtype=np.uint32)]
    checkpoint.write(path, HEAD, checkpoint.Checkpoint(5, 0.5, state, arrays))
    return path


def of_sampler(tmp_path):
    path = sampler_state(tmp_path / "c")
    return damaged(path.read_bytes()), lambda raw: path.write_bytes(raw) and checkpoint.read(path, HEAD)


@st.composite
def parts(draw, arrays):
    """Arrays of which some are missing, or of another kind, shape or name."""
    arrays = dict(arrays)
    name = draw(st.sampled_from(sorted(arrays)))
    odd = (np.array("text"), np.array([True]), np.zeros((0, 3)), np.array(b"\xff"), np.float32(1), np.array("[1]"))
    odd += (np.array('{"what": 3}'), np.array("[" * 5000), np.array(1e400))
    change = draw(st.sampled_from(("delete", "rename", "replace", "replace")))
    old = arrays.pop(name)
    if change == "rename":
        arrays[f"{name} 2"] = old
    elif change == "replace":
        arrays[name] = draw(st.sampled_from(odd))
    return arrays


def of_sampler_parts(tmp_path):
    path = sampler_state(tmp_path / "c")
    with np.load(path) as found:
        arrays = {n: found[n] for n in found.files}

    def open_it(arrays):
        with path.open("wb") as file:
            np.savez(file, **arrays)
        checkpoint.read(path, HEAD)

    return parts(arrays), open_it


# Fits.
class Model:
    description = "three people"
    coords = {"person": ["Ada", "Grete", "Émilie"]}  # noqa: RUF012
    constant_data = {"name": (("person",), np.array(["Ada", "Grete", "Émilie"]))}  # noqa: RUF012

    def __call__(self):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("person", 3):
            numpyro.sample("y", dist.Normal(mean, 1.0), obs=np.array([0.1, 0.2, 0.4]))


def a_fit() -> Fit:
    loaded = {"study": "selten-chmura", "where": "round == 1", "options": {}, "model": {}}
    facts = {"study": "people", "name": "a fit", "data_hash": "0" * 64, "loaded": loaded, "grids": ["a"]}
    return bc.infer(Model(), bc.Grid(points=5, draws=10), provenance=facts)


@pytest.fixture(scope="module")
def fit():
    return a_fit()


def read(path):
    found = Fit.load(path)
    str(found.status), found.converged


def fit_bytes(tmp_path, fit):
    path = fit.save(tmp_path / "fit.nc")
    return damaged(path.read_bytes()), lambda raw: path.write_bytes(raw) and read(path)


def fit_facts(tmp_path, fit):
    source, path = fit.save(tmp_path / "source.nc"), tmp_path / "fit.nc"
    facts = {"status": fit.status.as_dict(), "provenance": fit.provenance, "groups": list(fit.tree.children)}

    def open_it(content):
        shutil.copy(source, path)
        with h5py.File(path, "a") as file:
            for name in list(file.attrs):
                if name in facts:
                    del file.attrs[name]
            for name, value in content:
                file.attrs[name or "empty"] = to_json(value).encode("utf-8", "replace").decode()
        read(path)

    return mutated(facts).filter(lambda c: all("\x00" not in name for name, _ in c)), open_it


@st.composite
def surgery(draw, places):
    """A change of an array of a fit: its place, and what happens to it."""
    return draw(st.sampled_from(places)), draw(st.sampled_from(tuple(SURGERY)))


def delete(file, name):
    del file[name]


def replace(value):
    def change(file, name):
        del file[name]
        file[name] = value

    return change


def soft(file, name):
    del file[name]
    file[name] = h5py.SoftLink("/prior")


def external(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("elsewhere.nc", "/posterior")


def virtual(file, name):
    del file[name]
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.nc", "x", (3,))
    file.create_virtual_dataset(name, layout)


def huge(file, name):
    del file[name]
    file.create_dataset(name, (10**9, 10**3), "f8", chunks=(1000, 1000), fillvalue=0.0)


def attribute(value):
    def change(file, name):
        for key in ("dtype", "scale_factor", "_FillValue", "coordinates", "units", "CLASS"):
            file[name].attrs[key] = value

    return change


SURGERY = {
    "delete": delete,
    "soft link": soft,
    "external link": external,
    "virtual": virtual,
    "huge": huge,
    "a number": replace(1.5),
    "a text": replace("text"),
    "a list": replace(np.zeros(7)),
    "bytes": replace(np.void(b"abc")),
    "structure": replace(np.zeros(2, [("a", "f8"), ("b", "i4")])),
    "attributes": attribute("days since 1900"),
    "attributes that are numbers": attribute(np.arange(3)),
}


def fit_surgery(tmp_path, fit):
    source, path = fit.save(tmp_path / "source.nc"), tmp_path / "fit.nc"
    found = []
    with h5py.File(source) as file:
        file.visit(found.append)

    def open_it(change):
        name, how = change
        shutil.copy(source, path)
        with h5py.File(path, "a") as file:
            try:
                SURGERY[how](file, name)
            except (OSError, ValueError, TypeError, RuntimeError):
                raise InputError("this change is not possible.") from None
        read(path)

    return surgery(found), open_it


def fit_store(tmp_path, fit):
    source, path = fit.save(tmp_path / "source.zarr"), tmp_path / "fit.zarr"
    files = sorted(str(p.relative_to(source)) for p in source.rglob("*") if p.is_file())

    @st.composite
    def change(draw):
        name = draw(st.sampled_from(files))
        raw = (source / name).read_bytes()
        if name.endswith("zarr.json") and draw(st.booleans()):
            return name, to_json(draw(mutated(json.loads(raw)))).encode("utf-8", "surrogatepass")
        return name, draw(damaged(raw)) if raw else b"x"

    def open_it(changed):
        name, raw = changed
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path)
        (path / name).write_bytes(raw)
        read(path)

    return change(), open_it


def comparison_json(tmp_path):
    """A mutated comparison.json is used as it is, or the fits are compared anew."""
    row = {"status": "converged", "elpd": -1.0, "k_bad": 0, "unreliable": 0, "how": "psis", "excluded": False}
    content = {
        "table": {"a": row | {"reason": ""}},
        "unit": "cell", "left_out": {}, "units": ["1"], "decisions": [3], "pointwise": {"a": [-1.0]},
        "scores": {"a": {"log_score": 1.0}}, "calibration": {"p": [0.5]},
    }  # fmt: skip
    path, fits = tmp_path / "comparison.json", {"a": bc.Fit(xr.DataTree(), bc.posterior.status.Status(), {})}

    def open_it(content):
        path.write_bytes(to_json(content).encode("utf-8", "surrogatepass"))
        if comparison_of([str(tmp_path / "a.nc")], fits)[0] is None:
            raise InputError("It is not used.")

    assert open_it(mutable(content)) is None
    return mutated(content), open_it


CASES = (policy_json, certificate_json, weights, of_training, of_sampler, of_sampler_parts, comparison_json)
OF_FITS = (fit_bytes, fit_facts, fit_surgery, fit_store)


def cases(tmp_path):
    """For runs by hand."""
    made = a_fit()
    for case in (*CASES, *OF_FITS):
        folder = tmp_path / case.__name__
        folder.mkdir()
        yield case.__name__, case(folder, *[made] * (case in OF_FITS))


@pytest.mark.parametrize("inputs", [15, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_a_mutated_file_of_arrays_opens_or_is_refused_with_a_sentence(case, inputs, tmp_path):
    seen = explore(*case(tmp_path), inputs)
    assert seen["refused"] > inputs // 10


@pytest.mark.parametrize("inputs", [6, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", OF_FITS)
def test_a_mutated_fit_opens_or_is_refused_with_a_sentence(case, inputs, tmp_path, fit):
    seen = explore(*case(tmp_path, fit), inputs)
    assert seen["refused"] > inputs // 10


def test_weights_are_numbers_of_a_network(tmp_path):
    save_policy(skeleton(), tmp_path)
    raw = (tmp_path / WEIGHTS).read_bytes()
    for odd in (np.nan, np.inf, -np.inf, 1e30):
        found = {n: x.copy() for n, x in tensors_of(raw).items()}
        next(iter(found.values())).ravel()[0] = odd
        with_sum(tmp_path, to_tensors(found))
        with pytest.raises(InputError, match="not finite or larger than 1e"):
            load_policy(skeleton(), tmp_path)
