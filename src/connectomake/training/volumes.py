"""Image and labels to learn from, checked and in memory."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import RunError
from connectomake.geometry import Box, Vec
from connectomake.training.resample import BOUNDARY, IGNORE


@dataclass(frozen=True, slots=True)
class TrainingVolume:
    """One annotated volume.

    Parameters
    ----------
    name
        Named in errors.
    image
        (z, y, x) float32 in [0, 1], or uint8, which is divided by 255.
    labels
        (z, y, x) uint32: objects from 1, `BOUNDARY`, `IGNORE`.
    held_out
        Boxes in voxels of the arrays whose labels are used to validate, never to learn.
    weight
        How often it is drawn from, relative to other volumes.

    Raises
    ------
    RunError
        If the arrays' shapes differ, or no voxel outside the held-out boxes is labelled.
    """

    name: str
    image: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.uint32]
    held_out: tuple[Box, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together or hold nothing to learn from."""
        if self.image.shape != self.labels.shape:
            raise RunError(
                f"the image of {self.name} has shape {list(self.image.shape)}, its labels {list(self.labels.shape)}: both must "
                "cover the same voxels"
            )
        learned = self.learned()
        if not np.any((learned != IGNORE) & (learned != BOUNDARY)):
            raise RunError(f"{self.name} has no labelled voxel to learn from: check labels, region and validation boxes")

    def learned(self) -> NDArray[np.uint32]:
        """Return the labels with the held-out boxes ignored."""
        labels = self.labels.copy()
        for box in self.held_out:
            labels[box.slices()] = IGNORE
        return labels

    def content(self) -> str:
        """Return a checksum of all that is learned from."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.image, self.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(memoryview(np.ascontiguousarray(array)).cast("B"))
        return digest.hexdigest()

    def check_patch(self, patch: Vec) -> None:
        """Refuse a patch that is larger than the volume.

        Raises
        ------
        RunError
            Naming the axis.
        """
        for axis, p, n in zip("zyx", patch, self.image.shape, strict=True):
            if p > n:
                raise RunError(
                    f"the patch {list(patch)} is larger than {self.name} {list(self.image.shape)} along {axis}: take a smaller"
                )


def as_labels(raw: NDArray[np.generic], unlabelled: str) -> NDArray[np.uint32]:
    """Return labels of any integer dtype as uint32 from 1; 0 is 'boundary' or to be 'ignored', as `unlabelled` says."""
    ids, inverse = np.unique(raw, return_inverse=True)
    numbers = np.arange(1, len(ids) + 1, dtype=np.uint32)
    numbers[ids == 0] = IGNORE if unlabelled == "ignore" else BOUNDARY
    return numbers[inverse].reshape(raw.shape)
