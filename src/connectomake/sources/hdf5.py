"""HDF5: one dataset of a file, local or by URL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.remote import RangedFile, open_url
from connectomake.sources import identity
from connectomake.sources.hdf5_array import broken_link, hdf5_array
from connectomake.sources.hdf5_files import referred_files
from connectomake.sources.hdf5_reach import check_reach
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.paths import is_url
from connectomake.sources.reasons import TRUNCATED, reason, way_out
from connectomake.sources.source import Source, choose_voxel_size, chunked, read_dtype, volume_shape

_NM_ATTRIBUTES = ("resolution_nm", "voxel_size", "resolution")
_UM_ATTRIBUTE = "element_size_um"


def open_hdf5(path: str, dataset: str | None, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open `dataset` (z, y, x) or (c, z, y, x) of an HDF5 file; of one at a URL, only the pieces that are needed are fetched.

    The voxel size is read from the dataset's attribute ``resolution_nm``, ``voxel_size`` or ``resolution`` (nm, z y x),
    or ``element_size_um`` (µm, z y x).
    """
    stream = open_url(path) if is_url(path) else None
    file = _opened(path, stream)
    array = _dataset(file, dataset, path)
    check_reach(array, None if stream else path, options.refers_to)
    where = f"dataset {dataset} of {path}"
    channels, shape = volume_shape(array.shape, where)
    return Source(
        path=path,
        kind="hdf5",
        bounds=Box.of_shape(shape),
        channels=channels,
        dtype=read_dtype(array.dtype, where),
        voxel_size=choose_voxel_size(voxel_size, _stored_size(array.attrs), where),
        identity=_identity(stream or Path(path), array),
        **chunked(hdf5_array(array, path), (0, 1, 2, 3) if array.ndim == 4 else (None, 0, 1, 2), where, options),
    )


def _identity(place: RangedFile | Path, array: Any) -> identity.Identity:
    found = identity.of_file(place, "hdf5", array.name)
    return found.with_files(referred_files(array, str(place))) if isinstance(place, Path) else found


def _opened(path: str, stream: RangedFile | None) -> Any:
    """Open a file for reading; without a lock where locks are refused, as on some network file systems."""
    import h5py

    try:
        try:
            return h5py.File(stream or path, "r")
        except OSError as error:
            if "lock" not in str(error):
                raise
            return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SourceError(f"{path} cannot be opened as HDF5 ({reason(error)}); {way_out(error, TRUNCATED)}") from error


def _dataset(file: Any, dataset: str | None, path: str) -> Any:
    import h5py

    try:
        found = file.get(dataset) if dataset else None
        if isinstance(found, h5py.Dataset):
            return found
        if dataset and (fault := broken_link(file, dataset)):
            raise SourceError(f"source.dataset {dataset} of {path} is not there: {fault}; copy that, too")
        there = _listing(file)
    except (OSError, RuntimeError, KeyError) as error:
        raise SourceError(f"{path} cannot be read as HDF5 ({reason(error)}); {way_out(error, TRUNCATED)}") from error
    listing = ", ".join(there) or "no dataset"
    if not dataset:
        raise ConfigError(f"source.dataset is missing; {path} holds {listing}")
    raise ConfigError(f"source.dataset {dataset} is not in {path}, which holds {listing}")


def _listing(file: Any, most: int = 20) -> list[str]:
    import h5py

    names: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset):
            names.append(f"{name} {tuple(item.shape or ())} {item.dtype}")
        return True if len(names) >= most else None

    file.visititems(visit)
    return names


def _stored_size(attributes: Any) -> Sequence[float] | None:
    for name in _NM_ATTRIBUTES:
        if name in attributes:
            return [float(v) for v in np.ravel(attributes[name])]
    if _UM_ATTRIBUTE in attributes:
        return [1000 * float(v) for v in np.ravel(attributes[_UM_ATTRIBUTE])]
    return None
