"""A table in the order of its supervoxels, each once, in parts of bounded size."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomake.errors import SourceError

PART = 1 << 18
"""Rows of a part: what a block's job reads at a time."""
STARTS = "starts"
_NAMED = 3


def sorted_table(source: str, supervoxel: np.ndarray, segment: np.ndarray, *, pairs: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the supervoxels, ascending and each once, and the segment of each, (n,) uint64.

    Parameters
    ----------
    source
        The file, for errors.
    supervoxel, segment
        (m,) uint64: the rows as they are there.
    pairs
        Whether a row says that two supervoxels belong together, instead of naming the segment of one. The segment is then the
        smallest supervoxel of all that are joined.

    Raises
    ------
    SourceError
        If a supervoxel is given two segments, or 0 is joined with anything.
    """
    if pairs:
        return _united(source, supervoxel, segment)
    if np.any(segment[supervoxel == 0]):
        found = int(segment[supervoxel == 0].max())
        raise SourceError(f"{source} gives 0, the background, the segment {found}; 0 stays 0: take the row out")
    order = np.argsort(supervoxel, kind="stable")
    keys, values = supervoxel[order], segment[order]
    del order
    again = keys[1:] == keys[:-1]
    odd = np.flatnonzero(again & (values[1:] != values[:-1]))
    if len(odd):
        names = [f"{keys[i]} in {values[i]} and in {values[i + 1]}" for i in odd[:_NAMED]]
        more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
        raise SourceError(
            f"{source} puts the supervoxel {', '.join(names)}{more}; each belongs to one segment: correct the table, or set "
            "segmentation.table.holds: pairs if each row names two supervoxels that belong together"
        )
    once = np.ones(len(keys), bool)
    once[1:] = ~again
    return keys[once], values[once]


def _united(source: str, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from connectomake.union_find import unite

    bad = np.flatnonzero((a == 0) != (b == 0))
    if len(bad):
        raise SourceError(
            f"{source} joins {max(a[bad[0]], b[bad[0]])} with 0, the background (row {bad[0] + 1}); take such rows out"
        )
    keys = np.unique(np.concatenate([a, b]))
    rows = np.stack([np.searchsorted(keys, side) for side in (a, b)], axis=-1)
    return keys, keys[unite(len(keys), rows)]


def write_table(
    path: str | os.PathLike[str],
    keys: np.ndarray,
    values: np.ndarray,
    record: Mapping[str, Any] | None = None,
    part: int = PART,
) -> None:
    """Write a sorted table in parts, with the first supervoxel of each part.

    Parameters
    ----------
    path
        HDF5 file to write.
    keys, values
        (n,) uint64: supervoxels, ascending, and their segments; see `sorted_table`.
    record
        What to note in the file: stage, fingerprint, software.
    part
        Rows of a part.
    """
    from connectomake.layers import write_tables

    places = range(0, len(keys), part)
    tables = {STARTS: keys[::part]}
    for number, at in enumerate(places):
        tables |= {f"supervoxels/{number}": keys[at : at + part], f"segments/{number}": values[at : at + part]}
    write_tables(path, tables, record)
