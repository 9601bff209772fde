"""Getting the table of a registered set: from its address, or from a file that the user has."""

import gzip
from pathlib import Path

from bayescal.errors import InputError
from bayescal.files import sweep, temporary_folder, write_atomically
from bayescal.study.dataset import Dataset, read_dataset
from bayescal.study.where import find_study, find_table, sum_fault, table_folder


def add_table(study: str | Path, file: str | Path | None = None) -> Path:
    """Put the table of a registered set where `load_study` finds it, and return that place.

    The table is downloaded if the file at its address is the one that is read; otherwise the user has to give it. Only
    a file with the registered sha256 is accepted, and it is written completely or not at all.

    Args:
        file: a copy on the user's disk.

    Raises:
        InputError: a set that ships with bayescal, a file with another sum, no network, or a table that cannot be
            downloaded.

    Example:
        add_table("nagel-1995")
        add_table("public-goods", "downloads/alsobay_pgg_tidy.csv.gz")
    """
    dataset = read_dataset(find_study(study))
    if not dataset.registered:
        raise InputError(f"{dataset.name} comes with its table: there is nothing to add.")
    place = table_folder() / dataset.external
    sweep(place.parent)
    here = find_table(dataset)
    if here is not None and file is None and not sum_fault(here, dataset):
        return here
    if file is not None:
        return _put(Path(file), place, dataset)
    if dataset.derived:
        raise InputError(_by_hand(dataset, place))
    with temporary_folder(place.parent) as folder:
        return _put(_download(dataset, place, folder), place, dataset)


def _put(file: Path, place: Path, dataset: Dataset) -> Path:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"{file} {what}: give the file {place.name} (source: {dataset.source}).")
    fault = sum_fault(file, dataset)
    if fault:
        raise InputError(fault)
    content = file.read_bytes()
    packed = content[:2] == b"\x1f\x8b" and place.suffix != ".gz"
    write_atomically(place, gzip.decompress(content) if packed else content)
    return place


def _by_hand(dataset: Dataset, place: Path) -> str:
    return (
        f"The table of {dataset.name!r} is not the original file but {place.name}, made from "
        f"{dataset.address} ({dataset.derived}): put that file, of sha256 {dataset.sha256}, at {place} or give it with "
        f"`bayescal data add {dataset.name} --file FILE`; a table that you make yourself with the same columns can be "
        "calibrated with --data FILE."
    )


def _download(dataset: Dataset, place: Path, folder: Path) -> Path:
    try:
        return _fetch(dataset.address, place.name, folder)
    except (OSError, ValueError) as error:
        # The message of requests for a missing network is half a page long; for a missing page, one line.
        reason = type(error).__name__ if "Max retries" in str(error) or not str(error) else " ".join(str(error).split())
        raise InputError(
            f"{dataset.address} could not be fetched ({reason}): get that file where there is a network, and put it "
            f"at {place} or give it with `bayescal data add {dataset.name} --file FILE`."
        ) from None


def _fetch(address: str, name: str, folder: Path) -> Path:
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # it would suggest the found sum as the expected one
    try:
        return Path(pooch.retrieve(address, known_hash=None, fname=name, path=folder))
    finally:
        logger.setLevel(level)
