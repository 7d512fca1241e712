"""The one rule of intensity, of training and inference alike: what an image's voxels are when the network sees them.

Integers are divided by their type's maximum, floats are taken as they are, and both may be mapped to 0 to 1 by a range before.
A network learns from 0 to 1 alone: what leaves it would be clipped by the variations of grey here, and not there.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomake.errors import RunError
from connectomake.geometry import Box

DARK = 0.25
"""Integers whose largest value is below this fraction of their type's maximum are reported: 12 bits in 16, say."""


def check_image(image: NDArray[Any], box: Box, name: str) -> None:
    """Refuse what nothing can be learned from.

    Parameters
    ----------
    image
        (z, y, x) as the network sees it: uint8, which is divided by 255, or float32.
    box
        Where it lies in the volume, for errors.
    name
        Of the volume.

    Raises
    ------
    RunError
        If a value is not finite or lies beyond 0 to 1, or all are equal.
    """
    if image.dtype.kind == "f":
        _refuse(
            ~np.isfinite(image), image, box, name, "it must be finite: repair the image, or leave that part out (start, stop)"
        )
        beyond = (image < 0) | (image > 1)
        low, high = (float(v) for v in (image.min(), image.max()))
        way_out = (
            f"a network learns from 0 to 1, and the image goes from {low:g} to {high:g}: give image.range, the values that "
            "stand for 0 and 1, and the same as source.range where the network is used"
        )
        _refuse(beyond, image, box, name, way_out)
    if image.size and image.min() == image.max():
        raise RunError(
            f"the image of {name} has the value {image.flat[0]:g} everywhere in {box}: nothing can be learned from it"
        )


def _refuse(bad: NDArray[np.bool_], image: NDArray[Any], box: Box, name: str, way_out: str) -> None:
    if not bad.any():
        return
    place = tuple(int(i[0]) for i in np.nonzero(bad))
    z, y, x = (a + b for a, b in zip(place, box.start, strict=True))
    share = 100 * np.count_nonzero(bad) / bad.size
    raise RunError(
        f"the image of {name} has the value {image[place]:g} at z, y, x = {z}, {y}, {x} ({share:.2g} % of its voxels are "
        f"such); {way_out}"
    )


def image_note(image: NDArray[Any], dtype: str) -> str:
    """Return what the network sees of an image that is stored as `dtype`, and whether that looks odd."""
    scale = 255.0 if image.dtype == np.uint8 else 1.0
    low, high = float(image.min()) / scale, float(image.max()) / scale
    text = f"{dtype}, which the network sees as {low:.3g} to {high:.3g}"
    if dtype not in ("uint8", "float32") and high < DARK:
        return f"{text}: very little contrast; give image.range, such as [0, {int(high * np.iinfo(dtype).max)}]"
    return text
