"""Branching centrelines that fill a box: persistent random walks that keep clear of each other."""

import dataclasses

import numpy as np

from connectomake.compiled import njit

_OCCUPANCY_CELL = 64.0  # nm: raster in which the walks look for free space
_MARGIN = 400.0  # nm beyond the box, so that its faces look like cuts through tissue
_CANDIDATES = 10  # directions tried per step
_MAX_STACK = 4096

# (smallest radius nm, largest radius nm, seeds per cubic micrometre, length between branchings nm, greatest length nm)
_CLASSES = (
    (280.0, 480.0, 0.05, 2500.0, 9000.0),
    (130.0, 250.0, 1.0, 1600.0, 9000.0),
    (80.0, 130.0, 30.0, 1100.0, 6000.0),
)
_LIKES_OTHERS = 0.35  # how much less a neurite avoids itself than others


@dataclasses.dataclass(frozen=True, slots=True)
class Tubes:
    """Straight pieces of tube, all lengths in nm.

    Attributes
    ----------
    ends : (n, 2, 3) float64
        First and second end of each piece, (z, y, x).
    radii : (n, 2) float64
        Radius at either end.
    owner : (n,) int64
        Number of the neurite, from 1.
    chain : (n,) int64
        Number of the unbranched walk that the piece belongs to; pieces of a chain follow each other.
    """

    ends: np.ndarray
    radii: np.ndarray
    owner: np.ndarray
    chain: np.ndarray


def grow_tubes(extent: tuple[float, float, float], rng: np.random.Generator) -> Tubes:
    """Fill the box from 0 to `extent` (nm, z y x) with branching neurites, thick ones first.

    Each neurite starts at a free place and walks both ways with a slowly turning direction. Per step several directions
    are tried and the freest is taken; in a dead end the tube thins and finally stops. Same generator state, same tubes.

    Parameters
    ----------
    extent
        Far corner of the box, in nm (z, y, x).
    rng
        Random generator.
    """
    cells = tuple(int(np.ceil((e + 2 * _MARGIN) / _OCCUPANCY_CELL)) for e in extent)
    occupied = np.zeros(cells, np.int32)
    size = np.array(extent) + 2 * _MARGIN
    parts: list[np.ndarray] = []
    owner = chain = 0
    for low, high, density, branching, longest in _CLASSES:
        seeds = max(1, round(density * float(np.prod(size)) * 1e-9))
        for _ in range(seeds):
            position, radius = rng.random(3) * size, low + (high - low) * rng.random()
            if _overlap(occupied, position, radius, -1)[0] > 0.1:
                continue
            owner += 1
            habits = np.array([radius, low * 0.7, branching, longest])
            rows, chain = _walk(occupied, size, position, habits, owner, chain, rng.random(8192))
            parts.append(rows)
    return _tubes(np.concatenate(parts))


def _tubes(rows: np.ndarray) -> Tubes:
    ends = rows[:, :6].reshape(-1, 2, 3) - _MARGIN
    return Tubes(ends, np.ascontiguousarray(rows[:, 6:8]), rows[:, 8].astype(np.int64), rows[:, 9].astype(np.int64))


@njit(cache=True, nogil=True)
def _overlap(occupied: np.ndarray, position: np.ndarray, radius: float, owner: int) -> tuple[float, float]:
    """Shares of the ball's raster cells that other neurites hold, and that `owner` holds."""
    others, own, total = 0, 0, 0
    low = np.maximum(np.floor((position - radius) / _OCCUPANCY_CELL), 0.0)
    high = np.floor((position + radius) / _OCCUPANCY_CELL) + 1
    for z in range(int(low[0]), min(int(high[0]), occupied.shape[0])):
        for y in range(int(low[1]), min(int(high[1]), occupied.shape[1])):
            for x in range(int(low[2]), min(int(high[2]), occupied.shape[2])):
                if _outside_ball(z, y, x, position, radius):
                    continue
                total += 1
                own += occupied[z, y, x] == owner
                others += occupied[z, y, x] != 0 and occupied[z, y, x] != owner
    return others / max(total, 1), own / max(total, 1)


