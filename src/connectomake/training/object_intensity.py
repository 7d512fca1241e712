"""Augmentation of the brightness of single objects, so that a step in grey is learned as a boundary without a membrane.

Cells differ in the darkness of their cytoplasm, and a membrane cut along its plane is no dark line but a slow change from one
grey to the other: the commonest place of a merger in isotropic volumes.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from connectomake.training.intensity_augmentation import blur
from connectomake.training.resample import BOUNDARY, IGNORE
from connectomake.training.spec import AugmentSpec

Image = NDArray[np.float32]

MEMBRANE = 5
"""Dark things thinner than so many voxels are taken away where membranes fade."""


def shift_object_intensity(image: Image, labels: NDArray[np.uint32], spec: AugmentSpec, rng: Generator) -> Image:
    """Return an image (z, y, x) in which, with probability `tint`, each object is darker or brighter than it was.

    In half of those, membranes are taken away in a few round places, before the objects are tinted.
    """
    if not spec.tint or rng.random() >= spec.tint:
        return image
    if rng.random() < 0.5:
        image = _without_membranes(image, rng)
    names, which = np.unique(labels, return_inverse=True)
    added = rng.normal(0, rng.uniform(0.03, 0.15), len(names)).astype(np.float32)
    added[np.isin(names, (BOUNDARY, IGNORE))] = 0
    return image + blur(added[which].reshape(image.shape), rng.uniform(0.5, 2.5))


def _without_membranes(image: Image, rng: Generator) -> Image:
    share = np.zeros(image.shape, np.float32)
    for _ in range(rng.integers(2, 7)):
        share = np.maximum(share, _bump(image.shape, rng.uniform(5, 14), rng))
    return image + share * (_closed(image) - image)


def _closed(image: Image) -> Image:
    """Return the grey closing by a cube of side `MEMBRANE`: the smallest of the largest about each voxel."""
    for reduce in (np.max, np.min):
        for axis in range(3):
            around = [(MEMBRANE // 2, MEMBRANE // 2) if a == axis else (0, 0) for a in range(3)]
            image = reduce(np.lib.stride_tricks.sliding_window_view(np.pad(image, around, "edge"), MEMBRANE, axis), axis=-1)
    return image


def _bump(shape: tuple[int, ...], radius: float, rng: Generator) -> Image:
    """Return what is 1 within a ball at a random place and falls to 0 over a third of its radius."""
    centre = [rng.uniform(0, n) for n in shape]
    z, y, x = (np.arange(n, dtype=np.float32) - np.float32(c) for n, c in zip(shape, centre, strict=True))
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    return np.clip((radius - distance) * np.float32(3 / radius) + 1, 0, 1).astype(np.float32)  # type: ignore[no-any-return]
