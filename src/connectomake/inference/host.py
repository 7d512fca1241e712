"""Patches cut, run and blended in the host's memory, by NumPy and numba."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry.box import Box
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.blend import SlabBlender
from connectomake.inference.chance import Askable
from connectomake.inference.context import scale_into


class HostBackend:
    """The backend of `infer_block` unless the network runs on a CUDA device; see `backend.Backend`."""

    def __init__(self, network: Askable) -> None:
        self._network = network
        self._seconds = 0.0

    def upload(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the image."""
        return image

    def new_batch(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a batch (n, c, z, y, x) to be filled."""
        return np.zeros(shape, np.float32)

    def load(self, batch: NDArray[np.float32], place: int, image: NDArray[Any], corner: tuple[int, int]) -> None:
        """Scale the patch at `corner` (y, x) of the image (c, z, y, x) into the batch."""
        scale_into(batch[place], window(image, corner, batch.shape[2:]))

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network says of a batch."""
        began = time.perf_counter()
        outputs = self._network.forward(batch)
        self._seconds += time.perf_counter() - began
        return outputs

    def forward_seconds(self) -> float:
        """Return the seconds that all forward passes took."""
        return self._seconds

    def as_output(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an output patch that was made without the network."""
        return patch

    def as_array(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a batch or its outputs as an array."""
        return tensor

    def blender(self, lattice: PatchLattice, box: Box, channels: int, weighted: bool, checked: Iterable[int]) -> SlabBlender:
        """Return what sums the output patches."""
        return SlabBlender(lattice, box, channels, weighted, checked)


def window(image: Any, corner: tuple[int, int], patch: Sequence[int]) -> Any:
    """Return the patch of a shape (z, y, x) whose first voxel lies at `corner` (y, x) of a row (c, z, y, x)."""
    y, x = corner
    return image[:, :, y : y + patch[1], x : x + patch[2]]
