"""The pieces of a virtual HDF5 dataset: which comes from which file, and whether that exists."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.sources.chunks import ChunkGrid, Index, Part

_PLACES = 100_000


@dataclass
class Mapping:
    """Pieces of a virtual dataset that come from one dataset.

    Parameters
    ----------
    file
        That holds the source, None where it is the virtual dataset's own.
    name
        Of the source: file and dataset.
    within
        Name of the dataset in the file.
    places
        The pieces.
    shift
        Is added to a voxel's place to get its place in the source; None where the two are not simply shifted.
    own
        The file of the virtual dataset.
    """

    file: Path | None
    name: str
    within: str
    places: list[Part]
    shift: Index | None
    own: Any

    @cached_property
    def dataset(self) -> Any:
        """The source, or None if it is lost."""
        import h5py

        try:
            file = self.own if self.file is None else h5py.File(self.file, "r")
            found = file.get(self.within)
        except OSError:
            return None
        return found if isinstance(found, h5py.Dataset) else None

    @cached_property
    def fault(self) -> str:
        """Why the source cannot be read; "" if it can."""
        if self.file is not None and not self.file.exists():
            return f"{self.file} is lost"
        return "" if self.dataset is not None else f"{self.name} cannot be read"


@dataclass(frozen=True)
class Pieces(ChunkGrid):
    """A grid of pieces of unequal size.

    Parameters
    ----------
    edges
        Along each axis, from 0 to its extent.
    """

    edges: tuple[Index, ...] = ()

    @classmethod
    def of(cls, shape: Index, places: Sequence[Part]) -> "Pieces":
        """Return the grid of all planes on which one of `places` begins or ends."""
        edges = []
        for axis, n in enumerate(shape):
            found = {0, n} | {v for p in places for v in (p[axis].start, p[axis].stop)}
            edges.append(tuple(sorted(v for v in found if 0 <= v <= n)))
        return cls((0,) * len(shape), shape, shape, tuple(edges))

    def ranges(self, part: Part) -> list[range]:
        """See `ChunkGrid`."""
        return [
            range(int(np.searchsorted(e, s.start, "right")) - 1, int(np.searchsorted(e, s.stop, "left")))
            for s, e in zip(part, self.edges, strict=True)
        ]

    def part(self, index: Index) -> Part:
        """See `ChunkGrid`."""
        return tuple(slice(e[i], e[i + 1]) for i, e in zip(index, self.edges, strict=True))

    def owners(self, mappings: Sequence[Mapping]) -> np.ndarray:
        """Return the number of the mapping that each piece comes from; -1: none."""
        owners = np.full([len(e) - 1 for e in self.edges], -1, np.int32)
        for number, mapping in enumerate(mappings):
            for place in mapping.places:
                owners[tuple(slice(r.start, r.stop) for r in self.ranges(place))] = number
        return owners


def mappings_of(dataset: Any, path: str) -> list[Mapping]:
    """Return what a virtual dataset is made of; `path` is its file."""
    return [mapping for source in dataset.virtual_sources() for mapping in _mappings(source, dataset, path)]


def _mappings(source: Any, dataset: Any, path: str) -> Iterator[Mapping]:
    places = _places(source.vspace, dataset.shape)
    if "%b" in source.file_name or "%b" in source.dset_name:
        for number, place in enumerate(places):
            file, name = (text.replace("%b", str(number)) for text in (source.file_name, source.dset_name))
            yield _mapping(file, name, [place], None, dataset, path)
        return
    yield _mapping(source.file_name, source.dset_name, places, _shift(source, places), dataset, path)


def _mapping(file: str, name: str, places: list[Part], shift: Index | None, dataset: Any, path: str) -> Mapping:
    if file == ".":
        return Mapping(None, f"{name} of {path}", name, places, shift, dataset.file)
    return Mapping(_place(file, path), f"{name} of {file}", name, places, shift, dataset.file)


def _place(file: str, path: str) -> Path:
    """Return where HDF5 looks for a source: below its prefix, beside the virtual dataset's file, in the working directory."""
    beside = Path(path).parent
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(beside))
    places = [Path(p, file) for p in (prefix, beside, beside) if str(p)]
    places += [beside / Path(file).name, Path(file)]
    return next((p for p in places if p.exists()), beside / file)


def _places(space: Any, shape: Index) -> list[Part]:
    """Return the blocks of a selection in the virtual dataset, cut off at its end."""
    import h5py

    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [tuple(slice(0, n) for n in shape)]
    if space.is_regular_hyperslab():
        axes = [
            [slice(a, min(a + block, n)) for a in _starts(start, stride, count, n)]
            for start, stride, count, block, n in zip(*space.get_regular_hyperslab(), shape, strict=True)
        ]
        grid = np.indices([len(axis) for axis in axes]).reshape(len(axes), -1).T[:_PLACES]
        return [tuple(axis[int(i)] for axis, i in zip(axes, row, strict=True)) for row in grid]
    blocks = space.get_select_hyper_blocklist()[:_PLACES]
    return [tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)) for low, high in blocks]


def _starts(start: int, stride: int, count: int, extent: int) -> list[int]:
    """Return where blocks begin along an axis; an unlimited count is a very large one."""
    return [int(a) for a in range(int(start), extent, max(int(stride), 1))][: min(int(count), extent)]


def _shift(source: Any, places: list[Part]) -> Index | None:
    import h5py

    if len(places) != 1:
        return None
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return tuple(-s.start for s in places[0])
    low, high = source.src_space.get_select_bounds()
    same = len(low) == len(places[0]) and all(
        b - a + 1 == s.stop - s.start for a, b, s in zip(low, high, places[0], strict=True)
    )
    return tuple(int(a) - s.start for a, s in zip(low, places[0], strict=True)) if same else None
