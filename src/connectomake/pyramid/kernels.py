"""Compiled loops that make one voxel of several: mean, and the label that is most frequent.

`lead` is where the first voxel lies within its output voxel, 0 to factor - 1 along each axis: output voxel 0 has fewer voxels
then. Where the input ends, the last output voxel has fewer, too. Rows of 2 x 2 x 2 voxels, which are most, have a loop of their
own that the compiler turns into vector instructions.
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
            pairs = nx // 2 if fx == 2 and lx == 0 and z1 - z0 == 2 and y1 - y0 == 2 else 0
            if pairs:
                p, q, r, s = source[z0, y0], source[z0, y0 + 1], source[z0 + 1, y0], source[z0 + 1, y0 + 1]
                for x in range(pairs):
                    i, j = 2 * x, 2 * x + 1
                    front = int(p[i]) + int(p[j]) + int(q[i]) + int(q[j])
                    out[z, y, x] = (front + int(r[i]) + int(r[j]) + int(s[i]) + int(s[j]) + 4) >> 3
            for x in range(pairs, out.shape[2]):
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
def mode(source, factor, lead, sparse, out):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Write the most frequent label, the smallest of equally frequent ones; with `sparse`, 0 only where there is no other."""
    (nz, ny, nx), (fz, fy, fx), (lz, ly, lx) = source.shape, factor, lead
    near = np.empty(fz * fy * fx, source.dtype)
    mixed = np.empty(out.shape[2], source.dtype)
    for z in range(out.shape[0]):
        z0, z1 = max(z * fz - lz, 0), min((z + 1) * fz - lz, nz)
        for y in range(out.shape[1]):
            y0, y1 = max(y * fy - ly, 0), min((y + 1) * fy - ly, ny)
            pairs = nx // 2 if fx == 2 and lx == 0 and z1 - z0 == 2 and y1 - y0 == 2 else 0
            if pairs:
                p, q, r, s = source[z0, y0], source[z0, y0 + 1], source[z0 + 1, y0], source[z0 + 1, y0 + 1]
                for x in range(pairs):
                    i, j, v = 2 * x, 2 * x + 1, p[2 * x]
                    mixed[x] = (p[j] ^ v) | (q[i] ^ v) | (q[j] ^ v) | (r[i] ^ v) | (r[j] ^ v) | (s[i] ^ v) | (s[j] ^ v)
                    out[z, y, x] = v
            for x in range(out.shape[2]):
                if x < pairs and mixed[x] == 0:
                    continue
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
                    if most and near[a] == best:
                        continue
                    votes = 0
                    for b in range(count):
                        votes += near[b] == near[a]
                    if sparse and near[a] == 0:
                        votes = 0
                    if votes > most or (votes == most and most and near[a] < best):
                        best, most = near[a], votes
                    if 2 * most > count:
                        break
                out[z, y, x] = best
