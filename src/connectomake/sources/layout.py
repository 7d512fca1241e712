"""The layout of an array from metadata, user options and shape: axis order, bounds, voxel size, and warnings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box, Vec
from connectomake.keys import key
from connectomake.sources import plausibility
from connectomake.sources.axes import DEFAULTS, Order, given_axes, positions
from connectomake.sources.grid import Grid
from connectomake.sources.levels import by_letters
from connectomake.sources.options import SourceOptions
from connectomake.sources.source import UNSIZED, VoxelSize, choose_voxel_size

_WHOLE = 0.01
"""Of a voxel: offsets in nm are rounded numbers."""


@dataclass(frozen=True)
class Layout:
    """How an array is read as a volume.

    Parameters
    ----------
    order
        Positions of c, z, y, x among the stored axes.
    channels
        Number of channels.
    shape
        Extent, z, y, x.
    start
        Where the first voxel lies.
    voxel_size
        Nanometres, z, y, x.
    place
        See `Source`.
    notes
        Sentences for the user.
    """

    order: Order
    channels: int
    shape: Vec
    start: Vec
    voxel_size: VoxelSize
    place: str
    notes: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Return the fields of a `Source` that the layout gives, its first voxel still at 0."""
        place = {"bounds": Box.of_shape(self.shape), "voxel_size": self.voxel_size, "place": self.place}
        return {"channels": self.channels, "notes": self.notes, **place}


def given_letters(options: SourceOptions, shape: Sequence[int], where: str) -> tuple[str, ...] | None:
    """Return the letters of ``source.axes``, one per stored axis; None if it is not given.

    Raises
    ------
    ConfigError
        If they do not fit.
    """
    return None if options.axes is None else given_axes(options.axes, len(shape), where)


def lay_out(
    shape: Sequence[int],
    grid: Grid,
    options: SourceOptions,
    voxel_size: Sequence[float] | None,
    where: str,
    default: str | None = None,
) -> Layout:
    """Decide which axis is which and where the first voxel lies.

    Parameters
    ----------
    shape
        As stored.
    grid
        What metadata say.
    options
        What the user says: comes first.
    voxel_size
        The user's, in nm, z, y, x.
    where
        Named in errors.
    default
        Letters of the axes where nobody names them; None: z, y, x, channels before.

    Raises
    ------
    ConfigError
        If ``source.axes`` does not fit, the voxel size is missing, or the shape can only be of another order.
    SourceError
        If the array is no volume.
    """
    if 0 in shape:
        raise SourceError(f"{where} is empty: its shape is {list(shape)}")
    names = given_letters(options, shape, where) or grid.names
    unnamed = names is None
    if names is None:
        names = tuple(default or DEFAULTS.get(len(shape), ""))
        if len(shape) == 5 and shape[0] != 1:
            names = ()
    if len(names) != len(shape) or len(names) < 3:
        raise SourceError(f"{where} has {len(shape)} dimensions {list(shape)}; it must be (z, y, x), or have channels, too")
    order = positions(names, shape, where)
    z, y, x = (int(shape[a]) for a in order[1:])
    channels = 1 if order[0] is None else int(shape[order[0]])
    stored = by_letters(grid.size)
    size = choose_voxel_size(voxel_size, stored, where)
    offset, place, said = _offset(grid, options, stored or (None if voxel_size is UNSIZED else voxel_size), where)
    notes = grid.notes + (() if voxel_size is UNSIZED else plausibility.check_voxel_size(voxel_size, stored, size, where))
    if unnamed:
        notes += plausibility.check_shape(names, shape, channels, (z, y, x), size, where)
    return Layout(order, channels, (z, y, x), offset, size, place, notes + said)


def _offset(grid: Grid, options: SourceOptions, size: Sequence[float] | None, where: str) -> tuple[Vec, str, tuple[str, ...]]:
    """Return the place of the first voxel, how well it is known, and what to say of it."""
    if options.offset is not None:
        return options.offset, "given", ()
    found = by_letters(grid.offset)
    if found is None or not any(found):
        return (0, 0, 0), "unknown" if found is None else "named", ()
    text = f"{where} says that its first voxel lies at {[round(v, 3) for v in found]} nm (z, y, x)"
    start = _whole(found, size, grid.centred)
    if start is None:
        why = "but no voxel size" if size is None else f"not a whole number of voxels of {[float(v) for v in size]} nm"
        said = f"{text}, {why}: the region begins at 0; say in voxels where it begins with {key('offset')}"
        return (0, 0, 0), "unclear", (said,)
    if not any(start):
        return start, "named", ()
    said = f"{text}: the region begins at voxel {list(start)}; {key('offset', [0, 0, 0])} counts from the array's first voxel"
    return start, "named", (said,)


def _whole(offset: Sequence[float], size: Sequence[float] | None, centred: bool) -> Vec | None:
    """Return an offset in voxels; None if it is no whole number of these.

    That of a voxel's centre has a part of a voxel in coarser scales, whose first voxel begins where the finest's does.
    """
    if size is None:
        return None
    voxels = [v / float(s) for v, s in zip(offset, size, strict=True)]
    z, y, x = (math.floor(v + _WHOLE) if centred else round(v) for v in voxels)
    exact = all(abs(v - n) <= _WHOLE for v, n in zip(voxels, (z, y, x), strict=True))
    return (z, y, x) if centred or exact else None


def ordered_reader(raw: Callable[[tuple[Any, ...]], Any], order: Order, dimensions: int) -> Callable[[Box], np.ndarray]:
    """Return a reader of boxes (c, z, y, x), counted from the array's first voxel.

    Parameters
    ----------
    raw
        Returns a part of the array for one slice, or the number 0, per stored axis.
    order
        Positions of c, z, y, x; the other axes have the extent 1.
    dimensions
        Number of stored axes.
    """
    kept = sorted(a for a in order if a is not None)
    turn = [kept.index(a) for a in order if a is not None]

    def read(box: Box) -> np.ndarray:
        index: list[Any] = [0] * dimensions
        for axis, part in zip(order[1:], box.slices(), strict=True):
            index[axis] = part
        if order[0] is not None:
            index[order[0]] = slice(None)
        data = np.asarray(raw(tuple(index))).transpose(turn)
        return data if order[0] is not None else data[None]

    return read


def refuse_axes(options: SourceOptions, path: str, kind: str) -> None:
    """Raise a ConfigError if axes are named for a format that leaves no choice."""
    if options.axes is not None:
        raise ConfigError(f"{key('axes')} {options.axes!r} does not apply to {path}, which is {kind}; leave it out")
