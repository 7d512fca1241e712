"""Looking up the segments of some supervoxels, with a part of the table in memory at a time."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from connectomake.errors import RunError
from connectomake.geometry import Box
from connectomake.segment_table.sorting import STARTS

_NAMED = 5


def segments_of(path: str | os.PathLike[str], supervoxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments (n,) uint64 of supervoxels, and which are in the table, (n,) bool.

    Parameters
    ----------
    path
        A table as `write_table` writes it.
    supervoxels
        (n,) uint64, ascending.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    from connectomake.layers import read_tables

    found, known = np.zeros(len(supervoxels), np.uint64), np.zeros(len(supervoxels), bool)
    starts = read_tables(path, [STARTS])[STARTS]
    part = np.searchsorted(starts, supervoxels, side="right") - 1
    for number in np.unique(part[part >= 0]).tolist():
        rows = np.flatnonzero(part == number)
        keys, values = read_tables(path, [f"supervoxels/{number}", f"segments/{number}"]).values()
        at = np.minimum(np.searchsorted(keys, supervoxels[rows]), len(keys) - 1)
        there = keys[at] == supervoxels[rows]
        known[rows[there]] = True
        found[rows[there]] = values[at[there]]
    return found, known


@dataclass(frozen=True)
class Joined:
    """Labels whose supervoxels are joined by a table.

    Parameters
    ----------
    read
        Returns labels (c, z, y, x) of a box, none of them negative.
    table
        The sorted table.
    missing
        What becomes of a supervoxel that it does not have: ``error``, ``keep`` or ``background``.
    source
        What the user calls the table, for errors.
    channel
        The channel of the labels; others are not joined, and become 0.
    """

    read: Callable[[Box], np.ndarray]
    table: str
    missing: str
    source: str
    channel: int = 0

    def __call__(self, box: Box) -> np.ndarray:
        """Return the segments (c, z, y, x) uint64 of a box.

        Raises
        ------
        RunError
            If the table lacks a label and that is an error.
        """
        values = self.read(box)
        joined = np.zeros(values.shape, np.uint64)
        joined[self.channel] = self._joined(values[self.channel], box)
        return joined

    def _joined(self, labels: np.ndarray, box: Box) -> np.ndarray:
        import fastremap

        numbers, names = fastremap.renumber(np.ascontiguousarray(labels, labels.dtype.newbyteorder("=")), in_place=False)
        ids = np.zeros(len(names) + 1, np.uint64)
        ids[np.fromiter(names.values(), np.int64, len(names))] = np.fromiter(names, np.uint64, len(names))
        order = np.argsort(ids)
        found, known = segments_of(self.table, ids[order])
        known |= ids[order] == 0
        self._check(labels, ids[order][~known], box)
        if self.missing == "keep":
            found = np.where(known, found, ids[order])
        segments = np.zeros(len(ids), np.uint64)
        segments[order] = found
        return np.asarray(segments[numbers])

    def _check(self, labels: np.ndarray, lacking: np.ndarray, box: Box) -> None:
        if not len(lacking) or self.missing != "error":
            return
        place = np.unravel_index(int((labels == lacking[0]).argmax()), labels.shape)
        z, y, x = (int(p) + s for p, s in zip(place, box.start, strict=True))
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise RunError(
            f"segmentation.table.path {self.source!r} has no row for the label {lacking[0]} at z, y, x = {z}, {y}, {x}"
            f" (lacking in {box}: {', '.join(map(str, lacking[:_NAMED]))}{more}); complete the table, or set "
            "segmentation.table.missing to keep or background"
        )
