"""Pages and pictures of a run, for ``snakemake --report``; their scripts call `connectomake.reporting`, which reads results."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from connectomake.atomic import canonical_json
from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Stage, each
from connectomake.pipeline.kinds import WholeRule
from connectomake.pipeline.meshes import PACK_BYTES
from connectomake.planning.sections import section_blocks

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job

SECTION_BYTES, SECTION_SIDE, BLOCK_BYTES = 200, 1024, 1000
"""Per voxel of a section, labels, colours and their mixture in float64; voxels along its sides, at most; per block that is
listed."""
DRAWN_BYTES, MOST_DRAWN = 25, 100 << 20
"""Per byte of the meshes that are drawn, and how many bytes the largest objects are taken to have at most."""


class ReportRule(WholeRule):
    """A page or a picture of what a whole run is asked for."""

    files: tuple[str, ...] = ("picture",)
    """Names of the outputs, as the rule has them."""
    reports: tuple[str, ...]
    """What each shows, as `Paths.reports` has it."""

    def held(self, item: None = None) -> float:
        return BLOCK_BYTES * self.plan.grid.count

    def inputs(self, item: None) -> Inputs:
        """Return all that a whole run is asked for."""
        from connectomake.pipeline.targets import Targets

        return {"final": ((path, path) for path in Targets(self.plan).each_final())}

    def outputs(self, item: None) -> dict[str, str]:
        return {name: self.paths.reports[report] for name, report in zip(self.files, self.reports, strict=True)}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return {"page": checks.text, "table": checks.csv, "picture": checks.picture}[name]

    def work(self, job: "Job", item: None) -> None:
        raise NotImplementedError(self.name)


class ReportRunRule(ReportRule):
    """Write what was run, with what and how fast."""

    name = "report_run"
    process_mb = 200
    files = reports = ("page", "table")
    beside = ("table",)


class ReportBlocksRule(ReportRule):
    """Draw maps of the blocks."""

    name = "report_blocks"
    process_mb = 200
    reports = ("blocks",)


class ReportSlicesRule(ReportRule):
    """Draw sections: image, objects, blocks."""

    name = "report_slices"
    process_mb = 270
    reports = ("slices",)
    reads_all = False

    def held(self, item: None = None) -> float:
        return SECTION_BYTES * math.prod(min(SECTION_SIDE, n) for n in self.plan.roi.shape[1:])

    def inputs(self, item: None) -> Inputs:
        """Return the segmentation of the blocks that sections meet."""
        blocks = section_blocks(self.plan, self.plan.config["report"]["slices"])
        return {"shards": each(blocks, lambda block: self.paths.shard("segmentation", block))}


class ReportObjectsRule(ReportRule):
    """Draw the largest objects' meshes."""

    name = "report_objects"
    process_mb = 760
    reports = ("objects",)

    @property
    def enabled(self) -> bool:
        return self.plan.meshes_enabled

    def held(self, item: None = None) -> float:
        return DRAWN_BYTES * min(PACK_BYTES * self.plan.roi.volume, MOST_DRAWN)

    def inputs(self, item: None) -> Inputs:
        """Return the meshes and the object table."""
        return {"meshes": self._meshes()}

    def _meshes(self) -> Iterator[tuple[str, str]]:
        paths = self.paths
        yield from ((path, path) for path in (paths.mesh_info, paths.objects))
        yield from ((path, path) for path in map(paths.mesh_shard, range(self.plan.mesh_spec.sharding.count)))


class Reports(Stage):
    """The pages and pictures of a run."""

    base, version, rules = "report", 1, (ReportRunRule, ReportBlocksRule, ReportSlicesRule, ReportObjectsRule)
    listed = False

    @property
    def wanted(self) -> bool:
        """Whether they belong to every run."""
        return bool(self.plan.config["report"]["enabled"])

    def upstream(self) -> list[Stage]:
        return []

    def reads(self) -> dict[str, Any]:
        return {"report": self.plan.config["report"]}

    def param(self) -> str:
        """Return the settings alone, as they have been noted from the first version on."""
        return canonical_json({**self.reads(), "version": self.version})
