"""``connectomake choose``: write a mask that leaves some blocks, for a trial run on difficult or random ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from connectomake.cli import common
from connectomake.cli.common import ConfigPath
from connectomake.errors import ConfigError

if TYPE_CHECKING:
    from connectomake.geometry import Vec
    from connectomake.planning.plan import Plan

SHOWN = 20


def choose(
    mask: Annotated[str, typer.Argument(metavar="MASK.h5", help="HDF5 file to write.")],
    config: ConfigPath = common.DEFAULT_CONFIG,
    blocks: Annotated[str, typer.Option(metavar="ID,ID", help="Blocks by their hexadecimal ids.")] = "",
    points: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Blocks at marked positions: a CSV with columns z, y, x, or Neuroglancer annotations."
        ),
    ] = "",
    unit: Annotated[Literal["voxels", "nm"], typer.Option(help="Unit of the columns of a CSV.")] = "voxels",
    around: Annotated[float, typer.Option(metavar="NM", min=0, help="Also blocks within this distance of a position.")] = 0,
    random: Annotated[int, typer.Option(metavar="N", min=0, help="Also N blocks drawn at random.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed; with the same one, a larger N adds to the blocks of a smaller N.")] = 0,
) -> None:
    """Write a mask in which only some blocks are inside, and print the section of the config that uses it.

    The config's own mask still applies: voxels outside it stay outside.
    """
    from connectomake.planning.chosen import mask_of, share
    from connectomake.planning.mask_file import write_mask

    if Path(mask).exists():
        raise ConfigError(f"{mask} exists; give another name, or remove the file if no run needs it")
    if Path(mask).suffix not in {".h5", ".hdf5"}:
        raise ConfigError(f"{mask} does not end in .h5; the mask is written as HDF5")
    plan = common.open_plan(config)
    why = _chosen(plan, blocks, points, unit, around)
    why |= dict.fromkeys(_drawn(plan, set(why), random, seed), f"drawn with seed {seed}")
    if not why:
        raise ConfigError("no block was chosen; give --blocks, --points or --random")
    array, factors, offset = mask_of(plan, list(why))
    write_mask(mask, array)
    _print_blocks(plan, why)
    print(f"{mask}: {len(why):,} of {plan.grid.count:,} blocks, {share(plan, list(why)):.2%} of the region of interest\n")
    _print_section(plan, mask, factors, offset)


def _chosen(plan: "Plan", blocks: str, points: str, unit: str, around: float) -> dict[int, str]:
    """Return the blocks given by id or near positions, each with the reason."""
    from connectomake.planning.chosen import blocks_at
    from connectomake.planning.spots import read_spots

    why = {plan.grid.parse(name.strip()): "named" for name in blocks.split(",") if name.strip()}
    beyond = 0
    spots = read_spots(points, plan.source.voxel_size, unit) if points else []
    for number, spot in enumerate(spots, 1):
        near = blocks_at(plan, spot, around)
        beyond += not near
        why = dict.fromkeys(near, f"position {number} of {points}") | why
    if spots and beyond == len(spots):
        raise ConfigError(
            f"--points {points}: no position lies in the region of interest, {plan.roi}; the first is at "
            f"{[round(value, 3) for value in spots[0][0]]} nm (z, y, x), voxels have {list(plan.source.voxel_size)}: try --unit"
        )
    if beyond:
        common.note(f"{beyond} of {len(spots)} positions of {points} lie outside the region of interest, {plan.roi}")
    left = {block: text for block, text in why.items() if not plan.is_outside(block)}
    if len(left) < len(why):
        common.note(f"{len(why) - len(left)} of {len(why)} blocks lie entirely outside the config's mask and are left out")
    return left


def _drawn(plan: "Plan", taken: set[int], count: int, seed: int) -> list[int]:
    from connectomake.planning.chosen import draw

    return draw((block for block in plan.grid.ids if block not in taken and not plan.is_outside(block)), count, seed)


def _print_blocks(plan: "Plan", why: dict[int, str]) -> None:
    rows = [(plan.grid.name(block), f"{plan.grid.box(block)}   {why[block]}") for block in sorted(why)]
    common.console().print(common.key_value_table(rows[:SHOWN]))
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN:,} more")


def _print_section(plan: "Plan", mask: str, factors: "Vec", offset: "Vec") -> None:
    """Print the section for the config."""
    voxel_size = [float(f * s) for f, s in zip(factors, plan.source.voxel_size, strict=True)]
    instead = "" if plan.mask is None else ", in place of its present mask, which the new one includes"
    print(f"add this to the config{instead}, with another outdir to keep the results separate:\n")
    print(f"mask:\n  path: {mask}\n  dataset: mask\n  voxel_size: {voxel_size}\n  offset: {list(offset)}")
