"""Patches cut, run and blended on a device, by torch: only image goes there, and only finished planes come back.

All that is done to an output patch (weight, add, divide, quantise) are the operations of `blend`, in the same order and each
rounded to float32, so equal patches give equal planes on either side. Work is queued on one stream; only the thread that writes
waits for it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from connectomake.errors import ModelError
from connectomake.geometry.box import Box
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.bump import blend_weights
from connectomake.inference.context import full_scale, scale_into
from connectomake.inference.host import window
from connectomake.inference.values import BadOutputError, limits_of

_UPLOADED = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
"""Types of an image that torch computes with; others are scaled before they are copied to the device."""


class DeviceBackend:
    """The backend of `infer_block` if the network runs on a CUDA device; see `backend.Backend`.

    Parameters
    ----------
    network
        With ``answer``: (n, c, z, y, x) float32 tensors in, such tensors out.
    device
        Where its weights are. A CPU is allowed, and gives the same bits as `HostBackend`.
    """

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._cuda = device.type == "cuda"
        self._passes: list[tuple[Any, Any]] = []
        self._scale: torch.Tensor | None = None

    def upload(self, image: NDArray[Any]) -> torch.Tensor:
        """Copy a row of image (c, z, y, x) to the device."""
        scale = full_scale(image.dtype)
        if image.dtype.name not in _UPLOADED or not image.dtype.isnative:
            scaled = np.empty(image.shape, np.float32)
            scale_into(scaled, image)
            image, scale = scaled, None
        # a tensor, not a number: torch multiplies by the reciprocal of a number, which rounds otherwise
        self._scale = None if scale is None else torch.tensor(scale, dtype=torch.float32, device=self._device)
        return self._to_device(torch.from_numpy(np.ascontiguousarray(image)))

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.pin_memory().to(self._device, non_blocking=True) if self._cuda else tensor.to(self._device)

    def new_batch(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a batch (n, c, z, y, x) to be filled."""
        return torch.zeros(shape, dtype=torch.float32, device=self._device)

    def load(self, batch: torch.Tensor, place: int, image: torch.Tensor, corner: tuple[int, int]) -> None:
        """Scale the patch at `corner` (y, x) of the image (c, z, y, x) into the batch."""
        batch[place].copy_(window(image, corner, batch.shape[2:]))
        if self._scale is not None:
            batch[place].div_(self._scale)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what the network says of a batch."""
        if not self._cuda:
            return self._network.answer(batch)  # type: ignore[no-any-return]
        began = _event(timing=True)
        outputs: torch.Tensor = self._network.answer(batch)
        self._passes.append((began, _event(timing=True)))
        return outputs

    def forward_seconds(self) -> float:
        """Return the seconds that all forward passes took on the device, for which it waits; 0 on a CPU."""
        if self._passes:
            torch.cuda.synchronize(self._device)
        return float(sum(began.elapsed_time(ended) for began, ended in self._passes)) / 1000

    def as_output(self, patch: NDArray[np.float32]) -> torch.Tensor:
        """Return an output patch that was made without the network."""
        return self._to_device(torch.from_numpy(patch))

    def as_array(self, tensor: torch.Tensor) -> NDArray[np.float32]:
        """Return a batch or its outputs as an array."""
        array: NDArray[np.float32] = tensor.to("cpu", torch.float32).contiguous().numpy()
        return array

    def blender(
        self, lattice: PatchLattice, box: Box, channels: int, weighted: bool, checked: Iterable[int]
    ) -> "DeviceBlender":
        """Return what sums the output patches."""
        return DeviceBlender(self._device, lattice, box, channels, weighted, checked)


def _event(timing: bool = False) -> Any:
    """Return a mark behind all work that is queued now."""
    event = torch.cuda.Event(enable_timing=timing)  # type: ignore[no-untyped-call]
    event.record()
    return event


@contextlib.contextmanager
def _memory_for(box: Box, device: torch.device) -> Iterator[None]:
    """Turn want of the device's memory for what grows with the block into an error that says so."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        free, total = (value / 1e9 for value in torch.cuda.mem_get_info(device))
        raise ModelError(
            f"the sums of a block of {list(box.shape)} voxels do not fit the device's memory, of which {free:.1f} of "
            f"{total:.1f} GB are free now: make block smaller in y and x, or run it on a device that nothing else uses"
        ) from error


