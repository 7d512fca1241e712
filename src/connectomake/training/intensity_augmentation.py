"""Augmentation of the grey values of a sample: contrast, noise, blur, missing sections."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from connectomake.compiled import njit
from connectomake.training.spec import AugmentSpec

Image = NDArray[np.float32]


def augment_intensity(image: Image, spec: AugmentSpec, rng: Generator) -> Image:
    """Return an image (z, y, x) in [0, 1], or about it, with other grey values."""
    image = _blurred(image, spec, rng)
    image = _tone(image, spec, rng)
    if spec.section_jitter:
        shape = (image.shape[0], 1, 1)
        factor = np.exp(rng.normal(0, spec.section_jitter, shape)).astype(np.float32)
        image = image * factor + rng.normal(0, spec.section_jitter / 2, shape).astype(np.float32)
    if spec.noise:
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, spec.noise))
    if rng.random() < spec.missing:
        _lose_sections(image, rng)
    if rng.random() < spec.cut_out:
        _cut_out(image, rng)
    return image


def _tone(image: Image, spec: AugmentSpec, rng: Generator) -> Image:
    """Contrast about the mean, brightness, and a gamma of what lies in [0, 1]."""
    factor, added = np.exp(rng.normal(0, spec.contrast)), rng.normal(0, spec.brightness)
    mean = image.mean(dtype=np.float64)
    image = np.clip((image - np.float32(mean)) * np.float32(factor) + np.float32(mean + added), 0, 1)
    return np.power(image, np.float32(np.exp(rng.normal(0, spec.gamma))))


def _blurred(image: Image, spec: AugmentSpec, rng: Generator) -> Image:
    if rng.random() >= spec.blur:
        return image
    soft = blur(image, rng.uniform(0.4, spec.blur_sigma))
    if rng.random() >= 1 / 3:
        return soft
    box = _box(image.shape, 0.3, 0.9, rng)
    image[box] = soft[box]
    return image


def blur(image: Image, sigma: float) -> Image:
    """Return the image under a Gaussian, cut at 3 sigma, its faces repeated."""
    radius = max(round(3 * sigma), 1)
    weights = np.exp(-((np.arange(-radius, radius + 1) / sigma) ** 2) / 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in range(3):
        moved = np.moveaxis(image, axis, 0)
        out = np.zeros(moved.shape, np.float32)
        _convolve(np.ascontiguousarray(moved), weights, out)
        image = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(image)


@njit(cache=True, nogil=True)
def _convolve(image: Any, weights: Any, out: Any) -> None:
    """Convolve along the first axis."""
    depth, height, width = image.shape
    radius = len(weights) // 2
    for z in range(depth):
        for k in range(len(weights)):
            source = min(max(z + k - radius, 0), depth - 1)
            for y in range(height):
                for x in range(width):
                    out[z, y, x] += weights[k] * image[source, y, x]


def _lose_sections(image: Image, rng: Generator) -> None:
    for section in rng.integers(0, image.shape[0], rng.integers(1, 3)):
        kind = rng.integers(3)
        if kind == 2:
            image[section] = blur(image[section][np.newaxis], 3.0)[0]
        else:
            image[section] = image.mean() if kind else 0


def _cut_out(image: Image, rng: Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        image[_box(image.shape, 0.1, 0.3, rng)] = rng.uniform(0.1, 0.9) if rng.random() < 0.5 else image.mean()


def _box(shape: tuple[int, ...], low: float, high: float, rng: Generator) -> tuple[slice, ...]:
    """Return a box whose sides are `low` to `high` of the image's."""
    sizes = [max(round(n * rng.uniform(low, high)), 1) for n in shape]
    starts = [int(rng.integers(0, n - s + 1)) for n, s in zip(shape, sizes, strict=True)]
    return tuple(slice(a, a + s) for a, s in zip(starts, sizes, strict=True))
