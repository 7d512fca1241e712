"""``connectomake export``: layers, or meshes and skeletons of chosen objects, as files for other programs."""

from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common, volumes
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


OBJECT_FORMATS = ("obj", "ply", "stl", "glb", "legacy", "swc")
"""Formats that a mesh, or for swc a skeleton, can be written in."""


def export(
    config: ConfigPath = DEFAULT_CONFIG,
    layer: Annotated[str | None, typer.Argument(help="Layer to export as a volume, such as segmentation.")] = None,
    destination: Annotated[str | None, typer.Argument(metavar="[DEST]", help="File or folder for it.")] = None,
    object_ids: Annotated[list[int] | None, typer.Option("--id", help="Object to export; may be given several times.")] = None,
    where: Annotated[str | None, typer.Option(help='Condition on the object table, such as "voxels > 1e5".')] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help=f"Of objects: {', '.join(OBJECT_FORMATS)} (default obj). {volumes.FORMAT_HELP}"),
    ] = None,
    lod: Annotated[int, typer.Option(help="Level of detail; 0 is the finest.", min=0)] = 0,
    folder: Annotated[str, typer.Option("--output", "-o", help="Folder to write objects to.")] = "export",
    scale: Annotated[int, typer.Option(help="Scale of the layer; 0 is the finest.", min=0)] = 0,
    box: volumes.BoxOption = None,
    channel: volumes.ChannelOption = None,
    dataset: volumes.DatasetOption = None,
    chunk: volumes.ChunkOption = (64, 64, 64),
    encoding: volumes.EncodingOption = "raw",
    shard: volumes.ShardOption = None,
    dtype: volumes.DtypeOption = None,
    memory: volumes.MemoryOption = 256,
    fill: volumes.FillOption = False,
    storage: volumes.StorageOption = "",
    overwrite: volumes.OverwriteOption = False,
) -> None:
    """Write a layer as a volume, or chosen objects: meshes as OBJ, PLY, STL, GLB or legacy, skeletons as SWC (in µm)."""
    plan = common.read_plan(config)
    if layer is None:
        _export_objects(plan, object_ids, where, kind or "obj", lod, folder)
        return
    if destination is None:
        raise ConfigError(f"name the file or folder that {layer} is written to, after the layer")
    if object_ids or where is not None:
        raise ConfigError("--id and --where choose objects; leave them out to export a layer")
    sources = volumes.layer_sources(plan, layer, scale, fill, storage)
    ids = plan.layers[layer].kind == "segmentation"
    chosen = volumes.Chosen(kind, box, channel, dataset, chunk, encoding, memory, overwrite, ids, dtype, shard)
    volumes.write(sources, destination, chosen)


def _export_objects(plan: "Plan", object_ids: list[int] | None, where: str | None, kind: str, lod: int, folder: str) -> None:
    from connectomake.meshes.export import export_mesh
    from connectomake.meshes.reading import MeshReader

    if kind not in OBJECT_FORMATS:
        raise ConfigError(f"there is no --format {kind} for objects; there are: {', '.join(OBJECT_FORMATS)}")
    if kind == "swc":
        _export_skeletons(plan, object_ids, where, folder)
        return
    if not plan.meshes_enabled:
        raise ConfigError("this run has no meshes; set meshes.enabled: true and run snakemake")
    chosen = _chosen(plan, object_ids, where)
    reader = MeshReader(f"{plan.outdir}/segmentation/mesh", plan.mesh_spec)
    written = 0
    for object_id in chosen:
        written += len(export_mesh(reader, object_id, folder, kind, lod))
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
