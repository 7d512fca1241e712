"""Which files of a run are made from which, and which it leaves. Paths only: nothing is opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectomake.geometry import Box, Vec, lower_offsets
from connectomake.planning.mesh_tree import MeshTree
from connectomake.planning.paths import Paths
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons

HIGH_FACES: list[Vec] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@dataclass(frozen=True)
class Targets(Paths):
    """The files of a plan and what each is made from.

    Parameters
    ----------
    plan
        The plan.
    """

    def all_measures(self) -> list[str]:
        """Return the measures of all groups; none if nothing is measured."""
        return [self.measures(group) for group in self.plan.measure_tree.packs(0)] if self.plan.measured else []

    def objects_inputs(self) -> dict[str, list[str]]:
        """Return what the object table is made from."""
        lengths = Skeletons(self.plan).all_lengths()
        interiors = [self.tables("segmentation", b) for b in self.plan.grid.ids] if self.plan.t_boundary else []
        return {"merges": self.all_closed(), "interiors": interiors, "measures": self.all_measures(), "lengths": lengths}

    def first_objects_inputs(self) -> dict[str, list[str]]:
        """Return the first of each kind of these, without listing the others."""
        plan, skeletons = self.plan, Skeletons(self.plan)
        interiors = [self.tables("segmentation", 0)] if plan.t_boundary else []
        measures = [self.measures(0)] if plan.measured else []
        lengths = [skeletons.lengths(0)] if skeletons.enabled else []
        return {"merges": [self.first_closed()], "interiors": interiors, "measures": measures, "lengths": lengths}

    def image_blocks(self, block: int) -> list[int]:
        """Return the blocks of the image layer that a block of the region of interest reads, in raster order."""
        return self.plan.layers["image"].grid.ids_meeting(self.plan.read_box(block))

    def affinity_inputs(self, block: int) -> list[str]:
        """Return what inference of a block reads: image shards, or nothing if the source is read in place."""
        if self.plan.source.in_place:
            return []
        return [self.shard("image", b) for b in self.image_blocks(block)]

    def components_inputs(self, block: int) -> list[str]:
        """Return what the components of a block are cut from: its affinity or image shard, or the source in place.

        A watershed also reads the shards of the blocks across its high z, y and x face, as far as there are any.
        """
        layer = self.plan.probability
        if layer is None:
            return []
        return [self.shard(layer, b) for b in (block, *self.high_blocks(block))]

    def high_blocks(self, block: int) -> list[int]:
        """Return the blocks across the high z, y and x face of a block whose affinity its watershed reads."""
        return self.plan.grid.neighbours(block, HIGH_FACES) if self.plan.watershed else []

    def lower_blocks(self, node: int) -> list[int]:
        """Return the blocks outside a level-1 node that it compares its blocks with."""
        octree, offsets = self.plan.octree, lower_offsets(self.plan.connectivity)
        blocks = octree.children(1, node)
        around = {n for b in blocks for n in self.plan.grid.neighbours(b, offsets)}
        return sorted(around.difference(blocks))

    def merge_inputs(self, level: int, node: int) -> list[str]:
        """Return what an octree node reads going up, its children first."""
        children = self.plan.octree.children(level, node)
        if level > 1:
            return [self.merge(level - 1, c) for c in children]
        return [self.tables("components", b) for b in [*children, *self.lower_blocks(node)]]

    def lookup_inputs(self, level: int, node: int) -> dict[str, str]:
        """Return what an octree node reads going down: what it passed up itself, and what its parent passed down."""
        octree = self.plan.octree
        inputs = {"own": self.merge(level, node)}
        if level < octree.levels:
            inputs["parent"] = self.lookup(level + 1, octree.parent(level, node))
        return inputs

    def agglomerate_inputs(self, level: int, node: int, at: str = "") -> dict[str, list[str]]:
        """Return what an octree node agglomerates: tables and ids of its blocks and their lower neighbours; or its children."""
        octree = self.plan.octree
        if level > 1:
            return {"children": [self.agglomerate(level - 1, c, at) for c in octree.children(level, node)]}
        blocks = [*octree.children(1, node), *self.lower_blocks(node)]
        lookups = [self.lookup(1, n) for n in self.lookup_nodes(node)]
        return {"tables": [self.tables("components", b) for b in blocks], "lookups": lookups}

    def lookup_nodes(self, node: int) -> list[int]:
        """Return the level-1 nodes that hold the blocks of a level-1 node and their lower neighbours."""
        octree = self.plan.octree
        return sorted({node} | {octree.parent(0, b) for b in self.lower_blocks(node)})

    def assign_inputs(self, level: int, node: int, at: str = "") -> dict[str, str]:
        """Return what an octree node reads going down; see `lookup_inputs`."""
        octree = self.plan.octree
        inputs = {"own": self.agglomerate(level, node, at)}
        if level < octree.levels:
            inputs["parent"] = self.assign(level + 1, octree.parent(level, node), at)
        return inputs

    def final_lookup(self, level: int, node: int, at: str = "") -> str:
        """Return the look-up tables of final ids of an octree node: of segments, or where there are none, of components."""
        return self.assign(level, node, at) if self.plan.agglomerates else self.lookup(level, node)

    def segmentation_inputs(self, block: int, at: str = "") -> dict[str, str]:
        """Return what a block's segmentation is made from, at the threshold of a suffix."""
        lookup = self.final_lookup(1, self.plan.octree.parent(0, block), at)
        interior = {"interior": self.tables("components", block)} if self.plan.t_boundary else {}
        return {"components": self.shard("components", block), "lookup": lookup, **interior}

    def nodes(self) -> Iterator[tuple[int, int]]:
        """Yield (level, node) of every octree node, from level 1 up."""
        octree = self.plan.octree
        for level in range(1, octree.levels + 1):
            for node in octree.nodes(level):
                yield level, node

    def all_merges(self) -> list[str]:
        """Return the files that all octree nodes pass up."""
        return [self.merge(level, node) for level, node in self.nodes()]

    def all_closed(self, at: str = "") -> list[str]:
        """Return the files of all octree nodes that hold the whole objects which ended there."""
        if self.plan.agglomerates:
            return [self.agglomerate(level, node, at) for level, node in self.nodes()]
        return self.all_merges()

    def first_closed(self, at: str = "") -> str:
        """Return the first of these, without listing the others."""
        return self.agglomerate(1, 0, at) if self.plan.agglomerates else self.merge(1, 0)

    def segmentations(self) -> list[str]:
        """Return the layers of final ids: the main one first, then one for each further threshold."""
        return [f"segmentation{at}" for at in self.plan.thresholds]

    def group_inputs(self, tree: MeshTree, group: int) -> dict[str, list[str]]:
        """Return what a group of blocks is measured or meshed from: its shards, and the halos of it and its high neighbours."""
        blocks = tree.members(0, group)
        return {
            "shards": [self.shard("segmentation", b) for b in blocks],
            "halos": [self.tables("segmentation", b) for b in tree.neighbours(group)],
        }

    def fragments_inputs(self, group: int) -> dict[str, Any]:
        """Return what a group of blocks is meshed from: also the object table, if it says which objects are."""
        return self.group_inputs(self.plan.mesh_tree, group) | ({"objects": self.objects} if self.plan.meshes_selected else {})

    def gather_inputs(self, level: int, pack: int) -> list[str]:
        """Return the packs that a higher pack gathers."""
        return [self.pack(level - 1, p) for p in self.plan.mesh_tree.members(level, pack)]

    def top_packs(self) -> list[str]:
        """Return the packs that every mesh file is made from."""
        tree = self.plan.mesh_tree
        return [self.pack(tree.top, p) for p in tree.packs(tree.top)]

    def mesh_shards(self) -> list[str]:
        """Return all files of meshes."""
        return [self.mesh_shard(n) for n in range(self.plan.mesh_spec.sharding.count)]

    def _evaluated_nodes(self) -> Iterator[int]:
        octree, box = self.plan.octree, self.plan.evaluation_box
        return (n for n in octree.nodes(1) if not octree.box(1, n).intersect(box).empty)

    def contingency_nodes(self) -> list[int]:
        """Return the level-1 nodes in which something is evaluated."""
        return list(self._evaluated_nodes())

    def first_contingency(self) -> str:
        """Return the first of the contingency tables, without listing the others."""
        return self.contingency(next(self._evaluated_nodes()))

    def evaluated(self, node: int) -> list[Box]:
        """Return what is evaluated of the blocks of a level-1 node."""
        boxes = (self.plan.grid.box(b).intersect(self.plan.evaluation_box) for b in self.plan.octree.children(1, node))
        return [box for box in boxes if not box.empty]

    def contingency_blocks(self, layer: str, node: int) -> list[int]:
        """Return the blocks of a layer that are read to evaluate a level-1 node: its own and those across high faces."""
        grid, found = self.plan.layers[layer].grid, set()
        for box in self.evaluated(node):
            for face in HIGH_FACES:
                found.update(grid.ids_meeting(box.grow(0, face).intersect(self.plan.evaluation_box)))
        return sorted(found)

    def contingency_inputs(self, node: int) -> dict[str, list[str]]:
        """Return what a level-1 node is evaluated from: shards of the segmentation and of the ground truth, if ingested.

        Where scores are drawn over thresholds: also the shards and ids of its supervoxels.
        """
        layers = [name for name in ("segmentation", "ground_truth") if name in self.plan.layers]
        inputs: dict[str, list[str]] = {
            name: [self.shard(name, b) for b in self.contingency_blocks(name, node)] for name in layers
        }
        if not self.plan.curved:
            return inputs
        components = [self.shard("components", b) for b in self.contingency_blocks("segmentation", node)]
        return {**inputs, "components": components, "lookups": [self.lookup(1, n) for n in self.contingency_lookups(node)]}

    def contingency_lookups(self, node: int) -> list[int]:
        """Return the level-1 nodes that hold the blocks which are read to evaluate a level-1 node."""
        return sorted({self.plan.octree.parent(0, b) for b in self.contingency_blocks("segmentation", node)})

    def contingencies(self) -> list[str]:
        """Return the contingency tables of all nodes."""
        return [self.contingency(node) for node in self.contingency_nodes()]

    def curve_inputs(self) -> dict[str, str]:
        """Return what that is made from: the summed tallies, and the history of merges that goes down furthest."""
        return {"tallies": self.evaluation()["table"], "history": self.history(self.plan.lowest)}

    def infos(self) -> list[str]:
        """Return the info of every layer that a run leaves."""
        always = {"components", "ground_truth", *self.segmentations()}
        return [self.info(name) for name in self.plan.layers if name in always or self.plan.keeps(name)]

    def wanted_reports(self) -> list[str]:
        """Return those that belong to every run: all or none."""
        return list(self.reports.values()) if self.plan.config["report"]["enabled"] else []

    def reported(self) -> list[str]:
        """Return the files of a whole run that ``snakemake --report`` puts into its page."""
        worst, picture = self.evaluation().get("worst"), self.curve().get("picture")
        scales = Scales(self.plan)
        thumbnails = [scales.thumbnail(layer) for layer in scales.layers]
        return [*self.wanted_reports(), *(p for p in (worst, picture) if p is not None), *thumbnails]

    def final(self) -> list[str]:
        """Return what a whole run is asked for: segmentation, object table, meshes, skeletons, scores and pyramids."""
        segmentation = [self.shard(layer, b) for layer in self.segmentations() for b in self.plan.grid.ids]
        meshes = [self.mesh_info, *self.mesh_shards()] if self.plan.meshes_enabled else []
        histories = [self.history(at) for at in self.plan.thresholds] if self.plan.agglomerates else []
        scores = [*self.evaluation().values(), *self.curve().values()]
        ends = [self.objects, self.properties, *histories, *meshes, *Skeletons(self.plan).final(), *scores]
        return [*self.infos(), *segmentation, *ends, *Scales(self.plan).final()]

    def kept(self) -> list[str]:
        """Return every file that should lie there after a whole run: the final ones and the kept intermediates."""
        blocks = self.plan.grid.ids
        names = ("image", "affinity", "ground_truth")
        layers = [n for n in names if n in self.plan.layers and (n == "ground_truth" or self.plan.keeps(n))]
        shards = [self.shard(n, b) for n in layers for b in self.plan.layers[n].grid.ids]
        components = [f(n, b) for n, b in (("components", b) for b in blocks) for f in (self.shard, self.tables)]
        halos = [self.tables(layer, b) for layer in self.segmentations() for b in blocks]
        lookups = [self.lookup(level, node) for level, node in self.nodes()]
        if self.plan.agglomerates:
            both, ats = (self.agglomerate, self.assign), self.plan.thresholds
            lookups += [f(level, node, at) for at in ats for level, node in self.nodes() for f in both]
        tables = [*self.all_measures(), *(self.contingencies() if self.plan.truth else [])]
        packs = [*self._kept_packs(), *Skeletons(self.plan).kept()]
        return [*shards, *components, *self.all_merges(), *lookups, *halos, *packs, *tables, *self.final()]

    def _kept_packs(self) -> list[str]:
        if not (self.plan.meshes_enabled and self.plan.keeps("fragments")):
            return []
        tree = self.plan.mesh_tree
        return [self.pack(level, p) for level in range(tree.top + 1) for p in tree.packs(level)]
