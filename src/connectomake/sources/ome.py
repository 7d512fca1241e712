"""OME-Zarr's axes and transformations (0.1 to 0.5) as a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

from connectomake.sources.axes import DEFAULTS, SPACE, letters, nanometres
from connectomake.sources.grid import Grid, Lengths


def ome_grid(entry: Mapping[str, Any], shape: Sequence[int]) -> Grid:
    """Return where one scale of an image lies.

    Parameters
    ----------
    entry
        ``axes`` of the image, and ``transformations``: those of the scale, then those of the image.
    shape
        Of the array. Without axes, as in versions 0.1 and 0.2, they are t, c, z, y, x.
    """
    axes = [a if isinstance(a, dict) else {"name": a} for a in entry["axes"]]
    names = letters([a.get("name") for a in axes] or None, shape)
    if not axes:
        names = tuple(DEFAULTS[5]) if len(shape) == 5 else None
    known = len(axes) == len(shape) and names is not None
    if names is None or not known:
        return Grid(names)
    scale, translation, scaled = [1.0] * len(shape), [0.0] * len(shape), False
    for step in entry["transformations"]:
        values = step.get(step.get("type")) if isinstance(step, dict) else None
        if not isinstance(values, list) or len(values) != len(shape):
            continue
        if step["type"] == "scale":
            scale = [a * float(b) for a, b in zip(scale, values, strict=True)]
            translation = [a * float(b) for a, b in zip(translation, values, strict=True)]
            scaled = True
        elif step["type"] == "translation":
            translation = [a + float(b) for a, b in zip(translation, values, strict=True)]
    size = _lengths(names, axes, scale) if scaled else {}
    return Grid(names, size, _lengths(names, axes, translation) if any(translation) else {}, True)


def _lengths(names: Sequence[str], axes: Sequence[Mapping[str, Any]], values: Sequence[float]) -> Lengths:
    """Return lengths in nm by letter; none at all where one axis of space has no unit that is known."""
    found = {n: nanometres(v, a.get("unit")) for n, a, v in zip(names, axes, values, strict=True) if n in SPACE}
    known = {n: v for n, v in found.items() if v is not None}
    return known if len(known) == len(SPACE) else {}
