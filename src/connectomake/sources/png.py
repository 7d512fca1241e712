"""PNG: a folder of grey sections (or a single one)."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.sources import identity
from connectomake.sources.source import Source, choose_voxel_size, read_dtype
from connectomake.sources.stack import Header, common_header, section_reader, stack_files

_COLOURS = {2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_DEPTHS = {1: "bool", 8: "uint8", 16: "uint16"}


def open_png(path: str, voxel_size: Sequence[float] | None) -> Source:
    """Open a folder of PNG sections, natural order, 1, 8 or 16 bit grey, all of one shape and dtype."""
    files = stack_files(path, (".png",))
    shape, dtype = common_header(files, _header)
    return Source(
        path=path,
        kind="png",
        bounds=Box.of_shape((len(files), *shape)),
        channels=1,
        dtype=read_dtype(dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_files(files, "png"),
        _reader=section_reader(files, _decode, (shape, dtype)),
    )


def _header(path: Path) -> Header:
    with path.open("rb") as stream:
        head = stream.read(33)
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise SourceError(f"{path} is not a whole PNG file; copy it again or take it out of the folder")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    if colour in _COLOURS or depth not in _DEPTHS:
        found = _COLOURS.get(colour, f"{depth} bit grey")
        raise SourceError(f"{path} is {found}; convert the sections to 8 or 16 bit grey")
    return (height, width), _DEPTHS[depth]


def _decode(path: Path) -> np.ndarray:
    import imagecodecs

    _, dtype = _header(path)
    pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    return pixels.astype(bool) if dtype == "bool" else pixels
