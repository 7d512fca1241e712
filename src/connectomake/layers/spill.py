"""Rows of many tables in order of a key, with little memory: what does not fit waits in a file, apart by ranges of the key.

::

    tables of nodes, of blocks ─► cut the keys into ranges of so many rows ─► rows of each range wait together in a file
                                                                              └─► range after range is read, sorted, joined

The file has no name: it goes when the process ends, however it ends.
"""

import contextlib
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from connectomake.os_errors import storage_error

ROWS_HELD = 1 << 20
"""Rows of one range that are in memory at a time."""
_SAMPLE, _WAITING = 1 << 20, 1 << 18


class KeySample:
    """Keys of tables, of which enough are remembered to cut them into ranges of equally many rows."""

    def __init__(self) -> None:
        self._sample, self._held, self._total = [np.zeros(0, np.uint64)], 0, 0
        self._stride, self._ahead = 1, 0

    def add(self, keys: np.ndarray) -> None:
        """Note the keys of a table, (n,) uint64 in any order."""
        self._sample.append(np.sort(keys)[self._ahead :: self._stride])
        self._ahead = (self._ahead - len(keys)) % self._stride
        self._held, self._total = self._held + len(self._sample[-1]), self._total + len(keys)
        if self._held > _SAMPLE:
            # thinned in order of the keys, so that what is left lies as evenly as what was there
            self._sample, self._stride = [np.sort(np.concatenate(self._sample))[::2]], 2 * self._stride
            self._held = len(self._sample[0])

    def cuts(self, rows: int = ROWS_HELD) -> np.ndarray:
        """Return where to cut the keys into ranges of about so many rows.

        Returns
        -------
        (ranges - 1,) uint64
            Ascending; range i has the keys below the i-th cut and not below the one before. None if all fit into one range.
        """
        if self._total <= rows:
            return np.zeros(0, np.uint64)
        ordered, ranges = np.sort(np.concatenate(self._sample)), -(-self._total // rows)
        return np.unique(ordered[np.arange(1, ranges) * len(ordered) // ranges])


class Spill:
    """Rows of tables, put aside by range of a key.

    Parameters
    ----------
    path
        The file that is being made: rows that do not fit into memory wait on the same disk.
    cuts
        As `KeySample.cuts` returns them. Without any all rows stay in memory.
    like
        Columns without rows, (0, …), of the dtypes and shapes to come.
    """

    def __init__(self, path: str | os.PathLike[str], cuts: np.ndarray, like: Mapping[str, np.ndarray]) -> None:
        self._path, self._cuts, self._waiting, self._count = path, cuts, list[tuple[np.ndarray, np.ndarray]](), 0
        self._dtype = np.dtype([(name, column.dtype, column.shape[1:]) for name, column in like.items()])
        self._stream = _nameless(self, path) if len(cuts) else None
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(len(cuts) + 1)]

    @property
    def ranges(self) -> range:
        """Numbers of the ranges."""
        return range(len(self._cuts) + 1)

    def add(self, key: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Put rows aside; those of one range come back in the order in which they were added.

        Parameters
        ----------
        key
            (n,) uint64.
        columns
            (n, …), by name.
        """
        rows = np.empty(len(key), self._dtype)
        for name in self._dtype.names or ():
            rows[name] = columns[name]
        self._waiting.append((key, rows))
        self._count += len(key)
        if self._stream is not None and self._count > _WAITING:
            self.flush()

    def pieces(self, number: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield the rows of a range, a part at a time, so that even a range whose rows have all one key can be read."""
        if self._stream is None:
            yield from (self._columns(rows) for _, rows in self._waiting)
            return
        self.flush()
        for start, size in self._pieces[number]:
            self._stream.seek(start)
            yield self._columns(np.frombuffer(self._stream.read(size), self._dtype))

    def take(self, number: int) -> dict[str, np.ndarray]:
        """Return all rows of a range."""
        parts = [self._columns(np.empty(0, self._dtype)), *self.pieces(number)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._dtype.names or ()}

    def _columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.ascontiguousarray(rows[name]) for name in self._dtype.names or ()}

    def flush(self) -> None:
        """Write what waits, in the order of the ranges; nothing is in memory then."""
        if self._stream is None or not self._waiting:
            return
        keys, rows = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        of_row = np.searchsorted(self._cuts, keys, side="right")
        rows = rows[np.argsort(of_row, kind="stable")]
        bounds = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=len(self._pieces)))])
        with _written(self._path):
            end = self._stream.seek(0, os.SEEK_END)
            self._stream.write(rows.view(np.uint8) if rows.size else b"")
            self._stream.flush()
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            start, stop = (int(bounds[number + i]) * self._dtype.itemsize for i in (0, 1))
            self._pieces[number].append((end + start, stop - start))


class Spool:
    """Batches of columns that are read again in the same order; a single one stays in memory.

    Parameters
    ----------
    path
        The file that is being made: the batches wait on the same disk.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self._first = path, dict[str, np.ndarray]()
        self._stream: BinaryIO | None = None
        self._pieces: list[tuple[str, np.dtype, int]] = []
        self._batches = 0

    def add(self, batch: Mapping[str, np.ndarray]) -> None:
        """Put a batch of columns (n,) aside."""
        self._batches += 1
        if self._batches == 1:
            self._first = dict(batch)
            return
        if self._stream is None:
            self._stream = _nameless(self, self._path)
            self._put(self._first)
            self._first = {}
        self._put(batch)

    def _put(self, batch: Mapping[str, np.ndarray]) -> None:
        with _written(self._path):
            for name, column in batch.items():
                self._pieces.append((name, column.dtype, len(column)))
                if self._stream is not None and len(column):
                    self._stream.write(np.ascontiguousarray(column).view(np.uint8))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches; `add` no more while they are read."""
        if self._stream is None:
            yield from [self._first] * self._batches
            return
        with _written(self._path):
            self._stream.seek(0)
        width = len(self._pieces) // self._batches
        for start in range(0, len(self._pieces), width):
            pieces = self._pieces[start : start + width]
            yield {n: np.frombuffer(self._stream.read(c * dtype.itemsize), dtype) for n, dtype, c in pieces}


def _nameless(owner: object, path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file without a name in the folder of another; it is closed, and gone, with its owner."""
    with _written(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        stream: BinaryIO = tempfile.TemporaryFile(dir=Path(path).parent)  # noqa: SIM115
    weakref.finalize(owner, stream.close)
    return stream


@contextlib.contextmanager
def _written(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file that is being made if there is no room for what waits."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error, "written") or error from error
