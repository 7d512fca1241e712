"""The layers that a plan makes."""

from typing import TYPE_CHECKING

from connectomake.geometry import Box
from connectomake.layers import LayerSpec

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


def layer_specs(plan: "Plan") -> dict[str, LayerSpec]:
    """Return the layers that a plan makes, by name."""
    channels = plan.inference.channels if plan.inference else 1
    dtype = plan.inference.dtype if plan.inference else plan.source.dtype
    labels = {"components": "uint32", **{f"segmentation{suffix}": "uint64" for suffix in plan.thresholds}}
    specs = [_layer(plan, n, kind, 1, "segmentation", "compressed_segmentation") for n, kind in labels.items()]
    if plan.inference is not None:
        specs.append(_layer(plan, "affinity", dtype, channels, "image", "raw"))
    if plan.ingests:
        specs.append(_layer(plan, "image", plan.source.dtype, plan.source.channels, "image", "raw", plan.image_box))
    if plan.truth is not None and not plan.truth.in_place:
        specs.append(_layer(plan, "ground_truth", "uint64", 1, "segmentation", "compressed_segmentation", plan.evaluation_box))
    return {spec.name: spec for spec in specs}


def _layer(plan: "Plan", name: str, dtype: str, channels: int, kind: str, encoding: str, box: Box | None = None) -> LayerSpec:
    level, voxel_size = int(plan.config["compression"]), plan.source.voxel_size
    return LayerSpec(name, dtype, channels, box or plan.roi, plan.block, plan.chunk, voxel_size, kind, encoding, level)
