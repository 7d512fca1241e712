"""Measures of objects on the segmentation: surfaces, and points deep inside."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectomake.geometry import volume_of
from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Stage, block_voxels, each
from connectomake.pipeline.kinds import GroupRule
from connectomake.pipeline.segmentation import Segmentation

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.group_tree import GroupTree
    from connectomake.planning.paths import Paths
    from connectomake.planning.plan import Plan


class MeasuresRule(GroupRule):
    """Measure the surface of the objects in a group of blocks, and find a point deep inside."""

    name = "measures"
    process_mb = 260
    seconds_per_megavoxel = 0.3

    @property
    def tree(self) -> "GroupTree":
        return self.plan.measure_tree

    def inputs(self, item: int) -> Inputs:
        """Return the group's shards, and the halos of it and its high neighbours."""
        return group_inputs(self.paths, self.tree, item)

    def outputs(self, item: int) -> dict[str, str]:
        return {"tables": self.paths.measures(item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return checks.measures

    def held(self, item: int | None = None) -> float:
        return slab_bytes(self.plan)

    def work(self, job: "Job", item: int) -> None:
        from connectomake.measures import measure_blocks

        plan, shards, halos = self.plan, job.files("shards"), job.files("halos")
        measure_blocks(job.output("tables"), plan.layers["segmentation"], plan.measured_cell, shards, halos, job.record())


class Measures(Stage):
    """The stage that measures objects."""

    base, version, rules = "measures", 1, (MeasuresRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.measured

    def upstream(self) -> list[Stage]:
        return [Segmentation(self.plan)]

    def reads(self) -> dict[str, Any]:
        return {"cell": self.plan.measured_cell, "group_bits": self.plan.measure_tree.group_bits}


def slab_bytes(plan: "Plan") -> float:
    """Return the bytes of one slab of labels with what is cut from it, of one cell, and of an index of the pieces."""
    thickness = math.lcm(plan.cells.cell[0], plan.chunk[0])
    depth, height, width = (min(b, r) for b, r in zip(plan.block, plan.roi.shape, strict=True))
    slab = volume_of((min(thickness, depth) + 2, height + 2, width + 2))
    return 30 * slab + 40 * volume_of(plan.cells.cell) + block_voxels(plan)


def group_inputs(paths: "Paths", tree: "GroupTree", group: int) -> dict[str, Any]:
    """Return what a group of blocks is measured or meshed from: its shards, and the halos of it and its high neighbours."""
    return {
        "shards": each(tree.children(0, group), lambda block: paths.shard("segmentation", block)),
        "halos": each(tree.neighbours(group), lambda block: paths.tables("segmentation", block)),
    }
