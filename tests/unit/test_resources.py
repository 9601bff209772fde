"""Where studies and models are found: in a checkout and in an installed wheel."""

from pathlib import Path

import pytest

from bayescal import resources
from bayescal.errors import InputError


def package_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = folder / "site-packages" / "bayescal"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "files", lambda name: package)
    return package


def test_this_checkout_has_studies():
    assert "selten-chmura" in resources.resource_names("data", "dataset.toml")
    assert (resources.resource_path("data", "selten-chmura") / "decisions.csv").is_file()


@pytest.mark.parametrize("kind", ["data", "models"])
def test_a_wheel_comes_before_what_lies_beside_it(tmp_path, monkeypatch, kind):
    package = package_at(tmp_path, monkeypatch)
    beside = package.parent / kind
    (beside / "b").mkdir(parents=True)
    (beside / "b" / "mark").touch()
    assert resources.resource_names(kind, "mark") == ("b",)
    packed = package / f"_{kind}" / "a"
    packed.mkdir(parents=True)
    (packed / "mark").touch()
    assert resources.resource_names(kind, "mark") == ("a",)
    assert resources.resource_path(kind, "a") == packed


def test_folders_without_the_marker_are_not_listed(tmp_path, monkeypatch):
    (package_at(tmp_path, monkeypatch) / "_data" / "half").mkdir(parents=True)
    assert resources.resource_names("data", "dataset.toml") == ()


def test_an_installation_without_data_says_so(tmp_path, monkeypatch):
    package_at(tmp_path, monkeypatch)
    with pytest.raises(InputError, match="no data/ folder"):
        resources.resource_folder("data")
