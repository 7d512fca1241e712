"""Patches gathered into batches and put through the network, in lattice order."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connectomake.inference.backend import Backend
from connectomake.inference.bump import blend_weights
from connectomake.inference.chance import Askable, check_repeatable
from connectomake.inference.constant import is_constant
from connectomake.inference.host import window
from connectomake.inference.spec import InferenceSpec

_COMPARED, _OFTEN = 4, 128
"""The forward pass whose answer is compared, and how many passes make a second comparison, after the last, cheap."""

Answer: TypeAlias = tuple[Any, NDArray[np.int64]]
"""An output patch (c, z, y, x) on the backend's side, and its place, the first voxel in the volume."""


@dataclass(frozen=True, slots=True)
class Row:
    """The image of one row of patches in z, over the whole width and height of a block's patches.

    Parameters
    ----------
    image
        (c, z, y, x) in the host's memory.
    there
        The same on the backend's side.
    """

    image: NDArray[Any]
    there: Any


class Network(Askable, Protocol):
    """The interface of a network to the engine."""

    weighted: bool
    """Whether its output is already multiplied by the blending weights."""

    def steady_batch(self, image_channels: int) -> int:
        """Return how many patches a forward pass may take without their places in it mattering."""
        ...


@dataclass(slots=True)
class InferenceStats:
    """Statistics of the inference of a block: patches, forward passes, and seconds of wall time by part.

    Reading and writing run beside the network; what of their time it had to wait for is counted apart. On a CUDA device the
    forward passes' seconds are the device's.
    """

    patches: int = 0
    constant: int = 0
    unused: int = 0
    passes: int = 0
    batch: int = 1
    read_seconds: float = 0.0
    read_wait_seconds: float = 0.0
    forward_seconds: float = 0.0
    compare_seconds: float = 0.0
    write_seconds: float = 0.0
    write_wait_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Batches:
    """Takes patches one by one and gives their outputs in the same order, a batch at a time.

    Parameters
    ----------
    network
        What is asked.
    backend
        Through which it is asked.
    spec
        Patches, channels, batch, what becomes of constant patches.
    stats
        Receives counts and seconds.
    total
        Patches that will come.
    again
        Loads the network anew, to compare what it says; None does not compare.
    wanted
        Returns for a patch's position whether any of its output is used; if not, it is 0. None: all are.
    """

    network: Network
    backend: Backend
    spec: InferenceSpec
    stats: InferenceStats
    total: int
    again: Callable[[], Askable] | None = None
    wanted: Callable[[NDArray[np.int64]], bool] | None = None
    _batch: Any = None
    _filled: int = 0
    _waiting: list[tuple[NDArray[np.int64], int | None]] = field(default_factory=list)
    _compared: bool = False

    def put(self, row: Row, corner: tuple[int, int], start: NDArray[np.int64]) -> Iterator[Answer]:
        """Take the patch of a row at `corner` (y, x), and its place in the volume; yield what is ready."""
        if self._answered(row, corner, start):
            self._waiting.append((start, None))
            if not self._filled:
                yield from self._answers(None)
            return
        batch = self._room(len(row.image))
        self.backend.load(batch, self._filled, row.there, corner)
        self._waiting.append((start, self._filled))
        self._filled += 1
        if self._filled == len(batch):
            yield from self._answers(self._forward(batch))

    def _answered(self, row: Row, corner: tuple[int, int], start: NDArray[np.int64]) -> bool:
        """Whether the network need not be asked; say why in the stats."""
        if self.wanted is not None and not self.wanted(start):
            self.stats.unused += 1
            return True
        if self.spec.constant is not None and is_constant(window(row.image, corner, self.spec.patch)):
            self.stats.constant += 1
            return True
        return False

    def rest(self) -> Iterator[Answer]:
        """Yield what still waits, after the last patch."""
        batch = self._batch
        if self._filled:
            batch[self._filled :] = batch[self._filled - 1]
            yield from self._answers(self._forward(batch))
        if self.stats.passes and (not self._compared or self.stats.passes >= _OFTEN):
            self._compare(batch, 0, None, 2 if self.stats.passes == 1 else 0)

    def _room(self, channels: int) -> Any:
        if self._batch is None:
            self.stats.batch = self.network.steady_batch(channels)
            self._batch = self.backend.new_batch((self.stats.batch, channels, *self.spec.patch))
        return self._batch

    def _forward(self, batch: Any) -> Any:
        outputs = self.backend.forward(batch)
        self.stats.passes += 1
        if self.stats.passes == min(_COMPARED, -(-self.total // len(batch))):
            self._compare(batch, self._filled - 1, outputs, int(self.stats.passes == 1))
        return outputs

    def _compare(self, batch: Any, place: int, outputs: Any, noise: int) -> None:
        self._compared = True
        if self.again is not None:
            began = time.perf_counter()
            said = None if outputs is None else self.backend.as_array(outputs)
            check_repeatable(self.network, self.again, self.backend.as_array(batch), place, said, noise)
            self.stats.compare_seconds += time.perf_counter() - began

    def _answers(self, outputs: Any) -> Iterator[Answer]:
        for start, place in self._waiting:
            yield self._constant_output() if outputs is None or place is None else outputs[place], start
        self._waiting.clear()
        self._filled = 0

    def _constant_output(self) -> Any:
        shape = (self.spec.channels, *self.spec.output_patch)
        output = np.full(shape, self.spec.constant or 0.0, np.float32)  # what is not used may be anything
        if self.network.weighted:
            output *= blend_weights(self.spec.output_patch, self.spec.overlap)
        return self.backend.as_output(output)
