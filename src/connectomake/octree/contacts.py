"""Which components of neighbouring blocks touch: every face, edge and corner of the grid is compared once."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from connectomake.compiled import lazy_njit
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Octree, Vec, lower_offsets
from connectomake.tables import ComponentTable, Faces


class BlockSource(Protocol):
    """Tables and face planes of blocks, in memory or in files."""

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block."""

    def keys(self, block: int) -> np.ndarray:
        """Return the column `key` of the table of a block."""

    def plane(self, block: int, name: str) -> np.ndarray:
        """Return a face plane (rows, columns) of a block: ``z0`` … ``x1`` uint32, of a watershed ``kept_z0`` … uint8.

        Of given labels, ``ids`` (n + 1,) uint64 are those of the block's numbers.
        """


@dataclass(frozen=True, slots=True)
class MemoryBlocks:
    """Blocks held in memory."""

    tables: Mapping[int, ComponentTable]
    faces: Mapping[int, Faces]

    def table(self, block: int) -> ComponentTable:
        """Return the table of a block."""
        return self.tables[block]

    def keys(self, block: int) -> np.ndarray:
        """Return the column `key` of the table of a block."""
        return self.tables[block].key

    def plane(self, block: int, name: str) -> np.ndarray:
        """Return a face plane of a block."""
        plane: np.ndarray = getattr(self.faces[block], name)
        return plane


class EdgeRule(Protocol):
    """Which voxels of neighbouring blocks belong together."""

    @property
    def offsets(self) -> list[Vec]:
        """Offsets, in blocks, to the neighbours that a block is compared with; each pair of blocks comes up once."""

    def pairs(self, blocks: BlockSource, near: int, far: int, offset: Vec) -> np.ndarray:
        """Return (m, 2) uint32: labels of `near` and of `far`, its neighbour at `offset`, that belong together."""


@dataclass(frozen=True, slots=True)
class Adjacency:
    """The threshold rule: foreground voxels belong together if they are neighbours of connectivity 6, 18 or 26."""

    connectivity: int

    def __post_init__(self) -> None:
        if self.connectivity not in {6, 18, 26}:
            raise ConfigError(f"the connectivity must be 6, 18 or 26, got {self.connectivity}")

    @property
    def offsets(self) -> list[Vec]:
        """The 3, 9 or 13 lexicographically lower neighbours."""
        return lower_offsets(self.connectivity)

    def pairs(self, blocks: BlockSource, near: int, far: int, offset: Vec) -> np.ndarray:
        """Compare the voxels of two blocks on both sides of their common face, edge or corner."""
        a, b = _sides(blocks, near, far, offset)
        return touching_labels(a, b, self._budget(offset))

    def _budget(self, offset: Vec) -> int:
        """Return how many of row and column may differ by one between voxels of blocks so far apart."""
        return {6: 1, 18: 2, 26: 3}[self.connectivity] - sum(map(abs, offset))


@dataclass(frozen=True, slots=True)
class KeptEdges:
    """The watershed's rule: voxels across a face belong together if either of them keeps the edge between them."""

    @property
    def offsets(self) -> list[Vec]:
        """The 3 lower neighbours."""
        return lower_offsets(6)

    def pairs(self, blocks: BlockSource, near: int, far: int, offset: Vec) -> np.ndarray:
        """Compare the voxels of two blocks on both sides of their common face."""
        axis = "zyx"[next(i for i, step in enumerate(offset) if step)]
        a, b = blocks.plane(near, f"{axis}0"), blocks.plane(far, f"{axis}1")
        by_a, by_b = blocks.plane(near, f"kept_{axis}0"), blocks.plane(far, f"kept_{axis}1")
        if len({p.shape for p in (a, b, by_a, by_b)}) > 1:
            raise RunError(
                f"the faces of blocks {near} and {far} have shapes {a.shape} and {b.shape}; delete their files and rerun"
            )
        kept = (by_a | by_b).astype(bool)
        packed = np.unique(a[kept].astype(np.uint64) << np.uint64(32) | b[kept])
        return np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class EqualLabels(Adjacency):
    """The rule for given labels: neighbouring voxels belong together if they have the same label."""

    def pairs(self, blocks: BlockSource, near: int, far: int, offset: Vec) -> np.ndarray:
        """Compare the voxels of two blocks on both sides of their common face, edge or corner."""
        a, b = _sides(blocks, near, far, offset)
        return touching_equals(a, b, blocks.plane(near, "ids")[a], blocks.plane(far, "ids")[b], self._budget(offset))


