"""The state of Neuroglancer that shows a run: layers, position, scales."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from connectomake.bounded_text import read_json
from connectomake.geometry import Vec
from connectomake.layers.precomputed import xyz
from connectomake.planning.plan import Plan
from connectomake.planning.skeletons import Skeletons
from connectomake.sources.paths import is_url, resolve_local, split_kind
from connectomake.viewing.client import client_folder
from connectomake.viewing.contrast import affinity_span, image_span
from connectomake.viewing.shaders import colour_shader, grey_shader

PUBLIC_CLIENT = "https://neuroglancer-demo.appspot.com/"
RUN, SOURCE, TRUTH, CLIENT, STATE = "run", "source", "truth", "v/connectomake", "state.json"
OBJECTS_SHOWN = 24
VOXELS_ACROSS = 400
SKELETONS = {
    "skeletonRendering": {"mode2d": "lines_and_points", "mode3d": "lines_and_points", "lineWidth3d": 3},
    "objectAlpha": 0.4,
}
"""Lines and points, and meshes that one can see them through."""


def mounts(plan: Plan) -> dict[str, Path]:
    """Return the folders to serve, by the first part of their URL: the run's layers, and local ones read in place."""
    folders = {RUN: Path(plan.outdir)}
    if plan.source.in_place and not is_url(plan.source.path):
        folders[SOURCE] = _folder(plan.source.path)
    if plan.truth is not None and plan.truth.in_place and not is_url(plan.truth.path):
        folders[TRUTH] = _folder(plan.truth.path)
    return folders


def _folder(path: str) -> Path:
    """Return a local path without the kind that may stand in front, as in ``precomputed://``."""
    return Path(split_kind(resolve_local(path, "."))[1])


def viewer_state(plan: Plan, base: str, position: Vec, object_ids: Sequence[int] = ()) -> dict[str, Any]:
    """Return the viewer's state for the layers that exist.

    Parameters
    ----------
    plan
        The plan.
    base
        URL of the server, without a slash at its end.
    position
        Voxel to look at, z, y, x.
    object_ids
        Objects to select; default the largest ones.
    """
    metres = [v * 1e-9 for v in xyz(plan.source.voxel_size)]
    finest = min(plan.source.voxel_size)
    depth = max(n * v for n, v in zip(plan.roi.shape, plan.source.voxel_size, strict=True)) / finest
    state: dict[str, Any] = {
        "dimensions": {name: [size, "m"] for name, size in zip("xyz", metres, strict=True)},
        "position": [p + 0.5 for p in xyz(position)],
        "crossSectionScale": max(min(depth / VOXELS_ACROSS, 4), 0.25),
        "projectionScale": 1.5 * depth,
        "layers": _layers(plan, base, object_ids),
        "layout": "4panel",
        "showSlices": False,
    }
    if (Path(plan.outdir) / "segmentation" / "info").exists():
        state["selectedLayer"] = {"layer": "segmentation", "visible": True}
    return state


def _layers(plan: Plan, base: str, object_ids: Sequence[int]) -> list[dict[str, Any]]:
    layers = [_image(plan, base)]
    if _exists(plan, "affinity"):
        layers.append(_affinity(plan, base))
    if _exists(plan, "components"):
        layers.append({"type": "segmentation", "name": "components", "source": _url(base, "components"), "visible": False})
    if _exists(plan, "segmentation"):
        layers.append(_segmentation(plan, base, object_ids))
    further = [f"segmentation{at}" for at in plan.thresholds if at]
    layers += [
        {"type": "segmentation", "name": n, "source": _url(base, n), "visible": False} for n in further if _exists(plan, n)
    ]
    if plan.truth is not None:
        layers.append(_ground_truth(plan, base))
    return [layer for layer in layers if layer is not None]


def _exists(plan: Plan, layer: str) -> bool:
    return layer in plan.layers and (Path(plan.outdir) / layer / "info").exists()


def _url(base: str, layer: str) -> str:
    return f"precomputed://{base}/{RUN}/{layer}"


def _image(plan: Plan, base: str) -> dict[str, Any] | None:
    """The image, or what the source holds: the probability if there is no network; none of labels."""
    if plan.method.labels:
        return None
    if plan.source.in_place:
        path = plan.source.path
        url = f"precomputed://{split_kind(path)[1]}" if is_url(path) else f"precomputed://{base}/{SOURCE}"
    elif _exists(plan, "image"):
        url = _url(base, "image")
    else:
        return None
    return {"type": "image", "name": "image", "source": url, "shader": grey_shader(image_span(plan))}


def _affinity(plan: Plan, base: str) -> dict[str, Any]:
    spec = plan.layers["affinity"]
    span = affinity_span(plan)
    shader = (
        colour_shader(None if spec.dtype == "uint8" or span == (0, 1) else span) if spec.channels >= 3 else grey_shader(span)
    )
    layer = {"type": "image", "name": "affinity", "source": _url(base, "affinity"), "shader": shader, "visible": False}
    return layer | ({"channelDimensions": {"c^": [1, ""]}} if spec.channels > 1 else {})


def _segmentation(plan: Plan, base: str, object_ids: Sequence[int]) -> dict[str, Any]:
    chosen = [str(i) for i in object_ids] or _largest(plan)
    lines = SKELETONS if Skeletons(plan).enabled else {}
    return {
        "type": "segmentation",
        "name": "segmentation",
        "source": _url(base, "segmentation"),
        "tab": "segments",
        "segments": chosen,
        "selectedAlpha": 0.35,
        "notSelectedAlpha": 0 if object_ids else 0.15,
        **lines,
    }


def _ground_truth(plan: Plan, base: str) -> dict[str, Any] | None:
    """The true labels, hidden at first; none where they are read in place but moved by an offset."""
    layer = {"type": "segmentation", "name": "ground truth", "visible": False}
    if plan.truth is None or not plan.truth.in_place:
        return layer | {"source": _url(base, "ground_truth")} if _exists(plan, "ground_truth") else None
    path = plan.truth.path
    url = split_kind(path)[1] if is_url(path) else f"{base}/{TRUTH}"
    return None if plan.config["evaluation"]["offset"] else layer | {"source": f"precomputed://{url}"}


def _largest(plan: Plan) -> list[str]:
    """Return the ids of the largest objects, as the segment properties list them."""
    path = Path(plan.outdir) / "segmentation" / "properties" / "info"
    try:
        return [str(i) for i in read_json(path.read_text())["inline"]["ids"][:OBJECTS_SHOWN]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def links(base: str, state: dict[str, Any], token: str = "") -> dict[str, str]:
    """Return the links to open: with the viewer served locally, if it is installed, and with the public one.

    Parameters
    ----------
    base
        URL of the server, without a slash at its end.
    state
        The viewer's state.
    token
        Of the server; the public viewer's layers lie below it, since pages of another origin get no others.
    """
    text = json.dumps(state, separators=(",", ":"))
    fragment = quote(text.replace(f"{base}/", f"{base}/{token}/") if token else text, safe="")
    local = {"here": f"{base}/"} if client_folder() is not None else {}
    return {**local, "public viewer": f"{PUBLIC_CLIENT}#!{fragment}", "layers": f"{base}/{RUN}/"}
