"""The plan: config and source, resolved once, from which every grid, layer and path follows."""

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectomake.config import Method, default_chunk, method_of, threshold_text
from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box, CellLattice, Octree, Vec, as_vec
from connectomake.geometry.mirror import reflected_box
from connectomake.inference.spec import InferenceSpec
from connectomake.layers import LayerSpec
from connectomake.planning.asked import asked_blocks, inside_grid, surface_tree
from connectomake.planning.fan_out import octree_bits
from connectomake.planning.group_tree import GroupTree
from connectomake.planning.layer_specs import layer_specs
from connectomake.planning.mask import MaskInfo
from connectomake.planning.segment_table import TableInfo
from connectomake.planning.source_info import SourceInfo

if TYPE_CHECKING:
    from connectomake.agglomeration.rule import Rule
    from connectomake.meshes.lattice import MeshSpec

FORMAT, VOXELS_PER_MEASURING_JOB = 2, 1 << 31


@dataclass(frozen=True)
class Plan:
    """A checked config with the facts of its source and the hashes of its model files.

    Parameters
    ----------
    config
        Normalised config.
    source
        Facts of the source.
    model, weights
        SHA-256 of the model file and of the checkpoint, or None.
    truth
        Facts of the ground truth, in the source's coordinates; None if nothing is evaluated.
    modules
        SHA-256 of the files in the model file's folder that it imports or names, by their paths there.
    mask
        What is outside of what is segmented; None if nothing is.
    table
        What joins given labels; None if nothing does.
    """

    config: dict[str, Any]
    source: SourceInfo
    model: str | None = None
    weights: str | None = None
    truth: SourceInfo | None = None
    modules: dict[str, str] = field(default_factory=dict)
    mask: MaskInfo | None = None
    table: TableInfo | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        more: dict[str, Any] = {"modules": self.modules, "mask": self.mask and self.mask.to_json()}
        more["table"] = self.table and self.table.to_json()
        given = {"model": self.model, "weights": self.weights} | {name: value for name, value in more.items() if value}
        volumes = {"source": self.source.to_json(), "truth": self.truth and self.truth.to_json()}
        return {"format": FORMAT, "config": self.config, **volumes, **given}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Plan":
        """Make the plan from what `to_json` gave.

        Raises
        ------
        ConfigError
            If the plan was written by another version of connectomake.
        """
        if value.get("format") != FORMAT:
            raise ConfigError(f"the plan has format {value.get('format')}, this version reads {FORMAT}; rerun on the head")
        truth = None if value["truth"] is None else SourceInfo.from_json(value["truth"])
        source, modules = SourceInfo.from_json(value["source"]), value.get("modules", {})
        mask = MaskInfo.from_json(value["mask"]) if "mask" in value else None
        table = TableInfo(**value["table"]) if "table" in value else None
        return cls(value["config"], source, value["model"], value["weights"], truth, modules, mask, table)

    @property
    def outdir(self) -> str:
        """Folder of all results, without a slash at its end."""
        return str(self.config["outdir"]).rstrip("/")

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about source and ground truth, each a sentence with what to do."""
        return self.source.notes + (self.truth.notes if self.truth else ()) + (self.mask.volume.notes if self.mask else ())

    @functools.cached_property
    def roi(self) -> Box:
        """Region of interest, in the source's voxel coordinates."""
        start, stop = self.config["source"]["start"], self.config["source"]["stop"]
        return Box(as_vec(start or self.source.bounds.start), as_vec(stop or self.source.bounds.stop))

    @functools.cached_property
    def block(self) -> Vec:
        """Shape of a block."""
        return as_vec(self.config["block"])

    @functools.cached_property
    def chunk(self) -> Vec:
        """Shape of a storage chunk."""
        return default_chunk(self.block) if self.config["chunk"] is None else as_vec(self.config["chunk"])

    @functools.cached_property
    def grid(self) -> BlockGrid:
        """The blocks over the region of interest."""
        return BlockGrid(self.roi, self.block)

    @functools.cached_property
    def octree(self) -> Octree:
        """The merge octree over the blocks inside the mask; a node has as many children as fit, see `octree_bits`."""
        return Octree(inside_grid(self), octree_bits(self))

    @functools.cached_property
    def inference(self) -> InferenceSpec | None:
        """How the network is run; None if the source is the probability."""
        section = self.config["inference"]
        return None if section is None else InferenceSpec.from_config(section)

    @property
    def method(self) -> Method:
        """The method of segmentation."""
        return method_of(self.config["segmentation"])

    @property
    def keeps_ids(self) -> bool:
        """Whether the ids of the objects are those of the source: nothing is merged."""
        return self.method.keeps_ids(self.config["segmentation"])

    @property
    def ingests(self) -> bool:
        """Whether the source becomes the layer `image` first; labels become components at once."""
        return not (self.source.in_place or self.method.labels)

    @property
    def segmented_channels(self) -> list[int]:
        """The channels of the probability that the segmentation reads."""
        return self.method.channels_of(self.config["segmentation"])

    @property
    def t_boundary(self) -> float:
        """Below which strongest edge a voxel is left out of its basin at the end; 0 leaves none out."""
        return float(self.config["segmentation"]["t_boundary"]) if self.method.graph else 0.0

    @property
    def agglomerates(self) -> bool:
        """Whether basins are joined further before they become objects."""
        small = int(self.config["segmentation"]["min_supervoxel"]) > 1
        return self.method.graph and (small or self.config["agglomeration"] is not None)

    @functools.cached_property
    def thresholds(self) -> dict[str, float | None]:
        """Thresholds of agglomeration by the suffix of their layers' names: "" for the main one, then such as "_0.35"."""
        section = self.config["agglomeration"] or {}
        further = {f"_{threshold_text(t)}": t for t in section.get("thresholds", ())}
        return {"": section.get("threshold"), **further}

    @functools.cached_property
    def lowest(self) -> str:
        """The suffix of the lowest threshold, whose history of merges holds those of all others."""
        return min(self.thresholds, key=lambda suffix: self.thresholds[suffix] or 0)

    @property
    def curved(self) -> bool:
        """Whether scores are drawn over thresholds of agglomeration."""
        return self.truth is not None and self.config["agglomeration"] is not None

    def agglomeration(self, suffix: str = "") -> "Rule":
        """Return how basins are joined, at the threshold of a suffix."""
        from connectomake.agglomeration.rule import Rule

        dtype = self.source.dtype if self.probability is None else self.layers[self.probability].dtype
        return Rule.from_config(self.config["agglomeration"] or {}, self.config["segmentation"], self.thresholds[suffix], dtype)

    @property
    def merge_min_size(self) -> int:
        """Voxels that whole objects of the merge must have; where they are joined further, this comes after."""
        return 0 if self.agglomerates else int(self.config["segmentation"]["min_size"])

    @property
    def connectivity(self) -> int:
        """Neighbours that join components: 6, 18 or 26; basins join over faces."""
        return self.method.connectivity(self.config["segmentation"])

    @property
    def probability_channels(self) -> tuple[int, ...]:
        """Channels that must lie in 0 to 1: those whose values decide; all of a network's, if stored as uint8."""
        channels = self.source.channels if self.inference is None else self.inference.channels
        if self.inference is not None and self.inference.dtype == "uint8":
            return tuple(range(channels))
        return tuple(self.method.compared_channels(self.config["segmentation"], channels))

    @functools.cached_property
    def image_box(self) -> Box:
        """The part of the source that inference reads: the region of interest and its context."""
        if self.inference is None:
            return self.roi
        needed = self.roi.union(Box.of_shape(self.inference.output_patch, self.roi.start)).grow(self.inference.margin)
        return reflected_box(needed, self.source.bounds)

    def read_box(self, block_id: int) -> Box:
        """Return the box of the source that a block reads, its network context reflected back where the source ends."""
        box = self.grid.box(block_id)
        if self.inference is None:
            return box
        z, y, x = self.inference.lattice(self.roi).starts(box)
        first, last = (int(z[0]), int(y[0]), int(x[0])), (int(z[-1]), int(y[-1]), int(x[-1]))
        patches = Box(first, Box.of_shape(self.inference.output_patch, last).stop)
        return reflected_box(patches.grow(self.inference.margin), self.source.bounds)

    @functools.cached_property
    def layers(self) -> dict[str, LayerSpec]:
        """The layers that this run makes, by name."""
        return layer_specs(self)

    @functools.cached_property
    def evaluation_box(self) -> Box:
        """The voxels that are evaluated: in the region of interest, the ground truth, and evaluation.start to stop."""
        if self.truth is None:
            return Box(self.roi.start, self.roi.start)
        section, both = self.config["evaluation"], self.roi.intersect(self.truth.bounds)
        return both.intersect(Box(as_vec(section["start"] or both.start), as_vec(section["stop"] or both.stop)))

    @property
    def probability(self) -> str | None:
        """Name of the layer that is segmented; None if it is the source itself, in place, or labels."""
        if self.inference is not None:
            return "affinity"
        return "image" if self.ingests else None

    @property
    def meshes_enabled(self) -> bool:
        """Whether meshes are made."""
        return bool(self.config["meshes"]["enabled"])

    @property
    def meshes_selected(self) -> bool:
        """Whether only some objects are meshed, so that the object table is needed first."""
        ids, least, most, query = (self.config["meshes"]["select"][key] for key in ("ids", "min_voxels", "max_voxels", "query"))
        return self.meshes_enabled and (ids is not None or most is not None or least > 0 or bool(query))

    @property
    def measured(self) -> bool:
        """Whether surfaces of objects and points inside them are measured on the segmentation."""
        return bool(self.config["objects"]["measure"])

    @property
    def measured_cell(self) -> Vec | None:
        """Shape of the cells in which points deep inside objects are looked for; None: the first voxel is taken."""
        return self.cells.cell if self.meshes_enabled else None

    @functools.cached_property
    def cells(self) -> CellLattice:
        """The cell lattice."""
        return CellLattice(self.roi, as_vec(self.config["meshes"]["cell"]))

    @functools.cached_property
    def mesh_tree(self) -> GroupTree:
        """Groups of blocks that are meshed in one job, and how their pieces are gathered."""
        return surface_tree(self, int(self.config["meshes"]["voxels_per_job"]))

    @functools.cached_property
    def measure_tree(self) -> GroupTree:
        """Groups of blocks that are measured in one job: more than are meshed, since that takes much longer."""
        return surface_tree(self, VOXELS_PER_MEASURING_JOB)

    @functools.cached_property
    def mesh_spec(self) -> "MeshSpec":
        """How meshes are cut, simplified and stored."""
        from connectomake.meshes.lattice import MeshSpec

        return MeshSpec.from_config(self.config["meshes"], self.roi, self.source.voxel_size)

    @functools.cached_property
    def asked(self) -> dict[str, tuple[int, ...]]:
        """The blocks that a masked run needs, of layers that may be deleted once used; see `asked_blocks`."""
        return asked_blocks(self)

    def is_outside(self, block: int) -> bool:
        """Whether a block lies wholly outside the mask."""
        return self.mask is not None and self.mask.is_outside(block)

    def keeps(self, name: str) -> bool:
        """Whether an intermediate stays when no job needs it any more."""
        return name in self.config["keep"]
