"""Precomputed: every scale in chunks or shards, in any of the encodings that TensorStore writes, and gzip over them."""

import gzip
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError
from connectomake.exporting.arrays import Array, open_array
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Vec

ENCODINGS = ("raw", "compressed_segmentation", "png", "jpeg")
CHOICES = (*ENCODINGS, "gzip", "compressed_segmentation+gzip")
"""Values of ``--encoding``; ``gzip`` is that of raw voxels."""
_GZIPPED = ("raw", "compressed_segmentation")
_MINISHARD_BITS = 9
_THREADS = 4


class Zipped(Array):
    """Writes chunks, and compresses them with gzip when all are written: files ``NAME.gz``, as CloudVolume names local ones."""

    def __init__(self, array: Any, grain: Vec, folder: Path) -> None:
        super().__init__(array, grain)
        self._folder = folder

    def close(self) -> None:
        """Compress all chunks."""
        with ThreadPoolExecutor(_THREADS, "gzip") as pool:
            for _ in pool.map(_zip, [self._folder / name for name in os.listdir(self._folder)]):  # noqa: PTH208 (names only)
                pass


def _zip(path: Path) -> None:
    data = gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(data)
    path.unlink()


def create_precomputed(path: Path, levels: Sequence[Level], options: Options) -> list[Array]:
    """Begin a precomputed volume of all levels, unsharded unless `options` ask for shards.

    Raises
    ------
    ConfigError
        If the encoding is unknown or does not hold such voxels without loss, or shards cannot be so.
    """
    check_encoding(levels[0], options)
    kind = "segmentation" if options.labels and levels[0].dtype.kind == "u" else "image"
    multiscale = {"type": kind, "data_type": levels[0].dtype.name, "num_channels": len(levels[0].channels)}
    return [_scale(path, level, options, multiscale) for level in levels]


def _scale(path: Path, level: Level, options: Options, multiscale: dict[str, Any]) -> Array:
    encoding, zipped = _parts(options.encoding)
    scale: dict[str, Any] = {
        "resolution": level.voxel_size[::-1], "voxel_offset": level.box.start[::-1], "size": level.box.shape[::-1],
        "chunk_size": options.chunk[::-1], "encoding": encoding,
    }  # fmt: skip
    if encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = (8, 8, 8)
    if options.shard is not None:
        scale["sharding"] = sharding(level.box.shape, options.chunk, options.shard, encoding in _GZIPPED)
    array = open_array("neuroglancer_precomputed", path, multiscale_metadata=multiscale, scale_metadata=scale)
    x, y, z, _ = array.chunk_layout.write_chunk.shape
    turned = array.T.translate_to[(0, 0, 0, 0)]
    if zipped and options.shard is None:
        key = array.spec().to_json()["scale_metadata"]["key"]
        return Zipped(turned, options.chunk, path / key)
    return Array(turned, options.chunk if options.shard is None else (z, y, x))


def sharding(shape: Vec, chunk: Vec, shard: int, zipped: bool) -> dict[str, Any]:
    """Return the sharding of a scale: cubes of `shard` chunks along each axis; a flat volume has more along the others.

    The numbers of chunks are compressed Morton codes: three bits name the 8 chunks of a cube of 2 (volume.md of Neuroglancer's
    description of precomputed).

    Examples
    --------
    >>> found = sharding((512, 512, 512), (64, 64, 64), 4, True)
    >>> found["preshift_bits"], found["minishard_bits"], found["shard_bits"], found["data_encoding"]
    (6, 0, 3, 'gzip')
    """
    bits = 3 * (shard.bit_length() - 1)
    total = sum((-(-n // c) - 1).bit_length() for n, c in zip(shape, chunk, strict=True))
    packing = "gzip" if zipped else "raw"
    return {
        "@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": min(bits, _MINISHARD_BITS),
        "minishard_bits": max(bits - _MINISHARD_BITS, 0), "shard_bits": max(total - bits, 0),
        "minishard_index_encoding": "gzip", "data_encoding": packing,
    }  # fmt: skip


def _parts(encoding: str) -> tuple[str, bool]:
    """Return the encoding of chunks, and whether gzip comes over it."""
    name, _, over = encoding.partition("+")
    return ("raw", True) if encoding == "gzip" else (name, over == "gzip")


def check_encoding(level: Level, options: Options) -> None:
    """Raise a ConfigError if voxels are not held by the encoding as they are; jpeg holds images nearly so, no labels."""
    dtype, count = level.dtype.name, len(level.channels)
    if options.encoding == "jxl":
        raise ConfigError(
            "precomputed cannot be written with --encoding jxl, which TensorStore does not write; choose png or jpeg"
        )
    if options.encoding not in CHOICES:
        raise ConfigError(f"precomputed cannot be written with --encoding {options.encoding}; there are: {', '.join(CHOICES)}")
    if options.shard is not None and (options.shard < 1 or options.shard & (options.shard - 1) or options.shard > 1024):
        raise ConfigError(
            f"--shard must be a power of 2 from 1 to 1024, the chunks of a shard along each axis, got {options.shard}"
        )
    name, _ = _parts(options.encoding)
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
