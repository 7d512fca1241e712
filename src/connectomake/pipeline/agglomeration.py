"""Agglomeration: basins become segments; once more for each further threshold."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Stage, block_voxels, each
from connectomake.pipeline.components import Components
from connectomake.pipeline.kinds import DownRule, NodeRule, UpRule, WholeRule
from connectomake.pipeline.merge import Merge, MergeRule, lower_blocks
from connectomake.planning.fan_out import TABLE_BYTES, agglomeration_bytes

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan

GRAPH_TO_TABLES = 2.5
"""Estimated memory over bytes of the tables, of smooth affinities: 8 and 3.1 per voxel."""
HELD, HELD_TABLES = 700 << 20, 4
"""Bytes that a job which reads range after range of all tables takes at most, beside so many times the largest table: measured
620 MB for the objects, and 210 MB for the history of merges, of 10⁷ rows."""


class AgglomerateRule(UpRule):
    """Merge the segments of an octree node that no node above can change; pass up the others."""

    name = "agglomerate"
    process_mb = 290
    held_per_byte = 6.0
    """Measured 5.5, on noise as on smooth affinities."""
    seconds_per_mb = 0.09
    """Measured 0.016 to 0.033 of 64 blocks of 32³ and 64³ voxels, about 0.09 of 512³."""

    @property
    def shown(self) -> dict[str, str]:  # type: ignore[override]
        """Of the main threshold only."""
        return {} if self.stage.variant else {"up": "agglomeration, up"}

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return tables and ids of a node's blocks and their lower neighbours; of higher nodes what the children passed up."""
        (level, node), suffix, octree = item, self.stage.variant, self.plan.octree
        if level > 1:
            return {
                "children": each(octree.children(level, node), lambda child: self.paths.agglomerate(level - 1, child, suffix))
            }
        blocks = [*octree.children(1, node), *lower_blocks(self.plan, node)]
        return {
            "tables": each(blocks, lambda block: self.paths.tables("components", block)),
            "lookups": each(lookup_nodes(self.plan, node), lambda n: self.paths.lookup(1, n)),
        }

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"up": self.paths.agglomerate(*item, self.stage.variant)}

    def held(self, item: tuple[int, int] | None = None) -> float:
        return agglomeration_bytes(self.plan, self.plan.octree.bits)

    def read(self) -> float:
        return agglomeration_bytes(self.plan, self.plan.octree.bits) / GRAPH_TO_TABLES

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.agglomeration import FileGraph, up_blocks, up_nodes
        from connectomake.octree import read_ids

        plan, octree, (level, node) = self.plan, self.plan.octree, item
        min_size, rule = plan.config["segmentation"]["min_size"], plan.agglomeration(self.stage.variant)
        if level == 1:
            lookups = job.files("lookups")
            blocks = FileGraph(job.files("tables"), lambda b: read_ids(lookups[octree.parent(0, b)], plan.grid.name(b)))
            up_blocks(job.output("up"), octree, node, blocks, rule, min_size, job.record())
        else:
            up_nodes(job.output("up"), octree, level, node, job.files("children"), rule, min_size, job.record())


class AssignRule(DownRule):
    """Hand the ids of segments down from an octree node to its children."""

    name = "assign"

    @property
    def shown(self) -> dict[str, str]:  # type: ignore[override]
        """Of the main threshold only."""
        return {} if self.stage.variant else {"down": "agglomeration, down"}

    def up(self, level: int, node: int) -> str:
        return self.paths.agglomerate(level, node, self.stage.variant)

    def down(self, level: int, node: int) -> str:
        return self.paths.assign(level, node, self.stage.variant)


class RangedRule(WholeRule):
    """A job that reads range after range of the tables of all octree nodes."""

    def held(self, item: None = None) -> float:
        """Tables of the whole region, but no more of them than one range and the tables of one node."""
        roi = self.plan.roi.volume
        node = min(block_voxels(self.plan) << self.plan.octree.bits, roi)
        return int(min(2 * TABLE_BYTES * roi, self.most(TABLE_BYTES * node)))

    def most(self, largest: float) -> float:
        return HELD + HELD_TABLES * largest

    def read(self) -> float:
        return 2 * TABLE_BYTES * self.plan.roi.volume


class HistoryRule(RangedRule):
    """Collect the merges of all octree nodes in one table."""

    name = "history"
    process_mb = 340
    held_per_byte = 2.5
    """Measured 1.6."""
    seconds_per_mb = 0.3
    """Measured 0.01 to 0.04, 0.3 where the rows exceed memory."""
    final = ("table",)

    def inputs(self, item: None) -> Inputs:
        """Return what all nodes passed up."""
        return {"closed": closed(self.plan, self.stage.variant)}

    def outputs(self, item: None) -> dict[str, str]:
        return {"table": self.paths.history(self.stage.variant)}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return checks.history

    def work(self, job: "Job", item: None) -> None:
        from connectomake.agglomeration import write_history

        write_history(job.output("table"), list(job.files("closed").values()), job.record())


class Agglomeration(Stage):
    """Segments at one threshold."""

    base, version, rules = "agglomeration", 1, (AgglomerateRule, AssignRule, HistoryRule)
    wildcard = "at"

    @classmethod
    def variants(cls, plan: "Plan") -> tuple[str, ...]:
        return tuple(plan.thresholds)

    @property
    def enabled(self) -> bool:
        return self.plan.agglomerates

    def upstream(self) -> list[Stage]:
        return [Merge(self.plan)]

    def reads(self) -> dict[str, Any]:
        options = {k: self.plan.config["segmentation"][k] for k in ("t_low", "min_supervoxel", "min_size")}
        section = self.plan.config["agglomeration"]
        if section is not None:
            chosen = {k: v for k, v in section.items() if k != "thresholds"}
            section = chosen | {"threshold": self.plan.thresholds[self.variant]}
        return {"agglomeration": section, "segmentation": options}


def lookup_nodes(plan: "Plan", node: int) -> list[int]:
    """Return the level-1 nodes that hold the blocks of a level-1 node and their lower neighbours."""
    return sorted({node} | {plan.octree.parent(0, b) for b in lower_blocks(plan, node)})


def ids_stage(plan: "Plan", suffix: str = "") -> Stage:
    """Return the stage that gives the final ids, at the threshold of a suffix."""
    if plan.keeps_ids:
        return Components(plan)
    return Agglomeration(plan, suffix) if plan.agglomerates else Merge(plan)


def ids_path(plan: "Plan", block: int, suffix: str = "") -> str:
    """Return the file with a block's look-up table of final ids: of its node, or its own where the ids of the source stay."""
    paths, node = Merge(plan).paths, plan.octree.parent(0, block)
    if plan.keeps_ids:
        return paths.tables("components", block)
    return paths.assign(1, node, suffix) if plan.agglomerates else paths.lookup(1, node)


def closed(plan: "Plan", suffix: str = "") -> Iterator[tuple[Any, str]]:
    """Yield the files of all octree nodes that hold the whole objects which ended there; none where nothing is merged."""
    if plan.keeps_ids:
        return iter(())
    stage = ids_stage(plan, suffix)
    rule: NodeRule = AgglomerateRule(stage) if plan.agglomerates else MergeRule(stage)
    return ((item, rule.outputs(item)["up"]) for item in rule.items())
