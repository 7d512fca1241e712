"""Colours of objects and values, and the typeface."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER = (255, 255, 255)
INK = (40, 44, 52)


def oklch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Turn OKLCH (Ottosson 2020), where equal steps look equal, into sRGB (n, 3) in 0 to 1."""
    a, b = chroma * np.cos(2 * np.pi * hue), chroma * np.sin(2 * np.pi * hue)
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ])  # fmt: skip
    matrix = np.array([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ])  # fmt: skip
    linear = np.clip((matrix @ cones**3).T, 0, 1)
    curved: np.ndarray = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved


def colours_of(ids: np.ndarray) -> np.ndarray:
    """Return a colour (n, 3) for each id: the same id has the same colour in every picture."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hue = (mixed >> np.uint64(40)).astype(np.float64) / 2**24
    lightness = np.array([0.62, 0.70, 0.78])[((mixed >> np.uint64(20)) % np.uint64(3)).astype(int)]
    return oklch(lightness, np.full(len(ids), 0.155), hue)


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the typeface that comes with matplotlib."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def nice_length(limit: float) -> tuple[float, str]:
    """Return the largest of 1, 2 and 5 times a power of ten that is no more than `limit` nm, and how to write it."""
    power = 10.0 ** np.floor(np.log10(limit))
    length = float(max(f for f in (1, 2, 5) if f * power <= limit) * power)
    unit, size = ("mm", 1e6) if length >= 1e6 else ("µm", 1e3) if length >= 1e3 else ("nm", 1.0)
    return length, f"{length / size:g} {unit}"


def scale_bar(picture: Image.Image, corner: tuple[int, int], pixels_per_nm: float, light: bool = True) -> None:
    """Draw a bar of a round length, about a fifth of the picture, whose lower left corner is given."""
    x, y = corner
    length, text = nice_length(picture.width / 5 / pixels_per_nm)
    colour, shade = ((255, 255, 255), (0, 0, 0)) if light else (INK, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([x, y - 6, x + round(length * pixels_per_nm), y], fill=colour, outline=shade, width=1)
    draw.text((x, y - 12), text, fill=colour, font=font(18, bold=True), anchor="lb", stroke_width=2, stroke_fill=shade)


def save(picture: Image.Image, path: str | Path, record: dict[str, Any] | None = None) -> None:
    """Atomically write a picture as PNG in 256 colours, which keeps it small, with a record behind it."""
    from connectomake.atomic import atomic_path
    from connectomake.layers.records import append_record

    few = picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        few.save(temporary, format="PNG", optimize=True)
        if record is not None:
            append_record(temporary, record, temporary.stat().st_size)
