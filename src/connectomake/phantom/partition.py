"""Which neurite owns each voxel, and how far its membrane is: a weighted Voronoi diagram of tubes, gently warped."""

import numpy as np
from numba import njit

from connectomake.phantom.centrelines import Tubes

_LEAF = 8  # voxels: largest side of a box whose voxels share one candidate list
_WARP_SPACING = (420.0, 150.0)  # nm between lattice points of the two octaves of the warp
_WARP_SIZE = (70.0, 16.0)  # nm, largest displacement per axis


def partition(
    tubes: Tubes, shape: tuple[int, int, int], voxel_size: tuple[float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Assign every voxel to the tube whose wall is nearest (distance to the axis minus radius).

    The box is halved down to leaves; on the way only tubes are kept that may be nearest or second nearest somewhere
    inside, by the triangle inequality, so the result is that of trying every tube.

    Returns
    -------
    owner : (z, y, x) int32
        Number of the nearest neurite.
    wall : (z, y, x) float32
        Estimated distance in nm to the surface between the nearest two neurites:
        difference of both distances over the length of its gradient.
    """
    owner, wall = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    size = np.array(voxel_size)
    warps = tuple(_lattice(np.array(shape) * size, spacing, rng) for spacing in _WARP_SPACING)
    table = _table(tubes)

    def descend(start: np.ndarray, stop: np.ndarray, candidates: np.ndarray) -> None:
        extent = stop - start
        slack = 0.5 * float(np.sqrt((((extent - 1) * size) ** 2).sum())) + 1.7321 * sum(_WARP_SIZE)
        kept = _contenders(table, candidates, 0.5 * (start + stop - 1) * size, slack)
        if extent.max() <= _LEAF:
            _fill(owner, wall, start, stop, size, *warps, table, kept)
            return
        axis = int(np.argmax(extent * size * (extent > _LEAF)))
        middle = start[axis] + extent[axis] // 2
        upper, lower = start.copy(), stop.copy()
        upper[axis] = lower[axis] = middle
        descend(start, lower, kept)
        descend(upper, stop, kept)

    descend(np.zeros(3, np.int64), np.array(shape, np.int64), np.arange(len(table)))
    return owner, wall


def _table(tubes: Tubes) -> np.ndarray:
    """Rows: first end, vector to the second, 1 / length squared, radius, change of radius, owner."""
    vector = tubes.ends[:, 1] - tubes.ends[:, 0]
    inverse = 1.0 / np.maximum((vector**2).sum(1), 1e-9)
    change = tubes.radii[:, 1] - tubes.radii[:, 0]
    columns = (tubes.ends[:, 0], vector, inverse[:, None], tubes.radii[:, :1], change[:, None], tubes.owner[:, None])
    return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _lattice(extent: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Random values in -1..1 on a lattice, three per point: (3, z, y, x) float64."""
    points = tuple(int(np.ceil(e / spacing)) + 2 for e in extent)
    return 2.0 * rng.random((3, *points)) - 1.0


@njit(cache=True, nogil=True)
def _smooth_noise(lattice: np.ndarray, channel: int, z: float, y: float, x: float) -> float:
    """Value between lattice points (z, y, x in lattice steps), blended with a smooth step."""
    iz, iy, ix = int(z), int(y), int(x)
    fz, fy, fx = z - iz, y - iy, x - ix
    fz, fy, fx = fz * fz * (3 - 2 * fz), fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
    total = 0.0
    for cz in range(2):
        for cy in range(2):
            row = lattice[channel, iz + cz, iy + cy]
            value = row[ix] + fx * (row[ix + 1] - row[ix])
            total += value * (fz if cz else 1 - fz) * (fy if cy else 1 - fy)
    return total


@njit(cache=True, nogil=True)
def _distance(tube: np.ndarray, z: float, y: float, x: float) -> float:
    """Distance to the tube's wall, negative inside."""
    dz, dy, dx = z - tube[0], y - tube[1], x - tube[2]
    t = min(max((dz * tube[3] + dy * tube[4] + dx * tube[5]) * tube[6], 0.0), 1.0)
    dz, dy, dx = dz - t * tube[3], dy - t * tube[4], dx - t * tube[5]
    return np.sqrt(dz * dz + dy * dy + dx * dx) - (tube[7] + t * tube[8])


@njit(cache=True, nogil=True)
def _contenders(table: np.ndarray, candidates: np.ndarray, centre: np.ndarray, slack: float) -> np.ndarray:
    """Candidates that may be nearest, or nearest of another owner, within `slack` of the centre."""
    distances = np.empty(candidates.size)
    first, second, winner = np.inf, np.inf, -1.0
    for i in range(candidates.size):
        tube = table[candidates[i]]
        d = _distance(tube, centre[0], centre[1], centre[2])
        distances[i] = d
        if tube[9] == winner:
            first = min(first, d)
        elif d < first:
            second, first, winner = first, d, tube[9]
        else:
            second = min(second, d)
    # a tube's radius may change along it by its whole length: that adds at most |change| / length per nm of slack
    return candidates[distances <= second + 4.0 * slack] if second < np.inf else candidates


@njit(cache=True, nogil=True)
def _fill(
    owner: np.ndarray, wall: np.ndarray, start: np.ndarray, stop: np.ndarray, size: np.ndarray, coarse: np.ndarray,
    fine: np.ndarray, table: np.ndarray, kept: np.ndarray,
) -> None:
    """Owner and wall distance of every voxel of one leaf."""
    tubes = np.empty((kept.size, table.shape[1]))
    for i in range(kept.size):
        tubes[i] = table[kept[i]]
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            for x in range(start[2], stop[2]):
                pz, py, px = _warped(z * size[0], y * size[1], x * size[2], coarse, fine)
                owner[z, y, x], wall[z, y, x] = _nearest(tubes, pz, py, px)


@njit(cache=True, nogil=True)
def _warped(z: float, y: float, x: float, coarse: np.ndarray, fine: np.ndarray) -> tuple[float, float, float]:
    a, b = _WARP_SPACING
    u, v = _WARP_SIZE
    return (
        z + u * _smooth_noise(coarse, 0, z / a, y / a, x / a) + v * _smooth_noise(fine, 0, z / b, y / b, x / b),
        y + u * _smooth_noise(coarse, 1, z / a, y / a, x / a) + v * _smooth_noise(fine, 1, z / b, y / b, x / b),
        x + u * _smooth_noise(coarse, 2, z / a, y / a, x / a) + v * _smooth_noise(fine, 2, z / b, y / b, x / b),
    )


@njit(cache=True, nogil=True)
def _nearest(tubes: np.ndarray, z: float, y: float, x: float) -> tuple[int, float]:
    """Nearest owner, and the distance to the surface between it and the second nearest owner."""
    first, second, winner, rival = np.inf, np.inf, -1, -1
    for i in range(tubes.shape[0]):
        d = _distance(tubes[i], z, y, x)
        if d >= second:
            continue
        if winner >= 0 and tubes[i, 9] == tubes[winner, 9]:
            if d < first:
                first, winner = d, i
        elif d < first:
            second, rival, first, winner = first, winner, d, i
        else:
            second, rival = d, i
    if rival < 0:
        return int(tubes[winner, 9]), 1e4
    slope = _angle(tubes[winner], tubes[rival], z, y, x)
    return int(tubes[winner, 9]), (second - first) / max(slope, 0.35)


@njit(cache=True, nogil=True)
def _angle(one: np.ndarray, two: np.ndarray, z: float, y: float, x: float) -> float:
    """Length of the difference of the two unit vectors away from the tubes' axes."""
    away = np.empty((2, 3))
    for k in range(2):
        tube = one if k == 0 else two
        dz, dy, dx = z - tube[0], y - tube[1], x - tube[2]
        t = min(max((dz * tube[3] + dy * tube[4] + dx * tube[5]) * tube[6], 0.0), 1.0)
        dz, dy, dx = dz - t * tube[3], dy - t * tube[4], dx - t * tube[5]
        norm = max(np.sqrt(dz * dz + dy * dy + dx * dx), 1e-6)
        away[k, 0], away[k, 1], away[k, 2] = dz / norm, dy / norm, dx / norm
    difference = away[0] - away[1]
    return np.sqrt(difference[0] ** 2 + difference[1] ** 2 + difference[2] ** 2)
