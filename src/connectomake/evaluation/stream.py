"""Tallying two label volumes block by block, tile by tile: each voxel is read once, but for planes where blocks touch.

Voxel faces between tiles of a block are counted with the planes that the tiles before left behind::

    ┌───────┬───────┬─ ─
    │ tile  │ tile  │ ◄── low planes of the next block are read, one voxel thick
    │      ▐│ this ▐│      ▐ ▄ planes kept for the tile to come
    ├▄▄▄▄▄▄▄┼▄▄▄▄▄▄▄┼─ ─
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from connectomake.evaluation import kernels
from connectomake.evaluation.contingency import Contingency, Overlap
from connectomake.evaluation.tiles import tiles_of
from connectomake.geometry import Box, Vec

Reader = Callable[[Box], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]
ROWS_KEPT = 1 << 22
_CAPACITY = 1 << 17


def overlap_of(
    read_gt: Reader,
    read_seg: Reader,
    blocks: Iterable[Box],
    tile: Vec | None,
    bounds: Box,
    read_supervoxels: Reader | None = None,
) -> Overlap:
    """Count what ground truth and segmentation have in common in some blocks of a box.

    The sum over all blocks of any partition of `bounds` is the same.

    Parameters
    ----------
    read_gt, read_seg
        Return the labels of a box within `bounds`, (z, y, x) uint64: tiles, and planes at the high sides of blocks.
    blocks
        Boxes within `bounds` that do not overlap.
    tile
        Shape of what is held in memory; None for whole sections.
    bounds
        The box that is evaluated: places are raster indices in it.
    read_supervoxels
        Returns the supervoxels that segments are made of, of tiles; None: they are not counted.
    """
    parts: list[Overlap] = []
    for block in blocks:
        parts.append(_Block(lambda box: (read_gt(box), read_seg(box)), block, bounds, read_supervoxels).overlap(tile))
        if sum(map(len, parts)) > ROWS_KEPT:
            parts = [Overlap.summed(parts)]
    return Overlap.summed(parts)


def pairs_of(read_a: Reader, read_b: Reader, tiles: Iterable[Box], bounds: Box) -> Contingency:
    """Count the voxels that labels of two volumes have in common, in tiles of a box.

    The sum over all tiles of any partition of `bounds` is the same.

    Parameters
    ----------
    read_a, read_b
        Return the labels of a box, (z, y, x) uint64.
    tiles
        Boxes within `bounds` that do not overlap.
    bounds
        The box: places are raster indices in it.

    Returns
    -------
    Contingency
        Voxels per (a, b); voxels where a is 0 are left out, those where b is 0 are kept.
    """
    parts: list[Contingency] = []
    for box in tiles:
        labels = tuple(np.ascontiguousarray(read(box)) for read in (read_a, read_b))
        lines = box.shape[0] * box.shape[1]
        parts += _rows(kernels.tally_pairs, (*labels, *_raster(box, bounds)), lines, box.shape[2], 2)
        if sum(map(len, parts)) > ROWS_KEPT:
            parts = [Contingency.summed(parts, 2)]
    return Contingency.summed(parts, 2)


class _Block:
    """One block while it is streamed through; `_planes` are the last planes seen along each axis."""

    def __init__(self, read: Callable[[Box], Pair], box: Box, bounds: Box, read_supervoxels: Reader | None) -> None:
        self._read, self._box, self._bounds, self._read_supervoxels = read, box, bounds, read_supervoxels
        shapes = [tuple(1 if a == axis else n for a, n in enumerate(box.shape)) for axis in range(3)]
        self._planes = [(np.zeros(s, np.uint64), np.zeros(s, np.uint64)) for s in shapes]
        self._pairs: list[Contingency] = []
        self._contacts: list[Contingency] = []
        self._supervoxels: list[Contingency] = []

    def overlap(self, tile: Vec | None) -> Overlap:
        """Return the block's overlap."""
        for box in tiles_of(self._box, tile):
            self._add(box)
            self._shrink()
        for axis in range(3):
            self._add_beyond(axis)
        pairs, contacts = Contingency.summed(self._pairs, 2), Contingency.summed(self._contacts, 4)
        split = int(np.searchsorted(contacts.keys[:, 0], 1))
        splits, mergers = _without_kind(contacts, 0, split), _without_kind(contacts, split, len(contacts))
        return Overlap(pairs, splits, mergers, Contingency.summed(self._supervoxels, 2))

    def _shrink(self) -> None:
        if sum(map(len, self._pairs)) + sum(map(len, self._contacts)) > ROWS_KEPT:
            self._pairs, self._contacts = (
                [Contingency.summed(self._pairs, 2)],
                [Contingency.summed(self._contacts, 4)],
            )
        if sum(map(len, self._supervoxels)) > ROWS_KEPT:
            self._supervoxels = [Contingency.summed(self._supervoxels, 2)]

    def _add(self, box: Box) -> None:
        labels = self._read(box)
        lines = box.shape[0] * box.shape[1]
        self._pairs += _rows(kernels.tally_pairs, (*labels, *self._raster(box)), lines, box.shape[2], 2)
        if self._read_supervoxels is not None:
            given = (labels[0], self._read_supervoxels(box), *self._raster(box))
            self._supervoxels += _rows(kernels.tally_pairs, given, lines, box.shape[2], 2)
        for axis in range(3):
            self._touch(labels, labels, box, (int(axis == 0), int(axis == 1), int(axis == 2)))
            plane = self._plane_in(box, axis)
            if box.start[axis] > self._box.start[axis]:
                first = tuple(np.take(a, [0], axis) for a in labels)
                self._touch(plane, (first[0], first[1]), _moved(box, axis, box.start[axis] - 1))
            for kept, a in zip(plane, labels, strict=True):
                kept[:] = np.take(a, [-1], axis)

    def _add_beyond(self, axis: int) -> None:
        """Compare the block's last plane with the first of the block beyond."""
        if self._box.stop[axis] < self._bounds.stop[axis]:
            beyond = _moved(self._box, axis, self._box.stop[axis])
            self._touch(self._planes[axis], self._read(beyond), _moved(self._box, axis, self._box.stop[axis] - 1))

    def _plane_in(self, box: Box, axis: int) -> Pair:
        """Return the part of the last plane seen along an axis that lies beside a tile."""
        cut = [slice(None) if a == axis else s for a, s in enumerate(box.slices(self._box.start))]
        gt, seg = (plane[tuple(cut)] for plane in self._planes[axis])
        return gt, seg

    def _touch(self, low: Pair, high: Pair, box: Box, shift: Vec = (0, 0, 0)) -> None:
        arrays = tuple(np.ascontiguousarray(a) for a in (low[0], high[0], low[1], high[1]))
        lines = (box.shape[0] - shift[0]) * (box.shape[1] - shift[1])
        self._contacts += _rows(kernels.tally_contacts, (*arrays, *shift, *self._raster(box)), lines, box.shape[2], 4)

    def _raster(self, box: Box) -> tuple[int, int, int]:
        return _raster(box, self._bounds)


