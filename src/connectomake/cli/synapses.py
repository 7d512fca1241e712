"""``connectomake synapses``: clefts, and the cells on both sides of each."""

from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common, evaluate, volumes
from connectomake.cli.contacts import DestinationArgument, SizeOption, box_in, note_filled, size_of, tiles_in, without
from connectomake.cli.evaluate import Point
from connectomake.errors import ConfigError
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    import numpy as np

    from connectomake.geometry import Box

SHOWN = 20


def synapses(
    clefts: Annotated[str, typer.Argument(metavar="CLEFTS", help="Clefts: integers in any format, one id each; 0 is none.")],
    cells: Annotated[str, typer.Argument(metavar="CELLS", help="Cells: integers in any format, such as a run's segmentation.")],
    destination: DestinationArgument = None,
    dataset_clefts: Annotated[str | None, typer.Option(help="Dataset of CLEFTS within HDF5, Zarr, N5.")] = None,
    dataset_cells: Annotated[str | None, typer.Option(help="Dataset of CELLS.")] = None,
    scale_clefts: Annotated[str | None, typer.Option(help="Scale of CLEFTS, of precomputed and OME-Zarr.")] = None,
    scale_cells: Annotated[str | None, typer.Option(help="Scale of CELLS.")] = None,
    missing_clefts: Annotated[str, typer.Option(metavar="error|fill", help="Chunks that CLEFTS lacks.")] = "error",
    missing_cells: Annotated[str, typer.Option(metavar="error|fill", help="Chunks that CELLS lacks.")] = "error",
    missing_sections_clefts: Annotated[str, typer.Option(metavar="error|blank", help="Sections of CLEFTS.")] = "error",
    missing_sections_cells: Annotated[str, typer.Option(metavar="error|blank", help="Sections of CELLS.")] = "error",
    axes_clefts: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of CLEFTS as it is stored.")] = None,
    axes_cells: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of CELLS.")] = None,
    offset_clefts: Annotated[Point, typer.Option(metavar="Z Y X", help="Where CLEFTS' voxel 0 0 0 lies.")] = None,
    offset_cells: Annotated[Point, typer.Option(metavar="Z Y X", help="Where CELLS' voxel 0 0 0 lies.")] = None,
    voxel_size: SizeOption = None,
    box: volumes.BoxOption = None,
    reach: Annotated[float, typer.Option(metavar="NM", help="How far from a cleft a cell's voxels count.")] = 0.0,
    merge_within: Annotated[
        float | None, typer.Option(metavar="NM", help="Clefts of the same two cells, no farther apart, are one synapse.")
    ] = None,
    ignore_clefts: Annotated[list[int] | None, typer.Option(help="Id of CLEFTS to take for 0, such as a background.")] = None,
    ignore_cells: Annotated[list[int] | None, typer.Option(help="Id of CELLS to take for 0.")] = None,
    min_voxels: Annotated[int, typer.Option(help="Leave out clefts of fewer voxels.", min=1)] = 1,
    overwrite: volumes.OverwriteOption = False,
) -> None:
    """List the clefts with the two cells that have most voxels in or near each; which of them is presynaptic is not said."""
    from connectomake.sources.labels import common_box
    from connectomake.synapses import clefts as found
    from connectomake.synapses import partners
    from connectomake.synapses import reach as balls
    from connectomake.synapses.files import SUFFIXES, write_synapses
    from connectomake.table_files import check_destination

    final = None if destination is None else check_destination(destination, SUFFIXES, overwrite=overwrite)
    if merge_within is not None and not 0 <= merge_within < float("inf"):
        raise ConfigError(f"--merge-within {merge_within} must be a distance in nm, 0 or more")
    of_clefts = evaluate.options_of("clefts", missing_clefts, missing_sections_clefts, None, axes_clefts)
    of_cells = evaluate.options_of("cells", missing_cells, missing_sections_cells, None, axes_cells)
    one = evaluate.opened("clefts", clefts, dataset_clefts, scale_clefts, offset_clefts, of_clefts)
    two = evaluate.opened("cells", cells, dataset_cells, scale_cells, offset_cells, of_cells)
    both = common_box(one, two, ("--offset-clefts", "--offset-cells"), ("CLEFTS", "CELLS"))
    bounds, size = box_in(both, box, "both hold"), size_of(voxel_size, one, two)
    ball = balls.ball_of(reach, size, bounds.shape)
    for note in dict.fromkeys(one.source.notes + two.source.notes):
        common.note(note)
    tiles = tiles_in(bounds, one.tile if two.tile else None)
    read = without(one.read, ignore_clefts)
    all_clefts = found.clefts_of(read, without(two.read, ignore_cells), tiles, bounds, ball)
    columns = partners.synapse_columns(all_clefts, read, bounds, size, merge_within, min_voxels)
    note_filled("CLEFTS", one, bounds)
    note_filled("CELLS", two, bounds)
    _note_large(columns, bounds)
    _note_alone(columns, reach)
    if final is None:
        _print(columns)
        return
    write_synapses(columns, bounds, size, final)
    print(f"{destination}: {counted(len(columns['voxels']), 'synapse')}")


def _note_large(columns: "dict[str, np.ndarray]", box: "Box") -> None:
    """Say that an object is more likely what lies between the clefts: in CREMI's files, 2^64 - 1."""
    for name, voxels in zip(columns["synapse"].tolist(), columns["voxels"].tolist(), strict=True):
        if voxels > box.volume / 2:
            common.note(
                f"object {name} of CLEFTS has {100 * voxels / box.volume:.0f} % of all voxels; if it is the background, leave "
                f"it out with --ignore-clefts {name}"
            )


def _note_alone(columns: "dict[str, np.ndarray]", reach: float) -> None:
    if alone := int((columns["partner_2"] == 0).sum()):
        whole = counted(len(columns["partner_2"]), "synapse")
        common.note(f"{alone} of {whole} have fewer than two cells within {reach:g} nm (--reach)")


def _print(columns: "dict[str, np.ndarray]") -> None:
    table = common.columns_table(
        "", [], ["synapse", "voxels", "z, y, x", "partner 1", "voxels", "partner 2", "voxels", "cells"]
    )
    names = ("synapse", "voxels", "z", "y", "x", "partner_1", "voxels_1", "partner_2", "voxels_2", "cells")
    for synapse, voxels, z, y, x, *partners, near in zip(*(columns[name][:SHOWN].tolist() for name in names), strict=True):
        table.add_row(*map(str, (synapse, voxels, f"{z}, {y}, {x}", *partners, len(near.split()))))
    common.console().print(table)
