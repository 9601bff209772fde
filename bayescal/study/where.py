"""Where studies and their tables are: the folder of a name, and the file with its decisions."""

import difflib
import hashlib
import os
from pathlib import Path

from bayescal.cache import user_cache
from bayescal.errors import InputError
from bayescal.reading import decompress, read_bytes
from bayescal.resources import resource_names, resource_path
from bayescal.study.dataset import FILE, Dataset

DATA_DIR = "BAYESCAL_DATA_DIR"


def study_names() -> tuple[str, ...]:
    """The studies that ship with bayescal or are registered in it.

    Example:
        >>> import bayescal as bc
        >>> [name for name in bc.study_names() if name.endswith("simulated")]
        ['beer-game-simulated', 'cobweb-simulated', 'cournot-simulated']
    """
    return resource_names("data", FILE)


def find_study(study: str | Path) -> Path:
    """The dataset.toml of a study. Names come before folders, so that a name always means the same study."""
    if isinstance(study, str) and study in study_names():
        return resource_path("data", study) / FILE
    path = Path(study)
    if path.is_dir():
        if not (path / FILE).is_file():
            raise InputError(f"The folder {path} holds no {FILE}: write one that names the columns and the games.")
        return path / FILE
    if path.suffix == ".toml" and path.is_file():
        return path
    if path.is_file():
        raise InputError(f"{path} is not a study: put it in a folder with a {FILE}, and give the folder.")
    names = study_names()
    close = difflib.get_close_matches(str(study), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(
        f"There is no study or folder {str(study)!r}{hint}: the studies are "
        f"{', '.join(names)}; one of your own is a folder with a {FILE} and a table."
    )


def table_folder() -> Path:
    """The folder for tables of registered sets: $BAYESCAL_DATA_DIR, or the user's cache."""
    named = os.environ.get(DATA_DIR)
    return Path(named) if named else user_cache()


def find_table(dataset: Dataset) -> Path | None:
    """The file with the decisions, perhaps compressed; None if a registered table has not been added."""
    if not dataset.registered:
        return dataset.folder / dataset.file
    named = os.environ.get(DATA_DIR)
    for folder in ([Path(named)] if named else []) + [user_cache()]:
        for path in (folder / dataset.external, folder / f"{dataset.external}.gz"):
            if path.is_file():
                return path
    return None


def locate_table(dataset: Dataset, faults: list[str], trust: bool = False) -> Path | None:
    """The file with the decisions; an InputError says how to get a table that is not here.

    A file that is not the one that dataset.toml describes is a fault. A user's own table can still be read, so that its
    other faults are found too.

    Args:
        trust: allow a file outside the study's folder.
    """
    if not trust and not dataset.registered:
        refuse_outside(dataset.folder, dataset.file, "file under [meta]")
    path = find_table(dataset)
    if path is None:
        gets = "says how to get" if dataset.derived else "fetches"
        raise InputError(
            f"The decisions of {dataset.name!r} do not ship with bayescal (source: {dataset.source}): "
            f"`bayescal data add {dataset.name}` {gets} them; or give the file with --data FILE, put it at "
            f"{table_folder() / dataset.external}, or set {DATA_DIR} to the folder that holds {dataset.external}."
        )
    fault = sum_fault(path, dataset)
    if fault:
        faults.append(fault)
    return None if fault and (dataset.registered or not path.is_file()) else path


def sum_fault(path: Path, dataset: Dataset) -> str:
    """The fault if a file is not the one that dataset.toml describes, else "". For a .gz, the sum may be that of its
    content."""
    try:
        content = read_bytes(path)
    except OSError as error:
        return (
            f"Cannot read {path}, the table that {FILE} describes ({error.strerror or error}): put "
            'the file there, or write its name as file = "..." under [meta].'
        )
    found, wanted = hashlib.sha256(content).hexdigest(), dataset.sha256.lower()
    if not wanted or wanted in (found, _sum_inside(content, str(path))):
        return ""
    if dataset.registered:
        fix = f"get the right one (`bayescal data add {dataset.name}`), or give a table of your own with --data."
    else:
        fix = "Restore the file or, if the change is meant, write the new sum under [meta]."
    return f"{path} is not the file that {FILE} describes: its sha256 is {found}, {FILE} says {wanted}. {fix}"


def _sum_inside(content: bytes, where: str) -> str | None:
    """The sum of the content of a compressed file; None if that is damaged or too large."""
    try:
        return hashlib.sha256(decompress(content, where)).hexdigest()
    except InputError:
        return None


def refuse_outside(folder: Path, name: str, key: str) -> None:
    """An InputError if a file that a study names is not in its folder: a study of somebody else's reads nothing else.

    Args:
        key: what names it in dataset.toml.
    """
    advice = "put the file into the study's folder, or allow it with --trust (trust=True in Python)"
    try:
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # a NUL character, a name that is too long, links in a circle
        raise InputError(f"{folder / FILE}: {key} is {name!r}, which is no path: {advice}.") from None
    if not inside or "\\" in name or ":" in name:
        raise InputError(f"{folder / FILE}: {key} is {name!r}, which leads out of the study's folder: {advice}.")
