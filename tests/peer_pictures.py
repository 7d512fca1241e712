"""TIFF, PNG and JPEG as other programs write them: writers for the table of peers' files. All take (z, y, x)."""

import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

GREYS = np.arange(256, dtype=np.uint16)


def tiff(folder: Path, array: np.ndarray, **options: Any) -> str:
    """One file by tifffile; `options` go to its `imwrite`."""
    tifffile.imwrite(folder / "a.tif", array, **({"photometric": "minisblack"} | options))
    return "a.tif"


def tiff_white(folder: Path, array: np.ndarray, **options: Any) -> str:
    """White is 0: what is stored is the opposite of the image."""
    return tiff(folder, ~array, photometric="miniswhite", **options)


def tiff_rgb(folder: Path, array: np.ndarray, alpha: int | None = None, axis: int = -1, **options: Any) -> str:
    """Grey as three equal samples, with opacity or not."""
    samples = [array] * 3 + ([] if alpha is None else [np.full_like(array, alpha)])
    extra = {} if alpha is None else {"extrasamples": ["unassalpha"]}
    return tiff(folder, np.stack(samples, axis), photometric="rgb", **extra, **options)


def tiff_coloured(folder: Path, array: np.ndarray) -> str:
    return tiff(folder, np.stack([array, array, array ^ 1], -1), photometric="rgb")


def tiff_palette(folder: Path, array: np.ndarray, colours: np.ndarray, **options: Any) -> str:
    """One file a section: a palette (256, 3)."""
    for z, section in enumerate(array):
        tifffile.imwrite(folder / f"s{z}.tif", section, photometric="palette", colormap=colours.T, **options)
    return "."


def tiff_pages(folder: Path, array: np.ndarray, white: tuple[int, ...] = (), packed: tuple[int, ...] = ()) -> str:
    """Pages appended one by one; in some white is 0, some are compressed."""
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for z, section in enumerate(array):
            how: dict[str, Any] = {
                "photometric": "miniswhite" if z in white else "minisblack",
                "compression": "zlib" if z in packed else None,
            }
            file.write(~section if z in white else section, metadata=None, contiguous=False, **how)
    return "a.tif"


def tiff_folder(folder: Path, array: np.ndarray, names: str = "s{:03d}.tif", white: bool = False) -> str:
    for z, section in enumerate(array):
        how = "miniswhite" if white else "minisblack"
        tifffile.imwrite(folder / names.format(z), ~section if white else section, photometric=how)
    return "."


def tiff_pil(folder: Path, array: np.ndarray, mode: str, **options: Any) -> str:
    """Pages by Pillow in one of its modes, through libtiff where compressed."""
    pages = [Image.fromarray(section).convert(mode) for section in array]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:], **options)
    return "a.tif"


def tiff_tag(folder: Path, array: np.ndarray, tag: int, value: int) -> str:
    """A file one tag of which is set to a value afterwards, or taken out (-1)."""
    tiff(folder, array, metadata=None)
    with tifffile.TiffFile(folder / "a.tif", mode="r+") as file:
        for page in file.pages:
            found = page.aspage().tags[tag]
            if value >= 0:
                found.overwrite(value)
            else:
                file.filehandle.seek(found.offset)
                file.filehandle.write(struct.pack("<H", 65000))  # a private tag: nothing says what 0 means
    return "a.tif"


def png(folder: Path, array: np.ndarray, mode: str = "L", names: str = "s{:03d}.png", **options: Any) -> str:
    """Sections by Pillow in one of its modes."""
    for z, section in enumerate(array):
        Image.fromarray(section).convert(mode).save(folder / names.format(z), **options)
    return "."


def png_deep(folder: Path, array: np.ndarray) -> str:
    """Grey of 16 bit, with opacity."""
    for z, section in enumerate(array):
        (folder / f"s{z}.png").write_bytes(imagecodecs.png_encode(np.stack([section, np.full_like(section, 65535)], -1)))
    return "."


def png_palette(folder: Path, array: np.ndarray, colours: np.ndarray) -> str:
    """A palette (256, 3), uint8."""
    for z, section in enumerate(array):
        picture = Image.fromarray(section, mode="P")
        picture.putpalette(colours.astype(np.uint8).tobytes())
        picture.save(folder / f"s{z}.png")
    return "."


def png_bits(folder: Path, array: np.ndarray, bits: int) -> str:
    """Grey of 1, 2 or 4 bits, written by hand as the specification has it."""
    for z, section in enumerate(array):
        height, width = section.shape
        unpacked = np.unpackbits(section[..., None], axis=-1)[..., 8 - bits :].reshape(height, -1)
        rows = np.packbits(unpacked, axis=1)
        data = b"".join(b"\0" + row.tobytes() for row in rows)
        head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
        parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
        (folder / f"s{z}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return "."


def png_keyed(folder: Path, array: np.ndarray) -> str:
    """One grey is declared transparent."""
    return png(folder, array, transparency=int(array[0, 0, 0]))


def jpeg(folder: Path, array: np.ndarray, mode: str = "L", **options: Any) -> str:
    for z, section in enumerate(array):
        Image.fromarray(section).convert(mode).save(folder / f"s{z:02d}.jpg", quality=100, **options)
    return "."


def jpeg_coloured(folder: Path, array: np.ndarray) -> str:
    for z, section in enumerate(array):
        Image.fromarray(np.stack([section, section, 255 - section], -1)).save(folder / f"s{z:02d}.jpeg")
    return "."
