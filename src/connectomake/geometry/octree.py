"""The octree over the blocks' ids: the nodes of the merge."""

import functools
from dataclasses import dataclass

from connectomake.errors import ConfigError
from connectomake.geometry.box import Box
from connectomake.geometry.grid import BlockGrid, number_of


@dataclass(frozen=True)
class Octree:
    """Boxes of blocks that share a prefix of their id: the nodes of the merge.

    Level 0 are the blocks; a node's parent has the id ``node >> bits``. The one node of the top level holds the whole
    region of interest; there is always at least level 1.

    Parameters
    ----------
    grid
        The blocks.
    bits
        Binary logarithm of the fan-out; 6 gives 64 children to a node.
    """

    grid: BlockGrid
    bits: int

    @property
    def levels(self) -> int:
        """Level of the top node, at least 1."""
        return max(-(-self.grid.id_bits // self.bits), 1)

    def nodes(self, level: int) -> tuple[int, ...]:
        """Return the ids of all nodes of a level, ascending."""
        return self.grid.prefixes(level * self.bits)

    def counts(self) -> list[int]:
        """Return the number of nodes per level, from level 1 up; nothing is listed."""
        return [self.grid.prefix_count(level * self.bits) for level in range(1, self.levels + 1)]

    def exists(self, level: int, node: int) -> bool:
        """Whether there is such a node. Nothing is listed: a job that asks for its own node must not wait for a million."""
        return 0 <= level <= self.levels and self.grid.has_prefix(level * self.bits, node)

    @functools.cached_property
    def _children(self) -> dict[tuple[int, int], list[int]]:
        return {}

    def children(self, level: int, node: int) -> list[int]:
        """Return the ids of a node's existing children, one level down, ascending."""
        if (level, node) not in self._children:
            self._children[level, node] = self.grid.below(level * self.bits, self.bits, node)
        return self._children[level, node]

    def parent(self, level: int, node: int) -> int:
        """Return the id of a node's parent, one level up."""
        if level >= self.levels:
            raise ConfigError(f"node {self.name(level, node)} of level {level} is the top of the octree: it has no parent")
        return node >> self.bits

    def blocks(self, level: int, node: int) -> list[int]:
        """Return the ids of all blocks under a node, ascending."""
        found = [node]
        for below in range(level, 0, -1):
            found = [child for n in found for child in self.children(below, n)]
        return found

    def box(self, level: int, node: int) -> Box:
        """Return the voxels under a node, cut at the end of the region of interest."""
        return self.grid.prefix_box(self.bits * level, node)

    def width(self, level: int) -> int:
        """Return the number of hexadecimal digits of a node's name at a level."""
        return max(-(-max(self.grid.id_bits - self.bits * level, 0) // 4), 1)

    def name(self, level: int, node: int) -> str:
        """Return a node's id as it stands in file names."""
        return f"{node:0{self.width(level)}x}"

    def parse(self, level: int, name: str) -> int:
        """Return the node that a name stands for.

        Raises
        ------
        ConfigError
            If there is no such node.
        """
        node = number_of(name)
        if level >= 1 and self.exists(level, node) and self.name(level, node) == name:
            return node
        raise ConfigError(f"node {name!r} of level {level} does not exist: the octree has {self.levels} level(s)")
