"""What a netCDF or Zarr file may be made of, looked at before xarray reads it.

Both formats can do more than hold numbers: HDF5 links to other files and loads filters, Zarr stores of format 2
unpickle objects, links in a folder lead anywhere, and a few bytes can stand for an array of any size. `Fit.save` uses
none of that, and a file that does is refused.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayescal import schema
from bayescal.errors import InputError
from bayescal.reading import TABLE_BYTES, read_json, refuse_larger, refuse_special

_PLAIN = "fiubS"  # kinds of numbers and texts
_FILTERS = (1, 2, 3)  # deflate, shuffle and a checksum: part of HDF5, not loaded from elsewhere
_CODECS = ("bytes", "vlen-utf8", "zstd", "gzip", "blosc", "crc32c")
_TYPES = ("bool", "string", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
_TYPES += ("float32", "float64")
_METADATA = "zarr.json"
_SHAPE = "it is not what `fit.save` writes"


def check_netcdf(path: Path) -> dict[str, object]:
    """The attributes of the file.

    Raises:
        InputError: the file holds something else than groups of plain arrays, or too much.
        OSError: it is not HDF5, or is damaged.
    """
    import h5py

    refuse_special(path)
    refuse_larger(path.stat().st_size, TABLE_BYTES, str(path))
    with h5py.File(path, "r") as file:
        size = 0
        for name, node in _members(file, path):
            if fault := _fault_of(node):
                raise InputError(f"{path}: {name!r} {fault}, so it is not what `fit.save` writes, and is not read.")
            size += math.prod(node.shape or ()) * node.dtype.itemsize
        refuse_larger(size, TABLE_BYTES, f"{path}, once it is decompressed,")
        return dict(file.attrs)


def _members(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """The arrays of the groups of a file, by their place."""
    import h5py

    for group in [file, *(file[name] for name in _names(file, path) if file.get(name, getclass=True) is h5py.Group)]:
        for name in _names(group, path):
            node = group[name]
            if group is file and isinstance(node, h5py.Group):
                continue
            yield f"{group.name.rstrip('/')}/{name}", node


def _names(group: Any, path: Path) -> list[str]:
    """The members of a group, none of which is a link to somewhere else."""
    import h5py

    links = {name: group.get(name, getlink=True) for name in group}
    for name, link in links.items():
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{path}: {name!r} is a link to somewhere else, and is not followed: save the fit again.")
    return list(links)


def _fault_of(node: Any) -> str:
    """What is wrong with an array, in words; "" if nothing is."""
    import h5py

    if not isinstance(node, h5py.Dataset):
        return "is no array"
    made = node.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or node.external:
        return "has its numbers in another file"
    if any(made.get_filter(i)[0] not in _FILTERS for i in range(made.get_nfilters())):
        return "is compressed in an unknown way"
    if node.dtype.kind not in _PLAIN and h5py.check_string_dtype(node.dtype) is None:
        return f"holds {node.dtype}, where numbers or texts are needed"
    return ""


def check_zarr(path: Path) -> dict[str, object]:
    """The attributes of the store.

    Raises:
        InputError: the store holds something else than groups of plain arrays, or too much.
    """
    total, arrays = 0, 0
    for folder, names, files in os.walk(path):
        here = Path(folder)
        for name in (*names, *files):
            if (here / name).is_symlink():
                raise InputError(f"{here / name} is a link, and is not followed: save the fit again.")
        for name in files:
            refuse_special(here / name)
            total += (here / name).stat().st_size
        if _METADATA in files:
            arrays += _check_node(here / _METADATA)
        elif any(name.startswith(".z") for name in files):
            raise InputError(f"{here}: this is a Zarr store of format 2, which may hold programs: save the fit again.")
    refuse_larger(total, TABLE_BYTES, str(path))
    refuse_larger(arrays, TABLE_BYTES, f"{path}, once it is decompressed,")
    return read_json(path / _METADATA, _SHAPE).get("attributes", {})


_NODE = schema.record({"node_type": schema.one_of(("group", "array"))}, {"attributes": schema.section}, others=True)
_ARRAY = schema.record(
    {
        "zarr_format": schema.one_of((3,)),
        "node_type": schema.one_of(("array",)),
        "shape": schema.list_of(schema.count),
        "data_type": schema.either(
            "a type of plain numbers or texts",
            schema.one_of(_TYPES),
            schema.record({"name": schema.one_of(("fixed_length_utf32",)), "configuration": schema.section}),
        ),
        "chunk_grid": schema.record(
            {
                "name": schema.one_of(("regular",)),
                "configuration": schema.record(
                    {"chunk_shape": schema.list_of(schema.that(lambda n: type(n) is int and n > 0, "a whole number"))}
                ),
            }
        ),
        "codecs": schema.list_of(schema.record({"name": schema.one_of(_CODECS)}, {"configuration": schema.section})),
    },
    {"storage_transformers": schema.list_of(schema.anything, 0)},
    others=True,
)


def _check_node(path: Path) -> int:
    """The bytes of an array that a zarr.json describes; 0 of a group."""
    content = read_json(path, _SHAPE)
    schema.check(content, _NODE, str(path), _SHAPE)
    if content["node_type"] == "group":
        return 0
    schema.check(content, _ARRAY, str(path), _SHAPE)
    chunks = content["chunk_grid"]["configuration"]["chunk_shape"]
    if len(chunks) != len(content["shape"]):
        raise InputError(f"{path}: its chunks have other dimensions than the array: {_SHAPE}.")
    # Chunks are read whole, even if the array is smaller.
    return max(math.prod(content["shape"]), math.prod(chunks)) * _bytes_of(content["data_type"])


def _bytes_of(kind: str | Mapping[str, Any]) -> int:
    if isinstance(kind, str):
        return 8 if kind == "string" else np.dtype(kind).itemsize
    length = kind["configuration"].get("length_bytes")
    return length if type(length) is int and length > 0 else TABLE_BYTES + 1
