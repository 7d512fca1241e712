"""The grid of blocks over a region of interest, and the boxes of blocks that share a prefix of their id."""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import ConfigError
from connectomake.geometry import morton
from connectomake.geometry.box import Box, Vec, volume_of

MOST_BLOCKS = 1 << 20
"""So many can be listed: for each, Snakemake takes a hundredth of a megabyte, and `verify` a few files."""
_MOST_ON_AXIS = 1 << 24


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def number_of(name: str) -> int:
    """Return the number that a hexadecimal name stands for; -1 if it is none."""
    try:
        return int(name, 16)
    except ValueError:
        return -1


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of one shape laid from the start of the region of interest; those at its end are cut off.

    A block's id is the compressed Morton code of its grid position, which is also the number of its shard. On a ragged
    grid there are codes without a block.

    Parameters
    ----------
    roi
        Region of interest, in voxels.
    block
        Shape of a block, in voxels.

    Examples
    --------
    >>> grid = BlockGrid(Box((0, 0, 0), (5, 4, 9)), (4, 4, 4))
    >>> grid.shape, grid.ids
    ((2, 1, 3), (0, 1, 2, 3, 4, 6))
    >>> grid.position(4), str(grid.box(4))   # bits, lowest first: x0 z0 x1
    ((0, 0, 2), 'z 0:4, y 0:4, x 8:9')
    """

    roi: Box
    block: Vec

    @functools.cached_property
    def shape(self) -> Vec:
        """Number of blocks per axis."""
        z, y, x = (_ceil_div(s, b) for s, b in zip(self.roi.shape, self.block, strict=True))
        return (z, y, x)

    @functools.cached_property
    def bits(self) -> Vec:
        """Number of bits of the grid position per axis."""
        z, y, x = (morton.axis_bits(s) for s in self.shape)
        return (z, y, x)

    @property
    def id_bits(self) -> int:
        """Number of bits of an id."""
        return sum(self.bits)

    @property
    def width(self) -> int:
        """Number of hexadecimal digits of an id's name."""
        return max(_ceil_div(self.id_bits, 4), 1)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return volume_of(self.shape)

    def check_count(self, most: int = MOST_BLOCKS, keys: str = "") -> None:
        """Raise a ConfigError if there are more blocks than can be listed; `keys` of a config say what they are made from."""
        if self.count > most:
            larger = list(self.block)
            while volume_of(tuple(_ceil_div(s, b) for s, b in zip(self.roi.shape, larger, strict=True))) > most:  # type: ignore[arg-type]
                larger = [2 * b for b in larger]
            raise ConfigError(
                f"blocks of {list(self.block)} cut the region of interest, {self.roi}, into {self.count:,}, more than the "
                f"{most:,} that a run can have; take a block of {larger} or so, or a smaller region{keys and f' ({keys})'}"
            )

    @functools.cached_property
    def ids(self) -> tuple[int, ...]:
        """Ids of all blocks, ascending.

        Raises
        ------
        ConfigError
            If they are too many to be listed.
        """
        self.check_count()
        z, y, x = (range(n) for n in self.shape)
        return tuple(sorted(self.id_at(p) for p in itertools.product(z, y, x)))

    @functools.cached_property
    def _order(self) -> list[tuple[int, int]]:
        return morton.bit_order(self.bits)

    @functools.cached_property
    def _spread(self) -> tuple[list[int], list[int], list[int]]:
        """Per axis, the bits of the id that each coordinate sets."""
        if max(self.shape) > _MOST_ON_AXIS:
            self.check_count()
            raise ConfigError(f"{self.shape} blocks (z, y, x) are too many along one axis; take a larger block")
        tables: tuple[list[int], list[int], list[int]] = ([], [], [])
        for axis in range(3):
            places = [(i, level) for i, (a, level) in enumerate(self._order) if a == axis]
            tables[axis].extend(sum(((p >> level) & 1) << i for i, level in places) for p in range(self.shape[axis]))
        return tables

    @functools.cached_property
    def id_array(self) -> NDArray[np.int64]:
        """Ids of all blocks by their positions, (z, y, x)."""
        z, y, x = (np.array(table, np.int64) for table in self._spread)
        return z[:, None, None] | y[:, None] | x

    def id_at(self, position: Vec) -> int:
        """Return the id of the block at a grid position that exists."""
        z, y, x = self._spread
        return z[position[0]] | y[position[1]] | x[position[2]]

    def position(self, block_id: int) -> Vec:
        """Return the grid position that an id stands for, whether or not a block is there."""
        position = [0, 0, 0]
        for i, (axis, level) in enumerate(self._order):
            position[axis] |= ((block_id >> i) & 1) << level
        return (position[0], position[1], position[2])

    def exists(self, position: Vec) -> bool:
        """Whether there is a block at a grid position."""
        return all(0 <= p < n for p, n in zip(position, self.shape, strict=True))

    def has_id(self, block_id: int) -> bool:
        """Whether a block has this id."""
        return 0 <= block_id < 1 << self.id_bits and self.exists(self.position(block_id))

    def _cut(self, low_bits: int) -> Vec:
        """Return how many bits of z, y and x are among the low bits of an id."""
        low = [axis for axis, _ in self._order[:low_bits]]
        return (low.count(0), low.count(1), low.count(2))

    def prefix_count(self, low_bits: int) -> int:
        """Return how many different ids the blocks have once their low bits are cut off.

        Blocks that share a prefix are a box of the grid, so the count is a product over the axes.
        """
        return math.prod(-(-n >> cut) for n, cut in zip(self.shape, self._cut(low_bits), strict=True))

    def prefixes(self, low_bits: int) -> tuple[int, ...]:
        """Return the ids of all blocks once their low bits are cut off, each once, ascending; lists no block."""
        ranges = [range(0, n, 1 << cut) for n, cut in zip(self.shape, self._cut(low_bits), strict=True)]
        return tuple(sorted(self.id_at(p) >> low_bits for p in itertools.product(ranges[0], ranges[1], ranges[2])))

    def has_prefix(self, low_bits: int, prefix: int) -> bool:
        """Whether the id of any block is this once its low bits are cut off: the lowest corner of the box is in the grid."""
        return self.has_id(prefix << low_bits)

    def below(self, low_bits: int, bits: int, prefix: int) -> list[int]:
        """Return the existing prefixes that have so many `bits` more than a prefix of ids without their low bits, ascending."""
        lower = low_bits - bits
        return [p for p in range(prefix << bits, (prefix + 1) << bits) if self.has_prefix(lower, p)]

    def prefix_box(self, low_bits: int, prefix: int) -> Box:
        """Return the voxels of all blocks whose ids are a prefix once their low bits are cut off."""
        start = self.box_at(self.position(prefix << low_bits)).start
        end = self.box_at(self.position(((prefix + 1) << low_bits) - 1)).stop
        z, y, x = (min(e, r) for e, r in zip(end, self.roi.stop, strict=True))
        return Box(start, (z, y, x))

    def box_at(self, position: Vec) -> Box:
        """Return the voxels of the block at a grid position, cut at the end of the region of interest."""
        start = tuple(r + p * b for r, p, b in zip(self.roi.start, position, self.block, strict=True))
        stop = tuple(min(s + b, e) for s, b, e in zip(start, self.block, self.roi.stop, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def box(self, block_id: int) -> Box:
        """Return the voxels of a block, cut at the end of the region of interest."""
        return self.box_at(self.position(block_id))

    def name(self, block_id: int) -> str:
        """Return the id as it stands in file names: hexadecimal, padded."""
        return f"{block_id:0{self.width}x}"

    def parse(self, name: str) -> int:
        """Return the id that a name stands for.

        Raises
        ------
        ConfigError
            If the name is not an id of this grid.
        """
        block_id = number_of(name)
        if self.has_id(block_id) and self.name(block_id) == name:
            return block_id
        raise ConfigError(
            f"block {name!r} does not exist: the grid has {' x '.join(map(str, self.shape))} blocks (z, y, x) and ids of "
            f"{self.width} hexadecimal digits; `connectomake where Z Y X` gives the id at a voxel"
        )

    def id_of_voxel(self, position: Vec) -> int:
        """Return the id of the block that holds a voxel.

        Raises
        ------
        ConfigError
            If the voxel is outside the region of interest.
        """
        if not self.roi.contains_voxel(position):
            raise ConfigError(f"voxel {position} (z, y, x) is outside the region of interest, {self.roi}")
        z, y, x = ((p - r) // b for p, r, b in zip(position, self.roi.start, self.block, strict=True))
        return self.id_at((z, y, x))

    def positions_meeting(self, box: Box) -> Iterator[Vec]:
        """Yield the grid positions of the blocks that share a voxel with `box`, in raster order."""
        inside = box.intersect(self.roi)
        if inside.empty:
            return
        ranges = [
            range((a - r) // b, (e - 1 - r) // b + 1)
            for a, e, r, b in zip(inside.start, inside.stop, self.roi.start, self.block, strict=True)
        ]
        yield from itertools.product(ranges[0], ranges[1], ranges[2])

    def ids_meeting(self, box: Box) -> list[int]:
        """Return the ids of the blocks that share a voxel with `box`, in raster order of their positions."""
        return [self.id_at(p) for p in self.positions_meeting(box)]

    def neighbours(self, block_id: int, offsets: list[Vec]) -> list[int]:
        """Return the ids of the existing blocks at the given offsets from a block, in blocks."""
        z, y, x = self.position(block_id)
        around = ((z + dz, y + dy, x + dx) for dz, dy, dx in offsets)
        return [self.id_at(p) for p in around if self.exists(p)]


def lower_offsets(connectivity: int) -> list[Vec]:
    """List the offsets to the lexicographically lower neighbours: 3 of 6, 9 of 18 or 13 of 26.

    Every pair of neighbouring blocks is met once, from its later block.
    """
    reach = {6: 1, 18: 2, 26: 3}[connectivity]
    around = itertools.product((-1, 0, 1), repeat=3)
    return [(z, y, x) for z, y, x in around if (z, y, x) < (0, 0, 0) and abs(z) + abs(y) + abs(x) <= reach]


def upper_offsets() -> list[Vec]:
    """List the 7 offsets to the neighbours across the high faces, edges and the corner."""
    return [(z, y, x) for z, y, x in itertools.product((0, 1), repeat=3) if (z, y, x) != (0, 0, 0)]