def lower_neighbours(octree: Octree, node: int, offsets: Iterable[Vec]) -> list[int]:
    """List the blocks outside a level-1 node that its blocks are compared with: the files it reads besides its own.

    Parameters
    ----------
    octree, node
        The node, at level 1.
    offsets
        From a block to those that it is compared with (z, y, x), in blocks.

    Returns
    -------
    list of int
        Block ids, ascending.
    """
    steps = list(offsets)
    found = {n for block in octree.children(1, node) for n in octree.grid.neighbours(block, steps)}
    return sorted(found - set(octree.children(1, node)))


def _sides(blocks: BlockSource, near: int, far: int, offset: Vec) -> tuple[np.ndarray, np.ndarray]:
    """Cut the voxels along the common face, edge or corner out of planes of both blocks.

    The plane is that of the first axis on which the blocks differ, where the far one is lower; on a later axis they may
    differ in either direction, and then a single line of the plane is left::

        offset (-1, 0, 0): z0 of near, z1 of far        offset (-1, 1, 0): their last row and first row (y)
    """
    axis = next(i for i, step in enumerate(offset) if step)
    a, b = blocks.plane(near, f"{'zyx'[axis]}0"), blocks.plane(far, f"{'zyx'[axis]}1")
    steps = [step for i, step in enumerate(offset) if i != axis]
    a, b = _line(a, steps), _line(b, [-step for step in steps])
    if a.shape != b.shape:
        raise RunError(
            f"the faces of blocks {near} and {far} have shapes {a.shape} and {b.shape}; delete their files and rerun"
        )
    return a, b


def _line(plane: np.ndarray, steps: list[int]) -> np.ndarray:
    """Keep of each axis all (0), the first (-1) or the last (+1)."""
    pick = {0: slice(None), -1: slice(0, 1), 1: slice(-1, None)}
    return np.ascontiguousarray(plane[pick[steps[0]], pick[steps[1]]])


def touching_labels(a: np.ndarray, b: np.ndarray, budget: int) -> np.ndarray:
    """List the labels of two planes laid on each other that touch.

    Parameters
    ----------
    a, b
        (rows, columns) uint32 of the same shape; 0 is background.
    budget
        How many of row and column may differ by one between touching voxels: 0, 1 or 2.

    Returns
    -------
    (m, 2) uint32, sorted, each pair once
    """
    packed = np.unique(_contacts(a, b, budget))
    return np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)


def touching_equals(a: np.ndarray, b: np.ndarray, ids_a: np.ndarray, ids_b: np.ndarray, budget: int) -> np.ndarray:
    """List the numbers of two planes laid on each other that touch where both stand for the same label.

    Unlike foreground, the voxel straight across may be of another label, so every neighbour is looked at.

    Parameters
    ----------
    a, b, budget
        As `touching_labels`.
    ids_a, ids_b
        (rows, columns) uint64: the labels that they stand for.

    Returns
    -------
    (m, 2) uint32, sorted, each pair once
    """
    found = [np.zeros(0, np.uint64)]
    for di, dj in itertools.product((-1, 0, 1), repeat=2):
        if abs(di) + abs(dj) > budget:
            continue
        here, there = (_overlap(di), _overlap(dj)), (_overlap(-di), _overlap(-dj))
        same = (ids_a[here] == ids_b[there]) & (a[here] != 0)
        found.append(np.unique(a[here][same].astype(np.uint64) << np.uint64(32) | b[there][same]))
    packed = np.unique(np.concatenate(found))
    return np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], axis=-1).astype(np.uint32)


def _overlap(step: int) -> slice:
    """Return which rows have a neighbour so many rows on."""
    return slice(max(-step, 0), None if step <= 0 else -step)


@lazy_njit
def _contacts(a, b, budget):  # type: ignore[no-untyped-def]
    """List touching labels as ``a << 32 | b``, repeats of the last one left out.

    Where the voxel straight across is foreground, its own neighbours need no look: they touch it within their block.
    """
    rows, columns = a.shape
    found = np.empty(1024, np.uint64)
    count = 0
    for i in range(rows):
        for j in range(columns):
            if a[i, j] == 0:
                continue
            across = b[i, j] != 0
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    if (across and (di != 0 or dj != 0)) or abs(di) + abs(dj) > budget:
                        continue
                    p, q = i + di, j + dj
                    if p < 0 or q < 0 or p >= rows or q >= columns or b[p, q] == 0:
                        continue
                    pair = np.uint64(a[i, j]) << np.uint64(32) | np.uint64(b[p, q])
                    if count and found[count - 1] == pair:
                        continue
                    if count == found.size:
                        larger = np.empty(2 * count, np.uint64)
                        larger[:count] = found
                        found = larger
                    found[count] = pair
                    count += 1
    return found[:count]
