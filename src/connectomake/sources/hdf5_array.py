"""An HDF5 dataset as an array of storage chunks: what was never written, or lies in a file that is lost, reads as zeros."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.sources.chunks import ChunkGrid, Found, Index, Lost, LostError, Part, filled_chunks, overlap, within
from connectomake.sources.hdf5_virtual import Mapping, Pieces, mappings_of
from connectomake.sources.metadata_checks import check_chunk

LOOKED_AT = 2_000_000


class Hdf5Array:
    """A dataset that is chunked, contiguous or kept in external files.

    Parameters
    ----------
    dataset
        Of h5py.
    path
        Of the file, as the user wrote it.
    dtype
        What the voxels are read as, of the same size; None: as stored.
    """

    def __init__(self, dataset: Any, path: str, dtype: Any = None):
        self._dataset, self._path = dataset, path
        self.dtype, self.fill = np.dtype(dtype or dataset.dtype), dataset.fillvalue
        shape = tuple(int(n) for n in dataset.shape)
        check_chunk(dataset.chunks or (), self.dtype.itemsize, f"dataset {dataset.name} of {path}")
        self.grid = ChunkGrid((0,) * len(shape), shape, tuple(int(c) for c in dataset.chunks or (max(n, 1) for n in shape)))

    @property
    def shape(self) -> Index:
        """Extent along its own axes."""
        return self.grid.shape

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        if not self._dataset.chunks and self._absent_whole:
            lost = Lost((0,) * len(self.shape), self._absent_whole)
            if not fill:
                raise LostError(lost)
            return np.full([s.stop - s.start for s in part], self.fill, self.dtype), [lost]
        data = np.asarray(self._dataset[part])
        missing = self.lost(data, part)
        if missing and not fill:
            raise LostError(missing[0])
        return _viewed(data, self.dtype), missing

    def lost(self, data: np.ndarray, part: Part) -> list[Lost]:
        """Return the chunks that are not there of a part that was read: those of nothing but fill are looked for."""
        if self.whole or not data.size:
            return []
        constant = filled_chunks(data, part, self.grid, self.fill)
        return [Lost(index, self.name(index)) for index in constant if not self._there(index)]

    @cached_property
    def whole(self) -> bool:
        """Whether this can be told to be all there without a look at the index of chunks."""
        return not self._dataset.chunks and not self._absent_whole

    @cached_property
    def _absent_whole(self) -> str:
        """Why a dataset without chunks is not there; "" if it is."""
        if self._dataset.external:
            return next(filter(None, map(_short, self._dataset.external)), "")
        never = not self._dataset.id.get_storage_size() and self._dataset.id.get_offset() is None
        return f"dataset {self._dataset.name} of {self._path} was never written" if never else ""

    @cached_property
    def _written(self) -> set[Index]:
        """First voxels of the chunks that were written."""
        found: set[Index] = set()
        self._dataset.id.chunk_iter(lambda info: found.add(tuple(info.chunk_offset)))
        return found

    def _there(self, index: Index) -> bool:
        if not self._dataset.chunks:
            return not self._absent_whole
        return tuple(s.start for s in self.grid.part(index)) in self._written

    def presence(self, total: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`."""
        return max(total, 1) if total < LOOKED_AT else LOOKED_AT, self._there

    def name(self, index: Index) -> str:
        """Return what is not there."""
        if not self._dataset.chunks:
            return self._absent_whole
        start = ", ".join(str(s.start) for s in self.grid.part(index))
        return f"the chunk at {start} of dataset {self._dataset.name} of {self._path}, which was never written"


def _short(external: tuple[str, int, int]) -> str:
    """Return what is wrong with a raw file that holds part of a dataset."""
    name, offset, size = external
    try:
        there = Path(name).stat().st_size - offset
    except OSError as error:
        return f"{name}, which holds its voxels, cannot be opened: {error.strerror}"
    return f"{name} ends after {there:,} of {size:,} bytes" if there < size < 1 << 62 else ""


class VirtualArray:
    """A virtual dataset: a mosaic of pieces of other datasets, some of which may be lost, and of holes.

    Parameters
    ----------
    dataset, path, dtype
        As of `Hdf5Array`.
    """

    def __init__(self, dataset: Any, path: str, dtype: Any = None):
        self._dataset, self._path = dataset, path
        self.dtype, self.fill = np.dtype(dtype or dataset.dtype), dataset.fillvalue
        shape = tuple(int(n) for n in dataset.shape)
        self._mappings = mappings_of(dataset, path)
        self.grid = Pieces.of(shape, [place for m in self._mappings for place in m.places])
        self._owners = self.grid.owners(self._mappings)

    @property
    def shape(self) -> Index:
        """Extent along its own axes."""
        return self.grid.shape

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        data = np.asarray(self._dataset[part])
        lost = []
        for index in self.grid.indices(part):
            if name := self._fault(index) or self._unwritten(index, part, data):
                lost.append(Lost(index, name))
                if not fill:
                    raise LostError(lost[0])
        return _viewed(data, self.dtype), lost

    def _fault(self, index: Index) -> str:
        owner = int(self._owners[index])
        if owner < 0:
            return f"no file is mapped to it in the virtual dataset {self._dataset.name} of {self._path}"
        return self._mappings[owner].fault

    def _unwritten(self, index: Index, part: Part, data: np.ndarray) -> str:
        """Return the first chunk of the source of a piece that was never written."""
        mapping: Mapping = self._mappings[int(self._owners[index])]
        if mapping.shift is None or mapping.dataset is None or mapping.dataset.is_virtual:
            return ""
        inner = Hdf5Array(mapping.dataset, mapping.name)
        here = overlap(self.grid.part(index), part)
        there = tuple(slice(s.start + d, s.stop + d) for s, d in zip(here, mapping.shift, strict=True))
        if len(there) != len(inner.shape):
            return ""
        return next((one.name for one in inner.lost(data[within(here, part)], there)), "")

    def presence(self, total: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`: pieces, not the chunks within them."""
        return max(total, 1) if total < LOOKED_AT else LOOKED_AT, lambda index: not self._fault(index)

    def name(self, index: Index) -> str:
        """Return what is not there."""
        return self._fault(index)


def _viewed(data: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if data.dtype == dtype:
        return data
    return data.view(dtype) if data.dtype.itemsize == dtype.itemsize else data.astype(dtype)


def hdf5_array(dataset: Any, path: str, dtype: Any = None) -> Hdf5Array | VirtualArray:
    """Return a dataset as an array of chunks; `path` is the file's name for people, `dtype` what it is read as."""
    return (VirtualArray if dataset.is_virtual else Hdf5Array)(dataset, path, dtype)


def broken_link(file: Any, name: str) -> str:
    """Return which link on the way to `name` leads nowhere, in words; "" if none does."""
    import h5py

    for part in _prefixes(name):
        try:
            link = file.get(part, getlink=True)
        except (KeyError, RuntimeError, ValueError):
            return ""
        if file.get(part) is not None:
            continue
        if isinstance(link, h5py.ExternalLink):
            place = Path(file.filename).parent / link.filename
            why = "is not there" if not place.exists() else f"holds no {link.path}"
            return f"{part} is a link to {link.path} of {link.filename}, which {why}"
        if isinstance(link, h5py.SoftLink):
            return f"{part} is a link to {link.path}, which is not there"
    return ""


def _prefixes(name: str) -> Iterator[str]:
    parts = name.strip("/").split("/")
    yield from ("/".join(parts[: i + 1]) for i in range(len(parts)))
