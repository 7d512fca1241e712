"""Contacts between the objects of a segmentation: voxel faces between each two, each counted once for any tiles.

A face belongs to the tile of its upper voxel, so a tile is read with the plane before it along each axis::

    ┌ ─ ─ ─ ─ ─ ─
    │ ░░░░░░░░░░░   ░ read, but belongs to the tiles before
    │ ░┌─────────
    │ ░│ tile
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.synapses import kernels
from connectomake.synapses.tally import Sum, Tally

Reader = Callable[[Box], np.ndarray]
_CAPACITY = 1 << 16


def contacts_of(read: Reader, tiles: Iterable[Box], bounds: Box) -> Tally:
    """Count the faces between voxels of different objects, in tiles of a box.

    Parameters
    ----------
    read
        Returns the ids of a box within `bounds`, (z, y, x) uint64; 0 is no object.
    tiles
        A partition of `bounds`; the result is the same for any.
    bounds
        The box: faces between two voxels in it are counted.

    Returns
    -------
    Tally
        Per (smaller id, larger id): faces along z, y and x; the middles of the faces; the smallest 3 * raster index of a
        face's upper voxel + axis.

    Raises
    ------
    SourceError
        If there is no object in the box.
    """
    found, seen = Sum(2, 3), False
    for tile in tiles:
        ids = np.ascontiguousarray(read(tile.grow(1, 0).intersect(bounds)))
        if ids.any():
            seen = True
            for part in _faces(ids, tile, bounds):
                found.add(part)
    if not seen:
        raise SourceError(f"there is no object in {bounds}, only 0; name another volume or box")
    return found.total()


def _faces(ids: np.ndarray, tile: Box, bounds: Box) -> Iterator[Tally]:
    halo = np.array(ids.shape, np.int64) - np.array(tile.shape, np.int64)
    place = np.array(tile.start, np.int64) - np.array(bounds.start, np.int64)
    whole, lines, line = np.array(bounds.shape, np.int64), tile.shape[0] * tile.shape[1], 0
    capacity = _CAPACITY + kernels.rows_wanted(tile.shape[2])
    empty = Tally.empty(2, 3)
    out = [np.empty((capacity, *column.shape[1:]), column.dtype) for column in empty.columns()]
    while line < lines:
        rows, line = kernels.tally_faces(ids, halo, place, whole, line, *out)
        yield Tally(*(column[:rows] for column in out)).summed()


def contact_columns(contacts: Tally, bounds: Box, voxel_size: Sequence[float], min_faces: int = 1) -> dict[str, np.ndarray]:
    """Return the table of contacts.

    Parameters
    ----------
    contacts
        From `contacts_of`.
    bounds
        What they were counted in.
    voxel_size
        Nanometres, z, y, x.
    min_faces
        Contacts of fewer faces are left out.

    Returns
    -------
    dict
        Columns (n,): ``object_a`` < ``object_b`` (uint64); ``faces_z``, ``faces_y``, ``faces_x`` and their sum ``faces``
        (uint64); ``area_nm2`` (float64), faces times the area of each; ``z``, ``y``, ``x`` (int64) and ``axis``, the first
        face: its upper voxel, absolute, whose lower neighbour along the axis is of the other object; ``z_nm``, ``y_nm``,
        ``x_nm`` (float64), the mean place of the faces. Rows are in the order of object_a, then of object_b.
    """
    kept = contacts.take(contacts.counts.sum(axis=1) >= min_faces)
    nz, ny, nx = (kept.counts[:, axis] for axis in range(3))
    vz, vy, vx = voxel_size
    place = np.stack(np.unravel_index(kept.first // 3, bounds.shape), axis=-1) + np.array(bounds.start, np.int64)
    middle = kept.middles(bounds.start, voxel_size)
    return {
        "object_a": kept.keys[:, 0], "object_b": kept.keys[:, 1],
        "faces_z": nz.astype(np.uint64), "faces_y": ny.astype(np.uint64), "faces_x": nx.astype(np.uint64),
        "faces": (nz + ny + nx).astype(np.uint64), "area_nm2": nz * (vy * vx) + ny * (vz * vx) + nx * (vz * vy),
        "z": place[:, 0], "y": place[:, 1], "x": place[:, 2], "axis": np.array(list("zyx"))[kept.first % 3],
        "z_nm": middle[:, 0], "y_nm": middle[:, 1], "x_nm": middle[:, 2],
    }  # fmt: skip
