"""Formats that TensorStore writes: Zarr 2 and 3, OME-Zarr, N5 and precomputed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting.attributes import attributes, multiscales
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Box, Vec

ENCODINGS = ("raw", "compressed_segmentation", "png", "jpeg")


class Array:
    """Writes boxes into an array of TensorStore, indexed (z, y, x) or (c, z, y, x) from 0."""

    def __init__(self, array: Any, grain: Vec) -> None:
        self._array, self.grain = array, grain

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write voxels (c, z, y, x) of a box."""
        self._array[(..., *box.slices())].write(values if self._array.rank == 4 else values[0]).result()

    def take(self, box: Box, view: Any) -> Any:
        """Begin to write a view (z, y, x) or (c, z, y, x) of a box; see `direct.Taker`."""
        target = self._array[(..., *box.slices())]
        return (target if target.rank == view.rank else target[0]).write(view)

    def close(self) -> None:
        """Nothing is left."""


def _open(driver: str, folder: Path, **more: Any) -> Any:
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
    array = Array(_open("zarr", folder, metadata=metadata), options.chunk)
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
    return Array(_open("zarr3", folder, metadata=metadata), options.chunk)


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
    array = _open("n5", folder, metadata=metadata)
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


def create_precomputed(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin a precomputed volume of all levels, unsharded.

    Raises
    ------
    ConfigError
        If the encoding is unknown or does not hold such voxels without loss.
    """
    check_encoding(levels[0], options)
    kind = "segmentation" if options.labels and levels[0].dtype.kind == "u" else "image"
    multiscale = {"type": kind, "data_type": levels[0].dtype.name, "num_channels": len(levels[0].channels)}
    return [_scale(path, level, options, multiscale) for level in levels]


def _scale(path: Path, level: Level, options: Options, multiscale: dict[str, Any]) -> Array:
    scale = {
        "resolution": level.voxel_size[::-1], "voxel_offset": level.box.start[::-1], "size": level.box.shape[::-1],
        "chunk_size": options.chunk[::-1], "encoding": options.encoding,
    }  # fmt: skip
    if options.encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = (8, 8, 8)
    array = _open("neuroglancer_precomputed", path, multiscale_metadata=multiscale, scale_metadata=scale)
    return Array(array.T.translate_to[(0, 0, 0, 0)], options.chunk)


def check_encoding(level: Level, options: Options) -> None:
    """Raise a ConfigError if voxels are not held by the encoding as they are; jpeg holds images nearly so, no labels."""
    name, dtype, count = options.encoding, level.dtype.name, len(level.channels)
    if name not in ENCODINGS:
        raise ConfigError(f"precomputed cannot be written with --encoding {name}; there are: {', '.join(ENCODINGS)}")
    if name == "compressed_segmentation" and dtype not in ("uint32", "uint64"):
        raise ConfigError(f"--encoding compressed_segmentation holds uint32 and uint64, not {dtype}; choose raw or png")
    if name == "jpeg" and (options.labels or dtype != "uint8" or count not in (1, 3)):
        raise ConfigError(
            f"--encoding jpeg changes values and holds images of uint8 with 1 or 3 channels, not {count} of {dtype} "
            f"{'labels' if options.labels else ''}".rstrip()
            + "; choose raw, png or compressed_segmentation"
        )
    if name == "png" and (dtype not in ("uint8", "uint16") or count > 4):
        raise ConfigError(f"--encoding png holds up to 4 channels of uint8 or uint16, not {count} of {dtype}; choose raw")


def _grouped(path: Path, options: Options, group: dict[str, Any]) -> Path:
    """Return the folder of the array; make the groups above it."""
    parts = [p for p in (options.dataset or "").split("/") if p]
    if ".." in parts:
        raise ConfigError(f"--dataset {options.dataset} leads out of the destination; name it without ..")
    for depth in range(len(parts)):
        folder = path.joinpath(*parts[:depth])
        for name, content in group.items():
            _write(folder / name, content)
    return path.joinpath(*parts)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
