"""Compiled loops that make one voxel of several: mean, and the label that is most frequent.

`lead` is where the first voxel lies within its output voxel, 0 to factor - 1 along each axis: output voxel 0 has fewer voxels
then. Where the input ends, the last output voxel has fewer, too.
"""

import numpy as np

from connectomake.compiled import lazy_njit


@lazy_njit
def mean_of_integers(source, factor, lead, out):  # type: ignore[no-untyped-def]
    """Write the mean of integers, halves rounded up: floor((2 sum + n) / 2 n)."""
    (nz, ny, nx), (fz, fy, fx), (lz, ly, lx) = source.shape, factor, lead
    for z in range(out.shape[0]):
        z0, z1 = max(z * fz - lz, 0), min((z + 1) * fz - lz, nz)
        for y in range(out.shape[1]):
            y0, y1 = max(y * fy - ly, 0), min((y + 1) * fy - ly, ny)
            for x in range(out.shape[2]):
                x0, x1 = max(x * fx - lx, 0), min((x + 1) * fx - lx, nx)
                total = 0
                for k in range(z0, z1):
                    for j in range(y0, y1):
                        for i in range(x0, x1):
                            total += int(source[k, j, i])
                count = (z1 - z0) * (y1 - y0) * (x1 - x0)
                out[z, y, x] = (2 * total + count) // (2 * count)


@lazy_njit
def mean_of_floats(source, factor, lead, out):  # type: ignore[no-untyped-def]
    """Write the mean, summed in float64 in z, y, x order."""
    (nz, ny, nx), (fz, fy, fx), (lz, ly, lx) = source.shape, factor, lead
    for z in range(out.shape[0]):
        z0, z1 = max(z * fz - lz, 0), min((z + 1) * fz - lz, nz)
        for y in range(out.shape[1]):
            y0, y1 = max(y * fy - ly, 0), min((y + 1) * fy - ly, ny)
            for x in range(out.shape[2]):
                x0, x1 = max(x * fx - lx, 0), min((x + 1) * fx - lx, nx)
                total = 0.0
                for k in range(z0, z1):
                    for j in range(y0, y1):
                        for i in range(x0, x1):
                            total += source[k, j, i]
                out[z, y, x] = total / ((z1 - z0) * (y1 - y0) * (x1 - x0))


@lazy_njit
def mode(source, factor, lead, sparse, out):  # type: ignore[no-untyped-def]
    """Write the most frequent label, the smallest of equally frequent ones; with `sparse`, 0 only where there is no other."""
    (nz, ny, nx), (fz, fy, fx), (lz, ly, lx) = source.shape, factor, lead
    near = np.empty(fz * fy * fx, source.dtype)
    for z in range(out.shape[0]):
        z0, z1 = max(z * fz - lz, 0), min((z + 1) * fz - lz, nz)
        for y in range(out.shape[1]):
            y0, y1 = max(y * fy - ly, 0), min((y + 1) * fy - ly, ny)
            for x in range(out.shape[2]):
                x0, x1 = max(x * fx - lx, 0), min((x + 1) * fx - lx, nx)
                best, alike, count = source[z0, y0, x0], True, 0
                for k in range(z0, z1):
                    for j in range(y0, y1):
                        for i in range(x0, x1):
                            near[count] = source[k, j, i]
                            alike &= near[count] == best
                            count += 1
                most = 0
                for a in range(0 if alike else count):
                    votes = 0
                    for b in range(count):
                        votes += near[b] == near[a]
                    if sparse and near[a] == 0:
                        votes = 0
                    if votes > most or (votes == most and most and near[a] < best):
                        best, most = near[a], votes
                out[z, y, x] = best
