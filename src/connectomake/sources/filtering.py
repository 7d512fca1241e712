"""A source whose image is filtered before anything else sees it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from connectomake.errors import ConfigError, SourceError
from connectomake.filters import Filter, filter_box
from connectomake.geometry import Box
from connectomake.sources.source import Reader, Source


def filtered(source: Source, filters: Sequence[Filter]) -> Source:
    """Return a source whose `read` gives the filtered image; the source itself if there are no filters.

    Each filter sees the whole volume (`Source.bounds`), not the region of interest, as the one before leaves it.

    Parameters
    ----------
    source
        The image before the filters.
    filters
        In the order in which they are applied.

    Raises
    ------
    ConfigError
        If a filter does not support the dtype, or names a position outside the source.
    """
    found = replace(source, _reader=_finite(source), mapping=None, unfiltered=source) if filters else source
    for index, step in enumerate(filters):
        try:
            step.check(source.bounds)
            if step.made_for not in ("", str(source.identity)):
                files = ", ".join(step.files())
                raise ConfigError(f"{files} was made for another content than {source.path} has now; make it again")
            found = _after(found, step)
        except ConfigError as error:
            raise ConfigError(f"source.filters[{index}].{step.key}: {error}") from None
    return found


def _after(source: Source, step: Filter) -> Source:
    dtype = step.gives(source.dtype)

    def read(box: Box) -> np.ndarray:
        return filter_box(step, source.read, box, source.bounds, source.voxel_size, dtype)

    return replace(source, dtype=dtype, _reader=read)


def _finite(source: Source) -> Reader:
    """Return a reader of an image that refuses NaN and infinity, which a filter would spread."""

    def read(box: Box) -> np.ndarray:
        values = source.read(box)
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return values
        channel, *offset = (int(v) for v in np.argwhere(~np.isfinite(values))[0])
        z, y, x = (o + s for o, s in zip(offset, box.start, strict=True))
        raise SourceError(
            f"{source.path} has the value {values[channel, *offset]} in channel {channel} at z, y, x = {z}, {y}, {x}, which "
            "source.filters cannot read; replace it in the file"
        )

    return read
