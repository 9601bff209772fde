"""A corpus of hostile studies, fits, models and checkpoints, opened under an audit hook. Nothing in them may start a
process, open a socket, unpickle, read a secret, or write outside --out; and each is refused with a sentence."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from test_arrays import HEAD, a_fit, sampler_state
from test_texts import STUDY, TABLE, WIDE, WIDE_TABLE, study
from watch import watched

import bayescal as bc
from bayescal.cli import main
from bayescal.cli.saved import study_of
from bayescal.errors import InputError
from bayescal.posterior import checkpoint
from bayescal.posterior.fit import Fit
from bayescal.study import check_study
from bayescal.study import dataset as dataset_file
from bayescal.study.formula import formula_columns


class Bomb:
    """What is run when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def marker(tmp_path):
    """A file that hostile content writes."""
    return tmp_path / "marker"


@pytest.fixture
def secret(tmp_path):
    """A file that hostile content reads."""
    path = tmp_path / "secret" / "decisions.csv"
    path.parent.mkdir()
    path.write_text(TABLE.replace("x\n", "SECRET\n"))
    return path


@pytest.fixture(scope="module")
def fit():
    return a_fit()


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


def refused(result):
    assert result.exit_code == 2, (result.exception, result.output)
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr and result.stderr.strip()
    return result.stderr


# Studies: (what is replaced in the dataset.toml, what is put there).
PROGRAM = "__import__('os').system('touch MARKER')"
WHERE = "where = \"round <= 20 and not game in ['d', 'e']\""
FILE, GAME = 'file = "decisions.csv"', 'a = "game.json"'
CONDITIONS = (
    "@pd.io.common.os.system('touch MARKER') == 0 or round > 0",
    f"{PROGRAM} == 0",
    "round.__class__ == 1",
    "`round`.to_csv('MARKER') == 1",
    "(lambda: 1)() == 1",
    "round in [x for x in (1,)]",
    "round == 1 if 1 else 2",
    "round == f'{1}'",
    "round == 1; import os",
    "round ** 2 == 1",
    "(" * 5000 + "round == 1",
    "not " * 5000 + "round == 1",
)
FORMULAS = (
    "~ {age.__class__.__init__.__globals__['sys'].modules['os'].system('touch MARKER')*0 + age}",
    "~ {age.to_csv('MARKER') or age}",
    "~ log(age.to_csv('MARKER'))",
    f"~ log({PROGRAM})",
    "~ C(age, contr.treatment.__globals__)",
    "~ I(9**9**9**9)",
    "~ (age + town) ** 100000",
    "~ " + " * ".join(["age"] * 40),
    "~ " + "log(" * 5000 + "age" + ")" * 5000,
    "~ bs(age, df=100000)",
    "~ Q('age')",
    "~ [age ~ town]",
    "~ age | town",
    "~ `{age}`",
    "~ .",
    "age ~ town",
)
STUDIES = {
    **{f"where {i}": (WHERE, f"where = {json.dumps(c)}") for i, c in enumerate(CONDITIONS)},
    **{f"formula {i}": ('"~ log(age) + C(town)"', json.dumps(f)) for i, f in enumerate(FORMULAS)},
    "policy": ('by = "game"', 'policy = "model"'),
    "policy above": ('by = "game"', 'policy = "../model"'),
    "file above": (FILE, 'file = "../secret/decisions.csv"'),
    "file absolute": (FILE, 'file = "SECRET"'),
    "file a link": (FILE, 'file = "link.csv"'),
    "file below a link": (FILE, 'file = "linked/decisions.csv"'),
    "file a device": (FILE, 'file = "/dev/zero"'),
    "file a link to a device": (FILE, 'file = "zero.csv"'),
    "file a pipe": (FILE, 'file = "pipe.csv"'),
    "file a link in a circle": (FILE, 'file = "circle"'),
    "file a folder": (FILE, 'file = "."'),
    "file an address": (FILE, 'file = "https://example.org/x.csv"'),
    "file a file address": (FILE, 'file = "file:///etc/passwd"'),
    "file of a server": (FILE, 'file = "\\\\\\\\server\\\\share\\\\x.csv"'),
    "file NUL": (FILE, 'file = "\\u0000"'),
    "file long": (FILE, f'file = "{"x" * 5000}"'),
    "a game above": (GAME, 'a = "../secret.json"'),
    "a game that is a link": (GAME, 'a = "linked/x.json"'),
    "a game that is a pipe": (GAME, 'a = "pipe.json"'),
    "a game that is a program": (GAME, 'a = "os:system"'),
    "a game of a module": (GAME, 'a = { game = "bayescal.cli:main" }'),
    "options of a game": (GAME, 'a = { game = "cournot-2", factory = "os:system", name = 3 }'),
    "a game that is registered by a program": (GAME, 'a = "contest"'),
    "a population that is a program": ('"log-normal"', '"os:system"'),
    "a habit that is a program": ('"Uniform"', '{ kind = "os.system", command = "touch MARKER" }'),
    "a habit of a module": ('"Uniform"', '"bayescal.cli:main"'),
    "a reader that is a program": (FILE, 'reader = "os:system"'),
    "a deep list": ("people = 4", "people = " + "[" * 100_000),
    "a long number": ("people = 4", "people = " + "9" * 5000),
    "directions of writing": ("Three games", "Three \\u202e games"),
}


