"""The backend that cuts, runs and blends patches: on the host, or on the device on which the network runs."""

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry.box import Box
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.chance import Askable
from connectomake.inference.host import HostBackend


class Blender(Protocol):
    """Sums output patches, and divides the sums by those of the weights."""

    def add(self, patch: Any, start: NDArray[np.int64]) -> None:
        """Add an output patch (c, z, y, x) whose first voxel lies at `start` (z, y, x in the volume)."""
        ...

    def new_slab(self, planes: int, dtype: str) -> Any:
        """Return planes (c, z, y, x) to be finished."""
        ...

    def finish(self, out: Any, at: int, planes: int) -> None:
        """Write the next finished planes into `out` (c, z, y, x) from its plane `at`."""
        ...

    def fetch(self, slab: Any) -> Callable[[], NDArray[Any]]:
        """Return what returns a finished slab as an array; it is called in the thread that writes."""
        ...


class Backend(Protocol):
    """The operations of `infer_block`, in arrays or tensors of its own."""

    def upload(self, image: NDArray[Any]) -> Any:
        """Take a row of image (c, z, y, x)."""
        ...

    def new_batch(self, shape: tuple[int, ...]) -> Any:
        """Return a float32 batch (n, c, z, y, x) to be filled."""
        ...

    def load(self, batch: Any, place: int, image: Any, corner: tuple[int, int]) -> None:
        """Scale the patch at `corner` (y, x) of a row, from `upload`, into the batch."""
        ...

    def forward(self, batch: Any) -> Any:
        """Return the network's (n, c, z, y, x) output patches."""
        ...

    def forward_seconds(self) -> float:
        """Return the seconds that all forward passes took."""
        ...

    def as_output(self, patch: NDArray[np.float32]) -> Any:
        """Take an output patch (c, z, y, x) that was made without the network."""
        ...

    def as_array(self, tensor: Any) -> NDArray[np.float32]:
        """Return a batch or its outputs as an array."""
        ...

    def blender(self, lattice: PatchLattice, box: Box, channels: int, weighted: bool, checked: Iterable[int]) -> Blender:
        """Return what sums the output patches; see `blend.SlabBlender`."""
        ...


def backend_of(network: Askable) -> Backend:
    """Return the side on which a network is run: its device's if that is a CUDA device and the network takes tensors."""
    if not takes_tensors_on_gpu(network):
        return HostBackend(network)
    from connectomake.inference.cuda import DeviceBackend

    return DeviceBackend(network, network.device)  # type: ignore[attr-defined]


def takes_tensors_on_gpu(network: Any) -> bool:
    """Whether a network runs on a CUDA device and takes tensors that lie there."""
    return hasattr(network, "answer") and network.device.type == "cuda"


def compressing_threads(network: Any) -> int:
    """Return how many threads compress the output: all that the process may use if the network runs on a GPU."""
    return len(os.sched_getaffinity(0)) if takes_tensors_on_gpu(network) else 1
