"""Copying storage chunks from one TensorStore array to another, without the block in memory in between.

What is read and written is that of `Level.read` and `Writer.write`, which remain for all that is cast, filtered or filled.
"""

import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from connectomake.exporting.volume import Level, Writer
from connectomake.geometry import Box
from connectomake.sources.chunks import Part
from connectomake.sources.tensor import READ_SECONDS

AT_ONCE = 2
"""Blocks that are copied at the same time, so that no thread waits for the last chunk of a block."""


@runtime_checkable
class Stored(Protocol):
    """An array of a source that TensorStore reads."""

    dtype: np.dtype[Any]

    def plain(self, part: Part) -> Any | None:
        """Return the store that reads a part as `read` does, or complains where a chunk is not there; None if there is none."""


@runtime_checkable
class Taker(Writer, Protocol):
    """A writer that takes a view of an array of TensorStore, too."""

    def take(self, box: Box, view: Any) -> Any:
        """Begin to write a view (z, y, x), or (c, z, y, x) where there are several channels; return what is waited for."""


def view_of(level: Level, box: Box) -> Any | None:
    """Return a box of a level, which counts from its first voxel, as a view; None if it is not what is stored, as it is.

    Its axes are those of `Level.shape`.
    """
    source, chunks = level.source, level.source.chunks
    if chunks is None or not isinstance(chunks.array, Stored) or chunks.array.dtype != level.dtype:
        return None
    if source.mapping is not None or source.unfiltered is not None:
        return None
    if len(level.channels) > 1 and level.channels != tuple(range(source.channels)):
        return None
    index: list[Any] = list(chunks.part(box.translate(level.box.start)))
    store = chunks.array.plain(tuple(index))
    return None if store is None else _turned(store, index, chunks.order, level.channels)


def _turned(store: Any, index: list[Any], order: Sequence[int | None], channels: Sequence[int]) -> Any:
    """Return a part of a store with its axes z, y, x, or c, z, y, x for several channels, from 0 on and without names."""
    kept, channel = [a for a in order[1:] if a is not None], order[0]
    if channel is not None and len(channels) > 1:
        kept = [channel, *kept]
    elif channel is not None:
        index[channel] = index[channel].start + channels[0]
    for axis in range(len(index)):
        if axis not in kept and axis != channel:
            index[axis] = index[axis].start
    rest = sorted(kept)
    view = store[tuple(index)].transpose([rest.index(a) for a in kept])
    return view.label[("",) * len(kept)].translate_to[(0,) * len(kept)]


def pass_on(level: Level, writer: Taker, boxes: Iterable[Box]) -> None:
    """Write the blocks of a level; one that lacks a chunk, or fails, is copied through memory, which names the error."""
    waiting: deque[tuple[Box, Any]] = deque()
    for box in boxes:
        view = view_of(level, box)
        waiting.append((box, None if view is None else writer.take(box, view)))
        if len(waiting) == AT_ONCE:
            _finish(level, writer, *waiting.popleft())
    for box, begun in waiting:
        _finish(level, writer, box, begun)


def _finish(level: Level, writer: Taker, box: Box, begun: Any) -> None:
    with contextlib.suppress(ValueError, TimeoutError):
        if begun is not None:
            begun.result(timeout=READ_SECONDS)
            return
    writer.write(box, level.read(box))


def passes(level: Level) -> bool:
    """Whether the first voxels of a level, and so most others, can be copied directly."""
    return view_of(level, Box.of_shape((1, 1, 1))) is not None