def hostile_study(folder, name, marker, secret):
    """A study with one hostile entry, and everything around it that one may lead to."""
    old, new = STUDIES[name]
    assert old in STUDY
    toml = STUDY.replace(old, new).replace("MARKER", str(marker)).replace("SECRET", str(secret))
    path = study(folder, toml)
    for program in (path / "game.py", path / "model" / "experiment.py", path.parent / "model" / "experiment.py"):
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"from pathlib import Path\nPath({str(marker)!r}).write_text('it ran')\n")
    (path / "link.csv").symlink_to(secret)
    (path / "linked").symlink_to(secret.parent)
    (path / "zero.csv").symlink_to("/dev/zero")
    (path / "circle").symlink_to("circle")
    os.mkfifo(path / "pipe.csv")
    os.mkfifo(path / "pipe.json")
    (secret.parent / "x.json").write_text(json.dumps({"payoffs": [[1]]}))
    (secret.parent.parent / "secret.json").write_text(json.dumps({"payoffs": [[1]]}))
    return path


@pytest.mark.parametrize("name", STUDIES)
def test_a_hostile_study_does_nothing_and_is_refused(name, tmp_path, marker, secret):
    folder = hostile_study(tmp_path / "mine", name, marker, secret)
    with watched(secrets=(secret,)) as seen:
        said = refused(run("data", "validate", folder))
    assert not seen and not marker.exists() and "SECRET" not in said


def test_the_study_around_the_hostile_entries_is_valid(tmp_path, secret):
    """So that each is refused for the entry."""
    assert check_study(study(tmp_path / "mine", STUDY)).decisions.total == 6
    linked = study(tmp_path / "linked", STUDY.replace(FILE, 'file = "link.csv"'))
    (linked / "link.csv").symlink_to(secret)
    with watched(secrets=(secret,)) as seen:
        assert check_study(linked, trust=True).decisions.total == 6
    assert set(seen) == {f"reads {secret}"}


@pytest.mark.parametrize("program", ["experiment.py", "game.py"])
@pytest.mark.parametrize(
    "command",
    ["simulate FOLDER --cost 1", "simulate stag-hunt --cost 1 --policy FOLDER", "certify FOLDER",
     "solve FOLDER --cost 1", "calibrate STUDY --policy FOLDER --out OUT", "data template FOLDER"],
)  # fmt: skip
def test_the_program_of_a_model_or_study_does_not_run(command, program, tmp_path, marker):
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / program).write_text(f"from pathlib import Path\nPath({str(marker)!r}).write_text('it ran')\n")
    words = {"FOLDER": folder, "STUDY": study(tmp_path / "mine"), "OUT": tmp_path / "out"}
    with watched(tmp_path / "out") as seen:
        refused(run(*(words.get(word, word) for word in command.split())))
    assert not seen and not marker.exists()


