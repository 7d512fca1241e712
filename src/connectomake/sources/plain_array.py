"""Arrays whose voxels lie uncompressed one after the other in a file, or in several files that follow one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import SourceError

Index = tuple[Any, ...]


@dataclass(frozen=True)
class Piece:
    """A file, and the byte in it at which its voxels begin."""

    path: Path
    start: int


@dataclass(frozen=True)
class PlainArray:
    """An array in files that are mapped anew for every box, since what stays mapped counts as memory of the job.

    Parameters
    ----------
    pieces
        Files; each holds an equal part of the array along its slowest axis.
    dtype
        As stored, with its byte order.
    shape
        Extent, the slowest axis first.
    fortran
        Whether the first axis is the fastest; only of one piece.
    """

    pieces: tuple[Piece, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool = False

    @property
    def bytes(self) -> int:
        """Size of the voxels in one piece."""
        count = self.dtype.itemsize
        for n in self.shape:
            count *= int(n)  # Python's integers do not overflow
        return count // len(self.pieces)

    def check(self) -> None:
        """Raise a SourceError if a file ends before its voxels do."""
        for piece in self.pieces:
            has, needs = piece.path.stat().st_size - piece.start, self.bytes
            if has < needs:
                raise SourceError(
                    f"{piece.path} is truncated: {list(self.shape)} voxels of {self.dtype.name} need {needs} bytes from byte "
                    f"{piece.start} on, and it has {max(has, 0)}; copy it again"
                )

    def beyond(self) -> int:
        """Return how many bytes follow the voxels of the last file."""
        last = self.pieces[-1]
        return last.path.stat().st_size - last.start - self.bytes

    def read(self, index: Index) -> np.ndarray:
        """Read a part: one slice or number per axis, all slices with a start and a stop or ``slice(None)``."""
        if len(self.pieces) == 1:
            return np.array(self._mapped(self.pieces[0], self.shape)[index])
        depth = self.shape[0] // len(self.pieces)
        first = index[0] if isinstance(index[0], slice) else slice(index[0], index[0] + 1)
        start, stop, _ = first.indices(self.shape[0])
        parts = []
        for i in range(start // depth, -(-stop // depth)):
            within = slice(max(start - i * depth, 0), min(stop - i * depth, depth))
            parts.append(np.array(self._mapped(self.pieces[i], (depth, *self.shape[1:]))[(within, *index[1:])]))
        whole = np.concatenate(parts)
        return whole if isinstance(index[0], slice) else whole[0]

    def _mapped(self, piece: Piece, shape: Sequence[int]) -> np.memmap:
        order: Any = "F" if self.fortran else "C"
        return np.memmap(piece.path, self.dtype, "r", piece.start, tuple(shape), order)
