"""``connectomake overlap``: the overlap of the objects of two volumes, such as nuclei in cells."""

from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common, evaluate
from connectomake.cli.evaluate import Point
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    import numpy as np

SHOWN = 20


def overlap(
    a: Annotated[str, typer.Argument(metavar="A", help="Objects, such as nuclei: integers in any format; 0 is none.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Objects that may contain them, such as cells; any format, as A.")],
    destination: Annotated[
        str | None,
        typer.Argument(metavar="[DEST]", help="NAME.csv, NAME.parquet or NAME.arrow; else the first rows are shown."),
    ] = None,
    dataset_a: Annotated[str | None, typer.Option(help="Dataset of A within HDF5, Zarr, N5.")] = None,
    dataset_b: Annotated[str | None, typer.Option(help="Dataset of B.")] = None,
    scale_a: Annotated[str | None, typer.Option(help="Scale of A, number or key, of precomputed and OME-Zarr.")] = None,
    scale_b: Annotated[str | None, typer.Option(help="Scale of B.")] = None,
    missing_a: Annotated[str, typer.Option(metavar="error|fill", help="What to do about missing chunks of A.")] = "error",
    missing_b: Annotated[str, typer.Option(metavar="error|fill", help="What to do about missing chunks of B.")] = "error",
    missing_sections_a: Annotated[str, typer.Option(metavar="error|blank", help="The same for missing sections.")] = "error",
    missing_sections_b: Annotated[str, typer.Option(metavar="error|blank", help="The same for missing sections.")] = "error",
    axes_a: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of A as it is stored, such as xyz.")] = None,
    axes_b: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of B.")] = None,
    offset_a: Annotated[Point, typer.Option(metavar="Z Y X", help="Position of A's voxel 0 0 0.")] = None,
    offset_b: Annotated[Point, typer.Option(metavar="Z Y X", help="Position of B's voxel 0 0 0.")] = None,
    start: Annotated[Point, typer.Option(metavar="Z Y X", help="First voxel of the box; default: of the intersection.")] = None,
    stop: Annotated[Point, typer.Option(metavar="Z Y X", help="End of the box, exclusive.")] = None,
    best: Annotated[bool, typer.Option("--best", help="One row per object of A: the one of B with the most voxels.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """List the objects of A with the objects of B that they overlap, block by block in bounded memory."""
    from connectomake.evaluation import blocks_of, overlap_columns, pairs_of, tiles_of
    from connectomake.sources.labels import common_box
    from connectomake.table_files import check_destination, write_table

    final = None if destination is None else check_destination(destination, overwrite=overwrite)
    of_a = evaluate.options_of("a", missing_a, missing_sections_a, None, axes_a)
    of_b = evaluate.options_of("b", missing_b, missing_sections_b, None, axes_b)
    one = evaluate.opened("a", a, dataset_a, scale_a, offset_a, of_a)
    other = evaluate.opened("b", b, dataset_b, scale_b, offset_b, of_b)
    box = evaluate.cut(common_box(one, other, ("--offset-a", "--offset-b"), ("A", "B")), start, stop)
    for note in dict.fromkeys(one.source.notes + other.source.notes):
        common.note(note)
    tile = one.tile if other.tile else None
    tiles = (small for block in evaluate.watched(blocks_of(box, tile)) for small in tiles_of(block, tile))
    columns = overlap_columns(pairs_of(one.read, other.read, tiles, box), box, best=best)
    for name, labels in (("A", one), ("B", other)):
        if voxels := labels.filled(box)[1]:
            common.note(f"{voxels} voxels of {name} lie in missing storage chunks, and were filled")
    if final is None:
        _print(columns)
        return
    write_table(final, columns)
    print(f"{destination}: {counted(len(columns['object']), 'row')}")


def _print(columns: "dict[str, np.ndarray]") -> None:
    table = common.columns_table("", [], ["object", "other", "rank", "voxels", "of", "share %", "first at z, y, x"])
    rows = zip(*(column[:SHOWN].tolist() for column in columns.values()), strict=True)
    for object_id, other, rank, voxels, whole, share, _, z, y, x in rows:
        cells = (object_id, other or "none", rank, voxels, whole, f"{100 * share:.1f}", f"{z}, {y}, {x}")
        table.add_row(*map(str, cells))
    common.console().print(table)
