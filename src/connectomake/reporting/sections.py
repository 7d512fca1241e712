"""Sections: image, and objects painted over it, with the borders of the blocks."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from connectomake.geometry import BlockGrid, Box
from connectomake.reporting.colours import INK, PAPER, colours_of, font, scale_bar

WIDTH = 760
_TITLE = 32
_GAP = 16

Reader = Callable[[Box], np.ndarray]


def grey(values: np.ndarray) -> np.ndarray:
    """Stretch values (y, x) to 0 to 1, (y, x, 3); what is not finite is black."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
    known = np.where(np.isfinite(values), values, low).astype(np.float64)
    stretched = np.clip((known - low) / max(float(high - low), 1e-9), 0, 1)
    return np.repeat(stretched[..., None], 3, axis=2)


def painted(ids: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Paint objects (y, x) over an image (y, x, 3), with a dark seam between them."""
    names, place = np.unique(ids, return_inverse=True)
    colours = colours_of(names)
    seam = np.zeros(ids.shape, bool)
    seam[1:] |= (ids[1:] != ids[:-1]) & (ids[:-1] > 0)
    seam[:, 1:] |= (ids[:, 1:] != ids[:, :-1]) & (ids[:, :-1] > 0)
    mixed = colours[place.reshape(ids.shape)] * (0.45 + 0.55 * image)
    mixed[seam] *= 0.6
    result: np.ndarray = np.where((ids == 0)[..., None], 0.75 * image, mixed)
    return result


def section_picture(
    box: Box, grid: BlockGrid, voxel_size: tuple[float, float, float], ids: Reader, image: Reader | None
) -> Image.Image:
    """Draw a section: the image, and beside it the objects with blocks and their ids.

    Parameters
    ----------
    box
        What is shown: one voxel along z.
    grid
        The blocks.
    voxel_size
        Nanometres, z, y, x.
    ids, image
        Return the voxels (c, z, y, x) of a box; without an image the objects stand on grey.
    """
    labels = ids(box)[0, 0]
    under = grey(image(box)[0, 0]) if image is not None else np.full((*labels.shape, 3), 0.5)
    stretch = voxel_size[1] / voxel_size[2]
    zoom = max(WIDTH / box.shape[2], 0.25)
    size = (round(zoom * box.shape[2]), max(round(zoom * stretch * box.shape[1]), 1))
    panels = [_panel(under, f"image, z {box.start[0]}", size)] if image is not None else []
    over = _panel(painted(labels, under), f"objects, z {box.start[0]}; lines: blocks", size)
    _block_lines(over, box, grid, (zoom * stretch, zoom))
    panels.append(over)
    out = Image.new("RGB", (sum(p.width for p in panels) + _GAP * (len(panels) - 1), over.height), PAPER)
    for i, part in enumerate(panels):
        out.paste(part, (i * (size[0] + _GAP), 0))
    scale_bar(out, (14, out.height - 14), zoom / voxel_size[2])
    return out


def _panel(picture: np.ndarray, title: str, size: tuple[int, int]) -> Image.Image:
    way = Image.Resampling.NEAREST if size[0] >= picture.shape[1] else Image.Resampling.BOX
    shown = Image.fromarray((255 * picture).round().astype(np.uint8)).resize(size, way)
    out = Image.new("RGB", (size[0], size[1] + _TITLE), PAPER)
    out.paste(shown, (0, _TITLE))
    ImageDraw.Draw(out).text((0, _TITLE - 8), title, fill=INK, font=font(18, bold=True), anchor="ls")
    return out


def _block_lines(picture: Image.Image, box: Box, grid: BlockGrid, zoom: tuple[float, float]) -> None:
    """Draw lines between blocks, and each block's id in its corner."""
    draw = ImageDraw.Draw(picture, "RGBA")
    for block in grid.ids_meeting(box):
        part = grid.box(block)
        top, left = ((part.start[a] - box.start[a]) * zoom[a - 1] for a in (1, 2))
        top += _TITLE
        if left > 0:
            draw.line([(left, max(top, _TITLE)), (left, picture.height)], fill=(255, 255, 255, 110), width=1)
        if top > _TITLE:
            draw.line([(max(left, 0), top), (picture.width, top)], fill=(255, 255, 255, 110), width=1)
        place = (max(left, 0) + 6, max(top, _TITLE) + 4)
        draw.text(place, grid.name(block), fill=(255, 255, 255, 230), font=font(14), stroke_width=2, stroke_fill=(0, 0, 0, 150))


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Put pictures below each other."""
    width = max(p.width for p in pictures)
    out = Image.new("RGB", (width, sum(p.height for p in pictures) + _GAP * (len(pictures) - 1)), PAPER)
    top = 0
    for picture in pictures:
        out.paste(picture, (0, top))
        top += picture.height + _GAP
    return out
