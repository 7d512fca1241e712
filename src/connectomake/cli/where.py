"""``connectomake where``: which block, chunk, nodes and files hold a voxel."""

from typing import TYPE_CHECKING

import typer

from connectomake.cli import common
from connectomake.cli.block import target_rows
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath

if TYPE_CHECKING:
    from connectomake.geometry import Vec
    from connectomake.planning.plan import Plan


def where(
    z: int = typer.Argument(help="Voxel, in the source's coordinates; may be negative."),
    y: int = typer.Argument(),
    x: int = typer.Argument(),
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Show which block holds the voxel Z Y X, and its files."""
    plan = common.read_plan(config)
    block = plan.grid.id_of_voxel((z, y, x))
    rows = [*_voxel_rows(plan, (z, y, x)), *_tree_rows(plan, block), *target_rows(plan, block)]
    common.console().print(common.key_value_table(rows))


def _voxel_rows(plan: "Plan", voxel: "Vec") -> list[tuple[str, str]]:
    block = plan.grid.id_of_voxel(voxel)
    chunks = plan.layers["segmentation"].chunks
    chunk = chunks.id_of_voxel(voxel)
    outside = "; wholly outside the mask: background" if plan.is_outside(block) else ""
    nm = ", ".join(f"{n}: {v * s:g}" for n, v, s in zip("zyx", voxel, plan.source.voxel_size, strict=True))
    return [
        ("voxel", f"{', '.join(map(str, voxel))} (z, y, x); {nm} nm"),
        ("block", f"{plan.grid.name(block)}, grid position {plan.grid.position(block)}{outside}"),
        ("box", str(plan.grid.box(block))),
        ("storage chunk", f"{chunk}: {chunks.box(chunk)}"),
        ("source", plan.source.path + (f" [{plan.source.dataset}]" if plan.source.dataset else "")),
    ]


def _tree_rows(plan: "Plan", block: int) -> list[tuple[str, str]]:
    octree, node = plan.octree, block
    rows = []
    for level in range(1, octree.levels + 1):
        node = octree.parent(level - 1, node)
        if octree.exists(level, node):
            rows.append((f"node, level {level}", f"{octree.name(level, node)}: {octree.box(level, node)}"))
    return rows
