"""PNG and JPEG: a folder of grey sections, or a single one."""

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.sources import identity
from connectomake.sources.options import DEFAULTS, SourceOptions
from connectomake.sources.photometry import equal_samples
from connectomake.sources.source import Source, choose_voxel_size, read_as
from connectomake.sources.stack import Header, Sections, common_header, find_sections, section_reader

_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
_PNG_PLAIN = 0
_JPEG_START, _JPEG_SCAN = 0xD8, 0xDA
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}


def open_png(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open PNG sections of 1, 2, 4, 8 or 16 bit; colours, palettes and opacity are read where all voxels are grey and opaque.

    Depths below 8 bit are stretched to 0 to 255, as the PNG specification has it. Chunks that tell how to show the values
    (gamma, colour profile) do not change them.
    """
    return _open("png", path, (".png",), voxel_size, options, _png_header, _decode_png)


def open_jpeg(path: str, voxel_size: Sequence[float] | None, options: SourceOptions = DEFAULTS) -> Source:
    """Open JPEG sections of 8 bit; those with colours are read where all voxels are grey."""
    return _open("jpeg", path, (".jpg", ".jpeg"), voxel_size, options, _jpeg_header, _decode_jpeg)


def _open(
    kind: str,
    path: str,
    suffixes: Sequence[str],
    voxel_size: Sequence[float] | None,
    options: SourceOptions,
    header_of: Callable[[Path], Header],
    decode: Callable[[Path], np.ndarray],
) -> Source:
    sections: Sections = find_sections(path, suffixes, options)
    files = sections.present
    header = common_header(files, header_of, decode)
    return Source(
        path=path,
        kind=kind,
        bounds=Box.of_shape((len(sections.files), *header.shape)),
        channels=1,
        **read_as(header.dtype, path),
        voxel_size=choose_voxel_size(voxel_size, None, path),
        identity=identity.of_files(files, kind),
        _reader=section_reader(sections.files, decode, header),
        remarks=sections.remarks,
        notes=sections.notes,
        blank_sections=sections.blank,
    )


def _png_header(path: Path) -> Header:
    with path.open("rb") as stream:
        head = stream.read(33)
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise SourceError(f"{path} is not a complete PNG file; copy it again or remove it from the folder")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    if colour not in _PNG_SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise SourceError(f"{path} is a PNG of the unknown colour type {colour} with {depth} bit; copy it again")
    return Header((height, width), "uint16" if depth == 16 else "uint8", colour != _PNG_PLAIN)


def _decode_png(path: Path) -> np.ndarray:
    import imagecodecs

    data = path.read_bytes()
    pixels = np.asarray(imagecodecs.png_decode(data))
    return pixels if pixels.ndim == 2 else equal_samples(pixels, _PNG_SAMPLES[data[25]], str(path))


def _jpeg_header(path: Path) -> Header:
    with path.open("rb") as stream:
        frame = next(_jpeg_frames(stream), b"")
    if len(frame) < 6:
        raise SourceError(f"{path} is not a complete JPEG file; copy it again or remove it from the folder")
    bits, height, width, components = struct.unpack(">BHHB", frame[:6])
    if bits != 8 or components not in (1, 3):
        raise SourceError(f"{path} is a JPEG of {bits} bit with {components} components; convert the sections to 8 bit grey")
    return Header((height, width), "uint8", components != 1)


def _jpeg_frames(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what the frame headers of a JPEG file hold (ITU-T T.81, section B.2.2)."""
    if stream.read(2) != bytes((0xFF, _JPEG_START)):
        return
    while (start := stream.read(2)) and len(start) == 2 and start[0] == 0xFF:
        if start[1] == 0xFF:  # filling
            stream.seek(-1, 1)
            continue
        if start[1] == _JPEG_SCAN:
            return
        if start[1] in _BARE_MARKERS:
            continue
        size = stream.read(2)
        if len(size) < 2:
            return
        segment = stream.read(max(struct.unpack(">H", size)[0] - 2, 0))
        if start[1] in _JPEG_FRAMES:
            yield segment


def _decode_jpeg(path: Path) -> np.ndarray:
    import imagecodecs

    pixels = np.asarray(imagecodecs.jpeg8_decode(path.read_bytes()))
    return pixels if pixels.ndim == 2 else equal_samples(pixels, pixels.shape[-1], str(path))
