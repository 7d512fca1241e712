"""The common interface of sources of all formats: bounds, channels, dtype, voxel size, and reading a box."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from connectomake.errors import ConfigError, ConnectomakeError, SourceError
from connectomake.forking import last_file
from connectomake.geometry import Box, Vec
from connectomake.keys import Section, current, key, naming
from connectomake.sources.chunks import Boxes, Chunked, Ledger
from connectomake.sources.options import SourceOptions
from connectomake.sources.reasons import reason, way_out

VoxelSize = tuple[float, float, float]
Reader = Callable[[Box], np.ndarray]

UNSIZED: VoxelSize = (1.0, 1.0, 1.0)
"""Stands, as this very object, for a voxel size that nobody needs: of labels, and of volumes to train on."""

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32")
_READ_AS = {"float64": "float32", "float16": "float32", "bool": "uint8"}


@dataclass(frozen=True)
class Mapping:
    """How values become others.

    Parameters
    ----------
    stored
        NumPy name of the dtype before.
    apply
        Takes and returns an array.
    """

    stored: str
    apply: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Source:
    """An image (or a segmentation) that can be read box by box.

    Parameters
    ----------
    path
        As the user wrote it; named in errors.
    kind
        Name of the format, see `connectomake.sources.formats`.
    bounds
        The voxels that exist, in absolute z, y, x. They begin at the offset that the format, the file's metadata or the user
        names, which may be negative; else at 0.
    channels
        Number of channels.
    dtype
        NumPy name of what `read` returns: bool is read as uint8 0 or 255 (the share of the dtype's maximum stays),
        float16 and float64 as float32.
    voxel_size
        Nanometres, z, y, x.
    identity
        Cheap fingerprint of the content, independent of path and time: two sources with the same identity hold the same
        image as far as sizes, metadata and sampled pieces tell.
    notes
        Sentences for ``connectomake check``: what was guessed of the source, what looks odd, and how to say it otherwise.
    chunks
        Its storage chunks, where the format has them: those that are not there, and those that were filled.
    remarks
        Further sentences for it: what is known and worth a look, such as the order of sections.
    blank_sections
        Missing sections of a stack that are read as zeros.
    mapping
        Turns what is stored into what `read` returns, where the user said how.
    unfiltered
        The source whose image is filtered, where the user named filters.
    place
        How well the place is known: ``given`` by the user; ``named`` by format or metadata; ``unknown`` where nobody says
        anything; ``unclear`` where metadata name an offset that is not a whole number of voxels, so that it begins at 0.
    section
        Whose keys the errors of its reading name: that in which it was opened.
    file_dtype
        NumPy name of the dtype that the file has, where `read` gives another; see `exact`.
    stretch
        By what `read` multiplies the values of pictures of 1, 2 or 4 bits, so that they fill 8; see `exact`.
    """

    path: str
    kind: str
    bounds: Box
    channels: int
    dtype: str
    voxel_size: VoxelSize
    identity: str
    _reader: Reader = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()
    chunks: Boxes | None = field(default=None, repr=False, compare=False)
    remarks: tuple[str, ...] = ()
    blank_sections: int = 0
    mapping: Mapping | None = field(default=None, repr=False, compare=False)
    unfiltered: "Source | None" = field(default=None, repr=False, compare=False)
    place: str = "unknown"
    section: Section = field(default_factory=current, repr=False, compare=False)
    file_dtype: str = field(default="", repr=False, compare=False)
    stretch: int = field(default=1, repr=False, compare=False)

    def stored(self) -> "Source":
        """Return the same source without its filters and its mapping: values as they are stored."""
        if self.unfiltered is not None:
            return self.unfiltered.stored()
        return self if self.mapping is None else replace(self, dtype=self.mapping.stored, mapping=None)

    def exact(self) -> "Source":
        """Return the same source with the values that the file has: float64 not rounded, bool as 0 and 1, 2 bits as 0 to 3.

        float16 becomes float32, which holds all of its values. It is not to be `moved` afterwards.
        """
        own = self.stored()
        dtype = "float64" if own.file_dtype == "float64" else own.dtype
        return replace(own, dtype=dtype, _reader=_unchanged(own._reader, dtype, own.path, own.stretch))

    def moved(self, offset: Vec) -> "Source":
        """Return the same source with its first voxel elsewhere: `offset` is added to all coordinates."""
        z, y, x = offset
        if not any(offset):
            return self
        if self.chunks is None:
            reader = self._reader
            return replace(self, bounds=self.bounds.translate(offset), _reader=lambda box: reader(box.translate((-z, -y, -x))))
        dz, dy, dx = self.chunks.offset
        chunks = replace(self.chunks, offset=(dz + z, dy + y, dx + x), ledger=Ledger())
        return replace(self, bounds=self.bounds.translate(offset), _reader=chunks.read, chunks=chunks)

    def sparing(self, spare: Callable[[Box], bool]) -> "Source":
        """Return the same source; a storage chunk that is not there is the fill value where `spare` says so of its box."""
        if self.chunks is None:
            return self
        chunks = replace(self.chunks, spare=spare, ledger=Ledger())
        return replace(self, _reader=chunks.read, chunks=chunks)

    @property
    def chunk(self) -> Vec:
        """What is read at once, z, y, x: a storage chunk, or one voxel where there are none."""
        if self.chunks is None:
            return (1, 1, 1)
        grid, axes = self.chunks.array.grid, self.chunks.order[1:]
        z, y, x = (1 if a is None else grid.chunk[a] for a in axes)
        return (z, y, x)

    def filled(self, box: Box) -> tuple[int, int]:
        """Return how many storage chunks of a box were filled because they are not there, and how many of its voxels.

        Only what this object has read counts.
        """
        return (0, 0) if self.chunks is None else self.chunks.ledger.within(box)

    def read(self, box: Box) -> np.ndarray:
        """Read the voxels of `box`, shape (c, z, y, x), C-contiguous, of `dtype`.

        Only what the box needs is read: storage chunks where the format has them, whole sections of image stacks.

        Raises
        ------
        SourceError
            If the box leaves the bounds, or the data cannot be read.
        """
        if not self.bounds.contains(box):
            raise SourceError(f"the box {box} is not within {self.path}, which holds {self.bounds}")
        if box.empty:
            return np.empty((self.channels, *box.shape), self.dtype)
        last_file.reading(self.path)
        with naming(self.section):
            return self._read(box)

    def _read(self, box: Box) -> np.ndarray:
        try:
            raw = self._reader(box)
        except ConnectomakeError:
            raise
        except Exception as error:
            raise SourceError(f"{box} of {self.path} cannot be read ({reason(error)}); {way_out(error)}") from error
        if raw.shape != (self.channels, *box.shape):
            raise SourceError(f"{box} of {self.path} gave shape {raw.shape}, not {(self.channels, *box.shape)}")
        return _converted(raw, self.dtype) if self.mapping is None else self.mapping.apply(_converted(raw, self.mapping.stored))


def chunked(
    array: Chunked, order: Sequence[int | None], where: str, options: SourceOptions, why: str = "", offset: Vec = (0, 0, 0)
) -> dict[str, Any]:
    """Return the arguments of a `Source` that reads an array of storage chunks; see `Boxes`."""
    chunks = Boxes(array, order, where, options, why, offset)
    return {"_reader": chunks.read, "chunks": chunks}


def _unchanged(reader: Reader, dtype: str, where: str, stretch: int) -> Reader:
    def read(box: Box) -> np.ndarray:
        raw = reader(box)
        if raw.dtype == np.bool_:
            return raw.view(np.uint8)
        if not np.can_cast(raw.dtype, dtype, "safe") or (dtype == "float64" and raw.dtype.itemsize != 8):
            raise SourceError(
                f"{box} of {where} is read as {raw.dtype}, not as {dtype}; this is a fault of its format's reader"
            )
        if stretch > 1 and (raw % np.uint8(stretch)).any():
            raise SourceError(f"{box} of {where} has values of other depths than the first section; save all with one depth")
        return raw // np.uint8(stretch) if stretch > 1 else raw

    return read


def _converted(raw: np.ndarray, dtype: str) -> np.ndarray:
    if raw.dtype == np.bool_:
        return np.ascontiguousarray(raw.view(np.uint8) * np.uint8(255))
    return np.ascontiguousarray(raw, dtype=dtype)


def read_dtype(stored: object, where: str) -> str:
    """Return the NumPy name of the dtype in which `stored` voxels are read.

    Raises
    ------
    SourceError
        If there is no such dtype.
    """
    try:
        name: str = np.dtype(stored).newbyteorder("=").name  # type: ignore[call-overload]
    except TypeError:
        name = str(stored)
    name = _READ_AS.get(name, name)
    if name not in DTYPES:
        raise SourceError(f"{where} has voxels of type {name}; convert it to one of {', '.join(DTYPES)}")
    return name


def read_as(stored: object, where: str) -> dict[str, Any]:
    """Return the arguments of a `Source` that tell the dtype of `stored` voxels and of what is read; see `read_dtype`."""
    dtype = read_dtype(stored, where)
    name = np.dtype(stored).newbyteorder("=").name  # type: ignore[call-overload]
    return {"dtype": dtype, "file_dtype": "" if name == dtype else name}


def choose_voxel_size(given: Sequence[float] | None, stored: Sequence[float] | None, where: str) -> VoxelSize:
    """Return the voxel size in nm, z, y, x: `given` by the user, else `stored` in the metadata.

    Raises
    ------
    ConfigError
        If there is neither, or it is not three positive numbers.
    """
    size = given if given is not None else stored
    if size is None:
        raise ConfigError(f"{where} has no voxel size; set {key('voxel_size')} to [z, y, x] in nm")
    try:
        numbers = tuple(float(v) for v in size)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(v) and v > 0 for v in numbers):
        raise ConfigError(f"the voxel size of {where} must be three positive numbers [z, y, x] in nm, got {size}")
    return numbers


def volume_shape(shape: Sequence[int], where: str) -> tuple[int, Vec]:
    """Split the shape of a (z, y, x) or (c, z, y, x) array into channels and extent.

    Raises
    ------
    SourceError
        If it has another number of dimensions, or no voxel.
    """
    if len(shape) not in (3, 4):
        raise SourceError(f"{where} has {len(shape)} dimensions {list(shape)}; it must be (z, y, x) or (c, z, y, x)")
    if 0 in shape:
        raise SourceError(f"{where} is empty: its shape is {list(shape)}")
    z, y, x = (int(s) for s in shape[-3:])
    return (int(shape[0]) if len(shape) == 4 else 1), (z, y, x)