def _raster(box: Box, bounds: Box) -> tuple[int, int, int]:
    """Return the raster index of a box's first voxel in a larger one, the voxels of a plane of that and those of a line."""
    _, ny, nx = bounds.shape
    z, y, x = (a - b for a, b in zip(box.start, bounds.start, strict=True))
    return (z * ny + y) * nx + x, ny * nx, nx


def _moved(box: Box, axis: int, position: int) -> Box:
    """Return the plane of a box at a position along an axis."""
    start, stop = list(box.start), list(box.stop)
    start[axis], stop[axis] = position, position + 1
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _without_kind(contacts: Contingency, start: int, stop: int) -> Contingency:
    rows = contacts.take(np.arange(start, stop))
    return Contingency(rows.keys[:, 1:], rows.count, rows.first)


def _rows(kernel: Callable[..., Any], given: tuple[Any, ...], lines: int, width: int, labels: int) -> Iterator[Contingency]:
    """Call a kernel until it has seen all lines; yield its rows, equal ones added up."""
    capacity, line = _CAPACITY + kernels.rows_wanted(width), 0
    keys, count, first = np.empty((capacity, labels), np.uint64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    while line < lines:
        rows, line = kernel(*given, line, keys, count, first)
        yield Contingency.summed([Contingency(keys[:rows], count[:rows], first[:rows])], labels)
