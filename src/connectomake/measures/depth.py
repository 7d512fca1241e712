"""A point deep inside an object: the voxel farthest from its border within one cell, in the metric of city blocks.

The cell's own faces count as border, so that a cell needs nothing of its neighbours; the cell lattice does not depend on the
blocks, so neither does the point.
"""

import numpy as np

from connectomake.compiled import njit

_STEPS = 16


def steps_of(voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Return the lengths of a step along z, y and x as integers, (3,) int64: 16 along the shortest side."""
    sides = np.array(voxel_size, np.float64)
    return np.maximum(np.rint(_STEPS * sides / sides.min()), 1).astype(np.int64)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def measure_depth(part, steps, far):  # type: ignore[no-untyped-def]
    """Write to ``far`` the distance of each voxel of a cell to the nearest voxel of another label or outside: two sweeps."""
    nz, ny, nx = part.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                label = part[z, y, x]
                d = far[z - 1, y, x] if z and part[z - 1, y, x] == label else 0
                d += steps[0]
                e = far[z, y - 1, x] if y and part[z, y - 1, x] == label else 0
                d = min(d, e + steps[1])
                e = far[z, y, x - 1] if x and part[z, y, x - 1] == label else 0
                far[z, y, x] = min(d, e + steps[2])
    for z in range(nz - 1, -1, -1):
        for y in range(ny - 1, -1, -1):
            for x in range(nx - 1, -1, -1):
                label = part[z, y, x]
                d = far[z + 1, y, x] if z < nz - 1 and part[z + 1, y, x] == label else 0
                d += steps[0]
                e = far[z, y + 1, x] if y < ny - 1 and part[z, y + 1, x] == label else 0
                d = min(d, e + steps[1])
                e = far[z, y, x + 1] if x < nx - 1 and part[z, y, x + 1] == label else 0
                far[z, y, x] = min(far[z, y, x], d, e + steps[2])


@njit(cache=True, nogil=True)
def _keep_deepest(part, far, first, width, depth, key):  # type: ignore[no-untyped-def]
    for z in range(part.shape[0]):
        for y in range(part.shape[1]):
            for x in range(part.shape[2]):
                label, d = part[z, y, x], far[z, y, x]
                if not label or d < depth[label]:
                    continue
                raster = first + z * width[0] + y * width[1] + x
                if d > depth[label] or raster < key[label]:
                    depth[label], key[label] = d, raster


@njit(cache=True, nogil=True)
def find_deepest(labels, cell, steps, first, width, depth, key):  # type: ignore[no-untyped-def]
    """Note for every label of an array, cell by cell, the voxel of greatest depth, of equal ones the first.

    ``labels`` (z, y, x) holds numbers from 0 and begins at a cell; ``first`` is the raster index of its first voxel plus 1 and
    ``width`` are the strides of a raster index along z and y. ``depth`` and ``key`` by label are brought up to date.
    """
    far = np.zeros((cell[0], cell[1], cell[2]), np.int64)
    for z0 in range(0, labels.shape[0], cell[0]):
        for y0 in range(0, labels.shape[1], cell[1]):
            for x0 in range(0, labels.shape[2], cell[2]):
                z1 = min(z0 + cell[0], labels.shape[0])
                y1, x1 = min(y0 + cell[1], labels.shape[1]), min(x0 + cell[2], labels.shape[2])
                part = labels[z0:z1, y0:y1, x0:x1]
                if part.any():
                    measure_depth(part, steps, far)
                    _keep_deepest(part, far, first + z0 * width[0] + y0 * width[1] + x0, width, depth, key)
