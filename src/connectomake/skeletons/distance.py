"""Distance of every voxel to the nearest voxel of another label.

Method: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions" (Theory of Computing, 2012), one axis after
another. With many labels at once each line falls into runs of one label; beyond a run's end lies another label, a parabola of
height 0.
"""

import numpy as np

from connectomake.compiled import njit


@njit(cache=True, nogil=True)
def _run_distances(heights, size, low, high, width, found, sites, bounds):  # type: ignore[no-untyped-def]
    """Write to ``found`` the lower envelope of one run of ``size`` voxels; ``low``, ``high``: whether another label ends it."""
    w2, top = width * width, -1
    for i in range(-1 if low else 0, size + 1 if high else size):
        height = heights[i] if 0 <= i < size else 0.0
        if height == np.inf:
            continue
        start = -np.inf
        while top >= 0:
            j = sites[top]
            other = heights[j] if 0 <= j < size else 0.0
            start = ((height + w2 * i * i) - (other + w2 * j * j)) / (2.0 * w2 * (i - j))
            if start > bounds[top]:
                break
            top -= 1
            start = -np.inf
        top += 1
        sites[top], bounds[top] = i, start
    if top < 0:
        found[:size] = np.inf
        return
    place = 0
    for i in range(size):
        while place < top and bounds[place + 1] < i:
            place += 1
        j = sites[place]
        found[i] = (heights[j] if 0 <= j < size else 0.0) + w2 * (i - j) * (i - j)


@njit(cache=True, nogil=True)
def _line(labels, far, width, closed, heights, found, sites, bounds):  # type: ignore[no-untyped-def]
    """Bring the squared distances of one line up to date, run by run; background is left at 0."""
    n, start = len(labels), 0
    while start < n:
        stop = start + 1
        while stop < n and labels[stop] == labels[start]:
            stop += 1
        if labels[start]:
            for i in range(start, stop):
                heights[i - start] = far[i]
            _run_distances(heights, stop - start, start > 0 or closed, stop < n or closed, width, found, sites, bounds)
            for i in range(start, stop):
                far[i] = found[i - start]
        start = stop


@njit(cache=True, nogil=True)
def squared_distances(labels, widths, closed):  # type: ignore[no-untyped-def]
    """Return the squared distance between a voxel's centre and the nearest centre of another label.

    ``labels`` (z, y, x): numbers, 0 is background and gets 0; ``widths`` (3,) float64: sides of a voxel; ``closed`` (3,) bool:
    whether another label lies beyond the array's ends along an axis. (z, y, x) float32; infinite where no other label is.
    """
    nz, ny, nx = labels.shape
    far = np.empty((nz, ny, nx), np.float32)
    far[:] = np.inf
    longest = max(nz, ny, nx) + 2
    heights, found = np.empty(longest, np.float64), np.empty(longest, np.float64)
    sites, bounds = np.empty(longest, np.int64), np.empty(longest, np.float64)
    for z in range(nz):
        for y in range(ny):
            _line(labels[z, y], far[z, y], widths[2], closed[2], heights, found, sites, bounds)
        for x in range(nx):
            _line(labels[z, :, x], far[z, :, x], widths[1], closed[1], heights, found, sites, bounds)
    for y in range(ny):
        for x in range(nx):
            _line(labels[:, y, x], far[:, y, x], widths[0], closed[0], heights, found, sites, bounds)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not labels[z, y, x]:
                    far[z, y, x] = 0.0
    return far


@njit(cache=True, nogil=True)
def _flood_plane(plane, y, x, seen, stack):  # type: ignore[no-untyped-def]
    """Collect the voxels of one region of a plane, joined over edges and corners, in ``stack``; return how many."""
    ny, nx = plane.shape
    stack[0], count, done = y * nx + x, 1, 0
    seen[y, x] = True
    while done < count:
        y, x = divmod(stack[done], nx)
        done += 1
        for v in range(max(y - 1, 0), min(y + 2, ny)):
            for u in range(max(x - 1, 0), min(x + 2, nx)):
                if not seen[v, u] and plane[v, u] == plane[y, x]:
                    seen[v, u] = True
                    stack[count] = v * nx + u
                    count += 1
    return count


@njit(cache=True, nogil=True)
def plane_centres(plane, widths):  # type: ignore[no-untyped-def]
    """Return the centre of every region of a plane of labels: raster indices (n,) int64.

    The centre is the voxel farthest from the region's border, which the plane's ends are too; of equal ones the first.
    ``plane`` (y, x); ``widths`` (3,) float64: the last two are the sides of a voxel.
    """
    ny, nx = plane.shape
    far = squared_distances(plane.reshape(1, ny, nx), widths, np.array([False, True, True]))[0].ravel()
    seen, stack = np.zeros((ny, nx), np.bool_), np.empty(ny * nx, np.int64)
    centres, regions = np.empty(ny * nx, np.int64), 0
    for y in range(ny):
        for x in range(nx):
            if not plane[y, x] or seen[y, x]:
                continue
            count = _flood_plane(plane, y, x, seen, stack)
            best = stack[0]
            for v in stack[1:count]:
                if far[v] > far[best] or (far[v] == far[best] and v < best):
                    best = v
            centres[regions] = best
            regions += 1
    return centres[:regions]
