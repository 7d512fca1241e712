"""Skeletons: traced per (object, cell) in groups of blocks, gathered, and joined to whole ones per file of objects."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from connectomake.pipeline import checks
from connectomake.pipeline.base import Comparison, Inputs, Rule, Stage, each, group_voxels
from connectomake.pipeline.kinds import GatherRule, GroupRule
from connectomake.pipeline.segmentation import Segmentation
from connectomake.planning.skeletons import Skeletons

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.group_tree import GroupTree

TRACE_BYTES = 0.5
"""Per voxel of the region: one skeleton's voxel in 50 where objects are thin and dense, 22 bytes each; measured."""
TRACED_BYTES, TRACED_HALO_BYTES = 50, 24
"""Per voxel of a cell, and of a cell with its halo."""
SKEW = 2
"""How many times its share of all traces, or pieces of meshes, the largest shard may have."""
COMPILED_BYTES = 200 << 20
"""Of the code that traces: what numba loads."""


class TracesRule(GroupRule):
    """Trace the skeletons in all cells of a group of blocks."""

    name = "traces"
    keep = "traces"
    shown: ClassVar = {"traces": "traces"}
    seconds_per_megavoxel = 3.0
    varies = True

    @property
    def tree(self) -> "GroupTree":
        return Skeletons(self.plan).tree

    def inputs(self, item: int) -> Inputs:
        """Return the shards that the group's cells and their halos meet."""
        return {"shards": each(Skeletons(self.plan).blocks(item), lambda block: self.paths.shard("segmentation", block))}

    def outputs(self, item: int) -> dict[str, str]:
        return {"traces": Skeletons(self.plan).traces(0, item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return checks.tables

    def held(self, item: int | None = None) -> float:
        """The compiled code, the largest cell with its halo, and the traces of a group; nothing where no cell begins."""
        skeletons = Skeletons(self.plan)
        spec, box = skeletons.spec, self.plan.roi if item is None else skeletons.tree.box(0, item)
        ranges = spec.lattice.ranges_in(box)
        if not all(ranges):
            return 0
        own, around = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for step in (-1, 0, 1):  # least is cut off in the middle of the region
            middle = [(n - 1) // 2 + step for n in spec.lattice.shape]
            z, y, x = (min(max(n, cells[0]), cells[-1]) for n, cells in zip(middle, ranges, strict=True))
            own = np.maximum(own, spec.reach((z, y, x)).shape)
            around = np.maximum(around, spec.around((z, y, x)).shape)
        traced = TRACED_BYTES * math.prod(own.tolist()) + TRACED_HALO_BYTES * math.prod(around.tolist())
        largest = group_voxels(self.plan, skeletons.tree.group_bits)
        return int(COMPILED_BYTES + traced + TRACE_BYTES * (largest if item is None else box.volume))

    def work(self, job: "Job", item: int) -> None:
        from connectomake.skeletons import trace_blocks

        skeletons = Skeletons(self.plan)
        ids = skeletons.config["ids"]
        keep = None if ids is None else np.array(sorted(set(ids)), np.uint64)
        box, layer = skeletons.tree.box(0, item), self.plan.layers["segmentation"]
        trace_blocks(job.output("traces"), layer, skeletons.spec, box, job.files("shards"), keep, job.record())


class GatherTracesRule(GatherRule):
    """Gather traces of skeletons into one file."""

    name = "gather_traces"
    keep = "traces"
    process_mb = 120
    held_per_byte = 6.0
    """Of one shard's traces, which it holds at a time: measured 5.4."""
    seconds_per_mb = 0.05
    """Measured 0.02."""

    @property
    def tree(self) -> "GroupTree":
        return Skeletons(self.plan).tree

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return the traces of the level below."""
        (level, node), skeletons = item, Skeletons(self.plan)
        return {"traces": each(skeletons.tree.children(level, node), partial(skeletons.traces, level - 1))}

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"traces": Skeletons(self.plan).traces(*item)}

    def look(self, name: str, item: tuple[int, int]) -> Callable[[str], Any]:
        return checks.tables

    def share(self) -> float:
        return min(SKEW / len(Skeletons(self.plan).numbers), 1.0)

    def read(self) -> float:
        return TRACE_BYTES * self.gathered()

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.skeletons import gather_traces

        gather_traces(job.output("traces"), list(job.files("traces").values()), job.record())


class SkeletonsRule(Rule[int]):
    """Join the traces of the objects that belong to one file into whole skeletons, and measure their lengths."""

    name = "skeletons"
    final = ("shard",)
    process_mb = 300
    held_per_byte = 16.0
    """Of its shard's traces: measured 14."""
    seconds_per_mb = 0.8
    """Per MB of its own shard: measured 0.8."""

    def items(self) -> Iterable[int]:
        return Skeletons(self.plan).numbers

    def count(self) -> int:
        return len(Skeletons(self.plan).numbers)

    def parse(self, wildcards: Any) -> int:
        return Skeletons(self.plan).parse(wildcards.number)

    def inputs(self, item: int) -> Inputs:
        """Return the traces of the top level."""
        skeletons = Skeletons(self.plan)
        return {"traces": each(skeletons.tree.nodes(skeletons.tree.top), partial(skeletons.traces, skeletons.tree.top))}

    def outputs(self, item: int) -> dict[str, str]:
        skeletons = Skeletons(self.plan)
        return {"shard": skeletons.shard(item), "lengths": skeletons.lengths(item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return checks.tables if name == "lengths" else partial(checks.id_shard, Skeletons(self.plan).spec.sharding)

    def compare(self, name: str, item: int) -> Comparison | None:
        if name != "shard":
            return None
        skeletons = Skeletons(self.plan)
        return Comparison(partial(checks.skeleton_lengths, skeletons, item), (skeletons.lengths(item),))

    def share(self) -> float:
        return min(SKEW / len(Skeletons(self.plan).numbers), 1.0)

    def sharers(self) -> int:
        return len(Skeletons(self.plan).numbers)

    def read(self) -> float:
        return TRACE_BYTES * self.plan.roi.volume

    def work(self, job: "Job", item: int) -> None:
        from connectomake.skeletons.shards import skeleton_shard

        spec, traces = Skeletons(self.plan).spec, list(job.files("traces").values())
        skeleton_shard(job.output("shard"), job.output("lengths"), spec, item, traces, job.record())


class Traces(Stage):
    """Pieces of skeletons within cells."""

    base, version, rules = "traces", 2, (TracesRule, GatherTracesRule)

    @property
    def enabled(self) -> bool:
        return Skeletons(self.plan).enabled

    def upstream(self) -> list[Stage]:
        return [Segmentation(self.plan)]

    def reads(self) -> dict[str, Any]:
        skeletons = Skeletons(self.plan)
        spec = {k: v for k, v in asdict(skeletons.spec).items() if k != "min_voxels"}
        bits = {"group_bits": skeletons.tree.group_bits, "gather_bits": skeletons.tree.bits}
        return {"skeletons": spec, "ids": skeletons.config["ids"], **bits}


class WholeSkeletons(Stage):
    """Whole skeletons and their lengths."""

    base, version, rules = "skeletons", 2, (SkeletonsRule,)

    @property
    def enabled(self) -> bool:
        return Skeletons(self.plan).enabled

    def upstream(self) -> list[Stage]:
        return [Traces(self.plan)]

    def reads(self) -> dict[str, Any]:
        return {"min_voxels": Skeletons(self.plan).spec.min_voxels}
