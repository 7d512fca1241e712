"""Writing a mask to a file."""

import numpy as np
from numpy.typing import NDArray

from connectomake.atomic import atomic_path


def write_mask(path: str, array: NDArray[np.uint8]) -> None:
    """Write a mask (z, y, x) as the dataset ``mask`` of an HDF5 file, compressed; equal masks give equal bytes."""
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver="v110", track_order=False) as file:
        file.create_dataset("mask", data=array, chunks=True, compression="gzip", compression_opts=1, track_times=False)
