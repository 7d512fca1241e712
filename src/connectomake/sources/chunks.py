"""Arrays of storage chunks in their own axis order, and the chunks that they lack.

A chunk that is not there is not the same as zeros: a reader gives the fill value for it and says which one it was.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box, Vec
from connectomake.keys import key
from connectomake.sources.options import DEFAULTS, SourceOptions

Part = tuple[slice, ...]
Index = tuple[int, ...]
Found = tuple[np.ndarray, list["Lost"]]


@dataclass(frozen=True, slots=True)
class Lost:
    """A storage chunk that is not there: its place in the grid, and the file, object or entry that should hold it."""

    index: Index
    name: str


class LostError(Exception):
    """A storage chunk that is not there was needed."""

    def __init__(self, lost: Lost):
        super().__init__(lost.name)
        self.lost = lost


@dataclass(frozen=True)
class ChunkGrid:
    """A grid of storage chunks over an array, all in the array's own axis order.

    Parameters
    ----------
    origin, shape
        First voxel and extent of the array; chunks are cut off at its end.
    chunk
        Shape of a chunk.
    """

    origin: Index
    shape: Index
    chunk: Index

    def ranges(self, part: Part) -> list[range]:
        """Return the chunks that a part of the array touches, along each axis."""
        return [range((s.start - o) // c, -(-(s.stop - o) // c)) for s, o, c in zip(part, self.origin, self.chunk, strict=True)]

    def indices(self, part: Part) -> Iterator[Index]:
        """Yield the chunks that a part touches, the last axis fastest."""
        return itertools.product(*self.ranges(part))

    def part(self, index: Index) -> Part:
        """Return where a chunk lies, cut off at the array's end."""
        edges = zip(index, self.origin, self.shape, self.chunk, strict=True)
        return tuple(slice(o + i * c, min(o + (i + 1) * c, o + n)) for i, o, n, c in edges)

    def spread(self, part: Part, most: int) -> tuple[int, list[Index]]:
        """Return how many chunks a part touches, and at most so many of them, spread evenly."""
        ranges = self.ranges(part)
        lengths = [len(r) for r in ranges]
        total = math.prod(lengths)
        count = min(total, most)
        places = (np.unravel_index(i * total // count, lengths) for i in range(count))
        return total, [tuple(r[int(p)] for r, p in zip(ranges, place, strict=True)) for place in places]


class Chunked(Protocol):
    """An array that can be read part by part."""

    dtype: np.dtype[Any]
    fill: Any

    @property
    def grid(self) -> ChunkGrid:
        """Where its chunks lie."""

    @property
    def shape(self) -> Index:
        """Extent along its own axes."""

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; with `fill`, chunks that are not there are the fill value and are returned, else a `LostError`."""

    def presence(self, total: int) -> tuple[int, Callable[[Index], bool]]:
        """Return how many of `total` chunks may be looked for in a reasonable time, and what looks for one."""

    def name(self, index: Index) -> str:
        """Return where a chunk is stored, for people."""


def overlap(a: Part, b: Part) -> Part:
    """Return what two parts have in common."""
    return tuple(slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True))


def within(part: Part, outer: Part) -> Part:
    """Return the place of a part in an array that begins at `outer`."""
    return tuple(slice(p.start - o.start, p.stop - o.start) for p, o in zip(part, outer, strict=True))


def filled_chunks(data: np.ndarray, part: Part, grid: ChunkGrid, fill: Any) -> Iterator[Index]:
    """Yield the chunks whose voxels in `data`, read from `part`, are all the fill value: those that may not be there."""
    for index in grid.indices(part):
        values = data[within(overlap(grid.part(index), part), part)]
        first = values.flat[0]
        if first == fill or (first != first and fill != fill):  # noqa: PLR0124
            if values.dtype.kind == "f" and fill != fill:  # noqa: PLR0124
                if np.isnan(values).all():
                    yield index
            elif (values == first).all():
                yield index


@dataclass
class Ledger:
    """The chunks that were filled because the source lacks them."""

    boxes: set[Box] = field(default_factory=set)

    def within(self, box: Box) -> tuple[int, int]:
        """Return how many chunks lie in `box`, at least in part, and how many of its voxels are in them."""
        parts = [part for chunk in self.boxes if not (part := chunk.intersect(box)).empty]
        return len(parts), sum(part.volume for part in parts)


@dataclass(frozen=True)
class Absence:
    """How many storage chunks of a region are not there.

    Parameters
    ----------
    total
        Chunks of the region.
    looked
        So many of them, spread evenly, were looked for.
    absent
        So many of those are not there.
    names
        Where the first of them should be.
    """

    total: int
    looked: int
    absent: int
    names: tuple[str, ...]


SHOWN = 3


@dataclass(frozen=True)
class Boxes:
    """A chunked array as boxes (c, z, y, x): its axes c, z, y, x stand at the positions `order` (no channels: None).

    Axes that are not in `order` have the extent 1. Boxes are those of the array, moved by `offset`. In errors,
    `where` names the array, and `why` says who leaves out chunks. `spare` says of the box of a chunk that is not there
    whether it is left out rightly, so that it is the fill value.
    """

    array: Chunked
    order: Sequence[int | None]
    where: str
    options: SourceOptions = DEFAULTS
    why: str = ""
    offset: Vec = (0, 0, 0)
    ledger: Ledger = field(default_factory=Ledger)
    spare: Callable[[Box], bool] | None = None

    def part(self, box: Box) -> Part:
        """Return the part of the array that a box is."""
        z, y, x = (-o for o in self.offset)
        slices = dict(zip(self.order[1:], box.translate((z, y, x)).slices(), strict=True))
        grid = self.array.grid
        return tuple(slices.get(a, slice(o, o + n)) for a, (o, n) in enumerate(zip(grid.origin, grid.shape, strict=True)))

    def box(self, part: Part) -> Box:
        """Return the box that a part of the array lies in."""
        z, y, x = (part[a] for a in self.order[1:] if a is not None)
        return Box((z.start, y.start, x.start), (z.stop, y.stop, x.stop)).translate(self.offset)

    def read(self, box: Box) -> np.ndarray:
        """Read the voxels of a box.

        Raises
        ------
        SourceError
            If a storage chunk is not there and the options do not fill it.
        """
        try:
            data, lost = self.array.read(self.part(box), self.options.missing == "fill" or self.spare is not None)
        except LostError as error:
            raise SourceError(self._sentence(error.lost)) from error
        self._take(lost)
        data = data.transpose([*(a for a in self.order if a is not None), *self._spare()])
        data = data.reshape(data.shape[: data.ndim - len(self._spare())])
        return data if self.order[0] is not None else data[None]

    def _take(self, lost: Sequence[Lost]) -> None:
        boxes = [self.box(self.array.grid.part(one.index)) for one in lost]
        if self.spare is not None and self.options.missing != "fill":
            for one, box in zip(lost, boxes, strict=True):
                if not self.spare(box):
                    raise SourceError(self._sentence(one))
        self.ledger.boxes.update(boxes)

    def absent(self, box: Box) -> Absence:
        """Look for the storage chunks of a box without reading them, where the place allows it."""
        part, grid = self.part(box), self.array.grid
        most, there = self.array.presence(math.prod(len(r) for r in grid.ranges(part)))
        total, indices = grid.spread(part, most)
        absent = [index for index in indices if not there(index)]
        return Absence(total, len(indices), len(absent), tuple(self.array.name(i) for i in absent[:SHOWN]))

    def _spare(self) -> list[int]:
        return [a for a in range(len(self.array.grid.shape)) if a not in self.order]

    def _sentence(self, lost: Lost) -> str:
        box = self.box(self.array.grid.part(lost.index))
        return (
            f"the storage chunk {box} of {self.where} is not there ({lost.name}): copy it again; or, if it was left out "
            f"because it is background{self.why}, set {key('missing', 'fill')} to read it as {self.array.fill}"
        )
