"""``connectomake export``: meshes and skeletons of chosen objects as files for other programs."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


class Format(StrEnum):
    """Formats that a mesh, or for swc a skeleton, can be written in."""

    obj = "obj"
    ply = "ply"
    stl = "stl"
    glb = "glb"
    legacy = "legacy"
    swc = "swc"


def export(
    config: ConfigPath = DEFAULT_CONFIG,
    object_ids: Annotated[list[int] | None, typer.Option("--id", help="Object to export; may be given several times.")] = None,
    where: Annotated[str | None, typer.Option(help='Condition on the object table, such as "voxels > 1e5".')] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="legacy: Neuroglancer's single-resolution folder; swc: skeletons.")
    ] = Format.obj,
    lod: Annotated[int, typer.Option(help="Level of detail; 0 is the finest.", min=0)] = 0,
    folder: Annotated[str, typer.Option("--output", "-o", help="Folder to write to.")] = "export",
) -> None:
    """Write chosen objects: meshes as OBJ, PLY, STL, GLB or in Neuroglancer's legacy format, skeletons as SWC (in µm)."""
    from connectomake.meshes.export import export_mesh
    from connectomake.meshes.reading import MeshReader

    plan = common.read_plan(config)
    if kind is Format.swc:
        _export_skeletons(plan, object_ids, where, folder)
        return
    if not plan.meshes_enabled:
        raise ConfigError("this run has no meshes; set meshes.enabled: true and run snakemake")
    chosen = _chosen(plan, object_ids, where)
    reader = MeshReader(f"{plan.outdir}/segmentation/mesh", plan.mesh_spec)
    written = 0
    for object_id in chosen:
        written += len(export_mesh(reader, object_id, folder, kind.value, lod))
    print(f"{counted(len(chosen), 'mesh').replace('meshs', 'meshes')}, {counted(written, 'file')} in {folder}")


def _export_skeletons(plan: "Plan", object_ids: list[int] | None, where: str | None, folder: str) -> None:
    from connectomake.planning.skeletons import LAYER, Skeletons
    from connectomake.skeletons.reading import SkeletonReader, export_swc

    skeletons = Skeletons(plan)
    if not skeletons.enabled:
        raise ConfigError("this run has no skeletons; set skeletons.enabled: true and run snakemake")
    chosen = _chosen(plan, object_ids, where)
    reader = SkeletonReader(f"{plan.outdir}/{LAYER}", skeletons.spec)
    for object_id in chosen:
        export_swc(reader, object_id, folder)
    print(f"{counted(len(chosen), 'skeleton')}, {counted(len(chosen), 'file')} in {folder}")


def _chosen(plan: "Plan", object_ids: list[int] | None, where: str | None) -> list[int]:
    """Return the ids of the objects to export, ascending."""
    from connectomake.objects import select_from
    from connectomake.pipeline.targets import Targets

    if not object_ids and where is None:
        raise ConfigError('name the objects to export with --id ID or --where "voxels > 1e5"')
    wanted = {"ids": object_ids or None, "min_voxels": 0, "max_voxels": None, "query": where}
    chosen: list[int] = select_from(Targets(plan).objects, wanted).tolist()
    if not chosen:
        raise ConfigError(f"no object matches {where!r}; see the columns of {Targets(plan).objects}")
    return chosen
