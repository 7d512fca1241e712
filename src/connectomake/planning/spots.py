"""Positions marked by users: points of a CSV, or annotations of a Neuroglancer state or layer."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from connectomake.errors import ConfigError
from connectomake.planning.annotation_layers import POINTS, layer_annotations, layer_info

Spot: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Lowest and highest corner, z, y, x, in nm."""
UNITS = {"m": 1e9, "mm": 1e6, "um": 1e3, "µm": 1e3, "nm": 1.0}


def read_spots(path: str, voxel_size: Sequence[float], unit: str = "voxels") -> list[Spot]:
    """Read the positions in a file.

    Parameters
    ----------
    path
        A CSV with a header line that names the columns z, y and x; or a Neuroglancer state as JSON (``.json``) with local
        annotations: points, lines, boxes and ellipsoids; or the folder of a precomputed annotation layer.
    voxel_size
        Of the source, nm (z, y, x).
    unit
        Unit of a CSV: ``voxels`` of the source, in its coordinates, or ``nm``. A state has its own dimensions.

    Raises
    ------
    ConfigError
        If the file cannot be read, has no positions, or has one that is not valid.
    """
    if Path(path).is_dir():
        return _some(path, _of_layer(path))
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--points {path} cannot be read: {error}") from error
    return _some(path, _of_state(path, text) if Path(path).suffix == ".json" else _of_csv(path, text, voxel_size, unit))


def _some(path: str, spots: Iterator[Spot]) -> list[Spot]:
    found = list(spots)
    if not found:
        raise ConfigError(f"--points {path} contains no positions")
    return found


def _of_csv(path: str, text: str, voxel_size: Sequence[float], unit: str) -> Iterator[Spot]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    lacking = [name for name in "zyx" if name not in (rows.fieldnames or ())]
    if lacking:
        raise ConfigError(f"--points {path} has no column {lacking[0]!r}; its first line must name the columns z, y and x")
    steps = (1.0, 1.0, 1.0) if unit == "nm" else tuple(voxel_size)
    for row in rows:
        try:
            values = [float(row[name]) for name in "zyx"]
        except (TypeError, ValueError):
            values = [math.nan]
        if not all(map(math.isfinite, values)):
            raise ConfigError(
                f"--points {path}, line {rows.line_num}: z, y and x must be numbers, got {[row[n] for n in 'zyx']}"
            )
        point = [_lower(value) * step if unit != "nm" else value for value, step in zip(values, steps, strict=True)]
        yield _box([point])


def _lower(value: float) -> float:
    """Return the centre of the voxel that contains a position in voxels, so that rounding cannot move it to the next one."""
    return math.floor(value) + 0.5


def _of_state(path: str, text: str) -> Iterator[Spot]:
    try:
        state = json.loads(text)
        layers = state.get("layers", [state])
        marked = [layer for layer in layers if layer.get("annotations")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"--points {path} is not a Neuroglancer state: {error}; save it with its button {{}}") from error
    if not marked:
        raise ConfigError(
            f"--points {path} has no local annotations, and those of a precomputed layer are not part of a state; give the "
            "layer's folder, or a CSV with z, y, x"
        )
    for layer in marked:
        place = f"--points {path}, layer {layer.get('name', '')!r}"
        scales = _scales(layer, state.get("dimensions"), place)
        for annotation in layer["annotations"]:
            yield _annotated(annotation, scales, place)


def _of_layer(path: str) -> Iterator[Spot]:
    info = layer_info(Path(path))
    scales = _checked(info["dimensions"], f"--points {path}")
    for annotation in layer_annotations(Path(path), info):
        yield _annotated(annotation, scales, f"--points {path}")


def _scales(layer: dict[str, Any], dimensions: Any, place: str) -> dict[str, float]:
    """Return the length of a unit along each dimension in nm, by name, in the order of coordinates."""
    source = layer.get("source")
    transform = source.get("transform") if isinstance(source, dict) else None
    if isinstance(transform, dict):
        if transform.get("matrix") is not None or transform.get(
            "inputDimensions", transform.get("outputDimensions")
        ) != transform.get("outputDimensions"):
            raise ConfigError(
                f"{place} has a transform; remove it in the layer's Source tab, so that the coordinates are those shown"
            )
        dimensions = transform.get("outputDimensions", dimensions)
    return _checked(dimensions, place)


def _checked(dimensions: Any, place: str) -> dict[str, float]:
    try:
        found = {name: float(scale) * UNITS[unit] for name, (scale, unit) in dimensions.items()}
    except (AttributeError, TypeError, ValueError, KeyError):
        found = {}
    if sorted(found) != ["x", "y", "z"] or not all(math.isfinite(scale) and scale > 0 for scale in found.values()):
        raise ConfigError(f"{place} has dimensions {dimensions}; x, y and z with a scale in metres are needed")
    return found


def _annotated(annotation: Any, scales: dict[str, float], place: str) -> Spot:
    """Return the bounding box of an annotation."""
    try:
        kind = annotation["type"]
        if kind == "ellipsoid":
            pairs = list(zip(annotation["center"], annotation["radii"], strict=True))
            corners = [[center - radius for center, radius in pairs], [center + radius for center, radius in pairs]]
        else:
            corners = [annotation[name] for name in POINTS[kind]]
        named = [dict(zip(scales, map(float, corner), strict=True)) for corner in corners]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{place}: {annotation} is not a point, line, box or ellipsoid in x, y, z") from error
    points = [[point[name] * scales[name] for name in "zyx"] for point in named]
    if not all(math.isfinite(value) for point in points for value in point):
        raise ConfigError(f"{place}: {annotation} has a coordinate that is not a finite number")
    return _box(points)


def _box(points: Sequence[Sequence[float]]) -> Spot:
    low, high = (tuple(f(values) for values in zip(*points, strict=True)) for f in (min, max))
    return low, high
