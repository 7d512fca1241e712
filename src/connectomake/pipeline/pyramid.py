"""The pyramids: coarser scales of a layer, and its thumbnail."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from connectomake.geometry import volume_of
from connectomake.pipeline import checks
from connectomake.pipeline.affinity import Affinity
from connectomake.pipeline.base import Inputs, Rule, Stage, block_voxels, each
from connectomake.pipeline.ground_truth import GroundTruth
from connectomake.pipeline.image import Image
from connectomake.pipeline.kinds import WholeRule
from connectomake.pipeline.segmentation import Segmentation
from connectomake.planning.scales import LAYERS, Scales

if TYPE_CHECKING:
    from connectomake.layers import LayerSpec
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan

SOURCES: dict[str, type[Stage]] = {stage.base: stage for stage in (Image, Affinity, Segmentation, GroundTruth)}
"""The stages whose layers can have a pyramid."""


class PyramidRule(Rule[tuple[int, int]]):
    """Make one block of a scale from the shards of the scale below."""

    name = "pyramid"
    process_mb = 260
    seconds_per_megavoxel = 0.3
    final = ("shard",)

    @property
    def layer(self) -> str:
        return self.stage.variant

    def items(self) -> Iterator[tuple[int, int]]:
        return ((i, b) for i, spec in enumerate(Scales(self.plan).specs(self.layer)) if i for b in spec.grid.ids)

    def count(self) -> int:
        return sum(spec.grid.count for spec in Scales(self.plan).specs(self.layer)[1:])

    def parse(self, wildcards: Any) -> tuple[int, int]:
        return Scales(self.plan).parse(self.layer, wildcards.scale, wildcards.block)

    def inputs(self, item: tuple[int, int]) -> Inputs:
        """Return the shards of the scale below that the block covers."""
        (scale, block), scales = item, Scales(self.plan)
        return {"shards": each(scales.children(self.layer, scale, block), partial(scales.shard, self.layer, scale - 1))}

    def outputs(self, item: tuple[int, int]) -> dict[str, str]:
        return {"shard": Scales(self.plan).shard(self.layer, *item)}

    def shard_of(self, name: str, item: tuple[int, int]) -> "tuple[LayerSpec, int] | None":
        return Scales(self.plan).specs(self.layer)[item[0]], item[1]

    def look(self, name: str, item: tuple[int, int]) -> Callable[[str], Any]:
        return partial(checks.shard, Scales(self.plan).specs(self.layer)[item[0]], item[1])

    def examples(self) -> Iterator[tuple[int, int]]:
        """Yield the first job of each scale."""
        return ((i, 0) for i, _ in enumerate(Scales(self.plan).specs(self.layer)) if i)

    def held(self, item: tuple[int, int] | None = None) -> float:
        return joined_bytes(self.plan)

    def work(self, job: "Job", item: tuple[int, int]) -> None:
        from connectomake.pyramid import write_parent

        (scale, block), scales = item, Scales(self.plan)
        child, parent = scales.specs(self.layer)[scale - 1 : scale + 1]
        write_parent(job.output("shard"), child, parent, block, job.files("shards"), scales.how(self.layer), job.record())


class ThumbnailRule(WholeRule):
    """Draw the middle section of a layer at a coarse scale."""

    name = "thumbnail"
    final = ("picture",)
    reads_all = False
    process_mb = PyramidRule.process_mb
    seconds_per_megavoxel = PyramidRule.seconds_per_megavoxel

    @property
    def layer(self) -> str:
        return self.stage.variant

    def inputs(self, item: None) -> Inputs:
        """Return the shards that the section meets."""
        scales = Scales(self.plan)
        scale, blocks = scales.thumbnail_blocks(self.layer)
        return {"shards": each(blocks, partial(scales.shard, self.layer, scale))}

    def outputs(self, item: None) -> dict[str, str]:
        return {"picture": Scales(self.plan).thumbnail(self.layer)}

    def look(self, name: str, item: None) -> Callable[[str], Any]:
        return checks.picture

    def held(self, item: None = None) -> float:
        return joined_bytes(self.plan)

    def work(self, job: "Job", item: None) -> None:
        from connectomake.pyramid import write_thumbnail

        scales = Scales(self.plan)
        spec = scales.specs(self.layer)[scales.thumbnail_blocks(self.layer)[0]]
        write_thumbnail(job.output("picture"), spec, job.files("shards"), job.record())


def joined_bytes(plan: "Plan") -> float:
    """Return the bytes of a storage chunk, the eight or so below it, decoded and encoded, and indices of shards, mapped."""
    layers = [plan.layers[name] for name in Scales(plan).layers]
    voxel = max((spec.channels * np.dtype(spec.dtype).itemsize for spec in layers), default=0)
    return 40 * volume_of(plan.chunk) * voxel + block_voxels(plan)


class Pyramid(Stage):
    """The coarser scales of one layer, its variant."""

    base, rules = "pyramid_", (PyramidRule, ThumbnailRule)
    wildcard = "layer"
    versions: ClassVar = {"image": 2, "affinity": 2, "segmentation": 1, "ground_truth": 1}

    @property
    def version(self) -> int:  # type: ignore[override]
        return self.versions[self.variant]

    @classmethod
    def variants(cls, plan: "Plan") -> tuple[str, ...]:
        return LAYERS

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(f"{cls.base}{layer}" for layer in LAYERS)

    @property
    def enabled(self) -> bool:
        return self.variant in Scales(self.plan).layers

    def upstream(self) -> list[Stage]:
        return [SOURCES[self.variant](self.plan)]

    def reads(self) -> dict[str, Any]:
        """Return the layer at its finest scale and the rule of joining; not the number of scales, on which none depends."""
        plan, layer = self.plan, self.variant
        how, factors = Scales(plan).how(layer), plan.config["pyramid"]["factors"]
        values = {"layer": asdict(plan.layers[layer]), "how": how, "factors": factors}
        floats = layer == "image" and plan.inference is not None and plan.source.dtype == "float32"
        return values | ({"shade": "stretched"} if floats else {})
