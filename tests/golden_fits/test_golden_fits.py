"""Fits that earlier releases saved still open, with the numbers that they had. A failure here breaks users' files."""

import json
from pathlib import Path

import pytest
from golden import METHODS, numbers

from bayescal.errors import InputError
from bayescal.posterior import saved
from bayescal.posterior.fit import Fit

HERE = Path(__file__).parent
FORMATS = sorted(HERE.glob("format-*"))


def known(folder: Path) -> dict:
    return json.loads((folder / "numbers.json").read_text())


def test_every_format_is_kept():
    assert [f.name for f in FORMATS] == [f"format-{n + 1}" for n in range(saved.FORMAT)]
    assert all(set(METHODS) < set(known(folder)) for folder in FORMATS)


@pytest.mark.parametrize("path", [folder / name for folder in FORMATS for name in METHODS], ids=lambda p: p.name)
def test_golden_fits_open(path):
    found = json.loads(json.dumps(numbers(Fit.load(path))))
    assert found == known(path.parent)[path.name]
    assert found["people"] == ["Ada", "Grete", "Émilie"] and len(found["arrays"]) >= 7


def test_a_changed_number_is_noticed():
    fit = Fit.load(FORMATS[-1] / "grid.nc")
    fit.tree["posterior"]["mean"][0, 0] += 1e-12
    assert numbers(fit)["arrays"] != known(FORMATS[-1])["grid.nc"]["arrays"]


def test_a_fit_of_a_later_format_is_refused(tmp_path, monkeypatch):
    fit = Fit.load(FORMATS[-1] / "grid.nc")
    with monkeypatch.context() as later:
        later.setattr(saved, "FORMAT", saved.FORMAT + 1)
        fit.save(tmp_path / "fit.nc")
    with pytest.raises(InputError, match=rf"fit.nc: this fit has format {saved.FORMAT + 1}, .*upgrade bayescal\.$"):
        Fit.load(tmp_path / "fit.nc")


@pytest.mark.slow
def test_the_maximum_of_the_likelihood_is_where_it_was():
    """Estimates are printed and not saved, so these are computed anew."""
    from golden import People

    from bayescal.posterior.mle import maximum_likelihood

    now, then = maximum_likelihood(People()), known(FORMATS[-1])["maximum likelihood"]
    assert dict(now.values) == pytest.approx(then["values"], abs=1e-7)
    assert dict(now.standard_errors) == pytest.approx(then["standard_errors"], abs=1e-7)
    assert now.log_likelihood == pytest.approx(then["log_likelihood"], abs=1e-9)
    assert str(now.status) == then["status"]
