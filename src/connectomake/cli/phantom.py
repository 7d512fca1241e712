"""``connectomake phantom``: write the demo's synthetic image."""

from typing import Annotated

import typer

from connectomake.reporting.texts import shape_text


def phantom(
    path: str = typer.Argument(help="HDF5 file to write."),
    shape: Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="Voxels.")] = (272, 280, 288),
    seed: Annotated[int, typer.Option(help="Random seed; each gives another piece of tissue.")] = 0,
    voxel_size: Annotated[tuple[float, float, float], typer.Option(metavar="Z Y X", help="Nanometres.")] = (16.0, 16.0, 16.0),
    kind: Annotated[str, typer.Option(help="neurites, or nuclei (with --voxel-size 40 64 64).")] = "neurites",
) -> None:
    """Write an EM-like image, the same for the same seed: membranes, neurites that branch, organelles, noise."""
    from connectomake.phantom import write_phantom

    write_phantom(path, shape, seed, voxel_size, kind)
    print(f"{path}: {shape_text(shape)} voxels of {shape_text(voxel_size)} nm, seed {seed}")
