"""The table that joins given labels, sorted, so that the job of a block reads only the parts that it needs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Stage
from connectomake.pipeline.kinds import WholeRule

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job

ROW_BYTES, JSON_BYTES = 72, 60
"""Memory per row: two columns, their order, both sorted, and what writes them; per byte of JSON, its numbers as objects."""


class SegmentTableRule(WholeRule):
    """Sort the table that joins given labels, and check that it is one."""

    name = "segment_table"
    process_mb = 250
    reads_all = False
    seconds_per_mb = 0.1

    def inputs(self, item: None) -> Inputs:
        """Return nothing: the table is no file of the run."""
        return {}

    def outputs(self, item: None) -> dict[str, str]:
        return {"table": self.paths.segment_table}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return checks.segment_table

    def held(self, item: None = None) -> float:
        """Return the file itself, and the rows that it may have."""
        table = self.plan.table
        if table is None:
            return 0.0
        return (JSON_BYTES if table.path.lower().endswith(".json") else 3) * table.size + ROW_BYTES * table.rows

    def read(self) -> float:
        return 0.0 if self.plan.table is None else 16.0 * self.plan.table.rows

    def work(self, job: "Job", item: None) -> None:
        from connectomake.segment_table import rows_of, sorted_table, write_table

        section, table = self.plan.config["segmentation"]["table"], self.plan.table
        if table is not None:
            table.check()
        pairs = section["holds"] == "pairs"
        rows = rows_of(section["path"], section["dataset"], section["columns"], pairs=pairs)
        write_table(job.output("table"), *sorted_table(section["path"], *rows, pairs=pairs), job.record())


class SegmentTable(Stage):
    """Which segment each supervoxel of given labels belongs to."""

    base, version, rules = "segment_table", 1, (SegmentTableRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.table is not None

    def upstream(self) -> list[Stage]:
        return []

    def reads(self) -> dict[str, Any]:
        """Return the content, and how it is read; what becomes of labels that it lacks is the blocks'."""
        section, table = self.plan.config["segmentation"]["table"], self.plan.table
        if table is None:
            return {}
        return {"sha256": table.sha256, **{key: section[key] for key in ("dataset", "columns", "holds")}}
