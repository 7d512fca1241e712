"""The usual kinds of rules: a job per block, per octree node, per group of blocks, or one for the whole run."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Rule, group_voxels, one
from connectomake.planning.fan_out import merge_bytes

if TYPE_CHECKING:
    from connectomake.layers import LayerSpec
    from connectomake.pipeline.job import Job
    from connectomake.planning.group_tree import GroupTree


class BlockRule(Rule[int]):
    """A job per block of a layer, whose shard it makes as its output ``shard``."""

    @property
    def layer(self) -> "LayerSpec":
        """The layer."""
        return self.plan.layers[self.stage.name]

    @property
    def asked(self) -> tuple[int, ...] | None:
        """The blocks that there is a job of, where the layer is masked and not kept; None: all."""
        return None if self.kept else self.plan.asked.get(self.layer.name)

    def items(self) -> Iterable[int]:
        """Return the blocks: all, or those that are asked for."""
        return self.layer.grid.ids if self.asked is None else self.asked

    def count(self) -> int:
        """Return the number of blocks."""
        return self.layer.grid.count if self.asked is None else len(self.asked)

    def parse(self, wildcards: Any) -> int:
        """Return the block that the wildcard ``block`` names."""
        return self.layer.grid.parse(wildcards.block)

    def outputs(self, item: int) -> dict[str, str]:
        """Return the block's shard."""
        return {"shard": self.paths.shard(self.layer.name, item)}

    def item_of(self, block: int) -> int | None:
        """Return the block, where the layer has the blocks of the segmentation and this one is asked for."""
        there = self.layer.grid == self.plan.grid and (self.asked is None or not self.plan.is_outside(block))
        return block if there else None

    def shard_of(self, name: str, item: int) -> "tuple[LayerSpec, int] | None":
        """Return layer and block of the shard."""
        return (self.layer, item) if name == "shard" else None

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        """Return what decodes the shard's first and last storage chunk."""
        return partial(checks.shard, self.layer, item)


class NodeRule(Rule[tuple[int, int]]):
    """A job per node of the octree, all levels."""

    def items(self) -> Iterator[tuple[int, int]]:
        """Yield (level, node), from level 1 up."""
        octree = self.plan.octree
        for level in range(1, octree.levels + 1):
            for node in octree.nodes(level):
                yield level, node

    def count(self) -> int:
        """Return the number of nodes."""
        return sum(self.plan.octree.counts())

    def parse(self, wildcards: Any) -> tuple[int, int]:
        """Return level and node that the wildcards of these names stand for."""
        level = int(wildcards.level)
        return level, self.plan.octree.parse(level, wildcards.node)

    def item_of(self, block: int) -> tuple[int, int] | None:
        """Return the block's parent; None if all its blocks lie outside the mask."""
        node = self.plan.octree.parent(0, block)
        return (1, node) if self.plan.octree.exists(1, node) else None


class UpRule(NodeRule):
    """The rule of an octree's way up: a job per node."""

    def look(self, name: str, item: tuple[int, int]) -> Callable[[str], Any]:
        """Return what looks for a table of each child."""
        return partial(checks.passed, self.plan, *item)


class DownRule(NodeRule):
    """Look-up tables that an octree node passes down, from what it passed up and what its parent passed down."""

    held_per_byte = 0.6
    """Measured 0.3."""
    seconds_per_mb = 0.03
    """Measured 0.002 to 0.026."""

    @abstractmethod
    def up(self, level: int, node: int) -> str:
        """Return what a node passed up."""

    @abstractmethod
    def down(self, level: int, node: int) -> str:
        """Return what a node passes down."""

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return what the node passed up itself, and what its parent passed down."""
        level, node = item
        inputs = {"own": one(self.up(level, node))}
        if level < self.plan.octree.levels:
            inputs["parent"] = one(self.down(level + 1, self.plan.octree.parent(level, node)))
        return inputs

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"down": self.down(*item)}

    def look(self, name: str, item: tuple[int, int]) -> Callable[[str], Any]:
        """Return what looks for a look-up table of each child."""
        return partial(checks.lookup, self.plan, *item)

    def held(self, item: tuple[int, int] | None = None) -> float:
        return merge_bytes(self.plan, self.plan.octree.bits) // 2

    def read(self) -> float:
        return merge_bytes(self.plan, self.plan.octree.bits)

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.octree import down_node

        down_node(job.output("down"), self.plan.octree, *item, job.file("own"), job.file_or_none("parent"), job.record())


class GroupRule(Rule[int]):
    """A job per group of blocks."""

    @property
    @abstractmethod
    def tree(self) -> "GroupTree":
        """The groups."""

    def items(self) -> Iterable[int]:
        """Return the groups."""
        return self.tree.nodes(0)

    def count(self) -> int:
        """Return the number of groups."""
        return self.tree.counts()[0]

    def parse(self, wildcards: Any) -> int:
        """Return the group that the wildcard ``node`` names."""
        return self.tree.parse(0, wildcards.node)

    def voxels(self) -> int:
        """Return the voxels of a group."""
        return group_voxels(self.plan, self.tree.group_bits)

    def item_of(self, block: int) -> int | None:
        """Return the block's group; None if nothing in it or beside it is inside the mask."""
        group = block >> self.tree.group_bits
        return group if self.tree.exists(0, group) else None


class GatherRule(Rule[tuple[int, int]]):
    """A job per node of several groups: the tree's levels from 1."""

    @property
    @abstractmethod
    def tree(self) -> "GroupTree":
        """The nodes."""

    def items(self) -> Iterator[tuple[int, int]]:
        """Yield (level, node)."""
        for level in range(1, self.tree.top + 1):
            for node in self.tree.nodes(level):
                yield level, node

    def count(self) -> int:
        """Return the number of nodes."""
        return sum(self.tree.counts()[1:])

    def parse(self, wildcards: Any) -> tuple[int, int]:
        """Return level and node that the wildcards ``level`` and ``node`` stand for."""
        level = int(wildcards.level)
        return level, self.tree.parse(level, wildcards.node)

    def gathered(self) -> int:
        """Return the voxels of the largest node, but no more than there are."""
        grid, tree = self.plan.grid, self.tree
        below = grid.id_bits - tree.group_bits
        levels = max(-(-(below - tree.bits) // tree.bits), 1)
        bits = min(tree.group_bits + levels * tree.bits, grid.id_bits)
        return min(group_voxels(self.plan, bits), self.plan.roi.volume)


class WholeRule(Rule[None]):
    """One job for the whole run, or for the whole of its stage."""

    reads_all: ClassVar[bool] = True

    def items(self) -> Iterable[None]:
        """Return the one job."""
        return (None,)

    def count(self) -> int:
        """Return 1."""
        return 1

    def parse(self, wildcards: Any) -> None:
        """Return the one job."""