DOWNLOADS = {
    "another protocol": ('address = "file:///etc/passwd"\nsha256 = "00"', "https:// address"),
    "not encrypted": ('address = "http://example.org/x.csv"\nsha256 = "00"', "https:// address"),
    "no sum": ('address = "https://example.org/x.csv"', "no sha256"),
    "no address": ('sha256 = "00"', "no address"),
    "outside": ('address = "https://example.org/x.csv"\nsha256 = "00"\n', "external under [meta]"),
}


@pytest.mark.parametrize("name", DOWNLOADS)
def test_nothing_is_downloaded_without_https_and_a_sum(name, tmp_path):
    (tmp_path / "mine").mkdir()
    keys, told = DOWNLOADS[name]
    external = "../x.csv" if name == "outside" else "x.csv"
    toml = f'[meta]\ntitle = "T"\nreader = "nagel-1995"\nexternal = "{external}"\n{keys}\n'
    (tmp_path / "mine" / "dataset.toml").write_text(toml)
    with watched() as seen:
        assert told in refused(run("data", "add", tmp_path / "mine"))
    assert not seen


# Fits.
def with_facts(fit, folder, **changes):
    loaded = {**fit.provenance["loaded"], **changes.pop("loaded", {})}
    known = {**fit.provenance, "loaded": loaded, **changes}
    return Fit(fit.tree, fit.status, known).save(folder / "fit.nc")


def test_the_facts_of_a_fit_are_not_run(fit, tmp_path, marker, secret):
    mine = {"study": str(study(tmp_path / "fine"))}
    sent = {"study": str(hostile_study(tmp_path / "mine", "a game that is registered by a program", marker, secret))}
    hostile = (
        mine | {"where": f"@pd.io.common.os.system('touch {marker}') == 0 or round > 0"},
        mine | {"model": {"covariates": f"~ {{age.to_csv('{marker}') or age}}"}},
        mine | {"data": "/dev/zero"},
        mine | {"options": {"factory": "os:system"}},
        {"study": "/dev/zero"},
        sent,
        sent | {"trust": True},
    )
    path = with_facts(fit, tmp_path, loaded=hostile[0])
    with watched(secrets=(secret,)) as seen:
        for loaded in (Fit.load(path).provenance["loaded"], *hostile):
            found, reason = study_of({"fit": SimpleNamespace(provenance={"loaded": loaded})})
            assert found is None and reason
    assert not seen and not marker.exists()
    assert study_of({"fit": SimpleNamespace(provenance={"loaded": mine})})[0] is not None


def test_a_report_of_a_hostile_fit_writes_nothing_else_and_escapes_texts(fit, tmp_path, marker, monkeypatch):
    """Names that lead elsewhere, HTML, formulas that matplotlib does not know, and a matplotlibrc beside them."""
    name = f"../../<script>alert(1)</script>$\\frac{{$ javascript:alert(1) '\"{marker}"
    path = with_facts(fit, tmp_path, name=name, command="<img src=x onerror=alert(2)>", model="</p><script>alert(3)")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    monkeypatch.setitem(__import__("matplotlib").rcParams, "text.usetex", True)  # as if it were imported only now
    with watched(out) as seen:
        result = run("report", path, "--out", out)
    assert result.exit_code == 0, (result.exception, result.output)
    assert not seen
    page = (out / "report.html").read_text()
    for word in ("<script>alert", "<img src=x", "</p><script>", 'href="javascript'):
        assert word not in page
    assert "&lt;script&gt;alert(1)" in page  # it is there, as text


