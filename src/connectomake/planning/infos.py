"""The info files of a run's layers, which follow from the plan alone."""

from typing import Any

from connectomake.atomic import canonical_json
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import LAYER as SKELETON_LAYER
from connectomake.planning.skeletons import Skeletons

MESH_LAYER = "segmentation/mesh"


def info_of(plan: Plan, layer: str) -> dict[str, Any]:
    """Return the info of a layer, of the meshes for ``segmentation/mesh``, of the skeletons for ``segmentation/skeletons``.

    It names all scales from the start: each shard shows as soon as it lies there, and the info is written only once.
    """
    if layer == MESH_LAYER:
        from connectomake.meshes.shards import mesh_info

        return mesh_info(plan.mesh_spec)
    if layer == SKELETON_LAYER:
        from connectomake.skeletons.shards import skeleton_info

        return skeleton_info(Skeletons(plan).spec)
    info = plan.layers[layer].info()
    scales = Scales(plan)
    if layer in scales.layers:
        info["scales"] = [scale for spec in scales.specs(layer) for scale in spec.info()["scales"]]
    if layer == "segmentation":
        info["segment_properties"] = "properties"
        if plan.meshes_enabled:
            info["mesh"] = "mesh"
        if Skeletons(plan).enabled:
            info["skeletons"] = "skeletons"
    return info


def info_text(plan: Plan, layer: str) -> str:
    """Return the info of a layer as it stands in its file."""
    return canonical_json(info_of(plan, layer))
