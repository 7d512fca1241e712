"""Maps of the blocks: how far each is, and how long it took."""

import csv
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from connectomake.pipeline.affinity import image_blocks
from connectomake.planning.paths import Paths
from connectomake.planning.plan import Plan
from connectomake.reporting.colours import INK, PAPER, font

TIMED_STAGES = ("image", "affinity", "components", "segmentation")
LAYERS_SHOWN = 24
_STATE_COLOURS = {
    "nothing": (235, 236, 240), "image": (196, 201, 222), "affinity": (126, 150, 205), "components": (240, 190, 90),
    "segmentation": (90, 170, 110), "outside": (255, 255, 255),
}  # fmt: skip
_WIDTH = 1100
_GAP = 12
_HEAD = 30


def block_states(plan: Plan) -> dict[int, str]:
    """Return the last stage of each block whose file is there, ``nothing`` if none is. One look per file."""
    paths = Paths(plan)
    layers = [name for name in TIMED_STAGES if name in plan.layers]
    states = {}
    for block in plan.grid.ids:
        there = (name for name in reversed(layers) if _exists(paths, name, block))
        states[block] = next(there, "nothing")
    return states


def _exists(paths: Paths, layer: str, block: int) -> bool:
    if layer == "image":  # its grid reaches beyond the region of interest, so its ids are others
        return all(Path(paths.shard("image", b)).exists() for b in image_blocks(paths.plan, block))
    return Path(paths.shard(layer, block)).exists()


def block_seconds(plan: Plan) -> dict[int, dict[str, float]]:
    """Return the seconds that each block took, by stage, as far as they were measured."""
    found: dict[int, dict[str, float]] = {block: {} for block in plan.grid.ids}
    for stage in TIMED_STAGES[1:]:
        for block in plan.grid.ids:
            seconds = _seconds(Path(plan.outdir, "benchmarks", stage, f"{plan.grid.name(block)}.tsv"))
            if seconds is not None:
                found[block][stage] = seconds
    return found


def _seconds(path: Path) -> float | None:
    try:
        with path.open(newline="") as stream:
            rows = [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows[-1] if rows else None


def block_map(plan: Plan) -> Image.Image:
    """Draw two maps of the blocks, a small square for each, a panel for each layer of blocks along z: state and seconds."""
    states = block_states(plan)
    seconds = {block: sum(times.values()) for block, times in block_seconds(plan).items()}
    longest = max(seconds.values(), default=0.0)
    by_state = _panels(plan, {b: _STATE_COLOURS[s] for b, s in states.items()})
    by_time = _panels(plan, {b: _heat(s / longest if longest else 0.0) for b, s in seconds.items()})
    width = max(by_state.width, 720)
    out = Image.new("RGB", (width, by_state.height + by_time.height + 4 * _HEAD), PAPER)
    _legend(out, (0, 0), "state", [(n, _STATE_COLOURS[n]) for n in ("nothing", *(s for s in TIMED_STAGES if s in plan.layers))])
    out.paste(by_state, (0, 2 * _HEAD))
    below = by_state.height + 2 * _HEAD
    scale = [(f"{longest * f:.3g} s", _heat(f)) for f in (0.0, 0.25, 0.5, 0.75, 1.0)]
    _legend(
        out, (0, below), "time of all its jobs, affinity to segmentation", scale if longest else [("not measured", _heat(0.0))]
    )
    out.paste(by_time, (0, below + 2 * _HEAD))
    return out


def _heat(share: float) -> tuple[int, int, int]:
    import matplotlib as mpl

    red, green, blue, _ = mpl.colormaps["viridis"](share)
    return round(255 * red), round(255 * green), round(255 * blue)


def _panels(plan: Plan, colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    """Draw one panel (y down, x right) per layer of blocks, in rows; of many layers so many, evenly spread."""
    depth, height, width = plan.grid.shape
    shown = sorted({round(i * (depth - 1) / max(min(depth, LAYERS_SHOWN) - 1, 1)) for i in range(min(depth, LAYERS_SHOWN))})
    columns = max(min(len(shown), math.ceil(math.sqrt(len(shown) * height / width)) + 1), 1)
    side = max(min((_WIDTH - (columns - 1) * _GAP) // (columns * width), 48), 1)
    rows = -(-len(shown) // columns)
    out = Image.new("RGB", (columns * (side * width + _GAP), rows * (side * height + _HEAD)), PAPER)
    draw = ImageDraw.Draw(out)
    for i, layer in enumerate(shown):
        cells = np.full((height, width, 3), _STATE_COLOURS["outside"], np.uint8)
        for y, x in np.ndindex(height, width):
            cells[y, x] = colours[plan.grid.id_at((layer, y, x))]
        panel = Image.fromarray(cells).resize((side * width, side * height), Image.Resampling.NEAREST)
        left, top = (i % columns) * (side * width + _GAP), (i // columns) * (side * height + _HEAD)
        z = plan.roi.start[0] + layer * plan.block[0]
        draw.text((left, top + _HEAD - 8), f"z {z}", fill=INK, font=font(14), anchor="ls")
        out.paste(panel, (left, top + _HEAD))
        _grid_lines(draw, (left, top + _HEAD), side, (height, width))
    return out


def _grid_lines(draw: ImageDraw.ImageDraw, corner: tuple[int, int], side: int, shape: tuple[int, int]) -> None:
    if side < 6:
        return
    left, top = corner
    for y in range(shape[0] + 1):
        draw.line([(left, top + y * side), (left + shape[1] * side, top + y * side)], fill=PAPER)
    for x in range(shape[1] + 1):
        draw.line([(left + x * side, top), (left + x * side, top + shape[0] * side)], fill=PAPER)


def _legend(picture: Image.Image, corner: tuple[int, int], title: str, entries: list[tuple[str, tuple[int, int, int]]]) -> None:
    draw = ImageDraw.Draw(picture)
    left, top = corner
    draw.text((left, top + 20), title, fill=INK, font=font(16, bold=True), anchor="ls")
    for text, colour in entries:
        draw.rectangle([left, top + 34, left + 16, top + 50], fill=colour, outline=INK)
        draw.text((left + 22, top + 48), text, fill=INK, font=font(14), anchor="ls")
        left += 40 + round(draw.textlength(text, font=font(14)))
