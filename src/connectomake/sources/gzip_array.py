"""An array in one stream of gzip, read in bounded memory."""

import itertools
import math
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import SourceError

_READ = 1 << 18
_OUT = 1 << 20
_MARKS = 256
"""So many states of the decompressor are kept at most, of about 40 KB each."""
_APART = 1 << 22
_GZIP = 31


@dataclass
class _State:
    """A decompressor in the midst of a file: where it stands in the file, and in what comes out."""

    at: int
    out: int
    inner: Any
    waiting: bytes = b""

    def copy(self) -> "_State":
        return _State(self.at, self.out, self.inner.copy(), self.waiting)


@dataclass
class GzipArray:
    """An array whose bytes, the slowest axis first, are one stream of gzip.

    States of the decompressor are kept on the way, so that what was passed once is not decompressed from the start again.

    Parameters
    ----------
    path
        The file.
    start
        Byte at which the stream begins.
    skip
        Decompressed bytes before the voxels.
    dtype, shape
        Of the array, the slowest axis first.
    """

    path: Path
    start: int
    skip: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    _marks: list[_State] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """Read a part: one slice or number per axis. In memory beside it: a section, that is all of the last two axes."""
        ranges = [
            range(*i.indices(n)) if isinstance(i, slice) else range(i, i + 1) for i, n in zip(index, self.shape, strict=True)
        ]
        found = np.empty([len(r) for r in ranges], self.dtype)
        lead, section = self.shape[:-2], self.shape[-2:]
        rows, columns = (slice(r.start, r.stop) for r in ranges[-2:])
        places = list(itertools.product(*(range(len(r)) for r in ranges[:-2])))
        numbers = [_number([r[p] for r, p in zip(ranges, place, strict=False)], lead) for place in places]
        with self._lock:
            for place, data in zip(places, self._sections(numbers), strict=True):
                found[place] = np.frombuffer(data, self.dtype).reshape(section)[rows, columns]
        return found[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    def _sections(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """Yield the bytes of sections, which are numbered in the order of the file and ascend."""
        size = self.dtype.itemsize * self.shape[-2] * self.shape[-1]
        held, pieces = b"", self._from(self.skip + numbers[0] * size)
        place = 0
        for number in numbers:
            begin = self.skip + number * size
            got = [held[max(begin - place, 0) :]] if place + len(held) > begin else []
            count = len(got[0]) if got else 0
            while count < size:
                at, held = next(pieces, (-1, b""))
                if at < 0:
                    raise SourceError(
                        f"{self.path} is truncated: its gzip stream ends within section {number} of voxels; copy it again"
                    )
                place = at
                if at + len(held) > begin:
                    got.append(held[max(begin - at, 0) :])
                    count += len(got[-1])
            whole = b"".join(got)
            place, held = begin + size, whole[size:]
            yield whole[:size]

    def _from(self, begin: int) -> Iterator[tuple[int, bytes]]:
        """Yield decompressed bytes with their place, from the last known state before `begin` on."""
        known = [m for m in self._marks if m.out <= begin]
        state = known[-1].copy() if known else _State(self.start, 0, zlib.decompressobj(_GZIP))
        with self.path.open("rb") as stream:
            stream.seek(state.at)
            while True:
                self._mark(state)
                if not state.waiting:
                    state.waiting = stream.read(_READ)
                    state.at += len(state.waiting)
                    if not state.waiting:
                        return
                try:
                    data = state.inner.decompress(state.waiting, _OUT)
                except zlib.error as error:
                    raise SourceError(
                        f"{self.path} is damaged: its gzip stream cannot be read ({error}); copy it again"
                    ) from error
                state.waiting = state.inner.unconsumed_tail
                yield state.out, data
                state.out += len(data)
                if state.inner.eof:  # a file may hold several streams, one after the other
                    state.waiting, state.inner = state.inner.unused_data.lstrip(b"\0"), zlib.decompressobj(_GZIP)

    def _mark(self, state: _State) -> None:
        """Keep a state, if it is far enough behind the last one."""
        apart = max(_APART, self._span() // _MARKS)
        if self._marks and state.out < self._marks[-1].out + apart:
            return
        if not self._marks and state.out < apart:
            return
        self._marks.append(state.copy())

    def _span(self) -> int:
        return self.skip + self.dtype.itemsize * math.prod(self.shape)


def _number(place: Sequence[int], shape: Sequence[int]) -> int:
    """Return the place of an index in C order."""
    number = 0
    for i, n in zip(place, shape, strict=True):
        number = number * n + i
    return number
