"""Meshes: cut out and simplified per (object, cell) in groups of blocks, gathered, and packed per file of objects."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Rule, Stage, each, one
from connectomake.pipeline.kinds import GatherRule, GroupRule
from connectomake.pipeline.measures import group_inputs, slab_bytes
from connectomake.pipeline.objects import Objects
from connectomake.pipeline.segmentation import Segmentation
from connectomake.pipeline.skeletons import SKEW

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job
    from connectomake.planning.group_tree import GroupTree

PACK_BYTES = 0.2
"""Per voxel of the region, of mesh pieces."""


class FragmentsRule(GroupRule):
    """Cut out and simplify the surfaces in all cells of a group of blocks."""

    name = "fragments"
    keep = "fragments"
    shown: ClassVar = {"pack": "fragments"}
    process_mb = 340
    seconds_per_megavoxel = 10.0

    @property
    def tree(self) -> "GroupTree":
        return self.plan.mesh_tree

    def inputs(self, item: int) -> Inputs:
        """Return the group's shards, halos of it and its high neighbours; the object table if it says which are meshed."""
        selected = {"objects": one(self.paths.objects)} if self.plan.meshes_selected else {}
        return group_inputs(self.paths, self.tree, item) | selected

    def outputs(self, item: int) -> dict[str, str]:
        return {"pack": self.paths.pack(0, item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return partial(checks.pack, self.plan)

    def held(self, item: int | None = None) -> float:
        return slab_bytes(self.plan)

    def work(self, job: "Job", item: int) -> None:
        from connectomake.meshes import mesh_fragments
        from connectomake.objects import select_from

        plan, shards, halos = self.plan, job.files("shards"), job.files("halos")
        keep = select_from(job.file("objects"), plan.config["meshes"]["select"]) if plan.meshes_selected else None
        mesh_fragments(job.output("pack"), plan.layers["segmentation"], plan.mesh_spec, shards, halos, keep, job.record())


class GatherFragmentsRule(GatherRule):
    """Gather packs of mesh pieces into one."""

    name = "gather"
    keep = "fragments"
    process_mb = 260
    held_per_byte = 0.15
    """An index of pieces: measured 0.1 where they are of 1.5 kB each."""
    seconds_per_mb = 0.5
    """Measured 0.37 with the coarser levels that it makes."""

    @property
    def tree(self) -> "GroupTree":
        return self.plan.mesh_tree

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return the packs of the level below."""
        level, node = item
        return {"packs": each(self.tree.children(level, node), partial(self.paths.pack, level - 1))}

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"pack": self.paths.pack(*item)}

    def look(self, name: str, item: tuple[int, int]) -> Callable[[str], Any]:
        return partial(checks.pack, self.plan)

    def read(self) -> float:
        return PACK_BYTES * self.gathered()

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.meshes import merge_packs

        spec = self.plan.mesh_spec
        cells = spec.cells_of(self.tree.box(*item))
        merge_packs(job.output("pack"), spec, list(job.files("packs").values()), cells, job.record())


class MeshesRule(Rule[int]):
    """Write one file of meshes: manifests and fragments of the objects that belong to it."""

    name = "meshes"
    final = ("shard",)
    held_per_byte = 0.15
    """Of its shard's pieces, as `GatherFragmentsRule`."""
    seconds_per_mb = 0.5
    """Measured 0.01, as much as gather where coarser levels are left to it."""

    def items(self) -> Iterable[int]:
        return range(self.plan.mesh_spec.sharding.count)

    def count(self) -> int:
        return self.plan.mesh_spec.sharding.count

    def parse(self, wildcards: Any) -> int:
        return self.paths.parse_mesh_shard(wildcards.number)

    def inputs(self, item: int) -> Inputs:
        """Return the packs of the top level."""
        tree = self.plan.mesh_tree
        return {"packs": each(tree.nodes(tree.top), partial(self.paths.pack, tree.top))}

    def outputs(self, item: int) -> dict[str, str]:
        return {"shard": self.paths.mesh_shard(item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return partial(checks.id_shard, self.plan.mesh_spec.sharding)

    def process(self) -> int:
        return 220 if self._makes_parents() else 100  # packs fragments as they are

    def _makes_parents(self) -> bool:
        """Return whether a coarse fragment may have children in several packs of the top level."""
        tree, spec = self.plan.mesh_tree, self.plan.mesh_spec
        starts = (spec.cells_of(tree.box(tree.top, node))[0] for node in tree.nodes(tree.top))
        return any(n > 0 and n % spec.margin for start in starts for n in start)

    def share(self) -> float:
        return min(SKEW / self.sharers(), 1.0)

    def sharers(self) -> int:
        return self.plan.mesh_spec.sharding.count

    def read(self) -> float:
        return PACK_BYTES * self.plan.roi.volume

    def work(self, job: "Job", item: int) -> None:
        from connectomake.meshes import mesh_shard

        mesh_shard(job.output("shard"), self.plan.mesh_spec, item, list(job.files("packs").values()), job.record())


class Fragments(Stage):
    """Pieces of meshes within cells."""

    base, version, rules = "fragments", 4, (FragmentsRule, GatherFragmentsRule)

    @property
    def enabled(self) -> bool:
        return self.plan.meshes_enabled

    def upstream(self) -> list[Stage]:
        return [Segmentation(self.plan), *([Objects(self.plan)] if self.plan.meshes_selected else [])]

    def reads(self) -> dict[str, Any]:
        tree = self.plan.mesh_tree
        values = {"meshes": asdict(self.plan.mesh_spec), "group_bits": tree.group_bits, "gather_bits": tree.bits}
        return values | ({"select": self.plan.config["meshes"]["select"]} if self.plan.meshes_selected else {})


class Meshes(Stage):
    """Files of meshes that Neuroglancer reads."""

    base, version, rules = "meshes", 4, (MeshesRule,)

    @property
    def enabled(self) -> bool:
        return self.plan.meshes_enabled

    def upstream(self) -> list[Stage]:
        return [Fragments(self.plan)]

    def reads(self) -> dict[str, Any]:
        return {}
