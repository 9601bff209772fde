"""Where `data/` (studies) and `models/` (learned policies) are: in the wheel, or beside the package in a checkout."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

from bayescal.errors import InputError

Kind = Literal["data", "models"]


def resource_folder(kind: Kind) -> Path:
    """The folder of all studies or of all models."""
    package = Path(str(files("bayescal")))
    packed, checkout = package / f"_{kind}", package.parent / kind
    for folder in (packed, checkout):
        if folder.is_dir():
            return folder
    raise InputError(f"This installation of bayescal has no {kind}/ folder: install bayescal again from its wheel.")


def resource_names(kind: Kind, marker: str) -> tuple[str, ...]:
    """The folders of that kind that hold a file called `marker`, sorted."""
    return tuple(sorted(path.parent.name for path in resource_folder(kind).glob(f"*/{marker}")))


def resource_path(kind: Kind, name: str) -> Path:
    """The folder of one study or model; it need not exist."""
    return resource_folder(kind) / name
