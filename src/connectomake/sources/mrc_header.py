"""The header of an MRC file.

It is described by MRC2014 (https://www.ccpem.ac.uk/mrc_format/mrc2014.php) and IMOD
(https://bio3d.colorado.edu/imod/doc/mrc_format.txt).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.keys import key
from connectomake.sources.grid import Grid
from connectomake.sources.options import SourceOptions

SIZE = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_OTHER = {3: "complex int16", 4: "complex float32", 16: "colours", 101: "4 bits"}
_IMOD, _SIGNED = 1146047817, 1
_STACKS = 401
_ANGSTROM = 0.1


@dataclass(frozen=True)
class Header:
    """What is read of a header; triples are x, y, z or columns, rows, sections, as in the file.

    Parameters
    ----------
    extent
        Columns, rows, sections.
    dtype
        Of the voxels, with the byte order.
    first
        Place of the first column, row and section, in voxels.
    axes
        Which of x, y, z the columns, rows and sections are.
    size
        Edges of a voxel x, y, z in nm; None where the header says nothing.
    origin
        x, y, z in nm.
    data_start
        Byte at which the voxels begin.
    imod
        Whether IMOD wrote it, whose origin has a meaning of its own.
    notes
        What was guessed.
    """

    extent: tuple[int, int, int]
    dtype: np.dtype[Any]
    first: tuple[int, int, int]
    axes: tuple[str, str, str]
    size: tuple[float, float, float] | None
    origin: tuple[float, float, float]
    data_start: int
    imod: bool
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent as NumPy indexes it."""
        return self.extent[::-1]

    def grid(self, path: str, options: SourceOptions) -> Grid:
        """Return names of the axes, voxel size and place; what is not sure of the place is said unless the user gives it."""
        size = {} if self.size is None else dict(zip("xyz", self.size, strict=True))
        first = dict(zip(self.axes, self.first, strict=True))
        start = {a: n * size[a] for a, n in first.items()} if size else {}
        origin = dict(zip("xyz", self.origin, strict=True))
        notes = list(self.notes)
        asked = options.offset is not None
        if not any(first.values()) and any(origin.values()):
            if self.imod:
                start = {}
                notes += [] if asked else [_imods(path, self.origin)]
            else:
                start = origin
        elif any(first.values()) and any(origin.values()) and not asked and size and not _close(start, origin, size):
            notes.append(
                f"{path} begins at voxel {[first[a] for a in 'zyx']} (z, y, x) by its NSTART, which is taken, but its ORIGIN "
                f"says {[round(origin[a], 3) for a in 'zyx']} nm; {key('offset', [0, 0, 0])} counts from the first voxel"
            )
        if any(first.values()) and not size and not asked:
            notes.append(
                f"{path} begins at voxel {[first[a] for a in 'zyx']} (z, y, x) by its NSTART, but names no voxel size, so that "
                f"it is taken to begin at 0; say {key('offset')}"
            )
        return Grid(tuple(self.axes[::-1]), size, start, notes=tuple(notes))


def _close(a: dict[str, float], b: dict[str, float], size: dict[str, float]) -> bool:
    return all(abs(a[k] - b[k]) <= size[k] / 100 for k in size)


def _imods(path: str, origin: tuple[float, float, float]) -> str:
    z, y, x = (round(v, 3) for v in origin[::-1])
    return (
        f"{path} has an origin of IMOD's, {[z, y, x]} nm (z, y, x), whose sign IMOD changed between versions: it is not taken "
        f"for a place, and the region begins at 0; say in voxels where it begins with {key('offset')}"
    )


def read_header(path: Path) -> Header:
    """Read and check a header.

    Raises
    ------
    SourceError
        If it is none, or its voxels are not numbers that are read here.
    """
    with path.open("rb") as stream:
        raw = stream.read(SIZE)
    if len(raw) < SIZE:
        raise SourceError(
            f"{path} is not a complete MRC file: it has {len(raw)} bytes and its header alone 1024; copy it again"
        )
    end = _byte_order(raw, path)
    columns, rows, sections, mode, *first = struct.unpack(f"{end}7i", raw[:28])
    extended, imod_stamp, flags = *struct.unpack(f"{end}i", raw[92:96]), *struct.unpack(f"{end}2i", raw[152:160])
    if extended < 0:
        raise SourceError(f"{path} says that its extended header has {extended} bytes; it is damaged: copy it again")
    imod = imod_stamp == _IMOD
    _check_stack(raw, end, sections, path)
    notes: tuple[str, ...] = ()
    dtype = _dtype(mode, end, path)
    if mode == 0:
        dtype, notes = _bytes(raw, end, flags if imod else None, str(path))
    x, y, z = struct.unpack(f"{end}3f", raw[196:208])
    return Header(
        (columns, rows, sections), dtype, (first[0], first[1], first[2]), _axes(raw, end, path), _size(raw, end),
        (x * _ANGSTROM, y * _ANGSTROM, z * _ANGSTROM), SIZE + extended, imod, notes,
    )  # fmt: skip


