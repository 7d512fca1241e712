"""The pictures of a run, read from its files: sections, blocks, objects."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from connectomake.errors import ConfigError, LayerError
from connectomake.geometry import Box
from connectomake.layers import read_box
from connectomake.objects import overview, rows_of
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.sections import section_boxes, window
from connectomake.reporting.render import Mesh, rendering
from connectomake.reporting.sections import Reader, section_picture, stacked


def relocated(plan: Plan, name: str, place: str) -> Plan:
    """Return the plan with its folder where a job finds it: jobs of a run in a bucket get copies in another folder.

    Parameters
    ----------
    plan
        The plan.
    name
        A file of the run, as `Targets` names it.
    place
        Where that file lies for the job.
    """
    prefix = place.removesuffix(name)
    return replace(plan, config={**plan.config, "outdir": f"{prefix}{plan.outdir}"}) if prefix and prefix != place else plan


def image_reader(plan: Plan) -> Reader | None:
    """Return what reads the image: its layer, or the source; None if neither can be read, or the source holds labels."""
    if plan.method.labels:
        return None
    if "image" in plan.layers:
        with contextlib.suppress(LayerError):
            place, spec = Path(plan.outdir, "image"), plan.layers["image"]
            read_box(place, spec, Box.of_shape((1, 1, 1), plan.roi.start))
            return lambda box: read_box(place, spec, box)
    return _source_reader(plan)


def _source_reader(plan: Plan) -> Reader | None:
    try:
        return plan.source.open().read
    except OSError:
        return None


def sections(plan: Plan, count: int = 3, at: tuple[int, int, int] | None = None) -> Image.Image:
    """Draw sections spread over the region, or the one at a voxel (z, y, x).

    Raises
    ------
    ConfigError
        If the voxel is outside the region of interest.
    LayerError
        If a block that is shown was not segmented yet.
    """
    if at is not None and not plan.roi.contains(Box.of_shape((1, 1, 1), at)):
        raise ConfigError(f"voxel {at} is outside the region of interest {plan.roi}")
    boxes = section_boxes(plan, count) if at is None else [window(plan.roi, at[0], at[1:])]
    place, spec, image = Path(plan.outdir, "segmentation"), plan.layers["segmentation"], image_reader(plan)
    ids: Reader = lambda box: read_box(place, spec, box)  # noqa: E731
    return stacked([section_picture(box, plan.grid, plan.source.voxel_size, ids, image) for box in boxes])


def largest(plan: Plan, count: int) -> list[int]:
    """Return the ids of the largest objects."""
    return [int(i) for i in overview(Targets(plan).objects, count).ids]


def _rows(plan: Plan, ids: list[int]) -> tuple[int, dict[str, np.ndarray]]:
    """Return how many objects there are, and the boxes of some; an error if one of these does not exist."""
    path = Targets(plan).objects
    count, rows = rows_of(path, ids, [f"{end}_{axis}" for end in ("start", "stop") for axis in "zyx"])
    known = set(rows["id"].tolist())
    for number in ids:
        if number not in known:
            raise ConfigError(f"there is no object {number} in {path}, which lists {count:,}")
    return count, rows


def read_meshes(plan: Plan, ids: list[int]) -> dict[int, Mesh]:
    """Read meshes as Neuroglancer does; objects without a mesh are left out.

    Returns
    -------
    dict
        Of each id the points (n, 3), float64, in nm, x, y, z, and the faces (m, 3), int64.
    """
    if not ids:
        return {}
    from cloudvolume import CloudVolume

    volume = CloudVolume(f"file://{Path(plan.outdir, 'segmentation').absolute()}", progress=False)
    found = volume.mesh.get(ids, allow_missing=True)
    return {i: (found[i].vertices.astype(np.float64), found[i].faces.astype(np.int64)) for i in ids if i in found}


def objects(plan: Plan, ids: list[int], close: bool = False) -> Image.Image:
    """Draw the meshes of objects in the region of interest, or, `close`, in the box that they fill.

    Raises
    ------
    ConfigError
        If the run makes no meshes, or an id is unknown.
    """
    if not plan.meshes_enabled:
        raise ConfigError("this run makes no meshes (meshes.enabled is false)")
    count, rows = _rows(plan, ids)
    meshes = read_meshes(plan, ids)
    faces = sum(len(m[1]) for m in meshes.values())
    title = f"{len(meshes):,} of {count:,} objects, {faces:,} triangles"
    box = _box_of(rows) if close and ids else plan.roi
    return rendering(meshes, box, plan.block, plan.source.voxel_size, title)


def _box_of(rows: dict[str, np.ndarray]) -> Box:
    z0, y0, x0 = (int(rows[f"start_{a}"].min()) for a in "zyx")
    z1, y1, x1 = (int(rows[f"stop_{a}"].max()) for a in "zyx")
    return Box((z0, y0, x0), (z1, y1, x1))
