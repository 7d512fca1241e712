"""Groups of blocks that one job meshes, traces or measures, and the tree that gathers their results."""

import functools
from dataclasses import dataclass

from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box, upper_offsets, volume_of
from connectomake.geometry.grid import number_of


@dataclass(frozen=True)
class GroupTree:
    """The tree of groups: level 0 has one per group of blocks, higher levels gather up to a fan-out of nodes.

    The top level has at most fan-out nodes, so a job that writes a mesh or skeleton file opens no more.

    Parameters
    ----------
    grid
        The blocks.
    group_bits
        Blocks whose ids share all but so many low bits are one group.
    bits
        Binary logarithm of the fan-out.
    asked
        The blocks of which a group must have one, or there is no such group; None: all.
    """

    grid: BlockGrid
    group_bits: int
    bits: int
    asked: BlockGrid | None = None

    @classmethod
    def of(cls, grid: BlockGrid, voxels_per_job: int, bits: int, asked: BlockGrid | None = None) -> "GroupTree":
        """Choose the largest groups that stay within `voxels_per_job` voxels and the fan-out; at least one block."""
        blocks = max(voxels_per_job // volume_of(grid.block), 1)
        return cls(grid, min(blocks.bit_length() - 1, bits, max(grid.id_bits - 1, 0)), bits, asked)

    @property
    def _asked(self) -> BlockGrid:
        return self.grid if self.asked is None else self.asked

    def _low_bits(self, level: int) -> int:
        return self.group_bits + level * self.bits

    @functools.cached_property
    def top(self) -> int:
        """Level whose nodes the mesh files are made from."""
        level = 0
        while self._asked.prefix_count(self._low_bits(level)) > 1 << self.bits:
            level += 1
        return level

    def counts(self) -> list[int]:
        """Return the number of nodes per level, from level 0 up; nothing is listed."""
        return [self._asked.prefix_count(self._low_bits(level)) for level in range(self.top + 1)]

    def nodes(self, level: int) -> list[int]:
        """Return the ids of a level's nodes, ascending."""
        return list(self._asked.prefixes(self._low_bits(level)))

    def exists(self, level: int, node: int) -> bool:
        """Whether there is such a node."""
        return 0 <= level <= self.top and self._asked.has_prefix(self._low_bits(level), node)

    def children(self, level: int, node: int) -> list[int]:
        """Return what a node is made from: block ids at level 0, nodes of the level below otherwise."""
        grid, bits = (self._asked, self.bits) if level else (self.grid, self.group_bits)
        return grid.below(self._low_bits(level), bits, node)

    def box(self, level: int, node: int) -> Box:
        """Return the voxels of all blocks that a node is made from."""
        return self.grid.prefix_box(self._low_bits(level), node)

    def neighbours(self, group: int) -> list[int]:
        """Return the ids of all blocks that touch a block of the group across a high face, edge or corner."""
        around = {n for block in self.children(0, group) for n in self.grid.neighbours(block, upper_offsets())}
        return sorted(around)

    def name(self, level: int, node: int) -> str:
        """Return a node's id as it stands in file names."""
        bits = max(self.grid.id_bits - self._low_bits(level), 0)
        return f"{node:0{max(-(-bits // 4), 1)}x}"

    def parse(self, level: int, name: str) -> int:
        """Return the node that a name stands for.

        Raises
        ------
        ConfigError
            If there is no such node.
        """
        node = number_of(name)
        if self.exists(level, node) and self.name(level, node) == name:
            return node
        raise ConfigError(f"block group {name!r} of level {level} does not exist: there are levels 0 to {self.top}")
