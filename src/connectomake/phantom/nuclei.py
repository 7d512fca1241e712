"""Nuclei in tissue: rough ellipsoids in their somata, a vessel, and neuropil as texture, for voxels of some 50 nm."""

import dataclasses

import numpy as np

from connectomake.compiled import njit
from connectomake.phantom.noise import blur, lattice, smooth_noise, voxel_noise
from connectomake.phantom.paint import expose, ramp

VERSION = 1  # raise when the same seed gives another volume

_SEMI_AXES = (2000.0, 4000.0)  # nm
_DENSITY = 2e-12  # nuclei tried per nm³: ten times that of cortex, so that a small box has some
_CLEAR = 1200.0  # nm at least between two nuclei, and from the vessel
_CYTOPLASM = 900.0  # nm of soma around a nucleus, give or take the roughness
_VESSEL = (1500.0, 2500.0)  # nm, radius
_ROUGH = (350.0, 1700.0)  # nm: largest shift of the outline, and spacing of its lattice
_TEXTURES = (450.0, 220.0)  # nm between lattice points: neurites and chromatin, and what is in them
_DUST = 1e9  # nm³: smaller pieces at a face of the box are no nucleus
_FAR = 1e9


@dataclasses.dataclass(frozen=True, slots=True)
class Cells:
    """Where nuclei and the vessel lie, in nm, z y x.

    Attributes
    ----------
    centres : (n, 3) float64
    frames : (n, 3, 3) float64
        Rows: the ellipsoid's axes as unit vectors, each divided by the length of its semi-axis.
    vessel : (7,) float64
        A point of its axis, the axis as a unit vector, its radius.
    """

    centres: np.ndarray
    frames: np.ndarray
    vessel: np.ndarray


def place_cells(extent: np.ndarray, rng: np.random.Generator) -> Cells:
    """Draw a vessel, and nuclei clear of it and of each other, in the box from 0 to `extent`; some are cut by its faces."""
    vessel = np.concatenate((rng.random(3) * extent, _frame(rng)[0], [_VESSEL[0] + (_VESSEL[1] - _VESSEL[0]) * rng.random()]))
    centres, frames, radii = np.empty((0, 3)), np.empty((0, 3, 3)), np.empty(0)
    for _ in range(max(8, round(_DENSITY * 4 * float(np.prod(extent))))):
        centre, frame = rng.random(3) * extent, _frame(rng)
        semi = _SEMI_AXES[0] + (_SEMI_AXES[1] - _SEMI_AXES[0]) * rng.random(3)
        radius = float(semi.max()) + _ROUGH[0]
        away = centre - vessel[:3]
        off_axis = away - (away * vessel[3:6]).sum() * vessel[3:6]
        near_vessel = np.sqrt((off_axis**2).sum()) < radius + vessel[6] + _CLEAR
        near_others = np.sqrt(((centres - centre) ** 2).sum(axis=1)) < radii + radius + _CLEAR
        if not near_vessel and not near_others.any():
            centres = np.concatenate((centres, centre[None]))
            frames = np.concatenate((frames, (frame / semi[:, None])[None]))
            radii = np.append(radii, radius)
    return Cells(centres, frames, vessel)


