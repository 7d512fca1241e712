"""Scores against a ground truth: tallied per octree node, summed, and over thresholds of agglomeration."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from connectomake.geometry import Octree, Vec, volume_of
from connectomake.geometry.morton import bit_order
from connectomake.pipeline import checks
from connectomake.pipeline.agglomeration import Agglomeration
from connectomake.pipeline.base import Comparison, Inputs, Rule, Stage, block_voxels, each, group_voxels, one
from connectomake.pipeline.ground_truth import GroundTruth, truth_values
from connectomake.pipeline.kinds import WholeRule
from connectomake.pipeline.segmentation import Segmentation

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.pipeline.job import Job
    from connectomake.planning.paths import Paths
    from connectomake.planning.plan import Plan

TILE_VOXELS = 1 << 23
HIGH_FACES: list[Vec] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
PAIRS_BYTES, SUPERVOXEL_BYTES = 0.01, 0.2
"""Per voxel, of contingency tables: about 200 pairs of labels and as many contacts in a million voxels; of tables of
supervoxels: up to 5,000 pairs with true objects in a million voxels."""


class ContingencyRule(Rule[int]):
    """Tally ground truth and segmentation over the blocks of a node."""

    name = "contingency"
    process_mb = 260
    seconds_per_megavoxel = 0.1

    def items(self) -> Iterator[int]:
        octree, box = whole_octree(self.plan), self.plan.evaluation_box
        return (n for n in octree.nodes(1) if not octree.box(1, n).intersect(box).empty)

    def count(self) -> int:
        plan, box = self.plan, self.plan.evaluation_box
        low = [axis for axis, _ in bit_order(plan.grid.bits)[: plan.octree.bits]]
        spans = zip(box.start, box.stop, plan.roi.start, plan.block, strict=True)
        counts = []
        for axis, (start, stop, origin, block) in enumerate(spans):
            extent = block << low.count(axis)
            counts.append((stop - 1 - origin) // extent - (start - origin) // extent + 1)
        return math.prod(counts)

    def parse(self, wildcards: Any) -> int:
        return whole_octree(self.plan).parse(1, wildcards.node)

    def inputs(self, item: int) -> Inputs:
        """Return shards of the segmentation, and of the ground truth if ingested.

        Where scores are drawn over thresholds: also the shards and ids of its supervoxels.
        """
        plan, paths = self.plan, self.paths
        layers = (name for name in ("segmentation", "ground_truth") if name in plan.layers)
        inputs: Inputs = {str(n): each(evaluated_blocks(plan, n, item), partial(paths.shard, n)) for n in layers}
        if not plan.curved:
            return inputs
        blocks = [block for block in evaluated_blocks(plan, "segmentation", item) if not plan.is_outside(block)]
        nodes = sorted({plan.octree.parent(0, block) for block in blocks})
        components, lookups = each(blocks, partial(paths.shard, "components")), each(nodes, partial(paths.lookup, 1))
        return {**inputs, "components": components, "lookups": lookups}

    def outputs(self, item: int) -> dict[str, str]:
        return {"table": self.paths.contingency(item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return checks.contingency

    def held(self, item: int | None = None) -> float:
        """One tile of both labels, read and turned into integers, the face planes of a block, the tables of a node."""
        plan, (depth, height, width) = self.plan, self.plan.block
        faces = depth * height + depth * width + height * width
        tile = max(volume_of(plan.chunk), min(TILE_VOXELS, block_voxels(plan)))
        return int(40 * tile + 32 * faces + tallied_bytes(plan, self.voxels()))

    def voxels(self) -> int:
        return group_voxels(self.plan, self.plan.octree.bits)

    def work(self, job: "Job", item: int) -> None:
        from connectomake.evaluation.files import named_reader, shards_reader, write_contingency
        from connectomake.octree import read_ids
        from connectomake.sources.read_log import LoggedReader

        plan, record = self.plan, job.record()
        if "ground_truth" in plan.layers:
            read_truth: Any = shards_reader(job.files("ground_truth"), plan.layers["ground_truth"])
        else:
            read_truth = LoggedReader(job.open_truth().read)
            record["read"] = {"truth": read_truth.lines}
        fine = None
        if plan.curved:
            names = job.files("lookups")
            ids = lambda block: read_ids(names[plan.octree.parent(0, block)], plan.grid.name(block))  # noqa: E731
            fine = named_reader(job.files("components"), plan.layers["components"], ids)
        spec = plan.layers["segmentation"]
        read, boxes = shards_reader(job.files("segmentation"), spec), evaluated_boxes(plan, item)
        write_contingency(job.output("table"), read_truth, read, boxes, spec, plan.evaluation_box, record, fine)


class EvaluationRule(WholeRule):
    """Score the segmentation against the ground truth."""

    name = "evaluation"
    process_mb = 110
    held_per_byte = 4.0
    """Measured 3.4."""
    seconds_per_mb = 0.1
    """Measured 0.04 to 0.08."""
    final = ("scores", "worst", "table")
    beside = ("scores", "worst")

    def inputs(self, item: None) -> Inputs:
        """Return the tables of all nodes."""
        rule = ContingencyRule(Contingency(self.plan))
        return {"tables": each(rule.items(), self.paths.contingency)}

    def outputs(self, item: None) -> dict[str, str]:
        found = self.paths.evaluation()
        return {name: found[name] for name in ("table", "scores", "worst")}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return {"table": checks.contingency, "scores": checks.json_text, "worst": checks.csv}[name]

    def compare(self, name: str, item: None) -> Comparison | None:
        if name not in self.beside:
            return None
        table = self.paths.evaluation()["table"]
        return Comparison(partial(getattr(checks, name), self.plan, table), (table,))

    def read(self) -> float:
        return tallied_bytes(self.plan, self.plan.evaluation_box.volume)

    def work(self, job: "Job", item: None) -> None:
        from connectomake.evaluation.files import sum_contingencies, write_result

        plan, output = self.plan, {name: job.output(name) for name in ("table", "scores", "worst")}
        overlap = sum_contingencies(list(job.files("tables").values()))
        write_result(output, overlap, plan.evaluation_box, plan.config["evaluation"], job.record())


class CurveRule(WholeRule):
    """Score the segmentation over thresholds of agglomeration, from the history of merges."""

    name = "curve"
    process_mb = 380
    held_per_byte = 3.5
    """Measured 3.0."""
    seconds_per_mb = 0.3
    """Measured 0.23."""
    final = ("table", "picture")
    beside = ("table",)
    reads_all = False

    def inputs(self, item: None) -> Inputs:
        """Return the summed tallies, and the history of merges that goes down furthest."""
        return {name: one(path) for name, path in curve_inputs(self.paths).items()}

    def outputs(self, item: None) -> dict[str, str]:
        found = self.paths.curve()
        return {name: found[name] for name in ("picture", "table")}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return checks.picture if name == "picture" else checks.csv

    def compare(self, name: str, item: None) -> Comparison | None:
        if name != "table":
            return None
        inputs = curve_inputs(self.paths)
        return Comparison(partial(checks.curve, self.plan, inputs), tuple(inputs.values()))

    def read(self) -> float:
        return tallied_bytes(self.plan, self.plan.evaluation_box.volume)

    def work(self, job: "Job", item: None) -> None:
        from connectomake.agglomeration import read_merges, segments_over
        from connectomake.evaluation import thresholds_of
        from connectomake.evaluation.files import read_contingency, write_curve

        plan, merges = self.plan, read_merges(job.file("history"))
        chosen, lowest = (plan.thresholds[suffix] or 0.0 for suffix in ("", plan.lowest))
        mappings = segments_over(merges, thresholds_of(lowest, chosen), plan.agglomeration().dtype)
        output, overlap = {name: job.output(name) for name in ("table", "picture")}, read_contingency(job.file("tallies"))
        write_curve(output, overlap, mappings, chosen, plan.config["evaluation"], job.record())


class Contingency(Stage):
    """Tallies of labels in both segmentations."""

    base, version, rules = "contingency", 2, (ContingencyRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.truth is not None

    def upstream(self) -> list[Stage]:
        truth = GroundTruth(self.plan)
        return [Segmentation(self.plan), *([truth] if truth.enabled else [])]

    def reads(self) -> dict[str, Any]:
        values = {"box": asdict(self.plan.evaluation_box)}
        return values if "ground_truth" in self.plan.layers else values | {"truth": truth_values(self.plan)}


class Evaluation(Stage):
    """Scores."""

    base, version, rules = "evaluation", 1, (EvaluationRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.truth is not None

    def upstream(self) -> list[Stage]:
        return [Contingency(self.plan)]

    def reads(self) -> dict[str, Any]:
        return {key: self.plan.config["evaluation"][key] for key in ("ignore", "worst")}


class Curve(Stage):
    """Scores over thresholds of agglomeration."""

    base, version, rules = "curve", 1, (CurveRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.curved

    def upstream(self) -> list[Stage]:
        return [Evaluation(self.plan), Agglomeration(self.plan, self.plan.lowest)]

    def reads(self) -> dict[str, Any]:
        return {"chosen": self.plan.thresholds[""], "lowest": self.plan.thresholds[self.plan.lowest]}


def tallied_bytes(plan: "Plan", voxels: int) -> float:
    """Return the bytes of the tallies of so many voxels."""
    return 2 * (PAIRS_BYTES + (SUPERVOXEL_BYTES if plan.curved else 0)) * voxels


def curve_inputs(paths: "Paths") -> dict[str, str]:
    """Return what scores over thresholds follow from: the summed tallies, and the history of merges that goes down furthest."""
    return {"tallies": paths.evaluation()["table"], "history": paths.history(paths.plan.lowest)}


def whole_octree(plan: "Plan") -> Octree:
    """Return the octree over all blocks: true objects outside the mask count, too."""
    return Octree(plan.grid, plan.octree.bits)


def evaluated_boxes(plan: "Plan", node: int) -> "list[Box]":
    """Return what is evaluated of the blocks of a level-1 node."""
    boxes = (plan.grid.box(b).intersect(plan.evaluation_box) for b in whole_octree(plan).children(1, node))
    return [box for box in boxes if not box.empty]


def evaluated_blocks(plan: "Plan", layer: str, node: int) -> Iterable[int]:
    """Return the blocks of a layer that are read to evaluate a level-1 node: its own and those across high faces."""
    grid = plan.layers[layer].grid
    found: set[int] = set()
    for box in evaluated_boxes(plan, node):
        for face in HIGH_FACES:
            found.update(grid.ids_meeting(box.grow(0, face).intersect(plan.evaluation_box)))
    return sorted(found)
