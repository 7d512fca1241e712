"""``connectomake snapshot``: a picture of a run, for terminals without a browser."""

from typing import Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError


def snapshot(
    config: ConfigPath = DEFAULT_CONFIG,
    at: Annotated[tuple[int, int, int] | None, typer.Option(metavar="Z Y X", help="The section through this voxel.")] = None,
    object_id: Annotated[
        list[int] | None, typer.Option("--id", help="Draw the mesh of this object; several may be given.")
    ] = None,
    objects: Annotated[int | None, typer.Option(help="Draw the meshes of this many of the largest objects.", min=1)] = None,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Draw maps of the blocks: the progress of each, and the time it took.")
    ] = False,
    close: Annotated[
        bool, typer.Option("--close", help="With --id: show the bounding box of the objects instead of the whole region.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="The PNG file.")] = "snapshot.png",
) -> None:
    """Draw a section with its objects, the meshes of objects, or a map of the blocks, as PNG."""
    from connectomake.reporting import pictures
    from connectomake.reporting.blocks import block_map
    from connectomake.reporting.colours import save

    if sum((at is not None, bool(object_id), objects is not None, blocks)) > 1:
        raise ConfigError("snapshot draws one thing: --at, --id, --objects or --blocks")
    plan = common.read_plan(config)
    if blocks:
        picture = block_map(plan)
    elif object_id:
        picture = pictures.objects(plan, object_id, close)
    elif objects is not None:
        picture = pictures.objects(plan, pictures.largest(plan, objects))
    else:
        picture = pictures.sections(plan, 1, at)
    save(picture, output)
    print(f"✓ {output}: {picture.width} x {picture.height} pixels")