class DeviceBlender:
    """Sums the patches of one block on the device, as `SlabBlender` does on the host, whose parameters these are.

    Memory on the device is (channels + 1) × output patch z × block y × block x × 4 bytes; the sums of weights, which
    `SlabBlender` computes row by row, are a channel here.
    """

    def __init__(
        self,
        device: torch.device,
        lattice: PatchLattice,
        box: Box,
        channels: int,
        weighted: bool,
        checked: Iterable[int] = (),
    ) -> None:
        self.box = box
        self._weighted = weighted
        depth, height, width = box.shape
        ring = min(depth, lattice.patch[0])
        self._weights = torch.from_numpy(blend_weights(lattice.patch, lattice.overlap)).to(device)
        with _memory_for(box, device):
            self._total = torch.zeros((channels, ring, height, width), dtype=torch.float32, device=device)
            self._norm = torch.zeros((ring, height, width), dtype=torch.float32, device=device)
        limits = torch.from_numpy(limits_of(channels, checked)).to(device)
        self._low, self._high = (limits[:, side, None, None, None] for side in (0, 1))
        self._device = device
        self._done = 0
        self._doubtful: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def add(self, patch: torch.Tensor, start: NDArray[np.int64]) -> None:
        """Add an output patch (c, z, y, x) whose first voxel lies at `start` (z, y, x in the volume)."""
        z0, y0, x0 = (int(s) - low for s, low in zip(start, self.box.start, strict=True))
        depth, height, width = self.box.shape
        low, high = max(z0, self._done), min(z0 + patch.shape[1], depth)
        (ya, yb), (xa, xb) = (max(y0, 0), min(y0 + patch.shape[2], height)), (max(x0, 0), min(x0 + patch.shape[3], width))
        cut = (slice(low - z0, high - z0), slice(ya - y0, yb - y0), slice(xa - x0, xb - x0))
        weights = self._weights[cut]
        values = patch[(slice(None), *cut)]
        if not self._weighted:
            values = values * weights
        for ring, part in self._runs(low, high):
            at = part.start - low, part.stop - low
            self._total[:, ring, ya:yb, xa:xb].add_(values[:, at[0] : at[1]])
            self._norm[ring, ya:yb, xa:xb].add_(weights[at[0] : at[1]])

    def _runs(self, low: int, high: int) -> Iterator[tuple[slice, slice]]:
        """Yield the planes low ≤ z < high of the block in runs that lie together: their slices of the ring and of the block."""
        ring = self._total.shape[1]
        while low < high:
            place = low % ring
            count = min(high - low, ring - place)
            yield slice(place, place + count), slice(low, low + count)
            low += count

    def finish(self, out: torch.Tensor, at: int, planes: int) -> None:
        """Write the next finished planes into `out` (c, z, y, x) from its plane `at`, and forget their sums.

        Whether their values are allowed is computed here, and looked at by what `fetch` returns.
        """
        for ring, part in self._runs(self._done, self._done + planes):
            value = self._total[:, ring] / self._norm[ring]
            good = ((self._low <= value) & (value <= self._high)).all()
            self._doubtful.append((part.start, value, good))
            target = out[:, at : at + part.stop - part.start]
            if out.dtype == torch.uint8:
                target.copy_(value.mul(255.0).add_(0.5).clamp_(0.0, 255.0).floor_())
            else:
                target.copy_(value)
            self._total[:, ring].zero_()
            self._norm[ring].zero_()
            at += part.stop - part.start
        self._done += planes

    def new_slab(self, planes: int, dtype: str) -> torch.Tensor:
        """Return planes (c, z, y, x) to be finished."""
        channels, _, height, width = self._total.shape
        with _memory_for(self.box, self._device):
            return torch.empty((channels, planes, height, width), dtype=getattr(torch, dtype), device=self._device)

    def fetch(self, slab: torch.Tensor) -> Callable[[], NDArray[Any]]:
        """Begin to copy a finished slab back; return what waits for it, checks its values, and returns it as an array.

        Raises
        ------
        BadOutputError
            By what is returned: for the first value beyond its channel's limits.
        """
        doubtful, self._doubtful = self._doubtful, []
        if self._device.type != "cuda":
            return lambda: self._checked(slab, doubtful)
        target = torch.empty(slab.shape, dtype=slab.dtype, pin_memory=True)
        target.copy_(slab, non_blocking=True)
        ready = _event()

        def wait() -> NDArray[Any]:
            ready.synchronize()
            return self._checked(target, doubtful)

        return wait

    def _checked(self, slab: torch.Tensor, doubtful: list[tuple[int, torch.Tensor, torch.Tensor]]) -> NDArray[Any]:
        for plane, value, good in doubtful:
            if not bool(good):
                raise self._first_bad(plane, value)
        array: NDArray[Any] = slab.numpy()
        return array

    def _first_bad(self, plane: int, value: torch.Tensor) -> BadOutputError:
        wrong = ~((self._low <= value) & (value <= self._high))
        z, y, c, x = (int(v) for v in wrong.permute(1, 2, 0, 3).nonzero()[0])
        places = (int(o) + s for o, s in zip((plane + z, y, x), self.box.start, strict=True))
        first_z, first_y, first_x = places
        return BadOutputError(c, (first_z, first_y, first_x), float(value[c, z, y, x]))
