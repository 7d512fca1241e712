"""The coarser scales of the layers that stay: which there are, their files, and what each is made from. Paths only."""

import functools
from dataclasses import dataclass

from connectomake.errors import ConfigError
from connectomake.layers import LayerSpec
from connectomake.planning.plan import Plan
from connectomake.pyramid.scales import child_box, scales_of
from connectomake.pyramid.thumbnail import section_of, thumbnail_scale

LABELS = ("segmentation", "ground_truth")
LAYERS = ("image", "affinity", *LABELS)


@dataclass(frozen=True, eq=False)
class Scales:
    """The pyramids of a plan.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @functools.cached_property
    def layers(self) -> list[str]:
        """Layers with a pyramid: images and labels that stay after the run."""
        if not self.plan.config["pyramid"]["enabled"]:
            return []
        return [n for n in LAYERS if n in self.plan.layers and (n in LABELS or self.plan.keeps(n))]

    @functools.cache  # noqa: B019  (one plan lives as long as the process)
    def specs(self, layer: str) -> tuple[LayerSpec, ...]:
        """Return a layer at all its scales, the finest first; only that for layers that never have a pyramid."""
        options = self.plan.config["pyramid"]
        if not options["enabled"] or layer not in LAYERS:
            return (self.plan.layers[layer],)
        return scales_of(self.plan.layers[layer], options["scales"], options["factors"])

    def how(self, layer: str) -> str:
        """Return how voxels of a layer are joined: mean, mode or sparse."""
        return str(self.plan.config["pyramid"]["labels"]) if layer in LABELS else "mean"

    @functools.cached_property
    def keys(self) -> list[str]:
        """The folders of all coarser scales, of whatever layer."""
        return list(dict.fromkeys(spec.scale_key for layer in self.layers for spec in self.specs(layer)[1:]))

    def shard(self, layer: str, scale: int, block: int) -> str:
        """Return the shard of a block of a scale; 0 is the finest."""
        return f"{self.plan.outdir}/{layer}/{self.specs(layer)[scale].shard_name(block)}"

    def parse(self, layer: str, key: str, name: str) -> tuple[int, int]:
        """Return the scale and block that a folder and a name stand for.

        Raises
        ------
        ConfigError
            If the layer has no such scale, or the scale no such block.
        """
        found = {spec.scale_key: i for i, spec in enumerate(self.specs(layer))} if layer in self.layers else {}
        if found.get(key, 0) == 0:
            coarse = ", ".join(list(found)[1:]) or "none"
            raise ConfigError(f"layer {layer!r} has no coarser scale {key!r}; there are: {coarse}")
        return found[key], self.specs(layer)[found[key]].grid.parse(name)

    def children(self, layer: str, scale: int, block: int) -> list[int]:
        """Return the blocks of the scale below that a block is made from, found by where they lie."""
        child, parent = self.specs(layer)[scale - 1 : scale + 1]
        return child.grid.ids_meeting(child_box(child, parent, parent.grid.box(block)))

    def thumbnail(self, layer: str) -> str:
        """Return the thumbnail of a layer."""
        return f"{self.plan.outdir}/{layer}/thumbnail.png"

    def thumbnail_blocks(self, layer: str) -> tuple[int, list[int]]:
        """Return the scale that a thumbnail is drawn from, and its blocks that the section meets."""
        scale = thumbnail_scale(self.specs(layer))
        spec = self.specs(layer)[scale]
        return scale, spec.grid.ids_meeting(section_of(spec))
