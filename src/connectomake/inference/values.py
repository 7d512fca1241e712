"""Checks of a network's output: finite, and a probability where required; with the error for an output that is not."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.geometry.box import Box, Vec
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.chance import Askable
from connectomake.inference.constant import CONSTANT_WAY_OUT, constant_channel
from connectomake.inference.context import scale_into
from connectomake.inference.spec import InferenceSpec

ROUNDING = 1e-3
"""How far beyond 0 to 1 the rounding of a reduced precision may bring a probability."""


class BadOutputError(Exception):
    """A value of the output that is not finite or no probability.

    Parameters
    ----------
    channel
        Of the output.
    place
        Of the voxel: z, y, x in the volume.
    value
        That it has.
    """

    def __init__(self, channel: int, place: Vec, value: float) -> None:
        super().__init__(f"{value} in channel {channel} at {place}")
        self.channel = channel
        self.place = place
        self.value = value


def limits_of(channels: int, probabilities: Iterable[int]) -> NDArray[np.float32]:
    """Return the lowest and highest value of each channel, (channels, 2): 0 and 1 with their rounding, or any finite one."""
    top = np.finfo(np.float32).max
    limits = np.tile(np.array([-top, top], np.float32), (channels, 1))
    limits[list(probabilities)] = -ROUNDING, 1 + ROUNDING
    return limits


def first_bad(output: NDArray[np.float32], limits: NDArray[np.float32], start: Vec) -> BadOutputError | None:
    """Return the first value of an output (c, z, y, x), whose first voxel lies at `start`, that is beyond its limits."""
    low, high = (limits[:, side, np.newaxis, np.newaxis, np.newaxis] for side in (0, 1))
    wrong = ~((low <= output) & (output <= high))
    if not wrong.any():
        return None
    channel, *offset = (int(v) for v in np.argwhere(wrong)[0])
    z, y, x = (o + s for o, s in zip(offset, start, strict=True))
    return BadOutputError(channel, (z, y, x), float(output[(channel, *offset)]))


def complaint(
    bad: BadOutputError,
    network: Askable,
    spec: InferenceSpec,
    lattice: PatchLattice,
    read: Callable[[Box], NDArray[Any]],
) -> str:
    """Return one sentence on a bad value: where it is, why, and the way out.

    Parameters
    ----------
    bad
        The value.
    network
        That gave it; it is asked again to find out why.
    spec
        Its patches.
    lattice
        Where they lie.
    read
        Returns the image in a box that may reach beyond it, as (c, z, y, x).
    """
    place = f"in channel {bad.channel} at z, y, x = {', '.join(map(str, bad.place))}"
    corner = np.array(bad.place)
    starts = lattice.patches_meeting(Box(bad.place, tuple(corner + 1)))
    boxes = [Box.of_shape(spec.patch, tuple(int(v) for v in start - spec.margin)) for start in starts]  # type: ignore[arg-type]
    if not np.isfinite(bad.value):
        why = _why_not_finite(network, spec, ((box, read(box)) for box in boxes))
        return f"{network.path}: the network's output is not a finite number {place}: {why}"
    low, high = _range(network, spec, read(boxes[0]), bad)
    return (
        f"{network.path}: the network's output is {bad.value:.4g} {place}, but a probability lies in 0 to 1: "
        f"{range_way_out(low, high, getattr(network, 'weighted', False))}"
    )


def range_way_out(low: float, high: float, weighted: bool) -> str:
    """Return what to do with a network whose output goes from `low` to `high`."""
    if weighted:
        return "PatchInferencer must return probabilities (logits through a sigmoid) multiplied by its mask"
    between = f"the values go from {low:.3g} to {high:.3g}"
    if low >= 0:
        return f"{between}: divide them by their highest possible value (255?) in the model's post_process"
    if low >= -1 - ROUNDING and high <= 1 + ROUNDING:
        return (
            f"{between}: if that is a tanh, return (1 + output) / 2 from the model's post_process; if these are logits, set "
            "inference.activation: sigmoid"
        )
    return f"{between}: if these are logits, set inference.activation: sigmoid; if not, scale them in the model's post_process"


def _batch_of(image: NDArray[Any]) -> NDArray[np.float32]:
    batch = np.empty((1, *image.shape), np.float32)
    scale_into(batch[0], image)
    return batch


def _answer(network: Askable, spec: InferenceSpec, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return network.forward(np.repeat(batch, getattr(network, "batch", spec.batch), axis=0))[0]  # type: ignore[no-any-return]


def _range(network: Askable, spec: InferenceSpec, image: NDArray[Any], bad: BadOutputError) -> tuple[float, float]:
    output = _answer(network, spec, _batch_of(image))
    return min(float(output.min()), bad.value), max(float(output.max()), bad.value)


def _why_not_finite(network: Askable, spec: InferenceSpec, patches: Iterable[tuple[Box, NDArray[Any]]]) -> str:
    """Return whether a constant patch is the reason, which an output of noise that is finite tells, and the way out."""
    for box, image in patches:
        channel = constant_channel(image)
        if channel is None:
            continue
        noise = np.random.default_rng(0).random((1, *image.shape), np.float32)
        if np.isfinite(_answer(network, spec, noise)).all():
            value = image[channel].flat[0]
            which = "" if len(image) == 1 else f"channel {channel} of "
            return f"{which}the patch of the image at {box} is constant, all its voxels are {value:g}: {CONSTANT_WAY_OUT}"
    autocast = "" if spec.autocast == "none" else ", or set inference.autocast: none"
    return f"check its weights and its pre_process{autocast}"
