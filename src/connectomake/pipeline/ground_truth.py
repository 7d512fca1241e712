"""The ground truth: what is not precomputed is ingested block by block."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from connectomake.geometry import volume_of
from connectomake.pipeline.base import Inputs, Stage
from connectomake.pipeline.kinds import BlockRule

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan


class GroundTruthRule(BlockRule):
    """Ingest one block of a ground truth that is not precomputed."""

    name = "ground_truth"
    process_mb = 250
    seconds_per_megavoxel = 0.2

    def inputs(self, item: int) -> Inputs:
        """Return nothing: the ground truth is no file of the run."""
        return {}

    def item_of(self, block: int) -> None:
        """Return nothing: its blocks are those of the box that is evaluated."""

    def held(self, item: int | None = None) -> float:
        return 3 * 8 * volume_of((self.plan.chunk[0], *self.plan.block[1:]))

    def work(self, job: "Job", item: int) -> None:
        from connectomake.layers import ShardWriter
        from connectomake.sources import filled_fact
        from connectomake.sources.read_log import LoggedReader

        labels = job.open_truth()
        read = LoggedReader(labels.read)
        record = job.record(read={"truth": read.lines})
        with ShardWriter(job.output("shard"), self.layer, item, record) as writer:
            for slab in self.layer.slabs(item):
                writer.write(slab, read(slab))
            writer.note(**filled_fact(labels, self.layer.grid.box(item)))


class GroundTruth(Stage):
    """The ingested ground truth; there is none if it is read in place."""

    base, version, rules = "ground_truth", 1, (GroundTruthRule,)

    @property
    def enabled(self) -> bool:
        return "ground_truth" in self.plan.layers

    def upstream(self) -> list[Stage]:
        return []

    def reads(self) -> dict[str, Any]:
        return {"layer": asdict(self.plan.layers["ground_truth"]), "truth": truth_values(self.plan)}


def truth_values(plan: "Plan") -> dict[str, Any]:
    """Return what the content of the ground truth depends on."""
    t = plan.truth
    if t is None:
        return {}
    return {"identity": t.identity, "dataset": t.dataset, "scale": t.scale, "bounds": asdict(t.bounds), **t.options.chosen()}
