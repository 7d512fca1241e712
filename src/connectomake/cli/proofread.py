"""``connectomake proofread``: export a finished run to a proofreading program."""

from pathlib import Path
from typing import Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError

PROGRAMS = ("webknossos", "pychunkedgraph")


def proofread(
    config: ConfigPath = DEFAULT_CONFIG,
    destination: Annotated[str | None, typer.Argument(metavar="DEST", help="Folder to write.")] = None,
    program: Annotated[str, typer.Option("--for", help=f"The program: {', '.join(PROGRAMS)}.")] = PROGRAMS[0],
    layer: Annotated[str, typer.Option(help="Segmentation layer, such as segmentation_0.35.")] = "segmentation",
    chunk: Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="pychunkedgraph: shape of its chunks.")] = (
        256,
        256,
        256,
    ),
    spatial_bits: Annotated[int, typer.Option(help="pychunkedgraph: bits of an id for the chunk's position, per axis.")] = 10,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export supervoxels, their contacts and the objects that they belong to, for a proofreading program.

    webknossos: the supervoxels, numbered from 1, as OME-Zarr, and agglomerate files as HDF5 and Zarr 3.

    pychunkedgraph: the supervoxels, cut at the faces of chunks, as precomputed; edges and components per chunk.
    """
    from connectomake.exporting import whole
    from connectomake.proofreading.chunked_graph import write_chunked_graph
    from connectomake.proofreading.webknossos import write_webknossos

    if program not in PROGRAMS:
        raise ConfigError(f"there is no export for {program}; --for takes: {', '.join(PROGRAMS)}")
    if destination is None:
        raise ConfigError("give the folder to write, after the config")
    if "://" in destination:
        raise ConfigError(f"{destination} is not a local path; write to a local folder and copy it there")
    final = Path(destination)
    if final.exists() and not overwrite:
        raise ConfigError(f"{destination} exists; name another folder, or replace it with --overwrite")
    plan = common.read_plan(config)
    alone = 0
    with whole(final) as temporary:
        if program == "webknossos":
            write_webknossos(plan, layer, temporary)
        else:
            temporary.mkdir()
            alone = write_chunked_graph(plan, layer, temporary, chunk, spatial_bits)
    if alone:
        common.note(f"{alone} supervoxels touch no other; the ingest takes supervoxels from edges, so these will be missing")
    print(f"{destination}: {layer} for {program}")
