"""The segmentation: shards of final ids; once more for each further threshold."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from connectomake.geometry import volume_of
from connectomake.pipeline import checks
from connectomake.pipeline.agglomeration import ids_path, ids_stage
from connectomake.pipeline.base import Inputs, Stage, block_voxels, one
from connectomake.pipeline.kinds import BlockRule

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan

ENCODED_BYTES, INTERIOR_BYTES = 16, 4
"""Per voxel of a storage chunk: what its encoding can take at most, twice. Per voxel, where boundaries are left out: what is
left of each label."""


class SegmentationRule(BlockRule):
    """Turn the local labels of one block into final ids."""

    name = "segmentation"
    process_mb = 250
    seconds_per_megavoxel = 0.2
    final = ("shard",)

    @property
    def shown(self) -> dict[str, str]:  # type: ignore[override]
        """The halo of the main one only."""
        return {"shard": self.stage.name} if self.stage.variant else {"shard": "segmentation", "halo": "its halo"}

    def inputs(self, item: int) -> Inputs:
        """Return the block's labels, its node's look-up tables, and what is left of labels where boundaries are left out.

        Nothing of a block that lies wholly outside the mask.
        """
        if self.plan.is_outside(item):
            return {}
        lookup = ids_path(self.plan, item, self.stage.variant)
        interior = {"interior": one(self.paths.tables("components", item))} if self.plan.t_boundary else {}
        return {"components": one(self.paths.shard("components", item)), "lookup": one(lookup), **interior}

    def outputs(self, item: int) -> dict[str, str]:
        return super().outputs(item) | {"halo": self.paths.tables(self.stage.name, item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return partial(checks.halo, self.plan, item) if name == "halo" else super().look(name, item)

    def held(self, item: int | None = None) -> float:
        """One storage chunk, encoded, before and after, and the component shard, which is mapped; what is left of labels."""
        interior = INTERIOR_BYTES if self.plan.t_boundary else 0
        return ENCODED_BYTES * volume_of(self.plan.chunk) + (2 + interior) * block_voxels(self.plan)

    def work(self, job: "Job", item: int) -> None:
        from connectomake.layers import ShardReader, ShardWriter, write_tables
        from connectomake.octree import read_ids
        from connectomake.segmentation import interior_of_objects, remap_chunks

        plan, record = self.plan, job.record()
        if plan.is_outside(item):
            self._leave_blank(job, item, record)
            return
        labels = ShardReader(job.file("components"), plan.layers["components"], item)
        ids = read_ids(job.file("lookup"), plan.grid.name(item))
        with ShardWriter(job.output("shard"), self.layer, item, record) as writer:
            halo = remap_chunks(labels, writer, self.layer, item, ids)
        sums = job.file("lookup") if plan.keeps_ids else job.file_or_none("interior")
        interior = {} if sums is None else interior_of_objects(sums, ids)
        write_tables(job.output("halo"), {**halo, **interior}, record)

    def _leave_blank(self, job: "Job", item: int, record: dict[str, Any]) -> None:
        """Write a block of background: it lies wholly outside the mask, and no stage before had a job of it."""
        from connectomake.layers import ShardWriter, write_tables
        from connectomake.segmentation import blank_halo, blank_interior

        with ShardWriter(job.output("shard"), self.layer, item, record) as writer:
            writer.write_blank()
        interior = blank_interior() if self.plan.keeps_ids or self.plan.t_boundary else {}
        write_tables(job.output("halo"), {**blank_halo(self.layer.grid.box(item)), **interior}, record)
        print("this block lies outside the mask; it is background")


class Segmentation(Stage):
    """Final ids of all voxels at one threshold."""

    base, version, rules = "segmentation", 1, (SegmentationRule,)
    wildcard = "at"

    @classmethod
    def variants(cls, plan: "Plan") -> tuple[str, ...]:
        return tuple(plan.thresholds)

    def upstream(self) -> list[Stage]:
        return [ids_stage(self.plan, self.variant)]

    def reads(self) -> dict[str, Any]:
        return {"layer": asdict(self.plan.layers[self.name])}
