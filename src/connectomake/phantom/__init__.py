"""The phantom: an EM-like volume with its true labels, from a seed.

Centrelines walk through the box, branch and keep clear of each other; every voxel goes to the tube whose wall is nearest;
the walls between neurites are membranes; mitochondria, reticulum and vesicles lie inside. Everything is measured in nm, so
that any voxel size gives tissue of the same make. Only sums, products, square roots and numpy's PCG64 are used, so that
machines agree.
"""

import os
from collections.abc import Sequence

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import ConfigError
from connectomake.phantom import nuclei
from connectomake.phantom.centrelines import grow_tubes
from connectomake.phantom.noise import make_warp
from connectomake.phantom.organelles import distance_field, membranous, mitochondria
from connectomake.phantom.paint import Tissue, paint
from connectomake.phantom.partition import partition

__all__ = ["make_phantom", "write_phantom"]

VERSIONS = {"neurites": 1, "nuclei": nuclei.VERSION}  # raise when the same seed gives another volume
_HALF_MEMBRANE = 17.0  # nm on either side of a wall that the labels leave 0
_DUST = 8e5  # nm³: smaller pieces of a neurite become membrane


def make_phantom(
    shape: Sequence[int], seed: int = 0, voxel_size: Sequence[float] = (16.0, 16.0, 16.0), kind: str = "neurites"
) -> tuple[np.ndarray, np.ndarray]:
    """Make the phantom.

    Parameters
    ----------
    shape
        z, y, x in voxels; memory is about 30 bytes per voxel.
    seed
        Same seed, shape and voxel size: same volume.
    voxel_size
        Nanometres, z, y, x. Membranes are about 40 nm wide: with voxels above 25 nm they begin to vanish.

    Returns
    -------
    raw : (z, y, x) uint8
        Image: cytoplasm about 165, membranes about 85.
    labels : (z, y, x) uint32
        Neurites from 1 in raster order of their first voxel, each one 6-connected piece; 0 is membrane.
        Or nuclei, likewise; 0 is all else.

    Raises
    ------
    ConfigError
        If shape or voxel size is not three positive numbers, or the kind is unknown.
    """
    extent, size = _checked(shape, voxel_size)
    if kind not in VERSIONS:
        raise ConfigError(f"the phantom's kind must be one of {', '.join(VERSIONS)}, got {kind!r}")
    rng = np.random.Generator(np.random.PCG64(seed))
    if kind == "nuclei":
        return nuclei.make_nuclei(extent, size, rng)
    physical = np.array(extent) * np.array(size)
    tubes = grow_tubes((float(physical[0]), float(physical[1]), float(physical[2])), rng)
    warp = make_warp(physical, rng)
    owner, wall = partition(tubes, extent, size, warp)
    labels = _labels(owner, wall, float(np.prod(size)))
    mito = distance_field(mitochondria(tubes, rng), owner, size, warp, reach=24.0)
    small = distance_field(membranous(tubes, rng), owner, size, warp, reach=20.0)
    return paint(Tissue(owner, wall, mito, small), size, rng), labels


def write_phantom(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    seed: int = 0,
    voxel_size: Sequence[float] = (16.0, 16.0, 16.0),
    kind: str = "neurites",
) -> None:
    """Write the phantom as HDF5: ``raw`` (uint8) and ``labels`` (uint32), each with ``resolution`` in nm, z y x.

    Parameters
    ----------
    path
        File to write, atomically.
    shape, seed, voxel_size
        See `make_phantom`.

    Raises
    ------
    ConfigError
        If shape or voxel size is not three positive numbers.
    """
    import h5py

    raw, labels = make_phantom(shape, seed, voxel_size, kind)
    chunks = tuple(min(64, s) for s in raw.shape)
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver="v110", track_order=False) as file:
        what = "" if kind == "neurites" else f"{kind} "
        file.attrs["phantom"] = f"{what}version {VERSIONS[kind]}, seed {seed}"
        for name, array in (("raw", raw), ("labels", labels)):
            options = {"chunks": chunks, "track_times": False}
            compressed = {} if name == "raw" else {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = file.create_dataset(name, data=array, **options, **compressed)
            dataset.attrs["resolution"] = np.array(voxel_size, np.float64)
            dataset.attrs["axes"] = "zyx"


def _checked(shape: Sequence[int], voxel_size: Sequence[float]) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    if len(shape) != 3 or any(int(s) != s or s < 1 for s in shape):
        raise ConfigError(f"the phantom's shape must be three positive whole numbers [z, y, x], got {list(shape)}")
    if len(voxel_size) != 3 or not all(0 < v < 1e5 for v in voxel_size):
        raise ConfigError(f"the phantom's voxel size must be three positive numbers [z, y, x] in nm, got {list(voxel_size)}")
    z, y, x = (int(s) for s in shape)
    dz, dy, dx = (float(v) for v in voxel_size)
    return (z, y, x), (dz, dy, dx)


def _labels(owner: np.ndarray, wall: np.ndarray, voxel: float) -> np.ndarray:
    """Label the connected pieces of the neurites; small ones become membrane, in `wall` too."""
    import cc3d

    inside = np.where(wall > _HALF_MEMBRANE, owner, 0).astype(np.uint32)
    pieces = cc3d.connected_components(inside, connectivity=6, out_dtype=np.uint32)
    sizes = np.bincount(pieces.reshape(-1))
    kept = sizes * voxel >= _DUST
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    labels = numbers[pieces]
    wall[(pieces > 0) & (labels == 0)] = 0
    return labels
