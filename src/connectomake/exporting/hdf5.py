"""HDF5: one dataset in chunks, with funlib's attributes of voxel size and offset."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from connectomake.exporting.attributes import attributes
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Box, Vec


class Hdf5:
    """Writes boxes into a dataset."""

    def __init__(self, path: Path, level: Level, options: Options) -> None:
        self.grain: Vec = options.chunk
        self._file = h5py.File(path, "w")
        z, y, x = (min(c, n) for c, n in zip(options.chunk, level.box.shape, strict=True))
        chunks = (z, y, x) if len(level.shape) == 3 else (1, z, y, x)
        self._array = self._file.create_dataset(
            options.dataset or "main",
            level.shape,
            level.dtype,
            chunks=chunks,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        self._array.attrs.update(attributes(level))

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write voxels (c, z, y, x) of a box."""
        self._array[(..., *box.slices())] = values if self._array.ndim == 4 else values[0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def create_hdf5(path: Path, levels: Sequence[Level], options: Options) -> list[Hdf5]:
    """Begin an HDF5 file."""
    return [Hdf5(path, levels[0], options)]
