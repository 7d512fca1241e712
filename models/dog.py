"""Interior probability from a difference of Gaussians: a network with fixed weights, no training needed.

Membranes are dark lines a few voxels wide, so a voxel inside a cell is brighter than the mean around it only if it is away
from them: p = sigmoid(GAIN (G(FINE) - G(COARSE) - OFFSET)), near 1 in cytoplasm and near 0 on membranes. The scales suit
isotropic voxels of about 10 nm and images in [0, 1]. A stand-in for a trained network that exercises the same path.

Config: ``inference.model: models/dog.py``, no weights, one channel. Beyond the patch the image is taken to go on as it
ends; with an input patch 24 voxels larger than the output patch that assumption is never used.
"""

import torch
from torch import nn
from torch.nn import functional

FINE = 1.0  # sigma in voxels: averages noise away, keeps membranes
COARSE = 4.0  # sigma in voxels: the local mean
OFFSET = 0.03  # what p = 0.5 means, as a fraction of the image's range: lower merges cells, higher breaks them up
GAIN = 100.0  # steepness; p = 0.9 lies 0.022 above OFFSET


def gaussian(sigma: float) -> torch.Tensor:
    """Return the weights of a Gaussian, cut at 3 sigma, that add up to 1."""
    radius = round(3 * sigma)
    position = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-((position / sigma) ** 2) / 2)
    return (weights / weights.sum()).to(torch.float32)


class DifferenceOfGaussians(nn.Module):
    """Turns an image (n, 1, z, y, x) in [0, 1] into the probability of being inside a cell, of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fine", gaussian(FINE))
        self.register_buffer("coarse", gaussian(COARSE))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return sigmoid(GAIN (fine - coarse - OFFSET))."""
        difference = smooth(image, self.fine) - smooth(image, self.coarse)
        return torch.sigmoid(GAIN * (difference - OFFSET))


def smooth(image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Convolve along z, y and x in turn; at its faces the image is repeated."""
    radius = len(weights) // 2
    for axis in range(3):
        padding = [radius if axis == 2 - i // 2 else 0 for i in range(6)]
        kernel = weights.reshape([-1 if axis == a - 2 else 1 for a in range(5)])
        image = functional.conv3d(functional.pad(image, padding, mode="replicate"), kernel)
    return image


InstantiatedModel = DifferenceOfGaussians()
