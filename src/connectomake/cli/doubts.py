"""``connectomake doubts``: the most doubtful merges and splits of a finished run."""

from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    from connectomake.proofreading.doubts import Doubts

SHOWN = 20


def doubts(
    config: ConfigPath = DEFAULT_CONFIG,
    destination: Annotated[
        str | None,
        typer.Argument(metavar="[DEST]", help="NAME.csv, NAME.parquet, NAME.arrow, or NAME.annotations for Neuroglancer."),
    ] = None,
    layer: Annotated[str, typer.Option(help="Segmentation layer, such as segmentation_0.35.")] = "segmentation",
    within: Annotated[float, typer.Option(help="Largest distance of a mean affinity from the threshold.")] = 0.2,
    most: Annotated[int, typer.Option(help="Maximum number of rows.", min=1)] = 1000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """List the most doubtful merges and splits of a finished run: large ones with a mean affinity close to the threshold.

    A doubtful merge is two parts of one object that may belong apart; a doubtful split is two objects that may belong together.
    Each has the position of the contact, its mean affinity and area, and the voxels of the smaller side. Without DEST the first
    20 are shown.
    """
    from connectomake.proofreading.doubt_files import SUFFIXES, write_doubts
    from connectomake.proofreading.doubts import doubts_of
    from connectomake.table_files import check_destination

    plan = common.read_plan(config)
    final = None if destination is None else check_destination(destination, SUFFIXES, overwrite=overwrite)
    found = doubts_of(plan, layer, within, most)
    if final is None:
        _print(found)
        return
    write_doubts(found, plan, final)
    print(f"{destination}: {counted(len(found), 'doubt')}")


def _print(found: "Doubts") -> None:
    table = common.columns_table("", ["doubtful"], ["rank", "objects", "z, y, x", "affinity", "faces", "voxels"])
    rows = zip(*(column.tolist() for column in found.named().values()), strict=True)
    for rank, kind, a, b, _, _, z, y, x, _, _, _, _, affinity, _, faces, voxels, _ in list(rows)[:SHOWN]:
        objects = str(a) if a == b else f"{a}, {b}"
        table.add_row(kind, str(rank), objects, f"{z}, {y}, {x}", f"{affinity:.3f}", str(faces), str(voxels))
    common.console().print(table)
