"""Names of all files of a run. Paths only: nothing is opened."""

import functools
from dataclasses import dataclass

from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan


@dataclass(frozen=True)
class Paths:
    """The names of a plan's files.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @functools.cached_property
    def scale(self) -> str:
        """Folder of the scale in each layer."""
        return self.plan.layers["segmentation"].scale_key

    def shard(self, layer: str, block: int) -> str:
        """Return the shard of a block."""
        return f"{self.plan.outdir}/{layer}/{self.plan.layers[layer].shard_name(block)}"

    def tables(self, layer: str, block: int) -> str:
        """Return the HDF5 file beside a block's shard (components: table, faces; segmentation: halo)."""
        return self.shard(layer, block).removesuffix(".shard") + ".h5"

    @property
    def segment_table(self) -> str:
        """The sorted table that joins given labels."""
        return f"{self.plan.outdir}/segment_table/table.h5"

    def info(self, layer: str) -> str:
        """Return a layer's info."""
        return f"{self.plan.outdir}/{layer}/info"

    def merge(self, level: int, node: int) -> str:
        """Return what an octree node passes up."""
        return f"{self.plan.outdir}/merge/{level}/{self.plan.octree.name(level, node)}.up.h5"

    def lookup(self, level: int, node: int) -> str:
        """Return the look-up tables that an octree node passes down."""
        return f"{self.plan.outdir}/merge/{level}/{self.plan.octree.name(level, node)}.down.h5"

    def agglomerate(self, level: int, node: int, suffix: str = "") -> str:
        """Return what an octree node leaves open of the region graph, at the threshold of a suffix."""
        return f"{self.plan.outdir}/agglomeration{suffix}/{level}/{self.plan.octree.name(level, node)}.up.h5"

    def assign(self, level: int, node: int, suffix: str = "") -> str:
        """Return the look-up tables of segments that an octree node passes down."""
        return f"{self.plan.outdir}/agglomeration{suffix}/{level}/{self.plan.octree.name(level, node)}.down.h5"

    def history(self, suffix: str = "") -> str:
        """Return the table of all merges of the agglomeration."""
        return f"{self.plan.outdir}/agglomeration{suffix}/merges.parquet"

    def pack(self, level: int, pack: int) -> str:
        """Return a pack of mesh pieces."""
        return f"{self.plan.outdir}/fragments/{level}/{self.plan.mesh_tree.name(level, pack)}.pack"

    def mesh_shard(self, number: int) -> str:
        """Return a file of meshes."""
        return f"{self.plan.outdir}/segmentation/mesh/{self.plan.mesh_spec.sharding.name(number)}"

    def parse_mesh_shard(self, name: str) -> int:
        """Return the number of a file of meshes.

        Raises
        ------
        ConfigError
            If there is no such file.
        """
        count = self.plan.mesh_spec.sharding.count
        number = int(name, 16)
        if number >= count or self.mesh_shard(number) != f"{self.plan.outdir}/segmentation/mesh/{name}.shard":
            raise ConfigError(f"mesh file {name!r} does not exist: there are {count}")
        return number

    @property
    def mesh_info(self) -> str:
        """The info of the meshes."""
        return f"{self.plan.outdir}/segmentation/mesh/info"

    @property
    def objects(self) -> str:
        """The object table."""
        return f"{self.plan.outdir}/objects/objects.parquet"

    @property
    def properties(self) -> str:
        """The segment properties."""
        return f"{self.plan.outdir}/segmentation/properties/info"

    def measures(self, group: int) -> str:
        """Return the measures of the objects in a group of blocks."""
        return f"{self.plan.outdir}/objects/measures/{self.plan.measure_tree.name(0, group)}.h5"

    def contingency(self, node: int) -> str:
        """Return the contingency table of a level-1 node."""
        return f"{self.plan.outdir}/evaluation/contingency/{self.plan.octree.name(1, node)}.h5"

    def evaluation(self) -> dict[str, str]:
        """Return the results of the evaluation by name; none if there is no ground truth."""
        names = {"scores": "scores.json", "worst": "worst.csv", "table": "contingency.h5"} if self.plan.truth else {}
        return {key: f"{self.plan.outdir}/evaluation/{name}" for key, name in names.items()}

    def curve(self) -> dict[str, str]:
        """Return the scores over thresholds of agglomeration, as a table and as a picture; none without any."""
        names = {"table": "curve.csv", "picture": "curve.png"} if self.plan.curved else {}
        return {key: f"{self.plan.outdir}/evaluation/{name}" for key, name in names.items()}

    @functools.cached_property
    def reports(self) -> dict[str, str]:
        """The pages and pictures for the report, by what they show."""
        names = {"page": "run.html", "table": "stages.csv", "blocks": "blocks.png", "slices": "slices.png"}
        if self.plan.meshes_enabled:
            names["objects"] = "objects.png"
        return {what: f"{self.plan.outdir}/report/{name}" for what, name in names.items()}
