"""``connectomake convert``: any volume that we read, in any format that we write."""

from typing import Annotated

import typer

from connectomake.cli import volumes


def convert(
    source: Annotated[str, typer.Argument(metavar="A", help="Volume to read: any path or URL that source.path takes.")],
    destination: Annotated[str, typer.Argument(metavar="B", help="File or folder to write.")],
    kind: Annotated[str | None, typer.Option("--format", help=volumes.FORMAT_HELP)] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the array that is read, in HDF5, Zarr or N5.")] = None,
    voxel_size: Annotated[
        tuple[float, float, float] | None, typer.Option(metavar="Z Y X", help="In nm, where A does not say it.")
    ] = None,
    offset: Annotated[
        tuple[int, int, int] | None, typer.Option(metavar="Z Y X", help="Place of A's first voxel, in voxels.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Scale of precomputed and OME-Zarr; 0 is the finest.")] = None,
    axes: Annotated[str | None, typer.Option(help="One letter per stored axis, such as xyzc.")] = None,
    box: volumes.BoxOption = None,
    channel: volumes.ChannelOption = None,
    output_dataset: volumes.DatasetOption = None,
    chunk: volumes.ChunkOption = (64, 64, 64),
    encoding: volumes.EncodingOption = "raw",
    labels: Annotated[bool, typer.Option("--labels", help="The voxels are ids; so are those of 32 and 64 bits.")] = False,
    memory: volumes.MemoryOption = 256,
    fill: volumes.FillOption = False,
    overwrite: volumes.OverwriteOption = False,
) -> None:
    """Write a volume A as B in another format, block by block; float64 and float16 are read as float32, bool as 0 and 255."""
    from connectomake.sources import SourceOptions, open_source

    options = SourceOptions(missing="fill" if fill else "error", axes=axes, offset=offset)
    opened = open_source(source, dataset, voxel_size, scale, options)
    ids = labels or opened.dtype in ("uint32", "uint64")
    chosen = volumes.Chosen(kind, box, channel, output_dataset, chunk, encoding, memory, overwrite, ids)
    volumes.write([opened], destination, chosen)
