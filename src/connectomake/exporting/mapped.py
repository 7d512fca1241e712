"""Formats whose voxels lie uncompressed one after the other: NPY, NRRD, MRC and TIFF, written through a memory map."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting.formats import OME
from connectomake.exporting.volume import Level, Options
from connectomake.geometry import Box, Vec

MRC_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
NRRD_FLOATS = {"float32": "float", "float64": "double"}


class Mapped:
    """Writes boxes into an array (z, y, x) or (c, z, y, x) that lies in a file, mapped for a block at a time."""

    grain: Vec = (1, 64, 256)

    def __init__(self, array: np.memmap) -> None:
        self._path, self._dtype, self._start, self._shape = Path(str(array.filename)), array.dtype, array.offset, array.shape

    def write(self, box: Box, values: np.ndarray) -> None:
        """Write voxels (c, z, y, x) of a box."""
        array = np.memmap(self._path, self._dtype, "r+", self._start, self._shape)  # what is mapped counts as memory
        array[(..., *box.slices())] = values if array.ndim == 4 else values[0]

    def close(self) -> None:
        """Nothing is left."""


def create_npy(path: Path, levels: Sequence[Level], _options: Options) -> list[Mapped]:
    """Begin an NPY file, which carries neither voxel size nor offset."""
    (level,) = levels
    return [Mapped(np.lib.format.open_memmap(path, "w+", level.dtype.newbyteorder("<"), level.shape))]


def create_nrrd(path: Path, levels: Sequence[Level], _options: Options) -> list[Mapped]:
    """Begin an NRRD file (https://teem.sourceforge.net/nrrd/format.html): x first, lengths in nm, channels last."""
    (level,) = levels
    several = len(level.channels) > 1
    size, origin = level.voxel_size[::-1], level.origin[::-1]
    directions = [f"({','.join(repr(float(s)) if a == b else '0' for b in range(3))})" for a, s in enumerate(size)]
    lines = [
        "NRRD0004",
        f"type: {NRRD_FLOATS.get(level.dtype.name, level.dtype.name)}",
        f"dimension: {len(level.shape)}",
        "space dimension: 3",
        f"sizes: {' '.join(str(n) for n in level.shape[::-1])}",
        f"space directions: {' '.join(directions + ['none'] * several)}",
        f"kinds: domain domain domain{' list' * several}",
        'space units: "nm" "nm" "nm"',
        f"space origin: ({','.join(repr(float(v)) for v in origin)})",
        "endian: little",
        "encoding: raw",
    ]
    return [_after(path, ("\n".join(lines) + "\n\n").encode(), level.dtype, level.shape)]


def create_mrc(path: Path, levels: Sequence[Level], _options: Options) -> list[Mapped]:
    """Begin an MRC2014 file (https://www.ccpem.ac.uk/mrc_format/mrc2014.php): cell in Å, start in voxels.

    Voxels of uint8 become uint16, as mode 0 is signed.
    """
    (level,) = levels
    dtype = np.dtype("uint16") if level.dtype == np.uint8 else level.dtype
    shape, start = level.box.shape[::-1], level.box.start[::-1]
    if max(shape) >= 2**31 or max(abs(v) for v in start) >= 2**31:
        raise ConfigError(f"MRC counts voxels in 32 bits, too few for {level.box}; choose another --format, such as zarr3")
    cell = [n * s * 10 for n, s in zip(shape, level.voxel_size[::-1], strict=True)]
    origin = [v * 10 for v in level.origin[::-1]]
    header = struct.pack("<10i6f3i", *shape, MRC_MODES[dtype.name], *start, *shape, *cell, 90, 90, 90, 1, 2, 3)
    header += struct.pack("<3f2i", 0, -1, -2, 0, 0)  # statistics not computed; a volume; no extended header
    header = header.ljust(104, b"\0") + b"    " + struct.pack("<i", 20140)
    header = header.ljust(196, b"\0") + struct.pack("<3f", *origin) + b"MAP " + b"\x44\x44\0\0" + struct.pack("<fi", -1, 0)
    return [_after(path, header.ljust(1024, b"\0"), dtype, level.box.shape)]


def create_tiff(path: Path, levels: Sequence[Level], _options: Options) -> list[Mapped]:
    """Begin one TIFF, BigTIFF from 4 GB: OME's metadata; where OME has no such voxels, only the pixels' size.

    64-bit ids are written as they are, which OME and ImageJ cannot say.
    """
    import tifffile

    (level,) = levels
    z, y, x = level.voxel_size
    ome = level.dtype.name in OME
    axes = "ZYX" if len(level.channels) == 1 else "CZYX"
    sizes = {f"PhysicalSize{a}": v for a, v in zip("ZYX", (z, y, x), strict=True)}
    units = dict.fromkeys((f"PhysicalSize{a}Unit" for a in "ZYX"), "nm")
    array = tifffile.memmap(
        path,
        shape=level.shape,
        dtype=level.dtype,
        bigtiff=level.bytes > 2**32 - 2**25,
        ome=ome,
        photometric="minisblack",
        resolution=(1e7 / x, 1e7 / y),
        resolutionunit="CENTIMETER",
        metadata={"axes": axes, **(sizes | units if ome else {})},
    )
    return [Mapped(array)]


def _after(path: Path, header: bytes, dtype: np.dtype, shape: tuple[int, ...]) -> Mapped:
    path.write_bytes(header)
    return Mapped(np.memmap(path, dtype.newbyteorder("<"), "r+", len(header), shape))
