"""Spatial augmentation of a sample: random rotation, scaling, deformation and misalignment."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from connectomake.geometry import Vec
from connectomake.training.spec import AugmentSpec

WARP_SPACING = 20
"""Voxels between the control points of an elastic displacement, or fewer."""


@dataclass(frozen=True, slots=True)
class SpatialTransform:
    """Where the voxels of a sample come from; see `connectomake.training.resample.resample`."""

    matrix: NDArray[np.float64]
    warp: NDArray[np.float64]
    shifts: NDArray[np.float64]
    label_shifts: NDArray[np.float64]


def draw_spatial_transform(spec: AugmentSpec, patch: Vec, rng: Generator) -> SpatialTransform:
    """Draw the geometry of one sample."""
    matrix = _permutation(spec, rng) @ _rotation(spec, rng) @ _zoom(spec, rng)
    shifts, label_shifts = _shifts(spec, patch[0], rng)
    return SpatialTransform(matrix, _warp(spec, patch, rng), shifts, label_shifts)


def _permutation(spec: AugmentSpec, rng: Generator) -> NDArray[np.float64]:
    orders: list[tuple[int, ...]] = {
        "none": [(0, 1, 2)],
        "yx": [(0, 1, 2), (0, 2, 1)],
        "zyx": list(itertools.permutations(range(3))),
    }[spec.transpose]  # type: ignore[assignment]
    order = orders[rng.integers(len(orders))]
    signs = rng.choice((-1.0, 1.0), 3) if spec.flip else np.ones(3)
    return np.eye(3)[:, order] * signs


def _rotation(spec: AugmentSpec, rng: Generator) -> NDArray[np.float64]:
    """Return a turn by up to 45 degrees (more is what transposing is for)."""
    if rng.random() >= spec.rotate:
        return np.eye(3)
    axis = rng.normal(size=3) if spec.transpose == "zyx" else np.array((1.0, 0.0, 0.0))
    z, y, x = axis / np.linalg.norm(axis)
    angle = rng.uniform(-np.pi / 4, np.pi / 4)
    cross = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0]])
    turned: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def _zoom(spec: AugmentSpec, rng: Generator) -> NDArray[np.float64]:
    """Return one scale for all axes times a lesser one for each."""
    if spec.zoom == 0:
        return np.eye(3)
    log = np.log1p(spec.zoom)
    return np.diag(np.exp(rng.uniform(-log, log) * 0.7 + rng.uniform(-log, log, 3) * 0.3))


def _warp(spec: AugmentSpec, patch: Vec, rng: Generator) -> NDArray[np.float64]:
    if spec.bend == 0:
        return np.zeros((3, 1, 1, 1))
    points = [max(-(-p // WARP_SPACING), 1) + 1 for p in patch]
    return rng.normal(0, spec.bend * rng.random(), (3, *points))


def _shifts(spec: AugmentSpec, depth: int, rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shifts, label_shifts = np.zeros((depth, 2)), np.zeros((depth, 2))
    if depth > 1 and rng.random() < spec.misaligned:
        section, shift = rng.integers(1, depth), rng.normal(0, 3, 2).round()
        if rng.random() < 0.5:
            shifts[section:] = shift
            label_shifts[section:] = shift
        else:
            shifts[section] = shift
    return shifts, label_shifts
