"""Labels within each block, by the method of segmentation, with their tables and faces."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from connectomake.pipeline import checks
from connectomake.pipeline.affinity import Affinity
from connectomake.pipeline.base import Inputs, Stage, block_voxels, each, one
from connectomake.pipeline.image import Image, mask_values, source_values
from connectomake.pipeline.kinds import BlockRule
from connectomake.pipeline.methods import labelling_of
from connectomake.pipeline.segment_table import SegmentTable

INSIDE_BYTES = 2
"""Per voxel that is left out or not: whether it is, twice while that is worked out."""

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan


class ComponentsRule(BlockRule):
    """Label one block by the method of segmentation, such as components above a threshold or basins of a watershed."""

    name = "components"
    seconds_per_megavoxel = 0.2
    shown: ClassVar = {"shard": "components", "tables": "their tables"}

    @property
    def asked(self) -> tuple[int, ...] | None:
        """Those with a voxel inside the mask, always: none of the others has anything to be merged."""
        return self.plan.asked.get(self.name)

    def inputs(self, item: int) -> Inputs:
        """Return the shards of affinity or image of the block and of those that the method reads; none of a source in place."""
        layer = self.plan.probability
        table = {} if self.plan.table is None else {"table": one(self.paths.segment_table)}
        if layer is None:
            return {"probability": (), **table}
        near = [item, *self.plan.grid.neighbours(item, list(labelling_of(self.plan).read_around))]
        blocks = [block for block in near if not self.plan.is_outside(block)]
        return {"probability": each(blocks, lambda block: self.paths.shard(layer, block))}

    def outputs(self, item: int) -> dict[str, str]:
        return super().outputs(item) | {"tables": self.paths.tables("components", item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return partial(checks.components, self.plan, item) if name == "tables" else super().look(name, item)

    def process(self) -> int:
        return labelling_of(self.plan).process_mb

    def held(self, item: int | None = None) -> float:
        plan = self.plan
        layer = plan.source if plan.probability is None else plan.layers[plan.probability]
        filters = plan.source.filter_bytes(plan.block) if plan.probability is None else 0
        itemsize = np.dtype(layer.dtype).itemsize
        copied = layer.channels * itemsize + INSIDE_BYTES if plan.mask is not None or _leaves_out(plan) else 0
        return block_voxels(plan) * (labelling_of(plan).bytes_per_voxel(itemsize, layer.channels) + copied) + filters

    def least(self, attempt: int) -> float:
        return labelling_of(self.plan).least_bytes_per_voxel(attempt) * block_voxels(self.plan)

    def work(self, job: "Job", item: int) -> None:
        from connectomake.components import write_block_tables
        from connectomake.layers import write_block
        from connectomake.sources import filled_fact, probabilities

        plan, box = self.plan, self.plan.grid.box(item)
        image = job.image(None if plan.probability is None else job.files("probability"), plan.probability)
        read = image.read
        if plan.inference is None:
            read = probabilities(read, plan.probability_channels, plan.source.path)
        if plan.mask is not None:
            read = _masked(plan, read)
        if _leaves_out(plan):
            read = _foreground(plan, read)
        if plan.table is not None:
            read = _joined(plan, read, job.file("table"))
        found = labelling_of(plan).label(box, read)
        filled = {} if image.source is None else filled_fact(image.source, box)
        record = job.record(**image.noted, **filled)
        write_block_tables(job.output("tables"), found.result, record, found.more)
        write_block(job.output("shard"), self.layer, item, found.labels, record)


class Components(Stage):
    """Labels within blocks."""

    base, version, rules = "components", 1, (ComponentsRule,)

    def upstream(self) -> list[Stage]:
        if self.plan.inference is not None:
            return [Affinity(self.plan)]
        if self.plan.table is not None:
            return [SegmentTable(self.plan)]
        return [Image(self.plan)] if self.plan.ingests else []

    def reads(self) -> dict[str, Any]:
        version = labelling_of(self.plan).version
        read = self.plan.method.values(self.plan.config["segmentation"])
        read |= {"t_boundary": self.plan.t_boundary} if self.plan.t_boundary else {}
        read |= {"version": version} if version > 1 else {}
        read |= {"missing": _missing(self.plan)} if self.plan.table is not None else {}
        values = {"layer": asdict(self.plan.layers["components"]), "segmentation": read} | mask_values(self.plan)
        return values | ({"source": source_values(self.plan)} if self.plan.probability is None else {})


def _leaves_out(plan: "Plan") -> bool:
    """Return whether other channels than those that are segmented say what is background."""
    return bool(plan.method.chosen(plan.config["segmentation"]))


def _foreground(plan: "Plan", read: "Callable[[Box], np.ndarray]") -> "Callable[[Box], np.ndarray]":
    """Return a reader that gives 0 where other channels say background, and at affinities to there."""
    from connectomake.components import threshold_for
    from connectomake.sources.foreground import Foreground, foreground

    section = plan.config["segmentation"]
    excluding = None
    if section["exclude"]:
        layer = plan.source if plan.probability is None else plan.layers[plan.probability]
        excluding = section["exclude"]["channel"], threshold_for(section["exclude"]["threshold"], layer.dtype)
    rule = Foreground(section["channel"] if section["argmax"] else None, excluding)
    edges = plan.segmented_channels if plan.method.affinities else ()
    return foreground(read, rule.kept, plan.roi, edges)


def _masked(plan: "Plan", read: "Callable[[Box], np.ndarray]") -> "Callable[[Box], np.ndarray]":
    """Return a reader that gives 0 outside the mask; affinities are 0 also between what is inside and what is outside."""
    from connectomake.sources.mask import masked

    if plan.mask is None:
        return read
    layer = plan.source if plan.probability is None else plan.layers[plan.probability]
    edges = plan.segmented_channels if plan.method.affinities else ()
    return masked(read, plan.mask.open(), layer.channels, layer.dtype, edges)


def _missing(plan: "Plan") -> str:
    """Return what becomes of a label that the table does not have; where it holds pairs, such a label is joined with none."""
    table = plan.config["segmentation"]["table"]
    return "keep" if table["holds"] == "pairs" else str(table["missing"])


def _joined(plan: "Plan", read: "Callable[[Box], np.ndarray]", table: str) -> "Callable[[Box], np.ndarray]":
    """Return a reader that gives the segment of each label."""
    from connectomake.components import check_labels
    from connectomake.segment_table import Joined

    section = plan.config["segmentation"]

    def checked(box: "Box") -> np.ndarray:
        values = read(box)
        check_labels(values[section["channel"]], box)
        return values

    return Joined(checked, table, _missing(plan), section["table"]["path"], section["channel"])