def _byte_order(raw: bytes, path: Path) -> str:
    """Return ``<`` or ``>``: by the machine stamp, which some programs leave empty, else by which one makes sense."""
    sensible = [end for end in "<>" if _sensible(raw, end)]
    said = {b"\x44": "<", b"\x11": ">"}.get(raw[212:213])
    if said in sensible:
        return said
    if len(sensible) != 1:
        raise SourceError(
            f"{path} is not a readable MRC file: extents {struct.unpack('<3i', raw[:12])} and mode "
            f"{struct.unpack('<i', raw[12:16])[0]} make no sense in either byte order; copy it again"
        )
    return sensible[0]


def _sensible(raw: bytes, end: str) -> bool:
    *extent, mode = struct.unpack(f"{end}4i", raw[:16])
    return all(n > 0 for n in extent) and (mode in _MODES or mode in _OTHER or 0 <= mode < 256)


def _dtype(mode: int, end: str, path: Path) -> np.dtype[Any]:
    if mode not in _MODES:
        what = f" ({_OTHER[mode]})" if mode in _OTHER else ""
        raise SourceError(
            f"{path} is an MRC file of mode {mode}{what}; convert it to one of {', '.join(map(str, _MODES))}, as newstack does"
        )
    return np.dtype(f"{end}{_MODES[mode]}")


def _bytes(raw: bytes, end: str, flags: int | None, path: str) -> tuple[np.dtype[Any], tuple[str, ...]]:
    """Return the dtype of mode 0: signed in MRC2014; IMOD says it by a flag; old files had both."""
    low, high = struct.unpack(f"{end}2f", raw[76:84])
    if flags is not None:
        return np.dtype("i1" if flags & _SIGNED else "u1"), ()
    version = struct.unpack(f"{end}i", raw[108:112])[0]
    if low <= high and 127 < high <= 255 and low >= 0:
        return np.dtype("u1"), (
            f"{path} is of mode 0, but its largest value is {high:g}: its bytes are read as uint8, 0 to 255",
        )
    if version or (low <= high and low < 0):
        return np.dtype("i1"), ()
    return np.dtype("i1"), (
        f"{path} is of mode 0 and older than MRC2014, so that it does not say whether its bytes are signed: they are read as "
        "int8, -128 to 127; if that is wrong, write it anew with mode 6 (uint16)",
    )


def _check_stack(raw: bytes, end: str, sections: int, path: Path) -> None:
    space_group, deep = *struct.unpack(f"{end}i", raw[88:92]), *struct.unpack(f"{end}i", raw[36:40])
    if space_group >= _STACKS and 0 < deep < sections:
        raise SourceError(f"{path} is a stack of {sections // deep} volumes of {deep} sections each; take one of them out")


def _axes(raw: bytes, end: str, path: Path) -> tuple[str, str, str]:
    numbers = struct.unpack(f"{end}3i", raw[64:76])
    if numbers == (0, 0, 0):  # older programs
        numbers = (1, 2, 3)
    if sorted(numbers) != [1, 2, 3]:
        raise SourceError(f"{path} has MAPC, MAPR, MAPS = {list(numbers)}, which must be 1, 2, 3 in some order; copy it again")
    a, b, c = ("xyz"[n - 1] for n in numbers)
    return a, b, c


def _size(raw: bytes, end: str) -> tuple[float, float, float] | None:
    counts, edges = struct.unpack(f"{end}3i", raw[28:40]), struct.unpack(f"{end}3f", raw[40:52])
    if not all(n > 0 for n in counts) or not all(np.isfinite(v) and v > 0 for v in edges):
        return None
    x, y, z = (float(f"{v / n * _ANGSTROM:.7g}") for n, v in zip(counts, edges, strict=True))  # edges have 7 digits
    return x, y, z
