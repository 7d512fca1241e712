"""Settings of a training, as validated values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from connectomake.errors import ConfigError
from connectomake.geometry import Box, Vec, as_vec

NEAREST: tuple[Vec, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
"""Offsets of the first three channels: z, y, x."""


@dataclass(frozen=True, slots=True)
class AugmentSpec:
    """How samples are varied; probabilities are per sample, 0 turns a thing off.

    Parameters
    ----------
    flip
        Whether each axis may be reversed.
    transpose
        Axes that may change places: 'zyx', 'yx' or 'none'. All of them need a cubic patch; yx a square one.
    rotate
        Probability of a turn, about any axis where all axes may change places, else about z.
    zoom
        Scale factors lie in 1 / (1 + zoom) to 1 + zoom per axis.
    bend
        Standard deviation in voxels of an elastic displacement at points some 20 voxels apart.
    brightness, contrast
        Standard deviation of what is added, and of the logarithm of the factor, for images in [0, 1].
    gamma
        Standard deviation of the logarithm of the exponent.
    noise
        Largest standard deviation of Gaussian noise.
    blur
        Probability of a Gaussian blur, of sigma up to `blur_sigma` voxels; a third of them within a part of the patch only.
    cut_out
        Probability of boxes being replaced by grey; the labels stay.
    missing
        Probability of sections (in z) being black, grey or blurred.
    misaligned
        Probability that sections are shifted in y and x: all from one on, labels too, or one alone in the image.
    section_jitter
        Standard deviation of brightness and contrast that differ from section to section.
    tint
        Probability that each object gets a brightness of its own, in half of the cases with membranes faded in places.
    """

    flip: bool = True
    transpose: str = "zyx"
    rotate: float = 0.0
    zoom: float = 0.0
    bend: float = 0.0
    brightness: float = 0.08
    contrast: float = 0.15
    gamma: float = 0.15
    noise: float = 0.04
    blur: float = 0.2
    blur_sigma: float = 1.5
    cut_out: float = 0.2
    missing: float = 0.05
    misaligned: float = 0.05
    section_jitter: float = 0.0
    tint: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """All that the trained weights depend on, but for the volumes.

    Parameters
    ----------
    patch
        Shape of a sample, in voxels: a multiple of the network's pooling.
    offsets
        Of each channel, z, y, x; the first three are `NEAREST`.
    eroded
        By how many voxels labels are eroded for nearest-neighbour affinities.
    network
        Settings of an RSUNet but for its channels: widths, pooling, variant.
    steps
        Optimiser steps; the learning rate follows half a cosine over them.
    batch
        Samples per step.
    learning_rate, warm_up, weight_decay, clip
        Of AdamW: highest rate, steps until it is reached, decay of convolution weights, limit of the gradient's norm.
    average
        Decay of the moving average of weights and statistics, which is what is saved; 0 takes the last ones.
    seed, threads, device, layout, autocast
        What the bits depend on besides.
    workers
        Threads that make samples, or None for as many as the device needs; the result does not depend on it.
    initial_weights
        File of an earlier training to begin with, or None.
    """

    patch: Vec
    offsets: tuple[Vec, ...]
    network: Mapping[str, Any]
    augment: AugmentSpec
    steps: int
    eroded: int = 1
    batch: int = 1
    learning_rate: float = 0.001
    warm_up: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.995
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    layout: str = "channels_last_3d"
    autocast: str = "none"
    workers: int | None = None
    initial_weights: str | None = None

    def __post_init__(self) -> None:
        """Refuse patches that do not fit the network or the augmentation."""
        if self.offsets[:3] != NEAREST:
            raise ConfigError(
                f"targets.offsets must begin with the nearest neighbours {[list(o) for o in NEAREST]} (or with 1), got "
                f"{[list(o) for o in self.offsets[:3]]}"
            )
        for axis, p, factor in zip("zyx", self.patch, self.pooled, strict=True):
            if p % factor:
                raise ConfigError(f"patch {list(self.patch)} is not a multiple of the network's pooling, {factor} along {axis}")
        for offset in self.offsets:
            if any(o >= p for o, p in zip(offset, self.patch, strict=True)):
                raise ConfigError(f"the offset {list(offset)} of targets.offsets is not within the patch {list(self.patch)}")
        z, y, x = self.patch
        mixed = self.augment.transpose
        if (mixed != "none" and y != x) or (mixed == "zyx" and z != y):
            raise ConfigError(
                f"augment.transpose {self.augment.transpose} needs equal sides, but the patch is {list(self.patch)}; "
                "change one of them"
            )

    @property
    def pooled(self) -> Vec:
        """By how much the network's coarsest level is smaller than the patch, per axis."""
        pooling, steps = self.network["pooling"], len(self.network["widths"]) - 1
        per_step = [pooling] * steps if all(isinstance(f, int) for f in pooling) else pooling
        total = [1, 1, 1]
        for factors in per_step:
            total = [t * f for t, f in zip(total, factors, strict=True)]
        return as_vec(total)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TrainingSpec":
        """Take what concerns this class from a normalised training config."""
        flat = dict(config) | dict(config["optimizer"]) | {"eroded": config["targets"]["eroded"]}
        known = {f.name for f in fields(cls)} - {"offsets", "augment", "patch"}
        return cls(
            patch=as_vec(config["patch"]),
            offsets=offsets_of(config["targets"]["offsets"]),
            augment=AugmentSpec(**config["augment"]),
            **{key: value for key, value in flat.items() if key in known},
        )


def offsets_of(values: Any) -> tuple[Vec, ...]:
    """Return offsets z, y, x: a number n stands for n along z, along y and along x."""
    offsets: list[Vec] = []
    for value in values:
        if isinstance(value, int):
            offsets += [(value, 0, 0), (0, value, 0), (0, 0, value)]
        else:
            offsets.append(as_vec(value))
    return tuple(offsets)


def box_of(start: Any, stop: Any, bounds: Box) -> Box:
    """Return the box of two positions, null meaning those of `bounds`."""
    return Box(bounds.start if start is None else as_vec(start), bounds.stop if stop is None else as_vec(stop))
