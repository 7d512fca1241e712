"""The log of what a job has read of a source: boxes and checksums of their voxels, for the record of its output.

A file that is made from voxels then tells, years later, whether the source still holds them, box by box::

    [z, y, x of the start, z, y, x of the stop, planes that were read at once, CRC-32 of the voxels]

Boxes that follow on each other along z, read by equal numbers of planes, are noted as one: the slabs of a block are one line.
"""

from collections.abc import Callable, Iterable
from typing import Any

import deflate
import numpy as np

from connectomake.geometry import Box

Reader = Callable[[Box], np.ndarray]
Line = tuple[int, ...]


class LoggedReader:
    """A reader that notes what it reads.

    Parameters
    ----------
    read
        Returns the voxels of a box.
    """

    def __init__(self, read: Reader) -> None:
        self._read = read
        self.lines: list[list[int]] = []

    def __call__(self, box: Box) -> np.ndarray:
        """Read a box, (c, z, y, x) or (z, y, x), and note it."""
        voxels = self._read(box)
        last = self.lines[-1] if self.lines else None
        if last is not None and _follows(last, box):
            last[3], last[7] = box.stop[0], _crc(voxels, last[7])
        else:
            self.lines.append([*box.start, *box.stop, box.shape[0], _crc(voxels)])
        return voxels


def differs(read: Reader, line: Line) -> bool:
    """Return whether a reader gives other voxels now than those that a line of a `LoggedReader` tells of.

    Raises
    ------
    SourceError
        If they cannot be read.
    """
    start, stop, planes, found = line[:3], line[3:6], line[6], 0
    for z in range(start[0], stop[0], planes):
        found = _crc(read(Box((z, *start[1:]), (min(z + planes, stop[0]), *stop[1:]))), found)  # type: ignore[arg-type]
    return found != line[7]


def lines_of(record: dict[str, Any], what: str) -> list[Line] | None:
    """Return the lines that a record has of ``source`` or ``truth``; None if it has none, or what it has is no such thing."""
    read = record.get("read")
    lines = read.get(what) if isinstance(read, dict) else None
    return list(map(tuple, lines)) if isinstance(lines, list) and all(map(_is_line, lines)) else None


def united(records: Iterable[dict[str, Any]], what: str) -> list[list[int]] | None:
    """Return the lines of several records, each once; None if one has none, so that what it was made from is not known."""
    found: dict[Line, None] = {}
    for record in records:
        lines = lines_of(record, what)
        if lines is None:
            return None
        found |= dict.fromkeys(lines)
    return list(map(list, found))


def _is_line(value: object) -> bool:
    return isinstance(value, list) and len(value) == 8 and all(type(v) is int for v in value) and value[6] > 0


def _follows(line: list[int], box: Box) -> bool:
    """Whether a box lies right behind a line, in z, and no slab before it was thinner than the first."""
    whole = (line[3] - line[0]) % line[6] == 0
    same = line[1:3] == list(box.start[1:]) and line[4:6] == list(box.stop[1:])
    return whole and same and line[3] == box.start[0] and box.shape[0] <= line[6]


def _crc(voxels: np.ndarray, before: int = 0) -> int:
    """Return the CRC-32 of voxels as zlib's; libdeflate's takes a tenth of the time."""
    return int(deflate.crc32(memoryview(np.ascontiguousarray(voxels).reshape(-1).view(np.uint8)), before))
