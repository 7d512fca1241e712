"""The merge of the octree: components of all blocks become whole ones, and get their ids."""

from typing import TYPE_CHECKING, Any, ClassVar

from connectomake.geometry import lower_offsets
from connectomake.pipeline.base import Inputs, Stage, each
from connectomake.pipeline.components import Components
from connectomake.pipeline.kinds import DownRule, UpRule
from connectomake.pipeline.methods import labelling_of
from connectomake.planning.fan_out import merge_bytes

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan


class MergeRule(UpRule):
    """Join what the children of an octree node have in common across their faces."""

    name = "merge"
    process_mb = 300
    held_per_byte = 1.5
    """Measured 1.0, on noise as on smooth affinities."""
    seconds_per_mb = 0.02
    """Measured 0.003 to 0.018, of 64 blocks of noise as of smooth affinities."""
    shown: ClassVar = {"up": "merge, up"}

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return the children's files; of blocks also those of the blocks across their low faces."""
        level, node = item
        children = self.plan.octree.children(level, node)
        if level > 1:
            return {"children": each(children, lambda child: self.paths.merge(level - 1, child))}
        blocks = [*children, *lower_blocks(self.plan, node)]
        return {"children": each(blocks, lambda block: self.paths.tables("components", block))}

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"up": self.paths.merge(*item)}

    def held(self, item: tuple[int, int] | None = None) -> float:
        return merge_bytes(self.plan, self.plan.octree.bits)

    def read(self) -> float:
        return merge_bytes(self.plan, self.plan.octree.bits)

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.octree import up_blocks, up_nodes

        plan, (level, node), files = self.plan, item, job.files("children")
        if level == 1:
            rule = labelling_of(plan).rule()
            up_blocks(job.output("up"), plan.octree, node, files, rule, plan.merge_min_size, job.record())
        else:
            up_nodes(job.output("up"), plan.octree, level, node, files, plan.merge_min_size, job.record())


class LookupRule(DownRule):
    """Hand the final ids down from an octree node to its children."""

    name = "lookup"
    shown: ClassVar = {"down": "merge, down"}

    def up(self, level: int, node: int) -> str:
        return self.paths.merge(level, node)

    def down(self, level: int, node: int) -> str:
        return self.paths.lookup(level, node)


class Merge(Stage):
    """Whole components and their ids; there is none where the ids of the source stay."""

    base, version, rules = "merge", 1, (MergeRule, LookupRule)

    @property
    def enabled(self) -> bool:
        return not self.plan.keeps_ids

    def upstream(self) -> list[Stage]:
        return [Components(self.plan)]

    def reads(self) -> dict[str, Any]:
        """Return the least size, and which blocks a node has: it decides the files, though not the result."""
        return {"min_size": self.plan.merge_min_size, "merge": {"fan_out": 1 << self.plan.octree.bits}}


def lower_blocks(plan: "Plan", node: int) -> list[int]:
    """Return the blocks outside a level-1 node that it compares its blocks with."""
    offsets, blocks = lower_offsets(plan.connectivity), plan.octree.children(1, node)
    around = {n for b in blocks for n in plan.octree.grid.neighbours(b, offsets)}
    return sorted(around.difference(blocks))
