"""webKnossos's ``datasource-properties.json``: axes and voxel size of its Zarr arrays, which name neither."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.sources import tensor
from connectomake.sources.axes import nanometres
from connectomake.sources.grid import Grid, Lengths
from connectomake.sources.paths import is_url

NAME = "datasource-properties.json"
_AXES = {3: "xyz", 4: "cxyz"}


def webknossos(path: str, name: str, shape: Sequence[int]) -> Grid:
    """Return the grid of a Zarr array that is a magnification of a layer; an empty one if it is not.

    Parameters
    ----------
    path, name
        Container and array in it; the properties lie in a folder above the array, two levels as a rule.
    shape
        Of the array: c, x, y, z unless ``axisOrder`` says otherwise.
    """
    for properties, below in _properties(path, name):
        layer, _, mag = below.rpartition("/")
        if not layer:
            continue
        entry = _entry(properties, layer, mag)
        order = entry.get("axisOrder")
        names = _ordered(order, len(shape)) if isinstance(order, dict) else _AXES.get(len(shape))
        return Grid(tuple(names) if names else None, _size(properties.get("scale"), entry.get("mag", mag)))
    return Grid()


def _properties(path: str, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the properties in folders above an array, and the array's path from there."""
    parts = [p for p in name.split("/") if p]
    for i in range(len(parts) - 1, -1, -1):
        if (found := tensor.read_json(path, "/".join([*parts[:i], NAME]))) is not None:
            yield found, "/".join(parts[i:])
    if is_url(path):
        return
    place = Path(path)
    for above in list(place.parents)[:2]:
        file = above / NAME
        if file.is_file():
            below = "/".join([place.relative_to(above).as_posix(), *parts])
            try:
                found = json.loads(file.read_bytes())
            except (OSError, ValueError):
                continue
            if isinstance(found, dict):
                yield found, below


def _entry(properties: dict[str, Any], layer: str, mag: str) -> dict[str, Any]:
    """Return what the properties list of one magnification of a layer."""
    for found in properties.get("dataLayers") or ():
        if not isinstance(found, dict) or found.get("name") != layer.rpartition("/")[2]:
            continue
        for entry in found.get("mags") or ():
            if isinstance(entry, dict) and (
                str(entry.get("path", "")).endswith(f"{layer}/{mag}") or _factors(entry.get("mag")) == _factors(mag)
            ):
                return entry
    return {}


def _ordered(order: dict[str, Any], dimensions: int) -> str | None:
    """Return letters from ``{"c": 0, "x": 1, "y": 2, "z": 3}``."""
    letter = {position: axis for axis, position in order.items()}
    names = [str(letter.get(i, "?")) for i in range(dimensions)]
    return "".join(names) if all(names.count(a) == 1 for a in "zyx") else None


def _factors(mag: Any) -> tuple[float, ...] | None:
    """Return x, y, z of a magnification: 2, ``"2"``, ``"2-2-1"``, ``[2, 2, 1]``."""
    parts = mag if isinstance(mag, list) else str(mag).split("-")
    try:
        numbers = tuple(float(p) for p in parts)
    except ValueError:
        return None
    return numbers * 3 if len(numbers) == 1 else numbers if len(numbers) == 3 else None


def _size(scale: Any, mag: Any) -> Lengths:
    unit = "nm"
    if isinstance(scale, dict):
        scale, unit = scale.get("factor"), str(scale.get("unit") or "nm")
    factors = _factors(mag)
    if not isinstance(scale, list) or len(scale) != 3 or factors is None:
        return {}
    lengths = {a: nanometres(float(s) * f, unit) for a, s, f in zip("xyz", scale, factors, strict=True)}
    known = {a: v for a, v in lengths.items() if v is not None}
    return known if len(known) == 3 else {}
