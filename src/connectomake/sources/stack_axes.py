"""Stacks of pictures, read as the user says: other axes, another place; and what is odd about their voxel size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from connectomake.geometry import Box
from connectomake.sources import plausibility
from connectomake.sources.axes import given_axes, positions
from connectomake.sources.layout import ordered_reader
from connectomake.sources.options import SourceOptions
from connectomake.sources.source import UNSIZED, Source


def placed(
    source: Source, options: SourceOptions, voxel_size: Sequence[float] | None, stored: Sequence[float] | None
) -> Source:
    """Return a stack with its axes and place as `options` say.

    Parameters
    ----------
    source
        As its files say: sections, rows, columns; channels before, if there are several.
    options
        ``axes`` are one letter for each of these.
    voxel_size, stored
        The user's and the files', in nm, z, y, x.

    Raises
    ------
    ConfigError
        If the axes do not fit.
    """
    if options.axes is not None:
        source = _relabelled(source, options.axes)
    if voxel_size is not UNSIZED:
        source = replace(
            source, notes=source.notes + plausibility.check_voxel_size(voxel_size, stored, source.voxel_size, source.path)
        )
    return source if options.offset is None else replace(source.moved(options.offset), place="given")


def _relabelled(source: Source, axes: str) -> Source:
    several = source.channels > 1
    shape = (source.channels, *source.bounds.shape) if several else source.bounds.shape
    where = f"{source.path} of {' × '.join(map(str, shape))} ({'channels, ' if several else ''}sections, rows, columns)"
    order = positions(given_axes(axes, len(shape), where), shape, where)

    def raw(index: tuple[Any, ...]) -> np.ndarray:
        wanted = [i if isinstance(i, slice) else slice(i, i + 1) for i in index]
        spans = [i.indices(n)[:2] for i, n in zip(wanted, shape, strict=True)]
        (z, zs), (y, ys), (x, xs) = spans[-3:]
        data = source._reader(Box((z, y, x), (zs, ys, xs)))
        data = data[wanted[0]] if several else data[0]
        return data[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    z, y, x = (int(shape[a]) for a in order[1:])
    return replace(
        source,
        bounds=Box.of_shape((z, y, x)),
        channels=1 if order[0] is None else int(shape[order[0]]),
        _reader=ordered_reader(raw, order, len(shape)),
    )
