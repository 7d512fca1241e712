"""One box of a filtered image: read with what the filter reaches, filtered, cropped."""

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from connectomake.errors import RunError
from connectomake.filters.base import Filter, Place, VoxelSize
from connectomake.geometry import Box, Vec
from connectomake.geometry.mirror import Reader, read_reflected

LIBRARIES = 60e6
"""Bytes that a process takes for the libraries of filters."""


def filter_box(step: Filter, read: Reader, box: Box, bounds: Box, voxel_size: VoxelSize, dtype: str) -> NDArray[Any]:
    """Return a box of the filtered volume, (c, z, y, x): the same voxels, whatever the box.

    ::

        bounds  +-------------------------+     The filter gets `box` grown by its reach. Beyond the
                |          +--------+     |     bounds, the volume is mirrored, or the grown box ends
                |          |  +--+  |     |     there: as the filter has it.
                |          |  +--+ box    |
                |          +--------+     |
                +------------- reach -----+

    Parameters
    ----------
    step
        The filter.
    read
        Reads a box within `bounds` of the image before it.
    box
        What is wanted, within `bounds`.
    bounds
        The whole volume.
    voxel_size
        Nanometres, z, y, x.
    dtype
        What the filter promises to give.

    Raises
    ------
    RunError
        If the filter gives another shape or dtype.
    """
    grown = box.grow(step.reach(voxel_size))
    if step.mirrored:
        values = read_reflected(read, grown, bounds)
    else:
        grown = grown.intersect(bounds)
        values = read(grown)
    found = step.apply(values, Place(grown, bounds, voxel_size))
    if found.shape != values.shape or found.dtype != dtype:
        raise RunError(
            f"the filter {step.key} gave {found.dtype} of shape {found.shape}, not {dtype} of shape {values.shape}, the "
            "channels, z, y, x that it got"
        )
    return found[(slice(None), *box.slices(grown.start))]


def grown_shape(filters: Sequence[Filter], shape: Vec, voxel_size: VoxelSize) -> Vec:
    """Return the shape of what is read of the source for a box of a shape."""
    z, y, x = shape
    for step in filters:
        dz, dy, dx = step.reach(voxel_size)
        z, y, x = z + 2 * dz, y + 2 * dy, x + 2 * dx
    return (z, y, x)


def held(filters: Sequence[Filter], shape: Vec, channels: int, voxel_size: VoxelSize) -> float:
    """Return the largest number of bytes held while a box is filtered: filters work one after the other.

    Parameters
    ----------
    filters
        In the order in which they are applied.
    shape
        Of the box (z, y, x), in voxels.
    channels
        Of the source.
    voxel_size
        Nanometres, z, y, x.
    """
    if not filters:
        return 0.0
    most = (
        step.held_per_voxel * math.prod(grown_shape(filters[index:], shape, voxel_size)) for index, step in enumerate(filters)
    )
    return LIBRARIES + channels * max(most)


def seconds_per_megavoxel(filters: Sequence[Filter], shape: Vec, channels: int, voxel_size: VoxelSize) -> float:
    """Return the seconds of one core per 10⁶ voxels of the filtered image; voxels in the borders are filtered more than once.

    Parameters
    ----------
    filters
        In the order in which they are applied.
    shape
        Of the boxes that are filtered (z, y, x), in voxels.
    channels
        Of the source.
    voxel_size
        Nanometres, z, y, x.
    """
    seconds = (
        step.seconds_per_megavoxel * math.prod(grown_shape(filters[index:], shape, voxel_size))
        for index, step in enumerate(filters)
    )
    return channels * sum(seconds) / math.prod(shape)
