"""Clefts and the cells within their reach, tile by tile: a tile is read with as much around it as the reach is long."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.synapses import kernels
from connectomake.synapses.reach import Ball
from connectomake.synapses.tally import Sum, Tally

Reader = Callable[[Box], np.ndarray]
MOST_VOXELS = 1 << 28


@dataclass(frozen=True, slots=True)
class Clefts:
    """Clefts, and the cells around them.

    Parameters
    ----------
    clefts
        Voxels per cleft.
    near
        Voxels per (cleft, cell) that are of the cell and within reach of the cleft.
    tiles
        The tiles that hold a voxel of a cleft.
    """

    clefts: Tally
    near: Tally
    tiles: list[Box]


def clefts_of(read_clefts: Reader, read_cells: Reader, tiles: Iterable[Box], bounds: Box, ball: Ball) -> Clefts:
    """Count the voxels of clefts, and those of cells within their reach, in tiles of a box.

    Parameters
    ----------
    read_clefts, read_cells
        Return the ids of a box within `bounds`, (z, y, x) uint64; 0 is none.
    tiles
        A partition of `bounds`; the result is the same for any, but for the list of tiles.
    bounds
        The box; what lies beyond it is not looked at.
    ball
        What is within reach of a voxel.

    Raises
    ------
    ConfigError
        If the reach is too far for a tile with what is around it to be held.
    SourceError
        If there is no cleft in the box.
    """
    clefts, near, held = Sum(1, 1), Sum(2, 1), []
    for tile in tiles:
        around = tile.grow(ball.halo).intersect(bounds)
        if around.volume > MOST_VOXELS:
            raise ConfigError(
                f"--reach is {list(ball.halo)} voxels along z, y, x; the tile {tile} and what is around it make "
                f"{around.volume:,} voxels, more than {MOST_VOXELS:,}; take less, or a coarser scale"
            )
        ids = read_clefts(around)
        own = ids[tile.slices(around.start)]
        if own.any():
            held.append(tile)
            clefts.add(_voxels(own, own != 0, tile, bounds))
        if ids.any():
            for part in _near(ids, around, read_cells(tile), tile, bounds, ball):
                near.add(part)
    if not held:
        raise SourceError(f"CLEFTS holds no object in {bounds}, only 0; name another volume or box")
    return Clefts(clefts.total(), near.total(), held)


def _near(ids: np.ndarray, around: Box, cells: np.ndarray, tile: Box, bounds: Box, ball: Ball) -> Iterator[Tally]:
    """Yield the voxels of cells in a tile that are within reach of each cleft around it."""
    from scipy.ndimage import find_objects

    names, numbers = np.unique(ids[ids != 0], return_inverse=True)
    compact = np.zeros(ids.shape, np.int32)
    compact[ids != 0] = numbers + 1
    for number, slices in enumerate(find_objects(compact), 1):
        (z, y, x) = slices
        own = Box((z.start, y.start, x.start), (z.stop, y.stop, x.stop))
        box = own.translate(around.start).grow(ball.halo).intersect(tile)
        if box.empty:
            continue
        low, high, first = (np.array(v, np.int64) for v in (own.start, own.stop, box.translate(_minus(around)).start))
        out = np.empty(box.shape, np.bool_)
        kernels.dilate(*kernels.runs_of(compact, number, low, high), low, high, first, ball.widths, out)
        there = cells[box.slices(tile.start)]
        found = _voxels(there, out & (there != 0), box, bounds)
        keys = np.stack([np.full(len(found), names[number - 1]), found.keys[:, 0]], axis=1)
        yield Tally(keys, found.counts, found.sums, found.first)


def _minus(box: Box) -> tuple[int, int, int]:
    z, y, x = box.start
    return -z, -y, -x


def _voxels(ids: np.ndarray, chosen: np.ndarray, box: Box, bounds: Box) -> Tally:
    """Count the chosen voxels of a box by id."""
    places = np.nonzero(chosen)
    names, first, numbers = np.unique(ids[places], return_index=True, return_inverse=True)
    count = np.bincount(numbers, minlength=len(names))
    sums, at = [], []
    for axis, place in enumerate(places):
        offset = box.start[axis] - bounds.start[axis]
        within = np.bincount(numbers, place, len(names)).astype(np.int64)  # whole numbers below 2^53: floats are exact
        sums.append(2 * within + (2 * offset + 1) * count)
        at.append(place[first] + offset)
    raster = np.ravel_multi_index(tuple(at), bounds.shape).astype(np.int64)
    return Tally(names[:, None].astype(np.uint64), count[:, None], np.stack(sums, axis=1), raster)
