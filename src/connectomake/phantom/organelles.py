"""Mitochondria, reticulum and vesicles: chains of small tubes inside the neurites, and their distance fields."""

import numpy as np

from connectomake.compiled import njit
from connectomake.phantom.centrelines import Tubes
from connectomake.phantom.noise import Warp, unwarped

FAR = np.float32(1e4)
_MITO_RADIUS = (80.0, 280.0)  # nm
_VESICLE_RADIUS = 24.0
_RETICULUM_RADIUS = 38.0


def mitochondria(tubes: Tubes, rng: np.random.Generator) -> np.ndarray:
    """Place mitochondria along the chains of thicker neurites.

    Parameters
    ----------
    tubes
        The neurites.
    rng
        Random generator; the same state gives the same shapes.

    Returns
    -------
    (n, 9) float64
        Pieces of tube: first end and second end (z, y, x), radius at either, in nm, and the neurite's number.
    """
    rows = []
    for pieces in _chains(tubes):
        at = int(rng.integers(0, 6))
        while at + 2 < len(pieces):
            length = int(rng.integers(3, 9))
            run = pieces[at : at + length]
            if tubes.radii[run].min() > 1.5 * _MITO_RADIUS[0] and len(run) > 2 and rng.random() < 0.85:
                rows.append(_mitochondrion(tubes, run, rng))
            at += length + int(rng.integers(2, 9))
    return _stacked(rows)


def _mitochondrion(tubes: Tubes, run: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    along = np.linspace(0.0, 1.0, len(run) + 1)
    radius = min(float(tubes.radii[run].min()) * rng.uniform(0.45, 0.68), _MITO_RADIUS[1])
    profile = np.maximum(radius * np.sqrt(np.maximum(1.0 - (2 * along - 1) ** 2 * 0.75, 0.0)), 30.0)
    offset = (rng.random(3) - 0.5) * (tubes.radii[run].min() - radius) * 0.8
    rows = np.empty((len(run), 9))
    rows[:, :6] = (tubes.ends[run] + offset).reshape(-1, 6)
    rows[:, 6], rows[:, 7], rows[:, 8] = profile[:-1], profile[1:], tubes.owner[run]
    return rows


def membranous(tubes: Tubes, rng: np.random.Generator) -> np.ndarray:
    """Place reticulum along thick chains, and clusters of vesicles anywhere.

    Parameters
    ----------
    tubes
        The neurites.
    rng
        Random generator; the same state gives the same shapes.

    Returns
    -------
    (n, 9) float64
        Rows as of `mitochondria`, in nm.
    """
    rows = []
    for pieces in _chains(tubes):
        thick = tubes.radii[pieces].min(axis=1)
        if len(pieces) > 6 and thick.min() > 110 and rng.random() < 0.7:
            rows.append(_reticulum(tubes, pieces, thick.min(), rng))
        boutons = pieces[(rng.random(len(pieces)) < 0.09) & (thick > 90)]
        rows.extend(_vesicles(tubes, int(piece), rng) for piece in boutons)
    return _stacked(rows)


def _reticulum(tubes: Tubes, pieces: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    wander = np.cumsum(rng.random((len(pieces) + 1, 3)) - 0.5, axis=0) * 0.5 * radius
    wander = np.clip(wander, -0.5 * radius, 0.5 * radius)
    rows = np.empty((len(pieces), 9))
    rows[:, :3], rows[:, 3:6] = tubes.ends[pieces, 0] + wander[:-1], tubes.ends[pieces, 1] + wander[1:]
    rows[:, 6:8], rows[:, 8] = _RETICULUM_RADIUS, tubes.owner[pieces]
    return rows


def _vesicles(tubes: Tubes, piece: int, rng: np.random.Generator) -> np.ndarray:
    radius = float(tubes.radii[piece].min())
    count = int(rng.integers(12, 40))
    places = tubes.ends[piece, 0] + (rng.random((count, 3)) - 0.5) * 1.5 * radius
    rows = np.empty((count, 9))
    rows[:, :3] = rows[:, 3:6] = places
    rows[:, 6:8], rows[:, 8] = _VESICLE_RADIUS, tubes.owner[piece]
    return rows


def _chains(tubes: Tubes) -> list[np.ndarray]:
    order = np.arange(len(tubes.chain))
    return np.split(order, np.flatnonzero(np.diff(tubes.chain)) + 1)


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(rows) if rows else np.empty((0, 9))


def distance_field(
    shapes: np.ndarray, owner: np.ndarray, voxel_size: tuple[float, float, float], warp: Warp, reach: float
) -> np.ndarray:
    """Return the distance of each voxel to the nearest shape of its own neurite.

    Parameters
    ----------
    shapes
        (n, 9) float64: rows as of `mitochondria`, in nm.
    owner
        (z, y, x) int32: number of the neurite of each voxel.
    voxel_size
        Nanometres, z, y, x.
    warp
        The displacement that the neurites have.
    reach
        Largest distance that is computed, in nm.

    Returns
    -------
    (z, y, x) float32
        In nm, negative inside; `FAR` beyond `reach`.
    """
    size = np.array(voxel_size)
    extent = size * owner.shape
    placed = shapes.copy()
    for column in (0, 3):
        corner = np.ascontiguousarray(shapes[:, column : column + 3])
        placed[:, column : column + 3] = unwarped(corner, warp.coarse, warp.fine, extent - size)
    field = np.full(owner.shape, FAR, np.float32)
    _stamp_shapes(field, owner, placed, size, reach)
    return field


@njit(cache=True, nogil=True)
def _stamp_shapes(field: np.ndarray, owner: np.ndarray, shapes: np.ndarray, size: np.ndarray, reach: float) -> None:
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for s in range(shapes.shape[0]):
        row = shapes[s]
        margin = max(row[6], row[7]) + reach
        for axis in range(3):
            low[axis] = max(0, int(np.ceil((min(row[axis], row[axis + 3]) - margin) / size[axis])))
            far = int(np.floor((max(row[axis], row[axis + 3]) + margin) / size[axis])) + 1
            high[axis] = min(field.shape[axis], far)
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                for x in range(low[2], high[2]):
                    if owner[z, y, x] == int(row[8]):
                        distance = _capsule(row, z * size[0], y * size[1], x * size[2])
                        field[z, y, x] = min(field[z, y, x], np.float32(distance))


@njit(cache=True, nogil=True)
def _capsule(row: np.ndarray, z: float, y: float, x: float) -> float:
    dz, dy, dx = z - row[0], y - row[1], x - row[2]
    vz, vy, vx = row[3] - row[0], row[4] - row[1], row[5] - row[2]
    square = max(vz * vz + vy * vy + vx * vx, 1e-9)
    t = min(max((dz * vz + dy * vy + dx * vx) / square, 0.0), 1.0)
    dz, dy, dx = dz - t * vz, dy - t * vy, dx - t * vx
    return np.sqrt(dz * dz + dy * dy + dx * dx) - (row[6] + t * (row[7] - row[6]))  # type: ignore[no-any-return]
