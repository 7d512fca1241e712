"""Samples: a function of the seed and their number, made ahead of time by threads, in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry import Box
from connectomake.training.intensity_augmentation import augment_intensity
from connectomake.training.object_intensity import shift_object_intensity
from connectomake.training.resample import BOUNDARY, IGNORE, resample
from connectomake.training.spatial_transform import SpatialTransform, draw_spatial_transform
from connectomake.training.spec import TrainingSpec
from connectomake.training.targets import affinities
from connectomake.training.volumes import TrainingVolume

Item = TypeVar("Item")

TRIES = 20
"""Places that are drawn for a sample until enough of it is labelled."""

LEAST_LABELLED = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """Input and target of the network.

    Parameters
    ----------
    image
        (z, y, x) float32.
    classes, weights
        (c, z, y, x) uint8 and (c, 3) float32, of `connectomake.training.targets.affinities`.
    """

    image: NDArray[np.float32]
    classes: NDArray[np.uint8]
    weights: NDArray[np.float32]


class Sampler:
    """Draws samples from volumes; sample n is the same whatever was drawn before.

    Parameters
    ----------
    volumes
        To learn from.
    spec
        Patch, targets, augmentation, seed.
    """

    def __init__(self, volumes: Sequence[TrainingVolume], spec: TrainingSpec) -> None:
        for volume in volumes:
            volume.check_patch(spec.patch)
        self.spec = spec
        self._images = [v.image for v in volumes]
        self._labels = [v.learned() for v in volumes]
        shares = np.array([v.weight * v.image.size for v in volumes], np.float64)
        self._shares = shares / shares.sum()

    def sample(self, number: int) -> Sample:
        """Return the sample of this number."""
        rng = np.random.Generator(np.random.Philox(key=[self.spec.seed, number]))
        shape = draw_spatial_transform(self.spec.augment, self.spec.patch, rng)
        image, labels = self._cut(shape, rng)
        image = shift_object_intensity(image, labels, self.spec.augment, rng)
        image = augment_intensity(image, self.spec.augment, rng)
        return Sample(image, *affinities(labels, self.spec.offsets, self.spec.eroded))

    def _cut(self, shape: SpatialTransform, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Return image and labels at a random place where enough is labelled, or at the last one tried."""
        out, out_labels = np.empty(self.spec.patch, np.float32), np.empty(self.spec.patch, np.uint32)
        for _ in range(TRIES):
            index = int(rng.choice(len(self._shares), p=self._shares))
            image, labels = self._images[index], self._labels[index]
            half = np.array(self.spec.patch) / 2
            centre = rng.uniform(half, np.array(image.shape) - half) - 0.5
            centre = np.where(np.array(self.spec.patch) % 2 == 0, np.floor(centre) + 0.5, np.round(centre))
            resample(
                image,
                labels,
                centre,
                shape.matrix,
                shape.warp,
                shape.shifts,
                shape.label_shifts,
                out,
                out_labels,
            )
            known = np.count_nonzero(out_labels != IGNORE)
            if known >= LEAST_LABELLED * out_labels.size and np.any((out_labels != BOUNDARY) & (out_labels != IGNORE)):
                break
        if image.dtype == np.uint8:
            out /= np.float32(255)
        return out, out_labels


def validation_samples(volumes: Sequence[TrainingVolume], spec: TrainingSpec) -> list[Sample]:
    """Return the patches that tile the held-out boxes, as they are; the last of a row is moved inward.

    A box thinner than the patch is seen within its surroundings, whose labels do not count.
    """
    samples = []
    for volume in volumes:
        for box in volume.held_out:
            labels = np.full_like(volume.labels, IGNORE)
            labels[box.slices()] = volume.labels[box.slices()]
            for start in _tiles(box, spec.patch, volume.image.shape):
                cut = Box.of_shape(spec.patch, start).slices()
                image = volume.image[cut].astype(np.float32)
                if volume.image.dtype == np.uint8:
                    image /= np.float32(255)
                samples.append(Sample(image, *affinities(labels[cut], spec.offsets, spec.eroded)))
    return samples


def _tiles(box: Box, patch: tuple[int, int, int], shape: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    axes = []
    for a, b, p, n in zip(box.start, box.stop, patch, shape, strict=True):
        if b - a <= p:
            axes.append([min(max((a + b - p) // 2, 0), n - p)])
        else:
            axes.append([*range(a, b - p, p), b - p])
    for z in axes[0]:
        for y in axes[1]:
            for x in axes[2]:
                yield (z, y, x)


class Prefetch(Generic[Item]):
    """Makes items in threads of its own, some ahead, and hands them out in order.

    Parameters
    ----------
    make
        Makes item n; called by several threads at once.
    first, stop
        Numbers of the items.
    workers
        Threads.
    """

    def __init__(self, make: Callable[[int], Item], first: int, stop: int, workers: int = 1) -> None:
        self._make = make
        self._numbers = iter(range(first, stop))
        self._pool = ThreadPoolExecutor(workers, "samples")
        self._ahead: deque[Future[Item]] = deque()
        for _ in range(workers + 2):
            self._submit()

    def _submit(self) -> None:
        for number in itertools.islice(self._numbers, 1):
            self._ahead.append(self._pool.submit(self._make, number))

    def next(self) -> Item:
        """Return the next item, waiting for it; raise what its making raised."""
        item = self._ahead.popleft().result()
        self._submit()
        return item

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)
