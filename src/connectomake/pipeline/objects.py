"""The object table, and the same as Neuroglancer's segment properties."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectomake.pipeline import checks
from connectomake.pipeline.agglomeration import RangedRule, closed, ids_stage
from connectomake.pipeline.base import Inputs, Stage, each
from connectomake.pipeline.measures import Measures
from connectomake.pipeline.segmentation import Segmentation
from connectomake.pipeline.skeletons import WholeSkeletons
from connectomake.planning.skeletons import Skeletons

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job


class ObjectsRule(RangedRule):
    """List all objects: id, size, surface, box, centroid, a point inside."""

    name = "objects"
    process_mb = 170
    held_per_byte = 2.5
    """Measured 1.7."""
    seconds_per_mb = 0.05
    """Measured 0.001 to 0.05."""
    final = ("table", "properties")
    beside = ("properties",)

    def inputs(self, item: None) -> Inputs:
        """Return what ended in each octree node; sums of blocks, measures and lengths, if there are any."""
        plan, skeletons = self.plan, Skeletons(self.plan)
        measures = each(plan.measure_tree.nodes(0), self.paths.measures) if plan.measured else ()
        summed = plan.t_boundary or plan.keeps_ids
        interiors = each(plan.grid.ids, lambda block: self.paths.tables("segmentation", block)) if summed else ()
        lengths = each(skeletons.numbers, skeletons.lengths) if skeletons.enabled else ()
        return {"merges": closed(plan), "interiors": interiors, "measures": measures, "lengths": lengths}

    def outputs(self, item: None) -> dict[str, str]:
        return {"table": self.paths.objects, "properties": self.paths.properties}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return checks.properties if name == "properties" else checks.objects

    def work(self, job: "Job", item: None) -> None:
        from connectomake.layers.companions import companion_checksums
        from connectomake.objects import ObjectFiles, write_objects

        plan, skeletons = self.plan, Skeletons(self.plan)
        found = {name: list(job.files(name).values()) for name in ("merges", "interiors", "measures", "lengths")}
        files = ObjectFiles(
            None if plan.keeps_ids else found["merges"],
            found["interiors"] if plan.t_boundary or plan.keeps_ids else None,
            found["measures"] if plan.measured else None,
            found["lengths"] if skeletons.enabled else None,
            skeletons.config["ids"] if skeletons.enabled else None,
        )
        table, properties = job.output("table"), job.output("properties")

        def record() -> dict[str, object]:
            return job.record(**companion_checksums(table, properties))

        limit = plan.config["objects"]["properties_limit"]
        write_objects(table, properties, files, plan.roi, plan.source.voxel_size, limit, record)


class Objects(Stage):
    """All objects of the run."""

    base, version, rules = "objects", 2, (ObjectsRule,)

    def upstream(self) -> list[Stage]:
        measures = [Measures(self.plan)] if self.plan.measured else []
        lengths = [WholeSkeletons(self.plan)] if Skeletons(self.plan).enabled else []
        ids = Segmentation(self.plan) if self.plan.keeps_ids else ids_stage(self.plan)
        return [ids, *measures, *lengths]

    def reads(self) -> dict[str, Any]:
        return {"objects": self.plan.config["objects"], "voxel_size": self.plan.source.voxel_size}
