"""Tables of components and face planes: what the stages from components to objects hand on to each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from connectomake.columns import Arrays, Columns
from connectomake.compiled import lazy_njit
from connectomake.geometry import Box


@dataclass(frozen=True, slots=True)
class ComponentTable(Columns):
    """One row per component (of a block, or merged from several blocks).

    Parameters
    ----------
    key
        (n,) uint64: 1 + raster index (z, y, x in the region of interest) of the component's first voxel. Unique over
        the whole volume, since no voxel is in two components of one partition.
    voxels
        (n,) uint64: number of voxels.
    start, stop
        (n, 3) int64, z y x: the half-open bounding box, in absolute voxel coordinates.
    sums
        (n, 3) uint64, z y x: sums of the voxels' coordinates relative to the start of the region of interest.
    """

    key: np.ndarray
    voxels: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    sums: np.ndarray

    @classmethod
    def empty(cls) -> "ComponentTable":
        """Return the table without rows."""
        column = np.zeros(0, np.uint64)
        return cls(column, column, np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64), np.zeros((0, 3), np.uint64))

    @classmethod
    def concat(cls, tables: Iterable["ComponentTable"]) -> "ComponentTable":
        """Return the rows of all tables, in order."""
        return cls(*cls.joined([cls.empty(), *tables]))

    def touches(self, box: Box, roi: Box) -> np.ndarray:
        """Tell which components touch a face of `box` that is not a face of `roi`.

        Returns
        -------
        (n,) bool
        """
        return touching(self.start, self.stop, box, roi)

    def grouped(self, group: np.ndarray, count: int) -> "ComponentTable":
        """Merge rows: row i goes into row ``group[i]`` of a table of `count` rows; every row gets at least one.

        Counts and coordinate sums add up, boxes unite, the smallest key stays.
        """
        out = ComponentTable(
            np.full(count, np.iinfo(np.uint64).max, np.uint64),
            np.zeros(count, np.uint64),
            np.full((count, 3), np.iinfo(np.int64).max, np.int64),
            np.full((count, 3), np.iinfo(np.int64).min, np.int64),
            np.zeros((count, 3), np.uint64),
        )
        _group(group, *self.columns(), *out.columns())
        return out

    def of_objects(self, ids: np.ndarray) -> tuple[np.ndarray, "ComponentTable"]:
        """Merge the rows of each object: row i belongs to object ``ids[i]``; object 0 and rows without voxels are left out.

        Returns
        -------
        (n,) uint64
            The objects, ascending.
        ComponentTable
            A row per object.
        """
        rows = np.flatnonzero((ids != 0) & (self.voxels != 0))
        objects, group = np.unique(ids[rows], return_inverse=True)
        return objects, self.take(rows).grouped(group, len(objects))


@dataclass(frozen=True, slots=True)
class Faces(Arrays):
    """The six face planes of a block's local labels, each (rows, columns) uint32 in z, y, x order of what is left."""

    z0: np.ndarray
    z1: np.ndarray
    y0: np.ndarray
    y1: np.ndarray
    x0: np.ndarray
    x1: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "Faces":
        """Copy the face planes of an array (z, y, x)."""
        planes = (labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
        return cls(*(p.copy() for p in planes))


@dataclass(frozen=True, slots=True)
class EdgeFaces(Faces):
    """Face planes of a watershed: labels, and which edges across each face the block's own voxels keep (uint8, 0 or 1).

    An edge across a face is kept if the voxels at either end keep it.
    """

    kept_z0: np.ndarray
    kept_z1: np.ndarray
    kept_y0: np.ndarray
    kept_y1: np.ndarray
    kept_x0: np.ndarray
    kept_x1: np.ndarray


@dataclass(frozen=True, slots=True)
class LabelFaces(Faces):
    """Face planes of numbered labels, and the label that each number stands for: (n + 1,) uint64, of 0 for number 0."""

    ids: np.ndarray

    @classmethod
    def with_ids(cls, labels: np.ndarray, ids: np.ndarray) -> "LabelFaces":
        """Copy the face planes of an array (z, y, x) of numbers."""
        planes = Faces.of(labels)
        return cls(planes.z0, planes.z1, planes.y0, planes.y1, planes.x0, planes.x1, ids)


def touching(start: np.ndarray, stop: np.ndarray, box: Box, roi: Box) -> np.ndarray:
    """Tell which boxes (n, 3) inside `box` reach a face of it that is not a face of `roi`: (n,) bool."""
    reached = np.zeros(len(start), bool)
    for axis in range(3):
        if box.start[axis] != roi.start[axis]:
            reached |= start[:, axis] == box.start[axis]
        if box.stop[axis] != roi.stop[axis]:
            reached |= stop[:, axis] == box.stop[axis]
    return reached


def voxel_of_key(key: np.ndarray, roi: Box) -> np.ndarray:
    """Return the absolute position (n, 3) int64, z y x, of the first voxel that a key (n,) stands for."""
    raster = np.asarray(key, np.uint64) - np.uint64(1)
    return np.stack(np.unravel_index(raster.astype(np.int64), roi.shape), axis=-1) + np.array(roi.start, np.int64)


@lazy_njit
def _group(group, key, voxels, start, stop, sums, out_key, out_voxels, out_start, out_stop, out_sums):  # type: ignore[no-untyped-def]
    for i in range(group.size):
        g = group[i]
        out_key[g] = min(out_key[g], key[i])
        out_voxels[g] += voxels[i]
        for axis in range(3):
            out_start[g, axis] = min(out_start[g, axis], start[i, axis])
            out_stop[g, axis] = max(out_stop[g, axis], stop[i, axis])
            out_sums[g, axis] += sums[i, axis]


@dataclass(frozen=True, slots=True)
class MeasureTable(Columns):
    """One row per object, or per object of a part of the volume: what its voxels must be read for.

    Parameters
    ----------
    id
        (n,) uint64, ascending.
    area
        (n,) uint64: surface in units of `area_unit`.
    depth
        (n,) int64: depth of the point inside, see the measures' `depth`; 0 if there is none.
    inside
        (n,) int64: 1 + raster index in the region of that point, or of the first voxel.
    """

    id: np.ndarray
    area: np.ndarray
    depth: np.ndarray
    inside: np.ndarray

    @staticmethod
    def area_unit(voxel_size: tuple[float, float, float]) -> float:
        """Return the unit of areas in nm²: the mean side of a voxel squared, over 2^20."""
        z, y, x = voxel_size
        return float((z * y * x) ** (2 / 3)) / (1 << 20)

    @classmethod
    def empty(cls) -> "MeasureTable":
        """Return the table without rows."""
        return cls.of_ids(np.zeros(0, np.uint64))

    @classmethod
    def of_ids(cls, ids: np.ndarray) -> "MeasureTable":
        """Return the table of objects without surface or depth; the point inside is the first voxel."""
        return cls(ids, np.zeros(len(ids), np.uint64), np.zeros(len(ids), np.int64), ids.astype(np.int64))

    @classmethod
    def merge(cls, tables: Iterable["MeasureTable"]) -> "MeasureTable":
        """Return one row per object: areas add up, the deepest point stays, of equally deep ones the first."""
        ids, area, depth, inside = cls.joined(tables)
        order = np.lexsort((inside, -depth, ids))
        first = np.flatnonzero(np.concatenate([[True], ids[order][1:] != ids[order][:-1]])[: len(ids)])
        sums = np.add.reduceat(area[order], first) if len(first) else area
        kept = order[first]
        return cls(ids[kept], sums, depth[kept], inside[kept])
