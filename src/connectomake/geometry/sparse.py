"""A grid of which only some blocks are asked for, as where a mask leaves out the others."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry.box import Vec
from connectomake.geometry.grid import BlockGrid


@dataclass(frozen=True)
class SparseGrid(BlockGrid):
    """The blocks of a grid that are asked for. Positions, boxes and names are those of the whole grid; lists are of these only.

    Parameters
    ----------
    roi, block
        See `BlockGrid`.
    present
        A bit for every id, lowest bit of the lowest byte first: 1 where there is such a block and it is asked for.

    Examples
    --------
    >>> from connectomake.geometry import Box
    >>> grid = BlockGrid(Box((0, 0, 0), (4, 4, 12)), (4, 4, 4))
    >>> some = sparse(grid, np.array([[[True, False, True]]]))
    >>> grid.ids, some.ids, some.prefixes(1), some.neighbours(2, [(0, 0, -1)])
    ((0, 1, 2), (0, 2), (0, 1), [])
    """

    present: bytes

    @functools.cached_property
    def _present(self) -> NDArray[np.bool_]:
        return np.unpackbits(np.frombuffer(self.present, np.uint8), bitorder="little").astype(bool)

    @functools.cached_property
    def _ids(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._present)

    def holds(self, block_id: int) -> bool:
        """Whether a block is asked for."""
        return bool(self._present[block_id])

    @property
    def count(self) -> int:
        """Number of blocks that are asked for."""
        return len(self._ids)

    @functools.cached_property
    def ids(self) -> tuple[int, ...]:
        """Their ids, ascending."""
        return tuple(self._ids.tolist())

    def prefix_count(self, low_bits: int) -> int:
        """Return how many different ids they have once their low bits are cut off."""
        return len(np.unique(self._ids >> low_bits))

    def prefixes(self, low_bits: int) -> tuple[int, ...]:
        """Return these ids, ascending."""
        return tuple(np.unique(self._ids >> low_bits).tolist())

    def has_prefix(self, low_bits: int, prefix: int) -> bool:
        """Whether the id of any of them is this once its low bits are cut off."""
        return prefix >= 0 and bool(self._present[prefix << low_bits : (prefix + 1) << low_bits].any())

    def neighbours(self, block_id: int, offsets: list[Vec]) -> list[int]:
        """Return those of them at the given offsets from a block, in blocks."""
        return [block for block in super().neighbours(block_id, offsets) if self.holds(block)]


def sparse(grid: BlockGrid, asked: NDArray[np.bool_]) -> SparseGrid:
    """Return the grid of some blocks of a grid.

    Parameters
    ----------
    grid
        The whole grid.
    asked
        (z, y, x) in blocks: which blocks are asked for.
    """
    bits = np.zeros(1 << max(grid.id_bits, 3), bool)
    bits[grid.id_array[asked]] = True
    return SparseGrid(grid.roi, grid.block, np.packbits(bits, bitorder="little").tobytes())


def spread(asked: NDArray[np.bool_], low: Vec, high: Vec) -> NDArray[np.bool_]:
    """Return the blocks that have one which is asked for nearby: a binary dilation with a box.

    Parameters
    ----------
    asked
        (z, y, x) in blocks.
    low, high
        How many blocks below and above are looked at, along z, y, x.

    Returns
    -------
    (z, y, x) bool
        In blocks, of the same shape.
    """
    for axis, (below, above) in enumerate(zip(low, high, strict=True)):
        found = np.zeros_like(asked)
        for step in range(-min(below, asked.shape[axis]), min(above, asked.shape[axis]) + 1):
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axis] = slice(max(-step, 0), asked.shape[axis] - max(step, 0))
            there[axis] = slice(max(step, 0), asked.shape[axis] + min(step, 0))
            found[tuple(here)] |= asked[tuple(there)]
        asked = found
    return asked