@njit(cache=True, nogil=True)
def _stamp(occupied: np.ndarray, position: np.ndarray, radius: float, owner: int) -> None:
    """Mark the free raster cells of the ball as the neurite's."""
    low = np.maximum(np.floor((position - radius) / _OCCUPANCY_CELL), 0.0)
    high = np.floor((position + radius) / _OCCUPANCY_CELL) + 1
    for z in range(int(low[0]), min(int(high[0]), occupied.shape[0])):
        for y in range(int(low[1]), min(int(high[1]), occupied.shape[1])):
            for x in range(int(low[2]), min(int(high[2]), occupied.shape[2])):
                if occupied[z, y, x] == 0 and not _outside_ball(z, y, x, position, radius):
                    occupied[z, y, x] = owner


@njit(cache=True, nogil=True)
def _outside_ball(z: int, y: int, x: int, position: np.ndarray, radius: float) -> bool:
    dz = (z + 0.5) * _OCCUPANCY_CELL - position[0]
    dy = (y + 0.5) * _OCCUPANCY_CELL - position[1]
    dx = (x + 0.5) * _OCCUPANCY_CELL - position[2]
    return dz * dz + dy * dy + dx * dx > max(radius, 0.6 * _OCCUPANCY_CELL) ** 2  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _turned(direction: np.ndarray, amount: float, pool: np.ndarray, cursor: int) -> np.ndarray:
    """Unit vector: `direction` plus a random vector of about `amount`."""
    out = np.empty(3)
    for axis in range(3):
        out[axis] = direction[axis] + amount * (2.0 * pool[(cursor + axis) % pool.size] - 1.0)
    norm = np.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2])
    return out / max(norm, 1e-6)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _freest(
    occupied: np.ndarray,
    position: np.ndarray,
    direction: np.ndarray,
    radius: float,
    step: float,
    owner: int,
    pool: np.ndarray,
    cursor: int,
) -> tuple[float, np.ndarray]:
    """Overlap with others in the freest of some directions near `direction`, and that direction."""
    least, chosen, best = 2.0, direction, 2.0
    for attempt in range(_CANDIDATES):
        turned = _turned(direction, 0.2 + 0.06 * attempt, pool, cursor + 3 * attempt)
        others, own = _overlap(occupied, position + turned * step, 0.85 * radius, owner)
        if others + _LIKES_OTHERS * own < best - 0.02:
            best, least, chosen = others + _LIKES_OTHERS * own, others, turned
    return least, chosen


@njit(cache=True, nogil=True)
def _walk(
    occupied: np.ndarray,
    size: np.ndarray,
    seed: np.ndarray,
    habits: np.ndarray,
    owner: int,
    chain: int,
    pool: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Rows (end0, end1, radius0, radius1, owner, chain) of one neurite, and the last chain number used.

    `habits` are radius, thinnest radius, length between branchings and greatest length.
    """
    radius, thinnest, branching, longest = habits
    rows = np.empty((pool.size, 10))
    stack = np.empty((_MAX_STACK, 7))
    first = _turned(np.zeros(3), 1.0, pool, 0)
    count, depth, cursor, length = 0, 2, 3, 0.0
    for i in range(2):
        stack[i, :3], stack[i, 3:6], stack[i, 6] = seed, first * (1 - 2 * i), radius
    while depth > 0:
        depth -= 1
        chain += 1
        position, direction, r = stack[depth, :3].copy(), stack[depth, 3:6].copy(), stack[depth, 6]
        while count < rows.shape[0] and length < longest:
            step = max(0.45 * r, 50.0)
            overlap, direction = _freest(occupied, position, direction, r, step, owner, pool, cursor)
            thick = r * (0.9 + 0.2 * pool[(cursor + 30) % pool.size])
            thick = thick * 0.8 if overlap > 0.12 else min(max(thick, thinnest), radius * 1.15)
            if overlap > 0.5 or thick < 0.7 * thinnest:
                break
            there = position + direction * step
            rows[count, :3], rows[count, 3:6], rows[count, 6], rows[count, 7] = position, there, r, thick
            rows[count, 8], rows[count, 9] = owner, chain
            count, length = count + 1, length + step
            _stamp(occupied, there, thick, owner)
            if np.min(there) < 0 or np.min(size - there) < 0:
                break
            if pool[(cursor + 31) % pool.size] < step / branching and depth < _MAX_STACK:
                stack[depth, :3], stack[depth, 3:6] = there, _turned(direction, 1.6, pool, cursor + 32)
                stack[depth, 6] = max(thinnest, thick * (0.55 + 0.35 * pool[(cursor + 35) % pool.size]))
                depth += 1
            cursor += 36
            position, r = there, thick
    return rows[:count].copy(), chain
