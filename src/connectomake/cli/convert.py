"""``connectomake convert``: any volume that we read, in any format that we write."""

from typing import Annotated

import typer

from connectomake.cli import common, volumes
from connectomake.errors import ConfigError
from connectomake.keys import naming


def convert(
    source: Annotated[str, typer.Argument(metavar="A", help="Volume to read: any path or URL that source.path takes.")],
    destination: Annotated[str, typer.Argument(metavar="B", help="File or folder to write.")],
    kind: Annotated[str | None, typer.Option("--format", help=volumes.FORMAT_HELP)] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the array that is read, in HDF5, Zarr or N5.")] = None,
    voxel_size: Annotated[
        tuple[float, float, float] | None, typer.Option(metavar="Z Y X", help="In nm, if A does not record it.")
    ] = None,
    offset: Annotated[
        tuple[int, int, int] | None, typer.Option(metavar="Z Y X", help="Position of A's first voxel, in voxels.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Scale of precomputed and OME-Zarr; 0 is the finest.")] = None,
    axes: Annotated[str | None, typer.Option(help="One letter per stored axis, such as xyzc.")] = None,
    box: volumes.BoxOption = None,
    channel: volumes.ChannelOption = None,
    output_dataset: volumes.DatasetOption = None,
    chunk: volumes.ChunkOption = (64, 64, 64),
    encoding: volumes.EncodingOption = "raw",
    shard: volumes.ShardOption = None,
    dtype: volumes.DtypeOption = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Treat the voxels as ids; integers of 32 and 64 bits always are.")
    ] = False,
    memory: volumes.MemoryOption = 256,
    fill: volumes.FillOption = False,
    missing_sections: Annotated[
        str, typer.Option(help="What to do about missing sections of a stack: error, or blank (0).")
    ] = "error",
    refers_to: Annotated[
        list[str] | None, typer.Option(help="Folder outside that of an HDF5 file to whose files it may refer.")
    ] = None,
    overwrite: volumes.OverwriteOption = False,
) -> None:
    """Write a volume A as B in another format, block by block; no value changes but bool, which becomes 0 and 1."""
    from connectomake.sources import SourceOptions, open_source

    if missing_sections not in ("error", "blank"):
        raise ConfigError(f"--missing-sections must be error or blank, got {missing_sections!r}")
    options = SourceOptions(
        "fill" if fill else "error", missing_sections, refers_to=tuple(refers_to or ()), axes=axes, offset=offset
    )
    with naming(volumes.WORDS):
        opened = open_source(source, dataset, voxel_size, scale, options)
    for text in (*opened.notes, *opened.remarks):
        common.note(text)
    if opened.file_dtype in ("bool", "float16"):
        become = "0 and 1 of uint8" if opened.file_dtype == "bool" else "float32, which holds all of its values"
        common.note(f"{source} holds {opened.file_dtype}, which becomes {become}")
    ids = labels or (dtype or opened.dtype) in ("uint32", "uint64")
    chosen = volumes.Chosen(kind, box, channel, output_dataset, chunk, encoding, memory, overwrite, ids, dtype, shard)
    volumes.write([opened.exact()], destination, chosen)