@pytest.mark.slow
@pytest.mark.parametrize("linked", ["figures", "report.html", "report.json"])
def test_a_report_is_not_written_through_a_link(fit, linked, tmp_path):
    """A folder that somebody sends may hold a link to one's own files."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.svg").write_text("years of work")
    folder = tmp_path / "sent"
    folder.mkdir()
    path = with_facts(fit, folder)
    (folder / "report.json").write_text(json.dumps({"figures": ["thesis.svg", "../thesis.svg", ".."]}))
    (folder / linked).unlink(missing_ok=True)
    (folder / linked).symlink_to(mine if linked == "figures" else mine / "thesis.svg")
    with watched(folder) as seen:
        result = run("report", path)
    assert not seen and [p.name for p in mine.iterdir()] == ["thesis.svg"]
    assert (mine / "thesis.svg").read_text() == "years of work" and result.exit_code == 0
    assert not (folder / linked).is_symlink()


def links_elsewhere(path, secret):
    with h5py.File(secret.parent / "x.nc", "w") as other:
        other["x"] = np.arange(3.0)
    with h5py.File(path, "a") as file:
        file["constant_data/sent"] = h5py.ExternalLink(str(secret.parent / "x.nc"), "/x")


def virtual(path, secret):
    links_elsewhere(path, secret)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(secret.parent / "x.nc"), "x", (3,))
    with h5py.File(path, "a") as file:
        del file["constant_data/sent"]
        file.create_virtual_dataset("constant_data/sent", layout)


def stored_elsewhere(path, secret):
    with h5py.File(path, "a") as file:
        file.create_dataset("constant_data/sent", (4,), "f8", external=[(str(secret), 0, 32)])


def a_link(path, secret):
    with h5py.File(path, "a") as file:
        file["constant_data/sent"] = h5py.SoftLink("/posterior/mean")


def objects(path, secret):
    with h5py.File(path, "a") as file:
        file["constant_data/sent"] = np.void(pickle.dumps(1))


def a_bomb(path, secret):
    with h5py.File(path, "a") as file:
        file.create_dataset("constant_data/sent", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")


@pytest.mark.parametrize("plant", [links_elsewhere, virtual, stored_elsewhere, a_link, objects, a_bomb])
def test_a_file_that_is_more_than_arrays_is_not_a_fit(plant, fit, tmp_path, secret):
    path = fit.save(tmp_path / "fit.nc")
    plant(path, secret)
    with watched(secrets=(secret,)) as seen, pytest.raises(InputError, match=r"sent|once it is decompressed"):
        Fit.load(path)
    assert not seen


def unpickling(path, marker, secret):
    """A store of format 2, whose objects are unpickled."""
    (path / "zarr.json").unlink()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    array = path / "constant_data" / "sent"
    array.mkdir()
    codec = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None,
             "order": "C", "filters": [{"id": "pickle"}]}  # fmt: skip
    (array / ".zarray").write_text(json.dumps(codec))
    (array / "0").write_bytes(pickle.dumps(np.array([Bomb(marker)], dtype=object)))


def unpickling_below(path, marker, secret):
    unpickling(path, marker, secret)
    (path / "zarr.json").write_text((path / "posterior" / "zarr.json").read_text())
    (path / ".zgroup").unlink()


def codecs(path, marker, secret):
    name = path / "posterior" / "mean" / "zarr.json"
    content = json.loads(name.read_text())
    content["codecs"] = [{"name": "numcodecs.pickle"}]
    name.write_text(json.dumps(content))


def chunks_elsewhere(path, marker, secret):
    chunk = next(p for p in (path / "posterior" / "mean").rglob("*") if p.is_file() and p.name != "zarr.json")
    chunk.unlink()
    chunk.symlink_to(secret)


def a_folder_elsewhere(path, marker, secret):
    shutil.move(path / "prior", secret.parent / "prior")
    (path / "prior").symlink_to(secret.parent / "prior")


def a_pipe(path, marker, secret):
    (path / "posterior" / "zarr.json").unlink()
    os.mkfifo(path / "posterior" / "zarr.json")


def a_huge_chunk(path, marker, secret):
    name = path / "posterior" / "mean" / "zarr.json"
    content = json.loads(name.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"] = [10**6, 10**6]
    name.write_text(json.dumps(content))


STORES = (unpickling, unpickling_below, codecs, chunks_elsewhere, a_folder_elsewhere, a_pipe, a_huge_chunk)


@pytest.mark.parametrize("plant", STORES)
def test_a_store_that_is_more_than_arrays_is_not_a_fit(plant, fit, tmp_path, marker, secret):
    path = fit.save(tmp_path / "fit.zarr")
    plant(path, marker, secret)
    with watched(secrets=(secret,)) as seen, pytest.raises(InputError):
        Fit.load(path)
    assert not seen and not marker.exists()


# Checkpoints.
def test_a_checkpoint_with_objects_is_refused_and_not_unpickled(tmp_path, marker):
    path = sampler_state(tmp_path / "c")
    with np.load(path) as found:
        arrays = {n: found[n] for n in found.files}
    for name in ("head", "state 0"):
        with path.open("wb") as file:
            np.savez(file, **arrays | {name: np.array([Bomb(marker)], dtype=object)})
        with watched() as seen, pytest.raises(InputError, match="not a checkpoint"):
            checkpoint.read(path, HEAD)
        assert not seen and not marker.exists()


def test_an_array_that_says_that_it_is_huge_is_refused(tmp_path):
    path = sampler_state(tmp_path / "c")
    with np.load(path) as found:
        arrays = {n: found[n] for n in found.files}
    with path.open("wb") as file:
        np.savez(file, **arrays | {"state 0": np.zeros(3)})
    raw = path.read_bytes().replace(b"'shape': (3,), }        ", b"'shape': (3000000000,), }"[:24].ljust(24))
    path.write_bytes(raw)
    with pytest.raises(InputError):
        checkpoint.read(path, HEAD)


# Tables that become large, or take long.
def test_a_gzip_bomb_is_refused_early(tmp_path):
    import gzip

    bomb = gzip.compress(b"0" * 2**26, mtime=0)
    said = refused(run("data", "validate", study(tmp_path / "mine", table=bomb, name="decisions.csv.gz")))
    assert "becomes more than" in said and "BAYESCAL_MOST_BYTES" in said


def test_the_limit_on_sizes_is_the_users(tmp_path, monkeypatch):
    folder = study(tmp_path / "mine")
    monkeypatch.setenv("BAYESCAL_MOST_BYTES", "100")
    assert "more than the limit of 100" in refused(run("data", "validate", folder))
    monkeypatch.setenv("BAYESCAL_MOST_BYTES", "many")
    assert "'many': give a number of bytes" in refused(run("data", "validate", folder))
    monkeypatch.setenv("BAYESCAL_MOST_BYTES", "1e6")
    assert run("data", "validate", folder).exit_code == 0


def test_names_of_columns_cannot_take_long(tmp_path):
    toml = WIDE.replace("s{participant}_{value}", "{participant}_{group}_{role}_{game}_{round}_{value}x")
    table = WIDE_TABLE.replace("s1_action", "_" * 3000)
    refused(run("data", "validate", study(tmp_path / "mine", toml, table.encode())))


def test_formulas_of_python_are_read_like_those_of_studies(marker):
    from bayescal.model.covariates import read_covariates

    table = bc.load_study("cournot-simulated").decisions
    for formula in FORMULAS:
        with watched() as seen, pytest.raises(InputError, match="no formula"):
            read_covariates(formula.replace("MARKER", str(marker)), table)
        assert not seen and not marker.exists()
    assert formula_columns("~ log(age) + C(town) - 1") == ["age", "town"]


# The checks can fail.
def planted(tmp_path, do):
    """A reader of dataset.toml that does something else too."""

    def read_toml(path):
        do()
        return tomllib.loads(Path(path).read_text())

    return read_toml


PLANTED = {
    "a process": lambda path: subprocess.run(["true"], check=True),
    "a shell": lambda path: os.system("true"),
    "a socket": lambda path: socket.socket().close(),
    "an address": lambda path: socket.getaddrinfo("localhost", 80),
    "a file": lambda path: (path / "elsewhere").write_text("x"),
    "a folder": lambda path: (path / "elsewhere").mkdir(),
    "a deletion": lambda path: (path / "mine" / "game.json").unlink(),
    "unpickling": lambda path: pickle.loads(pickle.dumps(Path("x"))),
    "a secret": lambda path: (path / "secret" / "decisions.csv").read_text(),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_reader_that_does_more_is_noticed(name, tmp_path, secret, monkeypatch):
    folder = study(tmp_path / "mine")
    monkeypatch.setattr(dataset_file, "read_toml", planted(tmp_path, lambda: PLANTED[name](tmp_path)))
    with watched(tmp_path / "out", secrets=(secret,)) as seen:
        run("data", "validate", folder)
    assert seen
