"""Test-time augmentation: the mean of a network's outputs for a patch in several orientations."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from connectomake.errors import ModelError
from connectomake.inference.networks import TorchNetwork, UniversalNetwork, as_array
from connectomake.inference.spec import InferenceSpec

ORDERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "8": ((0, 1, 2),),
    "16": ((0, 1, 2), (0, 2, 1)),
    "48": tuple(itertools.permutations(range(3))),
}
"""Orders of the axes by name of the augmentation; each comes with all eight flips."""


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at a patch: its axes in another order, then some reversed.

    Parameters
    ----------
    order
        Axis a of the view is axis order[a] of the patch.
    flipped
        Which axes of the view are reversed.
    """

    order: tuple[int, ...]
    flipped: tuple[bool, ...]

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """Return a batch (n, c, z, y, x) as the view has it."""
        return batch.permute(0, 1, *(a + 2 for a in self.order)).flip(self._reversed).contiguous()

    def undo(self, batch: torch.Tensor) -> torch.Tensor:
        """Undo `apply`."""
        inverse = sorted(range(3), key=self.order.__getitem__)
        return batch.flip(self._reversed).permute(0, 1, *(a + 2 for a in inverse))

    @property
    def _reversed(self) -> list[int]:
        return [axis + 2 for axis, flipped in enumerate(self.flipped) if flipped]


def views(augment: str) -> Iterator[View]:
    """Yield the views of an augmentation, always in the same order."""
    for order in ORDERS[augment]:
        for flipped in itertools.product((False, True), repeat=3):
            yield View(order, flipped)


class AugmentedNetwork:
    """A network asked about every view of a patch; its answers are turned back and averaged in a fixed order.

    An affinity is the edge between a voxel and its lower neighbour. In a view with axis d reversed, the voxel that was v says
    what joins it to its *higher* neighbour, and that is the affinity of v + 1::

        patch          0   1   2   3          edge (1, 2) is stored at 2
        reversed       3   2   1   0          edge (1, 2) is stored at 1, the later of the two here
        turned back    0   1   2   3          ... so what stands at 1 belongs to 2

    So the channels of the three axes change places as the axes do, and those of reversed axes move up by a voxel. What moves
    in from below comes from the network's margin around the output patch; where there is none, the patch's first voxel has the
    mean of the views that know its edge. All this happens within a patch, so the lattice and the promise are as without it.

    Parameters
    ----------
    network
        What is asked; a `universal` network, which weights its output itself, cannot be.
    spec
        `augment`, `affinities`, patches.

    Raises
    ------
    ModelError
        If the network weights its output.
    """

    weighted = False

    def __init__(self, network: TorchNetwork | UniversalNetwork, spec: InferenceSpec) -> None:
        if isinstance(network, UniversalNetwork):
            raise ModelError(
                f"{network.path}: inference.augment {spec.augment} cannot be used with a PatchInferencer, which weights its "
                "own output: set it to none, or give the network as InstantiatedModel or load_model"
            )
        self.network: TorchNetwork = network
        self.spec = spec
        self.path = network.path
        self._views = list(views(spec.augment))

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return self.network.device

    @property
    def once(self) -> TorchNetwork:
        """The network that is asked about one view of a patch."""
        return self.network

    def steady_batch(self, image_channels: int) -> int:
        """Return how many patches a forward pass may take without their places in it mattering."""
        return self.network.steady_batch(image_channels)

    def record(self) -> dict[str, Any]:
        """Return what the bits of the output depend on."""
        return self.network.record() | {"augment": self.spec.augment}

    def forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run (n, c, z, y, x) float32 of the input patch; return the mean (n, c, z, y, x) float32 of the output patch."""
        return as_array(self.answer(torch.from_numpy(batch)))

    def answer(self, batch: torch.Tensor) -> torch.Tensor:
        """Run a batch as `forward` does, but take a tensor and return one on the network's device."""
        batch = batch.to(self.device)
        shape = (self.spec.channels, *self.spec.output_patch)
        total = torch.zeros((len(batch), *shape), dtype=torch.float32, device=self.device)
        counts = torch.zeros(shape, dtype=torch.float32, device=self.device)
        for view in self._views:
            answer = view.undo(self.network.answer_whole(view.apply(batch)))
            for channel, source, shift in self._channels(view):
                into, cut = _cuts(tuple(answer.shape[2:]), self.spec.output_patch, shift)
                total[:, channel][into] += answer[:, source][cut]
                counts[channel][into[1:]] += 1
        return total.div_(counts)

    def _channels(self, view: View) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Yield for each channel where the view has it, and by how much it moves along each axis."""
        affinities = self.spec.affinities or ()
        for channel in range(self.spec.channels):
            if channel not in affinities:
                yield channel, channel, (0, 0, 0)
                continue
            axis = affinities.index(channel)
            seen = view.order.index(axis)
            yield channel, affinities[seen], tuple(int(a == axis and view.flipped[seen]) for a in range(3))


def _cuts(whole: tuple[int, ...], output: tuple[int, ...], shift: tuple[int, ...]) -> tuple[Any, Any]:
    """Return which part of the output patches (n, z, y, x) is known, and which of the network's whole output that is."""
    into, cut = [slice(None)], [slice(None)]
    for w, o, s in zip(whole, output, shift, strict=True):
        low = (w - o) // 2 - s
        missing = max(-low, 0)
        into.append(slice(missing, o))
        cut.append(slice(low + missing, low + o))
    return tuple(into), tuple(cut)
