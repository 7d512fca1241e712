"""The object table: id, size, surface, box, centroid and a point inside of every object."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box
from connectomake.layers import read_columns, read_tables, write_columns
from connectomake.tables import ComponentTable, MeasureTable, voxel_of_key

Nm = tuple[float, float, float]
MOST_HELD = 1 << 20
"""Rows of blocks' tables that are held before they are summed."""
MEASURES = tuple(MeasureTable.names("measures"))
INTERIOR = ("interior/id", *ComponentTable.names("interior"))
"""Names of the columns in files of measures, and of those of what is left without boundaries."""


def collect(files: Iterable[str | os.PathLike[str]]) -> ComponentTable:
    """Read the closed objects of all nodes, one up file at a time, and sort them by id.

    Parameters
    ----------
    files
        Up files of all nodes of all levels, in any order.

    Raises
    ------
    RunError
        If two files hold an object of the same id: they are not of the same run.
    """
    names = ComponentTable.names("closed")
    return in_order(ComponentTable.concat(ComponentTable.from_arrays(read_tables(path, names), "closed") for path in files))


def in_order(table: ComponentTable) -> ComponentTable:
    """Sort objects by id; see `collect`."""
    table = table.take(np.argsort(table.key))
    twice = np.flatnonzero(table.key[1:] == table.key[:-1])
    if len(twice):
        raise RunError(f"object {table.key[twice[0]]} is in two merge files; delete the merge folder and rerun")
    return table


def collect_interiors(files: Iterable[str | os.PathLike[str]], table: ComponentTable) -> tuple[ComponentTable, np.ndarray]:
    """Measure the objects anew without the voxels of their boundary; of some nothing is left.

    Parameters
    ----------
    files
        The files beside the shards of the segmentation, with what `interior_of_objects` gave of each block, in any order.
    table
        As `collect` returns it.

    Returns
    -------
    ComponentTable
        The objects of which something is left.
    (n,) uint64
        1 + raster index of the first voxel that is left of each.

    Raises
    ------
    RunError
        If something is left of an object that does not exist.
    """
    return interiors_of((read_tables(path, INTERIOR) for path in files), table)


def interiors_of(parts: Iterable[Mapping[str, np.ndarray]], table: ComponentTable) -> tuple[ComponentTable, np.ndarray]:
    """Sum what is left in all parts, given as columns; see `collect_interiors`."""
    found, first = sum_of(parts)
    unknown = np.setdiff1d(found.key, table.key)
    if len(unknown):
        raise RunError(f"object {unknown[0]} is in the segmentation, but in no merge file; run `connectomake verify --deep`")
    return found, first


def sum_of(parts: Iterable[Mapping[str, np.ndarray]]) -> tuple[ComponentTable, np.ndarray]:
    """Sum tables of blocks, given as columns, to one of objects, ascending, and 1 + raster index of their first voxels."""
    ids, found, held = np.zeros(0, np.uint64), ComponentTable.empty(), []
    for arrays in parts:
        held.append((arrays["interior/id"], ComponentTable.from_arrays(arrays, "interior")))
        if sum(len(part) for part, _ in held) > max(len(ids), MOST_HELD):
            ids, found = _summed([(ids, found), *held])
            held = []
    ids, found = _summed([(ids, found), *held])
    return replace(found, key=ids), found.key


def _summed(parts: Iterable[tuple[np.ndarray, ComponentTable]]) -> tuple[np.ndarray, ComponentTable]:
    """Sum several tables of objects, each with its ids."""
    ids, tables = zip(*parts, strict=True)
    return ComponentTable.concat(tables).of_objects(np.concatenate(ids))


def collect_measures(files: Iterable[str | os.PathLike[str]], table: ComponentTable) -> MeasureTable:
    """Read the measures of all groups of blocks, one file at a time, and put them in the order of the objects.

    Parameters
    ----------
    files
        Tables of all groups, in any order.
    table
        As `collect` returns it.

    Raises
    ------
    RunError
        If they are not of the same objects.
    """
    return measures_of((read_tables(path, MEASURES) for path in files), table)


def measures_of(parts: Iterable[Mapping[str, np.ndarray]], table: ComponentTable) -> MeasureTable:
    """Sum the measures of all parts, given as columns; see `collect_measures`."""
    measures, held = MeasureTable.empty(), list[MeasureTable]()
    for arrays in parts:
        held.append(MeasureTable.from_arrays(arrays, "measures"))
        if sum(len(part.id) for part in held) > max(len(measures.id), MOST_HELD):
            measures, held = MeasureTable.merge([measures, *held]), []
    measures = MeasureTable.merge([measures, *held])
    if not np.array_equal(measures.id, table.key):
        odd = np.setxor1d(measures.id, table.key)[0]
        raise RunError(f"object {odd} is only in one of the merge files and the segmentation; run `connectomake verify --deep`")
    return measures


