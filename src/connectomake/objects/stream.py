"""The object table from files of any size: one range of ids at a time, with the same bytes as for all objects at once.

::

    merge files        (closed objects) ─┐
    segmentation files (interiors)       ├─► apart by ranges of ids ─► join a range ─► largest so far ─► properties
    measures                             │                                  └────────► rows, in order ─► objects.parquet
    lengths of skeletons                ─┘
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.geometry import Box
from connectomake.layers import ROWS_HELD, KeySample, Spill, read_tables, write_batches
from connectomake.objects.properties import largest_of, write_segment_properties
from connectomake.objects.table import (
    INTERIOR,
    MEASURES,
    Nm,
    check_wanted,
    in_order,
    interiors_of,
    measures_of,
    object_columns,
    put_lengths,
    sizes,
    sum_of,
)
from connectomake.tables import ComponentTable, MeasureTable

PathLike = str | os.PathLike[str]
_CLOSED = ComponentTable.names("closed")
_LENGTHS: dict[str, np.ndarray] = {"id": np.zeros(0, np.uint64), "nm": np.zeros(0, np.float64), "file": np.zeros(0, np.uint32)}


@dataclass(frozen=True)
class ObjectFiles:
    """The files that the object table is made from.

    Parameters
    ----------
    merges
        Up files of all nodes of all levels, in any order; None where nothing is merged: objects are what `interiors` sum to.
    interiors
        Files beside the shards of the segmentation; None where objects keep the voxels of their boundary.
    measures
        Tables of all groups; None if nothing is measured.
    lengths
        Tables of lengths; None if there are no skeletons.
    wanted
        Ids of the only objects that should get a skeleton.
    """

    merges: Sequence[PathLike] | None
    interiors: Sequence[PathLike] | None = None
    measures: Sequence[PathLike] | None = None
    lengths: Sequence[PathLike] | None = None
    wanted: Sequence[int] | None = None

    def all_ids(self) -> Iterator[np.ndarray]:
        """Yield the ids in each file, of objects and of what is known of them."""
        for paths, name in (
            (self.merges, "closed/key"), (self.interiors, "interior/id"), (self.measures, "measures/id"), (self.lengths, "id"),
        ):  # fmt: skip
            for path in paths or ():
                yield read_tables(path, [name])[name]


@dataclass(frozen=True)
class Objects:
    """Some objects, ascending by id, and what is known of them.

    Parameters
    ----------
    table
        The objects.
    measures, lengths, first
        As `write_parquet` takes them.
    """

    table: ComponentTable
    measures: MeasureTable | None
    lengths: np.ndarray | None
    first: np.ndarray | None

    def columns(self, roi: Box, voxel_size: Nm) -> dict[str, np.ndarray]:
        """Return their rows of the object table."""
        return object_columns(self.table, roi, voxel_size, self.measures, self.lengths, self.first)

    def take(self, rows: np.ndarray) -> "Objects":
        """Return some of them, by index."""
        known = [None if part is None else part[rows] for part in (self.lengths, self.first)]
        return Objects(self.table.take(rows), None if self.measures is None else self.measures.take(rows), *known)

    @classmethod
    def concat(cls, parts: Sequence["Objects"]) -> "Objects":
        """Return the objects of all parts, of which there is one at least, in order."""
        tables = [part.measures for part in parts if part.measures is not None]
        measures = MeasureTable(*MeasureTable.joined(tables)) if tables else None
        known = [[getattr(part, name) for part in parts] for name in ("lengths", "first")]
        joined = [None if any(k is None for k in column) else np.concatenate(column) for column in known]
        return cls(ComponentTable.concat(part.table for part in parts), measures, *joined)


class ObjectStream:
    """All objects of a run, ascending by id, a range of ids at a time.

    Parameters
    ----------
    files
        What they are made from; each file is read twice, one at a time.
    path
        The table that is made: what does not fit into memory waits in a file on the same disk.
    rows
        About how many rows of all files may be in memory.

    Raises
    ------
    ConfigError, RunError
        See `collect`, `collect_interiors`, `collect_measures`, `collect_lengths`; when the objects are asked for.
    """

    def __init__(self, files: ObjectFiles, path: PathLike, rows: int = ROWS_HELD) -> None:
        self._files, sample = files, KeySample()
        for ids in files.all_ids():
            sample.add(ids)
        cuts = sample.cuts(rows)
        closed = ComponentTable.empty().arrays("closed")
        self._merges = _spilled(Spill(path, cuts, closed), files.merges or (), "closed/key", _CLOSED)
        left: dict[str, np.ndarray] = {"interior/id": np.zeros(0, np.uint64), **ComponentTable.empty().arrays("interior")}
        self._interiors = _spilled(Spill(path, cuts, left), files.interiors or (), "interior/id", INTERIOR)
        measured = MeasureTable.empty().arrays("measures")
        self._measures = _spilled(Spill(path, cuts, measured), files.measures or (), "measures/id", MEASURES)
        self._lengths = Spill(path, cuts, _LENGTHS)
        for number, file in enumerate(files.lengths or ()):
            found = read_tables(file, ["id", "nm"])
            self._lengths.add(found["id"], {**found, "file": np.full(len(found["id"]), number, np.uint32)})
        self._lengths.flush()

    def __iter__(self) -> Iterator[Objects]:
        """Yield the objects of each range."""
        unknown = np.array(self._files.wanted or [], np.uint64)
        for number in self._merges.ranges:
            found = self._joined(number)
            if len(unknown):
                unknown = np.setdiff1d(unknown, found.table.key)
            yield found
        check_wanted(unknown)

    def _joined(self, number: int) -> Objects:
        table, first = in_order(ComponentTable.from_arrays(self._merges.take(number), "closed")), None
        if self._files.merges is None:
            table, first = sum_of(self._interiors.pieces(number))
        elif self._files.interiors is not None:
            table, first = interiors_of(self._interiors.pieces(number), table)
        measures = None if self._files.measures is None else measures_of(self._measures.pieces(number), table)
        return Objects(table, measures, self._lengths_of(number, table), first)

    def _lengths_of(self, number: int, table: ComponentTable) -> np.ndarray | None:
        files = self._files.lengths
        if files is None:
            return None
        lengths = np.zeros(len(table), np.float64)
        for part in self._lengths.pieces(number):
            put_lengths(lengths, table, part["id"], part["nm"], [files[int(number)] for number in part["file"]])
        return lengths


def _spilled(spill: Spill, files: Sequence[PathLike], key: str, names: Sequence[str]) -> Spill:
    for path in files:
        found = read_tables(path, names)
        spill.add(found[key], found)
    spill.flush()
    return spill


class _Largest:
    """The largest objects of those that went by, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit, self.found = limit, list[Objects]()

    def seen(self, part: Objects) -> Objects:
        """Look at some objects, and return them."""
        both = Objects.concat([*self.found, part])
        self.found = [both.take(largest_of(both.table, self._limit))]
        return part


def write_objects(
    table: PathLike,
    properties: PathLike,
    files: ObjectFiles,
    roi: Box,
    voxel_size: Nm,
    limit: int,
    record: Callable[[], Mapping[str, Any]],
    rows: int = ROWS_HELD,
) -> None:
    """Write the object table and the segment properties of the largest objects, in memory for so many rows.

    Parameters
    ----------
    table, properties
        The two files; the bytes are those of `write_parquet` and `write_segment_properties`.
    files
        What they are made from.
    roi
        Region of interest, which the coordinate sums are relative to.
    voxel_size
        In nm, z y x.
    limit
        How many objects the properties list.
    record
        Returns what to note in the table's metadata; called when the properties are written.
    rows
        About how many rows of all files may be in memory.
    """
    largest = _Largest(limit)

    def written() -> Mapping[str, Any]:
        top = largest.found[0]
        write_segment_properties(properties, top.table, limit, sizes(top.table, voxel_size, top.measures, top.lengths))
        return record()

    parts = (largest.seen(part) for part in ObjectStream(files, table, rows))
    write_batches(table, (part.columns(roi, voxel_size) for part in parts), written)
