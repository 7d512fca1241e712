"""Samples side by side as tensors, and the loss of a network's output for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from connectomake.training.samples import Sample
from connectomake.training.targets import CUT, JOINED


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step.

    Parameters
    ----------
    images
        (n, 1, z, y, x) float32.
    classes, weights
        (n, c, z, y, x) uint8 and (n, c, 3) float32, of `connectomake.training.targets.affinities`.
    """

    images: torch.Tensor
    classes: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], pinned: bool = False) -> "Batch":
        """Put samples side by side, in memory that a GPU reads by itself if `pinned`."""
        images = torch.from_numpy(np.stack([s.image for s in samples]))[:, None]
        classes, weights = (torch.from_numpy(np.stack([getattr(s, name) for s in samples])) for name in ("classes", "weights"))
        return cls(*(t.pin_memory() if pinned else t for t in (images, classes, weights)))

    def to(self, device: torch.device, layout: torch.memory_format) -> "Batch":
        """Return the batch on a device; what is pinned is copied while the caller goes on."""
        images, classes, weights = (t.to(device, non_blocking=True) for t in (self.images, self.classes, self.weights))
        return Batch(images.contiguous(memory_format=layout), classes.contiguous(memory_format=layout), weights)

    @property
    def joined(self) -> torch.Tensor:
        """Where the affinity is 1: (n, c, z, y, x) bool."""
        return self.classes == int(JOINED)

    @property
    def voxel_weights(self) -> torch.Tensor:
        """What each affinity counts: (n, c, z, y, x) float32."""
        cut, joined, unknown = (w[..., None, None, None] for w in self.weights.unbind(-1))
        return torch.where(self.joined, joined, torch.where(self.classes == int(CUT), cut, unknown))

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (n, c, z, y, x), each class and each channel of each sample counting the same."""
        targets, weights = self.joined.to(outputs.dtype), self.voxel_weights
        total = functional.binary_cross_entropy_with_logits(outputs, targets, weights, reduction="sum")
        return total / (outputs.shape[0] * outputs.shape[1])