def collect_lengths(
    files: Iterable[str | os.PathLike[str]], table: ComponentTable, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """Read the lengths of skeletons and put them in the order of the objects, (n,) float64, in nm; 0 where there is none.

    Parameters
    ----------
    files
        Tables of lengths, in any order.
    table
        As `collect` returns it.
    wanted
        Ids of the only objects that should get a skeleton.

    Raises
    ------
    ConfigError
        If an object that is wanted does not exist.
    RunError
        If there is a skeleton of no object.
    """
    check_wanted(np.setdiff1d(np.array(wanted or [], np.uint64), table.key))
    lengths = np.zeros(len(table), np.float64)
    for path in files:
        found = read_tables(path, ["id", "nm"])
        put_lengths(lengths, table, found["id"], found["nm"], [path] * len(found["id"]))
    return lengths


def check_wanted(unknown: np.ndarray) -> None:
    """Raise a ConfigError if there are objects that should get a skeleton and do not exist."""
    if len(unknown):
        raise ConfigError(
            f"skeletons.ids names {unknown[0]}, which is not an object of the segmentation; `connectomake summary` names some"
        )


def put_lengths(lengths: np.ndarray, table: ComponentTable, ids: np.ndarray, nm: np.ndarray, files: Sequence[object]) -> None:
    """Put lengths (m,) of objects into their rows; `files` (m,) are those that they are from, for the error."""
    rows = np.searchsorted(table.key, ids)
    known = rows < len(table)
    known[known] = table.key[rows[known]] == ids[known]
    if not known.all():
        odd = int(np.flatnonzero(~known)[0])
        raise RunError(f"object {ids[odd]} of {files[odd]} is in no merge file; run `connectomake verify --deep`")
    lengths[rows] = nm


def centroids(table: ComponentTable, roi: Box, voxel_size: Nm) -> np.ndarray:
    """Return the centres of mass (n, 3) float64 in nm, z y x.

    A voxel at position i reaches from i to i + 1 voxel sizes, its centre lies at i + 0.5. The mean is taken from the
    integer sums (whole part and remainder apart), so that it does not depend on the blocks.

    Parameters
    ----------
    table
        All objects.
    roi
        Region of interest, in voxels; the sums of positions count from its start.
    voxel_size
        Nanometres, z, y, x.
    """
    voxels = table.voxels[:, None]
    whole, rest = np.divmod(table.sums, voxels)
    position = whole.astype(np.int64) + np.array(roi.start, np.int64)
    centres: np.ndarray = (position + (rest / voxels + 0.5)) * np.array(voxel_size, np.float64)
    return centres


def sizes(
    table: ComponentTable, voxel_size: Nm, measures: MeasureTable | None, lengths: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return volume, surface and skeleton length of every object, as far as they were measured.

    Parameters
    ----------
    table, voxel_size
        All objects; nanometres, z, y, x.
    measures
        Row by row those of `table`; None: not measured.
    lengths
        (n,) of skeletons, in nm; None: not measured.

    Returns
    -------
    dict
        ``volume_um3`` (µm³), ``surface_um2`` (µm²), ``skeleton_um`` (µm): (n,) float64 each.
    """
    z, y, x = voxel_size
    found = {"volume_um3": table.voxels.astype(np.float64) * (z * y * x * 1e-9)}
    if measures is not None:
        found["surface_um2"] = measures.area.astype(np.float64) * (MeasureTable.area_unit(voxel_size) * 1e-6)
    if lengths is not None:
        found["skeleton_um"] = lengths * 1e-3
    return found


def write_parquet(
    path: str | os.PathLike[str],
    table: ComponentTable,
    roi: Box,
    voxel_size: Nm,
    record: Mapping[str, Any] | None = None,
    measures: MeasureTable | None = None,
    lengths: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> None:
    """Atomically write the object table; equal tables and records give equal bytes.

    Columns: ``id`` and ``voxels`` (uint64); ``volume_um3`` and, if measured, ``surface_um2`` (float64), the area of the mesh
    before simplification; with skeletons ``skeleton_um`` (float64), the length of all branches, 0 without a skeleton;
    ``start_z`` … ``stop_x`` (int64): the half-open box in voxels; ``centroid_z_nm`` … (float64), see
    `centroids`; ``inside_z`` … (int64): a voxel of the object, deep inside if measured. Rows are in the order of ids.

    Parameters
    ----------
    path
        The file.
    table
        As `collect` returns it.
    roi
        Region of interest, which the coordinate sums are relative to.
    voxel_size
        In nm, z y x.
    record
        What to note in the file's metadata.
    measures
        As `collect_measures` returns them; None if they were not taken.
    lengths
        As `collect_lengths` returns them; None if there are no skeletons.
    first
        (n,) uint64: 1 + raster index of a voxel of each object, where none deep inside is known; by default the id.
    """
    write_columns(path, object_columns(table, roi, voxel_size, measures, lengths, first), record)


def object_columns(
    table: ComponentTable,
    roi: Box,
    voxel_size: Nm,
    measures: MeasureTable | None = None,
    lengths: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the columns of the object table, or of some of its rows; see `write_parquet`."""
    centres = centroids(table, roi, voxel_size)
    columns = {"id": table.key, "voxels": table.voxels, **sizes(table, voxel_size, measures, lengths)}
    columns |= {f"start_{a}": table.start[:, i] for i, a in enumerate("zyx")}
    columns |= {f"stop_{a}": table.stop[:, i] for i, a in enumerate("zyx")}
    columns |= {f"centroid_{a}_nm": centres[:, i] for i, a in enumerate("zyx")}
    voxel = table.key if first is None else first
    if measures is not None:
        voxel = np.where(measures.depth > 0, measures.inside.astype(np.uint64), voxel)
    inside = voxel_of_key(voxel, roi)
    return columns | {f"inside_{a}": inside[:, i] for i, a in enumerate("zyx")}


def read_parquet(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read an object table: its columns by name.

    Raises
    ------
    LayerError
        If the file is missing or damaged.
    """
    return read_columns(path)
