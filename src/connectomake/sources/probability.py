"""Check that values are probabilities, 0 to 1."""

from collections.abc import Callable, Sequence

import numpy as np

from connectomake.errors import SourceError
from connectomake.geometry import Box

Reader = Callable[[Box], np.ndarray]

ROUNDING = 1e-3
"""How far beyond 0 and 1 a probability may lie: half precision rounds that coarsely."""


def check_probability(values: np.ndarray, box: Box, channels: Sequence[int], where: str) -> None:
    """Refuse floats that are no probabilities.

    Parameters
    ----------
    values
        (c, z, y, x); integers pass.
    box
        Where they lie.
    channels
        Those that are segmented; others may hold anything.
    where
        The source, named in the error.

    Raises
    ------
    SourceError
        If a value is not finite, or below 0 or above 1 by more than `ROUNDING`; the first such voxel is named.
    """
    if values.dtype.kind != "f":
        return
    for channel in channels:
        part = values[channel]
        if part.size and not (part.min() >= -ROUNDING and part.max() <= 1 + ROUNDING):  # NaN fails, too
            raise _refusal(part, box, channel, where)


def _refusal(part: np.ndarray, box: Box, channel: int, where: str) -> SourceError:
    bad = ~((part >= -ROUNDING) & (part <= 1 + ROUNDING))
    place = np.unravel_index(int(bad.argmax()), part.shape)
    z, y, x = (int(p) + s for p, s in zip(place, box.start, strict=True))
    value = float(part[place])
    found = f"{where} has the value {value:g} in channel {channel} at z, y, x = {z}, {y}, {x}"
    if not np.isfinite(value):
        return SourceError(f"{found}, which is not a probability; replace it in the file")
    low, high = float(np.nanmin(part)), float(np.nanmax(part))
    return SourceError(
        f"{found} ({low:g} to {high:g} nearby), but without a network a source holds probabilities, 0 to 1; name the values "
        "of 0 and 1 (source.range: [low, high]), set source.activation: sigmoid for logits, or give a network in `inference`"
    )


def probabilities(read: Reader, channels: Sequence[int], where: str) -> Reader:
    """Return a reader that checks that what it reads are probabilities.

    Parameters
    ----------
    read
        Reads a box, (c, z, y, x).
    channels
        Those that must hold probabilities.
    where
        The source, named in errors.

    Returns
    -------
    Reader
        Of the same voxels; raises SourceError as `check_probability` does.
    """

    def checked(box: Box) -> np.ndarray:
        values = read(box)
        check_probability(values, box, channels, where)
        return values

    return checked
