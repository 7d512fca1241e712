"""``connectomake contacts``: where the objects of one segmentation touch each other."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from connectomake.cli import common, evaluate, volumes
from connectomake.cli.evaluate import Point
from connectomake.errors import ConfigError
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from connectomake.geometry import Box, Vec
    from connectomake.sources.labels import Labels
    from connectomake.sources.source import Reader, VoxelSize

SHOWN = 20
SizeOption: TypeAlias = Annotated[
    tuple[float, float, float] | None, typer.Option(metavar="Z Y X", help="Voxel size in nm, where no volume says it.")
]
DestinationArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[DEST]",
        help="NAME.csv, NAME.parquet, NAME.arrow, or NAME.annotations for Neuroglancer; else the first rows are shown.",
    ),
]


def contacts(
    a: Annotated[str, typer.Argument(metavar="A", help="Objects: integers in any format, such as a run's segmentation.")],
    destination: DestinationArgument = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset of A within HDF5, Zarr, N5.")] = None,
    scale: Annotated[str | None, typer.Option(help="Scale of A, number or key, of precomputed and OME-Zarr.")] = None,
    missing: Annotated[str, typer.Option(metavar="error|fill", help="What to do about chunks that A lacks.")] = "error",
    missing_sections: Annotated[str, typer.Option(metavar="error|blank", help="And about sections.")] = "error",
    axes: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of A as it is stored, such as xyz.")] = None,
    offset: Annotated[Point, typer.Option(metavar="Z Y X", help="Where A's voxel 0 0 0 lies.")] = None,
    voxel_size: SizeOption = None,
    box: volumes.BoxOption = None,
    ignore: Annotated[list[int] | None, typer.Option(help="Object to take for 0; may be given more than once.")] = None,
    min_faces: Annotated[int, typer.Option(help="Leave out contacts of fewer faces of voxels.", min=1)] = 1,
    overwrite: volumes.OverwriteOption = False,
) -> None:
    """List which objects of A touch across faces of voxels: area and place of each contact, in bounded memory."""
    from connectomake.synapses.contacts import contact_columns, contacts_of
    from connectomake.synapses.files import SUFFIXES, write_contacts
    from connectomake.table_files import check_destination

    final = None if destination is None else check_destination(destination, SUFFIXES, overwrite=overwrite)
    options = evaluate.options_of("", missing, missing_sections, None, axes)
    labels = evaluate.opened("", a, dataset, scale, offset, options)
    if labels.source.place == "unclear":
        raise ConfigError(f"{a} names an offset that is not a whole number of voxels; say in voxels where it begins (--offset)")
    size = size_of(voxel_size, labels)
    bounds = box_in(labels.bounds, box, f"{a} holds")
    for note in labels.source.notes:
        common.note(note)
    found = contacts_of(without(labels.read, ignore), tiles_in(bounds, labels.tile), bounds)
    columns = contact_columns(found, bounds, size, min_faces)
    note_filled("A", labels, bounds)
    if final is None:
        _print(columns)
        return
    write_contacts(columns, bounds, size, final)
    print(f"{destination}: {counted(len(columns['faces']), 'contact')}")


def without(read: "Reader", ids: list[int] | None) -> "Reader":
    """Return what reads labels with some ids taken for 0."""
    gone = sorted(set(ids or ()))
    for value in gone:
        if not 0 < value < 1 << 64:
            raise ConfigError(f"--ignore {value} is no id of an object; ids are 1 to 2^64 - 1")

    def reader(box: "Box") -> "np.ndarray":
        labels = read(box)
        for value in gone:
            labels[labels == value] = 0
        return labels

    return reader


def size_of(given: tuple[float, float, float] | None, *labels: "Labels") -> "VoxelSize":
    """Return the voxel size that volumes have, or else the one that is given.

    Raises
    ------
    ConfigError
        If there is none, the given one is not positive, or it is not that of a volume.
    """
    from connectomake.sources.places import alike

    said = [(one.source.path, one.voxel_size) for one in labels if one.voxel_size is not None]
    if given is None:
        if not said:
            paths = " and ".join(one.source.path for one in labels)
            what = "has no voxel size, which areas and distances need; give it with --voxel-size Z Y X, in nm"
            raise ConfigError(f"{paths} {what}")
        return said[0][1]
    if not all(0 < value < float("inf") for value in given):
        raise ConfigError(f"--voxel-size {' '.join(map(str, given))} must be three positive lengths in nm, z y x")
    for path, size in said:
        if not alike(size, given):
            raise ConfigError(
                f"--voxel-size {' '.join(map(str, given))} is not that of {path}, {list(size)} nm; leave it out, or correct "
                "the volume with connectomake convert --voxel-size"
            )
    return given


def box_in(bounds: "Box", text: str | None, what: str) -> "Box":
    """Return the box that ``--box`` names, which must lie in what there is; all of it without."""
    box = volumes.parse_box(text)
    if box is None:
        return bounds
    if box.empty or not bounds.contains(box):
        raise ConfigError(f"--box {text} is not within what {what}, {bounds}; change it")
    return box


def tiles_in(box: "Box", tile: "Vec | None") -> "Iterator[Box]":
    """Yield the tiles of a box in an order that reads near ones one after the other, showing how many blocks are done."""
    from connectomake.evaluation import blocks_of, tiles_of

    for block in evaluate.watched(blocks_of(box, tile)):
        yield from tiles_of(block, tile)


def note_filled(name: str, labels: "Labels", box: "Box") -> None:
    """Say how many voxels were filled, if any."""
    if voxels := labels.filled(box)[1]:
        common.note(f"{voxels} voxels of {name} lie in storage chunks that it lacks, and are filled")


def _print(columns: "dict[str, np.ndarray]") -> None:
    table = common.columns_table("", [], ["object a", "object b", "faces", "area nm²", "first at z, y, x", "middle z, y, x nm"])
    names = ("object_a", "object_b", "faces", "area_nm2", "z", "y", "x", "z_nm", "y_nm", "x_nm")
    for a, b, faces, area, z, y, x, *middle in zip(*(columns[name][:SHOWN].tolist() for name in names), strict=True):
        nm = ", ".join(f"{value:.1f}" for value in middle)
        table.add_row(str(a), str(b), str(faces), f"{area:.0f}", f"{z}, {y}, {x}", nm)
    common.console().print(table)
