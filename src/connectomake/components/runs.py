"""Runs of foreground along x, and the union-find that joins touching runs: the kernel of block labelling.

Runs come in raster order and the union keeps the smaller index, so a component's root is its first run, and labels
counted by roots are in the order of first voxels. Method: run-based two-pass labelling (He, Chao, Suzuki, "A run-based
two-scan labeling algorithm", IEEE Transactions on Image Processing 17, 2008), in three dimensions.
"""

import numpy as np

from connectomake.compiled import njit
from connectomake.union_find import union

_FULL = np.uint64(0x0101010101010101)


@njit(cache=True, nogil=True)
def find_runs(block, bound, budget):  # type: ignore[no-untyped-def]
    """Find the runs of ``block > bound`` and join those that touch.

    Parameters
    ----------
    block
        (z, y, x), uint8 or float32.
    bound
        Scalar of the same dtype.
    budget
        How many coordinates of neighbours may differ by one: 1, 2 or 3 for connectivity 6, 18 or 26.

    Returns
    -------
    starts, stops, parents
        (runs,) int32: first and one-past-last x, and an earlier run of the same component, or the run itself.
    firsts
        (z * y + 1,) int64: the first run of each row.
    nan
        Whether a value is NaN.
    """
    nz, ny, nx = block.shape
    capacity = nz * ny + nx
    starts = np.empty(capacity, np.int32)
    stops = np.empty(capacity, np.int32)
    parents = np.empty(capacity, np.int32)
    firsts = np.zeros(nz * ny + 1, np.int64)
    mask = np.zeros((nx + 7) // 8 * 8, np.uint8)
    words = mask.view(np.uint64)
    nan = False
    for row in range(nz * ny):
        z = row // ny
        low = firsts[row]
        if low + nx // 2 + 1 > starts.size:
            starts, stops, parents = _grown(starts), _grown(stops), _grown(parents)
        nan |= _compare(block[z, row - z * ny], bound, mask)
        high = _row_runs(words, mask, nx, starts, stops, low)
        firsts[row + 1] = high
        for run in range(low, high):
            parents[run] = run
        if high > low:
            _join_row(parents, starts, stops, firsts, row, ny, budget)
    count = firsts[nz * ny]
    return starts[:count], stops[:count], parents[:count], firsts, nan


@njit(cache=True, nogil=True)
def _grown(array):  # type: ignore[no-untyped-def]
    larger = np.empty(array.size * 2, array.dtype)
    larger[: array.size] = array
    return larger


@njit(cache=True, nogil=True)
def _compare(values, bound, mask):  # type: ignore[no-untyped-def]
    """Write one byte per voxel, 1 for foreground; tell whether there is a NaN."""
    nan = False
    for x in range(values.size):
        mask[x] = values[x] > bound
        nan |= values[x] != values[x]
    return nan


@njit(cache=True, nogil=True)
def _row_runs(words, mask, nx, starts, stops, run):  # type: ignore[no-untyped-def]
    """Append the runs of a row; eight voxels at a time are skipped where nothing begins or ends."""
    inside = False
    for w in range(words.size):
        if words[w] == (_FULL if inside else np.uint64(0)):
            continue
        for x in range(8 * w, 8 * w + 8):
            if (mask[x] != 0) != inside:
                if inside:
                    stops[run] = x
                    run += 1
                else:
                    starts[run] = x
                inside = not inside
    if inside:
        stops[run] = nx
        run += 1
    return run


@njit(cache=True, nogil=True)
def _join_row(parents, starts, stops, firsts, row, ny, budget):  # type: ignore[no-untyped-def]
    """Join the runs of a row with those of the rows before it: (0, -1), (-1, -1), (-1, 0), (-1, +1) in (z, y)."""
    z = row // ny
    y = row - z * ny
    if y > 0:
        _join_rows(parents, starts, stops, firsts, row, row - 1, min(budget - 1, 1))
    if z > 0:
        _join_rows(parents, starts, stops, firsts, row, row - ny, min(budget - 1, 1))
        if budget > 1 and y > 0:
            _join_rows(parents, starts, stops, firsts, row, row - ny - 1, budget - 2)
        if budget > 1 and y < ny - 1:
            _join_rows(parents, starts, stops, firsts, row, row - ny + 1, budget - 2)


@njit(cache=True, nogil=True)
def _join_rows(parents, starts, stops, firsts, row, before, reach):  # type: ignore[no-untyped-def]
    """Join runs of two rows that overlap in x, or with `reach` 1 touch at a corner."""
    other, end = firsts[before], firsts[before + 1]
    for run in range(firsts[row], firsts[row + 1]):
        low, high = starts[run] - reach, stops[run] + reach
        while other < end and stops[other] <= low:
            other += 1
        hit = other
        while hit < end and starts[hit] < high:
            union(parents, hit, run)
            hit += 1
        if hit > other:
            other = hit - 1  # the last one may reach the next run too


@njit(cache=True, nogil=True)
def measure(starts, stops, labels, firsts, ny, count):  # type: ignore[no-untyped-def]
    """Measure all components from their runs.

    Returns
    -------
    voxels : (count,) int64
    heads, lows, highs, sums : (count, 3) int64
        First voxel, box (half-open) and coordinate sums, in z, y, x of the block.
    """
    voxels = np.zeros(count, np.int64)
    heads, lows, highs = np.empty((count, 3), np.int64), np.empty((count, 3), np.int64), np.empty((count, 3), np.int64)
    sums = np.zeros((count, 3), np.int64)
    for row in range(firsts.size - 1):
        z = row // ny
        y = row - z * ny
        for run in range(firsts[row], firsts[row + 1]):
            k = labels[run] - 1
            a, b = np.int64(starts[run]), np.int64(stops[run])
            if voxels[k] == 0:
                heads[k, 0], heads[k, 1], heads[k, 2] = z, y, a
                lows[k, 0], lows[k, 1], lows[k, 2] = z, y, a
                highs[k, 0], highs[k, 1], highs[k, 2] = z + 1, y + 1, b
            highs[k, 0] = z + 1
            lows[k, 1], highs[k, 1] = min(lows[k, 1], y), max(highs[k, 1], y + 1)
            lows[k, 2], highs[k, 2] = min(lows[k, 2], a), max(highs[k, 2], b)
            voxels[k] += b - a
            sums[k, 0] += z * (b - a)
            sums[k, 1] += y * (b - a)
            sums[k, 2] += (a + b - 1) * (b - a) // 2
    return voxels, heads, lows, highs, sums


@njit(cache=True, nogil=True)
def paint(starts, stops, labels, firsts, out):  # type: ignore[no-untyped-def]
    """Write each run's label into `out` (z, y, x), which is zero before."""
    ny = out.shape[1]
    for row in range(firsts.size - 1):
        z = row // ny
        line = out[z, row - z * ny]
        for run in range(firsts[row], firsts[row + 1]):
            line[starts[run] : stops[run]] = labels[run]
