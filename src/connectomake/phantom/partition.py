"""Which neurite owns each voxel, and how far its membrane is: a weighted Voronoi diagram of tubes, gently warped."""

import numpy as np

from connectomake.compiled import njit
from connectomake.phantom.centrelines import Tubes
from connectomake.phantom.noise import WARP_REACH, Warp, warped

_STEEP = 1.2  # a wall distance changes at most so much per nm: tubes taper by less than 0.66 nm per nm
_ALONE = 1e4  # nm: wall distance where there is only one neurite
_LEAF = 8  # voxels: largest side of a box whose voxels share one candidate list


def partition(
    tubes: Tubes, shape: tuple[int, int, int], voxel_size: tuple[float, float, float], warp: Warp
) -> tuple[np.ndarray, np.ndarray]:
    """Assign every voxel to the tube whose wall is nearest (distance to the axis minus radius).

    The box is halved down to leaves; on the way only tubes are kept that may be nearest or second nearest somewhere
    inside, by the triangle inequality, so the result is that of trying every tube.

    Parameters
    ----------
    tubes
        The neurites.
    shape
        Of the volume (z, y, x), in voxels.
    voxel_size
        Nanometres, z, y, x.
    warp
        Displacement of every position.

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
    table = _table(tubes)

    def descend(start: np.ndarray, stop: np.ndarray, candidates: np.ndarray) -> None:
        extent = stop - start
        if extent.max() <= _LEAF:
            _fill(owner, wall, start, stop, size, warp.coarse, warp.fine, table, candidates)
            return
        reach = 0.5 * float(np.sqrt((((extent - 1) * size) ** 2).sum())) + WARP_REACH
        kept, _ = _contenders(table, candidates, 0.5 * (start + stop - 1) * size, reach)
        axis = int(np.argmax(extent * size * (extent > _LEAF)))
        upper, lower = start.copy(), stop.copy()
        upper[axis] = lower[axis] = start[axis] + extent[axis] // 2
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


@njit(cache=True, nogil=True)
def _distance(table: np.ndarray, i: int, z: float, y: float, x: float) -> float:
    """Distance to the wall of tube `i`, negative inside."""
    dz, dy, dx = z - table[i, 0], y - table[i, 1], x - table[i, 2]
    t = min(max((dz * table[i, 3] + dy * table[i, 4] + dx * table[i, 5]) * table[i, 6], 0.0), 1.0)
    dz, dy, dx = dz - t * table[i, 3], dy - t * table[i, 4], dx - t * table[i, 5]
    return np.sqrt(dz * dz + dy * dy + dx * dx) - (table[i, 7] + t * table[i, 8])  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _contenders(table: np.ndarray, candidates: np.ndarray, centre: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Candidates that may be nearest, or nearest of another owner, within `reach` of the centre; and their distances."""
    distances = np.empty(candidates.size)
    first, second, winner = np.inf, np.inf, -1.0
    for i in range(candidates.size):
        d = _distance(table, candidates[i], centre[0], centre[1], centre[2])
        distances[i] = d
        owner = table[candidates[i], 9]
        if owner == winner:
            first = min(first, d)
        elif d < first:
            second, first, winner = first, d, owner
        else:
            second = min(second, d)
    near = distances <= second + 2.0 * _STEEP * reach
    return candidates[near], distances[near]


@njit(cache=True, nogil=True)
def _fill(
    owner: np.ndarray,
    wall: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    size: np.ndarray,
    coarse: np.ndarray,
    fine: np.ndarray,
    table: np.ndarray,
    candidates: np.ndarray,
) -> None:
    """Owner and wall distance of every voxel of one leaf."""
    extent = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    points = np.empty((*extent, 3))
    for i in np.ndindex(extent):
        z, y, x = (start[0] + i[0]) * size[0], (start[1] + i[1]) * size[1], (start[2] + i[2]) * size[2]
        points[i][0], points[i][1], points[i][2] = warped(z, y, x, coarse, fine)
    centre, reach = _ball(points.reshape(-1, 3))
    kept, distances = _contenders(table, candidates, centre, reach)
    order = np.argsort(distances)
    tubes, bounds = np.empty((kept.size, table.shape[1])), np.empty(kept.size)
    for k in range(kept.size):
        tubes[k], bounds[k] = table[kept[order[k]]], distances[order[k]]
    for i in np.ndindex(extent):
        at = start[0] + i[0], start[1] + i[1], start[2] + i[2]
        owner[at], wall[at] = _nearest(tubes, bounds, centre, points[i])


@njit(cache=True, nogil=True)
def _ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of a ball around the points."""
    centre = np.zeros(3)
    for i in range(points.shape[0]):
        for axis in range(3):
            centre[axis] += points[i, axis] / points.shape[0]
    square = 0.0
    for i in range(points.shape[0]):
        dz, dy, dx = points[i, 0] - centre[0], points[i, 1] - centre[1], points[i, 2] - centre[2]
        square = max(square, dz * dz + dy * dy + dx * dx)
    return centre, np.sqrt(square)


@njit(cache=True, nogil=True)
def _nearest(tubes: np.ndarray, bounds: np.ndarray, centre: np.ndarray, point: np.ndarray) -> tuple[int, float]:
    """Nearest owner, and the distance to the surface between it and the second nearest owner.

    `bounds` are the tubes' distances from `centre`, ascending: once they exceed the second nearest by more than the way
    from centre to point, no later tube counts.
    """
    z, y, x = point[0], point[1], point[2]
    way = _STEEP * np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
    first, second, winner, rival = np.inf, np.inf, -1, -1
    for i in range(tubes.shape[0]):
        if bounds[i] - way > second:
            break
        d = _distance(tubes, i, z, y, x)
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
        return int(tubes[winner, 9]), _ALONE
    return int(tubes[winner, 9]), (second - first) / max(_slope(tubes, winner, rival, z, y, x), 0.35)


@njit(cache=True, nogil=True)
def _slope(tubes: np.ndarray, one: int, two: int, z: float, y: float, x: float) -> float:
    """Length of the difference of the two unit vectors away from the tubes' axes."""
    az, ay, ax = _away(tubes, one, z, y, x)
    bz, by, bx = _away(tubes, two, z, y, x)
    return np.sqrt((az - bz) ** 2 + (ay - by) ** 2 + (ax - bx) ** 2)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _away(table: np.ndarray, i: int, z: float, y: float, x: float) -> tuple[float, float, float]:
    dz, dy, dx = z - table[i, 0], y - table[i, 1], x - table[i, 2]
    t = min(max((dz * table[i, 3] + dy * table[i, 4] + dx * table[i, 5]) * table[i, 6], 0.0), 1.0)
    dz, dy, dx = dz - t * table[i, 3], dy - t * table[i, 4], dx - t * table[i, 5]
    norm = max(np.sqrt(dz * dz + dy * dy + dx * dx), 1e-6)
    return dz / norm, dy / norm, dx / norm
