"""From geometry to grey values: cytoplasm, membranes, organelles, sections, blur and noise."""

import dataclasses

import numpy as np

from connectomake.compiled import njit
from connectomake.phantom.noise import blur, lattice, smooth_noise, voxel_noise

_MEMBRANE = 84.0  # grey values, as in FIB-SEM stained with osmium
_DENSITY = 58.0
_MITO = 94.0
_CORE, _EDGE = 9.0, 27.0  # nm from the wall: dark up to the first, cytoplasm from the second
_PATCHES = 260.0  # nm between lattice points of membrane thickness and synaptic densities
_ROUGH = np.float32(10.0)
_SHOT = np.float32(8.5)


@dataclasses.dataclass(frozen=True, slots=True)
class Tissue:
    """Geometry to paint, all of shape (z, y, x): neurite number, and distances in nm to wall and organelles."""

    owner: np.ndarray
    wall: np.ndarray
    mitochondria: np.ndarray
    membranous: np.ndarray


def paint(tissue: Tissue, voxel_size: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Return the image, (z, y, x) uint8: bright cytoplasm, dark membranes.

    Parameters
    ----------
    tissue
        What to paint.
    voxel_size
        Nanometres, z, y, x.
    rng
        Random generator; the same state gives the same image.
    """
    shape = tissue.owner.shape
    size = np.array(voxel_size)
    shades = _shades(int(tissue.owner.max()) + 1, rng)
    patches = lattice(size * shape, _PATCHES, rng)
    image = voxel_noise(shape, 2, rng)
    _colour(image, tissue.owner, tissue.wall, tissue.mitochondria, tissue.membranous, shades, patches, size)
    blur(image)
    return expose(image, rng)


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return grey values as a microscope shows them, uint8: sections of different contrast, noise, rounding."""
    gain, offset = _sections(image.shape[0], rng)
    exposed: np.ndarray = _exposed(image, rng.standard_normal(image.shape, dtype=np.float32), gain, offset)
    return exposed


def _shades(count: int, rng: np.random.Generator) -> np.ndarray:
    """Brightness of each neurite's cytoplasm; one in seven is dark."""
    shades = 163.0 + 10.0 * (2.0 * rng.random(count) - 1.0) - 30.0 * (rng.random(count) < 1 / 7)
    return shades.astype(np.float32)


def _sections(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset per section: a slow drift with a little jump at each section."""
    walks = rng.standard_normal((2, count + 32))
    slow = np.zeros((2, count))
    for lag in range(33):
        slow += walks[:, lag : lag + count] * (17 - abs(lag - 16)) / 17**2
    jumps = rng.standard_normal((2, count))
    gain = 1.0 + 0.2 * slow[0] + 0.012 * jumps[0]
    offset = 24.0 * slow[1] + 1.6 * jumps[1]
    return gain.astype(np.float32), offset.astype(np.float32)


@njit(cache=True, nogil=True)
def _colour(
    image: np.ndarray,
    owner: np.ndarray,
    wall: np.ndarray,
    mitochondria: np.ndarray,
    membranous: np.ndarray,
    shades: np.ndarray,
    patches: np.ndarray,
    size: np.ndarray,
) -> None:
    """Turn `image`, which holds the texture (deviation 1), into grey values without noise."""
    steps = size / _PATCHES
    for z in range(image.shape[0]):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                texture = image[z, y, x]
                to_wall = wall[z, y, x]
                value = shades[owner[z, y, x]] + _ROUGH * texture
                value = _with_reticulum(value, membranous[z, y, x])
                value = _with_mitochondrion(value, mitochondria[z, y, x], to_wall, texture)
                if to_wall < 90.0:
                    thick = smooth_noise(patches, 0, z * steps[0], y * steps[1], x * steps[2])
                    dense = smooth_noise(patches, 1, z * steps[0], y * steps[1], x * steps[2])
                    value = _with_membrane(value, to_wall, thick, dense, texture)
                image[z, y, x] = value


@njit(cache=True, nogil=True)
def ramp(value: float, low: float, high: float) -> float:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, nogil=True)
def _with_membrane(value: float, to_wall: float, thick: float, dense: float, texture: float) -> float:
    """Darken near the wall; where `dense` is high there is a synaptic density, wider and darker."""
    synapse = ramp(dense, 0.55, 0.75)
    distance = to_wall / (1.0 + 0.3 * thick + 1.3 * synapse)
    dark = _MEMBRANE + 5.0 * texture + (_DENSITY - _MEMBRANE) * synapse
    painted: float = dark + (value - dark) * ramp(distance, _CORE, _EDGE)
    return painted


@njit(cache=True, nogil=True)
def _with_mitochondrion(value: float, distance: float, to_wall: float, texture: float) -> float:
    """Dark matrix with paler cristae inside a darker double membrane, and a pale cleft around; clear of the wall."""
    distance = max(distance, 42.0 - to_wall)
    if distance > 24.0:
        return value
    cristae = 1.0 - ramp(abs(texture), 0.0, 0.7)
    inside = _MITO + 9.0 * cristae + 3.0 * texture
    rim = 76.0 + 4.0 * texture
    body = rim + (inside - rim) * ramp(-distance, 8.0, 24.0)
    painted: float = body + (value - body) * ramp(distance, -4.0, 14.0)
    return painted


@njit(cache=True, nogil=True)
def _with_reticulum(value: float, distance: float) -> float:
    """Grey outline of a small compartment, paler inside."""
    if distance > 20.0:
        return value
    lumen = value + 6.0 * ramp(-distance, 8.0, 20.0)
    painted: float = lumen - 56.0 * (1.0 - ramp(abs(distance), 3.0, 18.0))
    return painted


@njit(cache=True, nogil=True)
def _exposed(image: np.ndarray, noise: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Contrast per section, noise that smears a little along the scan line, rounding."""
    out = np.empty(image.shape, np.uint8)
    last = image.shape[2] - 1
    for z in range(image.shape[0]):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                smeared = noise[z, y, x] + np.float32(0.35) * noise[z, y, min(x + 1, last)]
                value = (image[z, y, x] - np.float32(128)) * gain[z] + np.float32(128) + offset[z] + _SHOT * smeared
                out[z, y, x] = np.uint8(min(max(value + np.float32(0.5), np.float32(0)), np.float32(255)))
    return out
