"""Surface of objects, summed exactly: the area of marching cubes' triangles by the pattern of eight neighbouring voxels."""

import functools

import numpy as np

from connectomake.compiled import lazy_njit
from connectomake.tables import MeasureTable

Nm = tuple[float, float, float]


@functools.cache
def patch_areas(voxel_size: Nm) -> np.ndarray:
    """Return the area of the triangles between eight voxels, for every pattern of which of them belong to an object.

    Parameters
    ----------
    voxel_size
        In nm, z y x.

    Returns
    -------
    (256,) uint64
        In units of `MeasureTable.area_unit`, rounded. Bit ``4 z + 2 y + x`` of the index says whether voxel (z, y, x) of the
        2 x 2 x 2 belongs to the object.
    """
    import zmesh

    areas = np.zeros(256, np.uint64)
    bits = np.arange(8)
    for pattern in range(1, 255):
        labels = np.ascontiguousarray((pattern >> bits & 1).astype(np.uint64).reshape(2, 2, 2))
        mesher = zmesh.Mesher((1, 1, 1))
        mesher.mesh(labels, close=False)
        if mesher.ids():
            areas[pattern] = _area(mesher.get(1), voxel_size)
    return areas


def _area(mesh: "zmesh.Mesh", voxel_size: Nm) -> int:  # type: ignore[name-defined]  # noqa: F821
    points = mesh.vertices.astype(np.float64) * np.array(voxel_size)
    a, b, c = (points[mesh.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return round(float(area) / MeasureTable.area_unit(voxel_size))


@lazy_njit
def add_areas(labels, patches, areas):  # type: ignore[no-untyped-def]
    """Add to ``areas[label]`` the patch of every 2 x 2 x 2 of an array (z, y, x) of numbers from 0, 0 being background."""
    around = np.zeros(8, labels.dtype)
    for z in range(labels.shape[0] - 1):
        for y in range(labels.shape[1] - 1):
            for x in range(labels.shape[2] - 1):
                around[0] = labels[z, y, x]
                same = True
                for i in range(1, 8):
                    around[i] = labels[z + (i >> 2), y + (i >> 1 & 1), x + (i & 1)]
                    same = same and around[i] == around[0]
                if same:
                    continue
                for i in range(8):
                    label, pattern, first = around[i], 0, True
                    for j in range(8):
                        if around[j] == label:
                            pattern |= 1 << j
                            first = first and j >= i
                    if first and label:
                        areas[label] += patches[pattern]
