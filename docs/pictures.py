"""Make the pictures of the documentation from a finished run: ``python docs/pictures.py [config.yaml] [options]``.

Writes ``docs/pictures/slices.png`` (image, affinities, segmentation and, if there is one, ground truth of one section) and
``docs/pictures/objects.png`` (the largest objects' meshes, read as Neuroglancer reads them). Nothing but what the run left in
its folder is read. FIB-25: ``python docs/pictures.py configs/fib25.yaml --prefix fib25- --z 200 --objects 3``.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from connectomake.config import load_config
from connectomake.geometry import Box
from connectomake.layers import read_box
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.reporting.colours import INK, PAPER, font, save, scale_bar
from connectomake.reporting.pictures import largest, objects
from connectomake.reporting.sections import grey, painted

FOLDER = Path(__file__).parent / "pictures"
GAP, TITLE = 18, 34
PIXELS = 512
"""Of a section's longer side, at least."""


def section(plan: Plan, layer: str, z: int) -> np.ndarray:
    """Read one section (c, y, x) of all channels of a layer."""
    (_, y0, x0), (_, y1, x1) = plan.roi.start, plan.roi.stop
    return read_box(Path(plan.outdir, layer), plan.layers[layer], Box((z, y0, x0), (z + 1, y1, x1)))[:, 0]


def coloured(values: np.ndarray) -> np.ndarray:
    """Paint a probability (1, y, x) with matplotlib's `magma`; affinities z, y, x (3, y, x) as red, green, blue: (y, x, 3)."""
    shares = values.astype(np.float64) / (255 if values.dtype == np.uint8 else 1)
    return np.moveaxis(shares[:3], 0, -1) if len(shares) >= 3 else mpl.colormaps["magma"](shares[0])[..., :3]


def panel(picture: np.ndarray, title: str, zoom: int) -> Image.Image:
    """Enlarge a section and put its title above."""
    pixels = (255 * picture).round().astype(np.uint8).repeat(zoom, axis=0).repeat(zoom, axis=1)
    out = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + TITLE), PAPER)
    out.paste(Image.fromarray(pixels), (0, TITLE))
    ImageDraw.Draw(out).text((0, TITLE - 8), title, fill=INK, font=font(20, bold=True), anchor="ls")
    return out


def draw_blocks(picture: Image.Image, plan: Plan, z: int, zoom: int) -> None:
    """Hint at the blocks: lines between them, their ids in the corners."""
    draw = ImageDraw.Draw(picture, "RGBA")
    (_, y0, x0), (_, y1, x1) = plan.roi.start, plan.roi.stop
    for block in plan.grid.ids_meeting(Box((z, y0, x0), (z + 1, y1, x1))):
        _, y, x = plan.grid.box(block).start
        left, top = zoom * (x - x0), zoom * (y - y0) + TITLE
        draw.line([(left, picture.height), (left, top), (picture.width, top)], fill=(255, 255, 255, 150), width=1)
        name = plan.grid.name(block)
        draw.text(
            (left + 8, top + 6), name, fill=(255, 255, 255, 230), font=font(18), stroke_width=2, stroke_fill=(0, 0, 0, 150)
        )


def slices(plan: Plan, z: int) -> Image.Image:
    """Draw image, probability, segmentation and ground truth of a section side by side."""
    image, output = grey(section(plan, "image", z)[0]), section(plan, "affinity", z)
    ids = section(plan, "segmentation", z)[0]
    zoom = max(1, -(-PIXELS // max(ids.shape)))
    what = "affinities z, y, x as red, green, blue" if len(output) >= 3 else "interior probability"
    panels = [
        panel(image, f"image, section {z}", zoom),
        panel(coloured(output), what, zoom),
        panel(painted(ids, image), "objects; lines: blocks and their ids", zoom),
    ]
    draw_blocks(panels[2], plan, z, zoom)
    if plan.truth is not None:
        panels.append(panel(painted(section(plan, "ground_truth", z)[0], image), "ground truth", zoom))
    out = Image.new("RGB", (sum(p.width for p in panels) + GAP * (len(panels) - 1), panels[0].height), PAPER)
    for i, part in enumerate(panels):
        out.paste(part, (i * (part.width + GAP), 0))
    scale_bar(out, (14, out.height - 14), zoom / plan.source.voxel_size[2])
    return out


def main() -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="config.yaml")
    parser.add_argument("--prefix", default="", help="of the pictures' names")
    parser.add_argument("--z", type=int, help="the section; default: the middle one")
    parser.add_argument("--objects", type=int, default=14, help="how many meshes are drawn, the largest ones")
    known = parser.parse_args()
    plan = resolve(load_config(known.config))
    z = plan.roi.start[0] + plan.roi.shape[0] // 2 if known.z is None else known.z
    FOLDER.mkdir(exist_ok=True)
    save(slices(plan, z), FOLDER / f"{known.prefix}slices.png")
    save(objects(plan, largest(plan, known.objects)), FOLDER / f"{known.prefix}objects.png")


if __name__ == "__main__":
    main()
