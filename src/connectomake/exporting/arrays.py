"""Formats that TensorStore writes: Zarr 2 and 3, OME-Zarr and N5; `precomputed` uses the same writer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting.attributes import attributes, multiscales
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Box, Vec


class Array:
    """Writes boxes into an array of TensorStore, indexed (z, y, x) or (c, z, y, x) from 0."""

    def __init__(self, array: Any, grain: Vec) -> None:
        self.array, self.grain = array, grain

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write voxels (c, z, y, x) of a box."""
        self.array[(..., *box.slices())].write(values if self.array.rank == 4 else values[0]).result()

    def take(self, box: Box, view: Any) -> Any:
        """Begin to write a view (z, y, x) or (c, z, y, x) of a box; see `direct.Taker`."""
        target = self.array[(..., *box.slices())]
        return (target if target.rank == view.rank else target[0]).write(view)

    def close(self) -> None:
        """Nothing is left."""


def open_array(driver: str, folder: Path, **more: Any) -> Any:
    """Create an array in a folder, without flushing each of its files."""
    import tensorstore as ts

    kvstore = {"driver": "file", "path": f"{folder.absolute()}/", "file_io_sync": False}  # all is flushed before the rename
    return ts.open(
        {"driver": driver, "kvstore": kvstore, "create": True, "open": True, "store_data_equal_to_fill_value": True, **more}
    ).result()


def _chunk(level: Level, options: Options) -> list[int]:
    return [1] * (len(level.shape) - 3) + list(options.chunk)


def _zarr2(folder: Path, level: Level, options: Options, said: dict[str, Any]) -> Array:
    compressor = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}
    metadata = {
        "shape": level.shape, "chunks": _chunk(level, options), "dtype": level.dtype.newbyteorder("<").str, "fill_value": 0,
        "compressor": compressor, "dimension_separator": "/",
    }  # fmt: skip
    array = Array(open_array("zarr", folder, metadata=metadata), options.chunk)
    _write(folder / ".zattrs", said)
    return array


def _zarr3(folder: Path, level: Level, options: Options, said: dict[str, Any]) -> Array:
    names = list("czyx")[-len(level.shape) :]
    metadata = {
        "shape": level.shape, "data_type": level.dtype.name, "fill_value": 0, "attributes": said, "dimension_names": names,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": _chunk(level, options)}},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}},
        ],
    }  # fmt: skip
    return Array(open_array("zarr3", folder, metadata=metadata), options.chunk)


def create_zarr2(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin a Zarr 2 array, or a group with one of the name `dataset`."""
    groups = {".zgroup": {"zarr_format": 2}}
    return [_zarr2(_grouped(path, options, groups), levels[0], options, attributes(levels[0]))]


def create_zarr3(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin a Zarr 3 array, or a group with one of the name `dataset`."""
    groups = {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": {}}}
    return [_zarr3(_grouped(path, options, groups), levels[0], options, attributes(levels[0]))]


def create_n5(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin an N5 array, or a group with one of the name `dataset`; attributes as n5-viewer reads them, x first, too."""
    level = levels[0]
    folder = _grouped(path, options, {"attributes.json": {"n5": "2.0.0"}})
    metadata = {
        "dimensions": level.shape[::-1], "blockSize": _chunk(level, options)[::-1], "dataType": level.dtype.name,
        "compression": {"type": "gzip", "level": 1},
    }  # fmt: skip
    array = open_array("n5", folder, metadata=metadata)
    file = folder / "attributes.json"
    viewer = {"pixelResolution": {"dimensions": list(level.voxel_size[::-1]), "unit": "nm"}}
    _write(file, json.loads(file.read_text()) | attributes(level) | viewer)
    return [Array(array.T, options.chunk)]


def create_ome4(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin an OME-Zarr 0.4 image of all levels."""
    path.mkdir()
    _write(path / ".zgroup", {"zarr_format": 2})
    _write(path / ".zattrs", multiscales(list(levels), "0.4"))
    return [_zarr2(path / str(i), level, options, {}) for i, level in enumerate(levels)]


def create_ome5(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin an OME-Zarr 0.5 image of all levels."""
    path.mkdir()
    said = {"ome": {"version": "0.5", **multiscales(list(levels), "0.5")}}
    _write(path / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": said})
    return [_zarr3(path / str(i), level, options, {}) for i, level in enumerate(levels)]


def _grouped(path: Path, options: Options, group: dict[str, Any]) -> Path:
    """Return the folder of the array; make the groups above it."""
    parts = [p for p in (options.dataset or "").split("/") if p]
    if ".." in parts:
        raise ConfigError(f"--dataset {options.dataset} lies outside the destination; name it without ..")
    for depth in range(len(parts)):
        folder = path.joinpath(*parts[:depth])
        for name, content in group.items():
            _write(folder / name, content)
    return path.joinpath(*parts)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
