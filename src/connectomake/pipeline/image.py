"""The image: a source that is not precomputed, ingested block by block."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomake.geometry import Vec, volume_of
from connectomake.pipeline.base import Inputs, Stage
from connectomake.pipeline.kinds import BlockRule

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan


def source_values(plan: "Plan") -> dict[str, Any]:
    """Return what the content of a source depends on, where it is ingested or read in place."""
    s = plan.source
    return {"identity": s.identity, "dataset": s.dataset, "scale": s.scale, "bounds": asdict(s.bounds), **s.options.chosen()}


def mask_values(plan: "Plan") -> dict[str, Any]:
    """Return what a masked stage depends on; empty if there is no mask."""
    return {} if plan.mask is None else {"mask": plan.mask.meaning()}


class ImageRule(BlockRule):
    """Ingest one block."""

    name = "image"
    keep = "image"
    process_mb = 220

    def inputs(self, item: int) -> Inputs:
        """Return nothing: the source is no file of the run."""
        return {}

    def held(self, item: int | None = None) -> float:
        """Three times a row of storage chunks, and what the filters take of one."""
        row = volume_of(self._row)
        copies = 3 * row * self.plan.source.channels * np.dtype(self.plan.source.dtype).itemsize
        return copies + self.plan.source.filter_bytes(self._row)

    @property
    def seconds_per_megavoxel(self) -> float:  # type: ignore[override]
        """Of reading, filtering and compressing."""
        return 0.1 + self.plan.source.filter_seconds(self._row)

    @property
    def _row(self) -> Vec:
        return (self.plan.chunk[0], *self.plan.block[1:])

    def work(self, job: "Job", item: int) -> None:
        from connectomake.sources import ingest_block

        plan = self.plan
        probability = plan.probability_channels if plan.inference is None else ()
        ingest_block(job.open_source(), self.layer, item, job.output("shard"), job.record(), probability, noted=True)


class Image(Stage):
    """The ingested image; there is none if the source is read in place."""

    base, version, rules = "image", 2, (ImageRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.ingests

    def upstream(self) -> list[Stage]:
        return []

    def reads(self) -> dict[str, Any]:
        return {"layer": asdict(self.plan.layers["image"]), "source": source_values(self.plan)}
