"""``connectomake block``: where a block lies, its neighbours and its files."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.reporting.texts import bytes_text, shape_text

if TYPE_CHECKING:
    from connectomake.geometry import Vec
    from connectomake.planning.plan import Plan

IMAGES_SHOWN = 2
FACES: dict[str, "Vec"] = {
    "z -": (-1, 0, 0), "z +": (1, 0, 0), "y -": (0, -1, 0), "y +": (0, 1, 0), "x -": (0, 0, -1), "x +": (0, 0, 1),
}  # fmt: skip


def block(
    name: str = typer.Argument(metavar="ID", help="The block's id, hexadecimal, as in its file names."),
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Show the block ID: its position, its box, its neighbours, its files and which of them exist."""
    plan = common.read_plan(config)
    grid = plan.grid
    number = grid.parse(name.lower().removeprefix("0x").lstrip("0").zfill(grid.width))
    box = grid.box(number)
    rows = [
        ("block", f"{grid.name(number)}, grid position {grid.position(number)} of {shape_text(grid.shape)}"),
        ("box", f"{box}: {shape_text(box.shape)} voxels"),
        ("neighbours", _neighbours(plan, number)),
    ]
    common.console().print(common.key_value_table([*rows, *target_rows(plan, number)]))


def _neighbours(plan: "Plan", block: int) -> str:
    around = {side: plan.grid.neighbours(block, [offset]) for side, offset in FACES.items()}
    return ", ".join(f"{side} {plan.grid.name(ids[0])}" for side, ids in around.items() if ids) or "none"


def target_rows(plan: "Plan", block: int) -> list[tuple[str, str]]:
    """Return the files of a block, in the order in which they are made, with their sizes where they exist."""
    return [(name, _with_size(path)) for name, path in _targets(plan, block)]


def _targets(plan: "Plan", block: int) -> list[tuple[str, str]]:
    from connectomake.pipeline.registry import Stages

    found = _images(plan, block)
    for rule in Stages(plan).rules():
        item = rule.item_of(block)
        if item is not None and rule.shown:
            found += [(rule.shown[name], path) for name, path in rule.outputs(item).items() if name in rule.shown]
    return found


def _images(plan: "Plan", block: int) -> list[tuple[str, str]]:
    from connectomake.pipeline.affinity import image_blocks
    from connectomake.planning.paths import Paths

    if "image" not in plan.layers or plan.is_outside(block):
        return []
    names = [("image", Paths(plan).shard("image", i)) for i in image_blocks(plan, block)]
    more = len(names) - IMAGES_SHOWN
    return [*names[:IMAGES_SHOWN], *([("", f"and {more} more")] if more > 0 else [])]


def _with_size(path: str) -> str:
    if path.startswith("and "):
        return path
    file = Path(path)
    return f"{path}  ({bytes_text(file.stat().st_size)})" if file.exists() else f"{path}  (not there)"
