"""A volume to export: a box of a source at each of its scales, and the interface of a format's writer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting.casting import cast
from connectomake.geometry import Box, Vec
from connectomake.sources import Source

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
DTYPES = (*INTEGERS, "float32", "float64")


@dataclass(frozen=True)
class Level:
    """A box of one scale of a volume.

    Parameters
    ----------
    source
        Where its voxels are read.
    box
        In voxels of this scale, absolute.
    channels
        Indices of the channels that are taken, in their order.
    written_as
        NumPy name of the dtype in which they are written; None: that of the source.
    """

    source: Source
    box: Box
    channels: tuple[int, ...]
    written_as: str | None = None

    @property
    def dtype(self) -> np.dtype:
        """Of the voxels, as they are written."""
        return np.dtype(self.written_as or self.source.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent (c, z, y, x), or (z, y, x) where there is one channel."""
        return self.box.shape if len(self.channels) == 1 else (len(self.channels), *self.box.shape)

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Nanometres, z, y, x."""
        return self.source.voxel_size

    @property
    def origin(self) -> tuple[float, float, float]:
        """Place of the first voxel in nm, z, y, x."""
        z, y, x = (a * s for a, s in zip(self.box.start, self.voxel_size, strict=True))
        return (z, y, x)

    @property
    def bytes(self) -> int:
        """Size of all voxels, as they are written."""
        return self.dtype.itemsize * len(self.channels) * self.box.volume

    @property
    def voxel_bytes(self) -> int:
        """Size of a voxel with all its channels, as it is read or as it is written, whichever is larger."""
        return max(self.dtype.itemsize, np.dtype(self.source.dtype).itemsize) * len(self.channels)

    def read(self, box: Box) -> np.ndarray:
        """Read voxels (c, z, y, x) of a box that counts from the first voxel of the level."""
        there = box.translate(self.box.start)
        values = self.source.read(there)
        if self.channels != tuple(range(self.source.channels)):
            values = values[list(self.channels)]

        def place(index: tuple[int, ...]) -> str:
            z, y, x = (i + s for i, s in zip(index[1:], there.start, strict=True))
            return f"the voxel z, y, x = {z}, {y}, {x} of channel {self.channels[index[0]]} of {self.source.path}"

        return cast(values, self.dtype, place)


@dataclass(frozen=True)
class Options:
    """How a volume is written.

    Parameters
    ----------
    dataset
        Name of the array in an HDF5 file, or in a Zarr or N5 folder, which is then a group.
    chunk
        Shape of storage chunks, z, y, x.
    encoding
        Of precomputed: ``raw``, ``gzip``, ``compressed_segmentation``, ``compressed_segmentation+gzip``, ``png`` or ``jpeg``.
    labels
        Whether the voxels are ids, not brightness.
    shard
        Of precomputed: chunks of a shard along each axis, a power of 2; None: no shards.
    """

    dataset: str | None = None
    chunk: Vec = (64, 64, 64)
    encoding: str = "raw"
    labels: bool = False
    shard: int | None = None


class Writer(Protocol):
    """One scale of a file that is being written."""

    @property
    def grain(self) -> Vec:
        """The smallest box that is written at once; all boxes but the last ones are multiples of it."""

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write voxels (c, z, y, x) of a box that counts from the first voxel."""

    def close(self) -> None:
        """Write what is left to write."""


def levels_of(
    sources: Sequence[Source], box: Box | None = None, channels: Sequence[int] | None = None, written_as: str | None = None
) -> list[Level]:
    """Return the levels of a volume.

    Parameters
    ----------
    sources
        Its scales, the finest first.
    box
        In voxels of the first scale; None: all. Of coarser scales, all voxels that have a part in it.
    channels
        Which channels, all by default.
    written_as
        In which dtype they are written, that of the sources by default.

    Raises
    ------
    ConfigError
        If the box leaves the volume or is empty, or there is no such channel or dtype.
    """
    if written_as is not None and written_as not in DTYPES:
        raise ConfigError(f"there is no --dtype {written_as} for voxels; there are: {', '.join(DTYPES)}")
    first = sources[0]
    box = first.bounds if box is None else box
    if box.empty or not first.bounds.contains(box):
        raise ConfigError(f"the box {_text(box)} is empty or not within {first.path}, which holds {_text(first.bounds)}")
    chosen = tuple(range(first.channels)) if channels is None else tuple(channels)
    for channel in chosen:
        if not 0 <= channel < first.channels:
            raise ConfigError(f"{first.path} has channels 0 to {first.channels - 1}, not {channel}")
    return [Level(s, box if s is first else _coarser(box, first, s), chosen, written_as) for s in sources]


def _coarser(box: Box, fine: Source, coarse: Source) -> Box:
    ratio = [round(b / a) for a, b in zip(fine.voxel_size, coarse.voxel_size, strict=True)]
    z0, y0, x0 = (a // r for a, r in zip(box.start, ratio, strict=True))
    z1, y1, x1 = (math.ceil(b / r) for b, r in zip(box.stop, ratio, strict=True))
    return Box((z0, y0, x0), (z1, y1, x1)).intersect(coarse.bounds)


def _text(box: Box) -> str:
    return ",".join(f"{a}:{b}" for a, b in zip(box.start, box.stop, strict=True))