def make_nuclei(
    extent: tuple[int, int, int], size: tuple[float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image (z, y, x) uint8 and the labels of its nuclei, uint32; parameters as of `make_phantom`."""
    step = np.array(size)
    box = np.array(extent) * step
    cells = place_cells(box, rng)
    rough = lattice(box, _ROUGH[1], rng)
    distance = np.empty(extent, np.float32)
    _distances(distance, cells.centres, cells.frames, rough, step)
    labels = _labels(distance, float(np.prod(step)))
    image = voxel_noise(extent, 1, rng)
    _colour(image, distance, cells.vessel, rough, lattice(box, _TEXTURES[0], rng), lattice(box, _TEXTURES[1], rng), step)
    blur(image)
    return expose(image, rng), labels


def _frame(rng: np.random.Generator) -> np.ndarray:
    """Three unit vectors at right angles, (3, 3)."""
    a, b = rng.standard_normal((2, 3))
    a = a / np.sqrt((a * a).sum())
    b = b - (a * b).sum() * a
    b = b / np.sqrt((b * b).sum())
    third = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return np.array([a, b, third])


def _labels(distance: np.ndarray, voxel: float) -> np.ndarray:
    """Number the nuclei in raster order; pieces that are dust become cytoplasm, in `distance` too."""
    import cc3d

    pieces = cc3d.connected_components((distance < 0).astype(np.uint8), connectivity=6, out_dtype=np.uint32)
    kept = np.bincount(pieces.reshape(-1)) * voxel >= _DUST
    kept[0] = False
    labels: np.ndarray = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)[pieces]
    distance[(pieces > 0) & (labels == 0)] = np.float32(_CYTOPLASM / 2)
    return labels


@njit(cache=True, nogil=True)
def _distances(out: np.ndarray, centres: np.ndarray, frames: np.ndarray, rough: np.ndarray, step: np.ndarray) -> None:
    """Fill `out` with the distance in nm to the outline of the nearest nucleus, negative inside; far off about right."""
    for z, y, x in np.ndindex(out.shape):
        pz, py, px = z * step[0], y * step[1], x * step[2]
        least = _FAR
        for i in range(centres.shape[0]):
            dz, dy, dx = pz - centres[i, 0], py - centres[i, 1], px - centres[i, 2]
            square, slope = 0.0, np.zeros(3)
            for k in range(3):
                q = frames[i, k, 0] * dz + frames[i, k, 1] * dy + frames[i, k, 2] * dx
                square += q * q
                slope += q * frames[i, k]
            steep = np.sqrt(slope[0] * slope[0] + slope[1] * slope[1] + slope[2] * slope[2])
            radius = np.sqrt(square)
            least = min(least, (radius - 1.0) * radius / max(steep, 1e-9) if radius > 0.1 else -_SEMI_AXES[0])
        shift = _ROUGH[0] * smooth_noise(rough, 0, pz / _ROUGH[1], py / _ROUGH[1], px / _ROUGH[1])
        out[z, y, x] = np.float32(least + shift)


@njit(cache=True, nogil=True)
def _colour(
    image: np.ndarray,
    distance: np.ndarray,
    vessel: np.ndarray,
    rough: np.ndarray,
    coarse: np.ndarray,
    fine: np.ndarray,
    step: np.ndarray,
) -> None:
    """Turn `image`, which holds the texture (deviation 1), into grey values without noise."""
    a, b, r = _TEXTURES[0], _TEXTURES[1], _ROUGH[1]
    for z, y, x in np.ndindex(image.shape):
        pz, py, px = z * step[0], y * step[1], x * step[2]
        texture, d = image[z, y, x], distance[z, y, x]
        one = smooth_noise(coarse, 0, pz / a, py / a, px / a)
        two = smooth_noise(fine, 0, pz / b, py / b, px / b)
        soma = _CYTOPLASM + 2.0 * _ROUGH[0] * smooth_noise(rough, 1, pz / r, py / r, px / r)
        if d < 0.0:
            value = _nucleus(one, two, texture)
        elif d < soma:
            value = _cytoplasm(two, texture)
        else:
            value = _neuropil(one, smooth_noise(coarse, 1, pz / a, py / a, px / a), two, texture)
        value = 80.0 + (value - 80.0) * ramp(abs(d), 25.0, 110.0)  # the envelope
        value = 85.0 + (value - 85.0) * ramp(abs(d - soma), 20.0, 90.0)  # the soma's membrane
        image[z, y, x] = _with_vessel(value, _to_vessel(vessel, pz, py, px), texture)


@njit(cache=True, nogil=True)
def _nucleus(one: float, two: float, texture: float) -> float:
    """Pale, with clumps of darker chromatin."""
    value: float = 150.0 - 34.0 * ramp(one, 0.25, 0.5) + 9.0 * two + 4.0 * texture
    return value


@njit(cache=True, nogil=True)
def _cytoplasm(two: float, texture: float) -> float:
    """Grey, with mitochondria and reticulum."""
    value: float = 142.0 - 45.0 * ramp(two, 0.3, 0.45) + 9.0 * texture
    return value


@njit(cache=True, nogil=True)
def _neuropil(one: float, shade: float, two: float, texture: float) -> float:
    """Membranes where a smooth field changes its sign or another does; profiles of different shade, some dark bodies."""
    value = 150.0 + 24.0 * shade + 7.0 * texture - 50.0 * ramp(two, 0.5, 0.65)
    edge = min(abs(one), 0.5 * abs(shade), 0.5 * abs(two))
    mixed: float = 82.0 + (value - 82.0) * ramp(edge, 0.01, 0.12)
    return mixed


@njit(cache=True, nogil=True)
def _to_vessel(vessel: np.ndarray, z: float, y: float, x: float) -> float:
    """Distance in nm to the vessel's wall, negative inside."""
    dz, dy, dx = z - vessel[0], y - vessel[1], x - vessel[2]
    along = dz * vessel[3] + dy * vessel[4] + dx * vessel[5]
    square = dz * dz + dy * dy + dx * dx - along * along
    return np.sqrt(max(square, 0.0)) - vessel[6]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _with_vessel(value: float, d: float, texture: float) -> float:
    """Empty lumen inside a grey wall of 300 nm."""
    if d > 300.0:
        return value
    wall = 105.0 + 8.0 * texture
    lumen = 205.0 + 2.0 * texture
    inside: float = lumen + (wall - lumen) * ramp(d, -60.0, 60.0)
    return inside
