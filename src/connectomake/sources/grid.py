"""Metadata of an array: names of its axes, voxel size and offset, from the attributes that programs write."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectomake.sources.axes import DEFAULTS, SPACE, letters, nanometres

Attributes = Mapping[str, Any]
Lengths = dict[str, float]

_SIZE = re.compile(r"(?:resolution|voxel_?size|pixel_?size|element_?size|spacing)(?:_(nm|um|µm|mm))?(?:_(zyx|xyz))?", re.ASCII)
_SIZE_KEYS = ("resolution_nm", "voxel_size", "resolution")
_C_NAMES = ("axis_names", "_ARRAY_DIMENSIONS", "dimension_names", "DIMENSION_LABELS")


@dataclass(frozen=True)
class Grid:
    """Where an array's voxels lie, as far as metadata tell.

    Parameters
    ----------
    names
        One letter per stored axis; None if nothing names them.
    size
        Voxel size in nm, by letter (z, y, x); a letter is missing where it is not known.
    offset
        Place of the first voxel in nm, by letter.
    centred
        Whether the offset is that of the voxel's centre (OME-Zarr, COSEM), which for a coarser scale is a part of a voxel.
    notes
        What was guessed, in sentences.
    """

    names: tuple[str, ...] | None = None
    size: Lengths = field(default_factory=dict)
    offset: Lengths = field(default_factory=dict)
    centred: bool = False
    notes: tuple[str, ...] = ()

    def completed(self, other: "Grid") -> "Grid":
        """Return this grid with what it lacks taken from `other`."""
        size = self.size or other.size
        offset, centred = (self.offset, self.centred) if self.offset else (other.offset, other.centred)
        return Grid(self.names or other.names, size, offset, centred, self.notes + other.notes)


def plain(value: Any) -> Any:
    """Return an attribute as text, number, list or mapping: bytes decoded, arrays as lists, texts of JSON read."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def read_grid(attributes: Attributes, shape: Sequence[int], f_order: bool = False, given: Sequence[str] | None = None) -> Grid:
    """Read what attributes say.

    Understood are ilastik's and vigra's ``axistags`` (and ``axis_units``), funlib's and daisy's ``axis_names``, ``types``,
    ``units``, ``voxel_size``, ``resolution`` and ``offset`` (CREMI's, too), xarray's ``_ARRAY_DIMENSIONS``, Zarr's
    ``dimension_names``, labels of HDF5 dimensions, N5's ``axes``, COSEM's ``transform``, n5-viewer's ``pixelResolution`` and
    ``downsamplingFactors``, ImageJ's ``pixelWidth``, and ``element_size_um``.

    Parameters
    ----------
    attributes
        Of the array, or of a group above it.
    shape
        Of the array, as stored.
    f_order
        Whether the format lists axes with the one that varies fastest first, as N5 does.
    given
        Names of the stored axes that come before what the attributes say.
    """
    values = {str(key): plain(value) for key, value in attributes.items()}
    c_shape = tuple(shape[::-1] if f_order else shape)
    named = _names(values, c_shape, f_order)
    names = tuple(given[::-1] if f_order else given) if given else named
    lists = _Lists(names or tuple(DEFAULTS.get(len(c_shape), "")), f_order, _units(values))
    size = _transform(values, "scale") or lists.sizes(values)
    moved = _transform(values, "translate")
    return Grid(
        None if named is None else named[::-1] if f_order else named,
        size,
        moved or lists.offset(values, f_order and "axis_names" not in values),
        bool(moved),
    )


def _names(values: dict[str, Any], shape: tuple[int, ...], f_order: bool) -> tuple[str, ...] | None:
    """Return letters of the axes as NumPy indexes them."""
    for labels in _labels(values, f_order):
        if (found := letters(labels, shape)) is not None:
            return found
        if len(labels) == 3 and len(shape) == 4 and (found := letters(labels, shape[1:])) is not None:
            return ("c", *found)
    return None


def _labels(values: dict[str, Any], f_order: bool) -> Iterator[list[str]]:
    """Yield every list of names, in the order of NumPy's axes."""
    tags = values.get("axistags")
    if isinstance(tags, dict) and isinstance(tags.get("axes"), list):
        yield [str(axis.get("key", "?")) for axis in tags["axes"] if isinstance(axis, dict)]
    transform = values.get("transform")
    if isinstance(transform, dict) and isinstance(axes := transform.get("axes"), list | str):
        order = transform.get("order") or transform.get("ordering") or ("F" if f_order and list(axes)[:1] == ["x"] else "C")
        yield [str(a) for a in (axes[::-1] if order == "F" else axes)]
    for key in _C_NAMES:
        if isinstance(found := values.get(key), list | str):
            yield [_name(a) for a in found]
    if isinstance(axes := values.get("axes"), list | str):
        yield [_name(a) for a in (axes[::-1] if f_order else axes)]
    if isinstance(types := values.get("types"), list) and types.count("space") == 3:
        space = iter(SPACE)
        yield [next(space) if kind == "space" else str(kind) for kind in types]
    if "pixelWidth" in values and "numChannels" in values:
        yield [
            n
            for n, key in zip("tzcyx", ("numFrames", "numSlices", "numChannels", "", ""), strict=True)
            if _several(values, key)
        ]


def _several(values: dict[str, Any], key: str) -> bool:
    """Whether ImageJ's metadata have such an axis: it leaves out those of extent 1."""
    return not key or int(values.get(key) or 1) > 1


def _name(axis: Any) -> str:
    return str(axis.get("name", "?")) if isinstance(axis, dict) else str(axis)


def _transform(values: dict[str, Any], key: str) -> Lengths:
    """Return scale or translation of COSEM's ``transform``, which names its axes itself."""
    transform = values.get("transform")
    if not isinstance(transform, dict) or not isinstance(transform.get(key), list):
        return {}
    axes = [_name(a).lower() for a in transform.get("axes") or ()]
    units = transform.get("units") or ["nm"] * len(axes)
    found = zip(axes, transform[key], units, strict=False)
    return _whole({a: nanometres(v, u or "nm") for a, v, u in found if a in SPACE})


def _units(values: dict[str, Any]) -> Any:
    """Return the units that attributes name: one text, a list, or a mapping by letter; None without."""
    for key in ("axis_units", "units", "unit", "pixelUnit"):
        if values.get(key):
            return values[key]
    return None


def _whole(lengths: Mapping[str, float | None]) -> Lengths:
    """Return three finite lengths, or none at all."""
    known = {a: float(v) for a, v in lengths.items() if v is not None and math.isfinite(v)}
    return known if all(a in known for a in SPACE) else {}


@dataclass(frozen=True)
class _Lists:
    """Lists of lengths, one per axis or one per axis of space.

    Parameters
    ----------
    names
        Letters of the axes as NumPy indexes them.
    f_order
        Whether the format lists its axes the other way round.
    units
        See `_units`.
    """

    names: tuple[str, ...]
    f_order: bool
    units: Any

    def sizes(self, values: dict[str, Any]) -> Lengths:
        """Return the voxel size."""
        found = self._attributes(values) or self._pixel_resolution(values) or self._imagej(values) or self._tags(values)
        factors = values.get("downsamplingFactors")
        if found and isinstance(factors, list) and not any(isinstance(f, list) for f in factors):
            by_letter = self.spread(factors, reverse=True)
            found = {a: v * float(by_letter.get(a, 1)) for a, v in found.items()}
        return found

    def offset(self, values: dict[str, Any], reverse: bool) -> Lengths:
        """Return the attribute ``offset``."""
        found = values.get("offset_nm", values.get("offset"))
        units = "nm" if "offset_nm" in values else None
        return self._lengths(found, reverse, units) if isinstance(found, list) else {}

    def _attributes(self, values: dict[str, Any]) -> Lengths:
        keys = [k for k in _SIZE_KEYS if k in values] + [k for k in values if k not in _SIZE_KEYS and _SIZE.fullmatch(k)]
        for key in keys:
            match = _SIZE.fullmatch(key)
            value = values[key]
            if match is None or not isinstance(value, list | int | float):
                continue
            unit, order = match.groups()
            if order is None and key == "element_size_um":
                order = SPACE
            if key.startswith("spacing") and not unit and self.units is None:
                continue
            several = value if isinstance(value, list) else [value] * 3
            if order and len(several) == 3:
                found = _whole({a: nanometres(v, unit or "nm") for a, v in zip(order, several, strict=True)})
            else:
                reverse = self.f_order and not (key == "voxel_size" and "axis_names" in values)
                found = self._lengths(several, reverse, unit)
            if found:
                return found
        return {}

    def _pixel_resolution(self, values: dict[str, Any]) -> Lengths:
        found: Any = values.get("pixelResolution")
        unit = None
        if isinstance(found, dict):
            found, unit = found.get("dimensions"), found.get("unit") or "nm"
        return self._lengths(found, True, unit) if isinstance(found, list) else {}

    def _imagej(self, values: dict[str, Any]) -> Lengths:
        keys = ("pixelDepth", "pixelHeight", "pixelWidth")
        if not all(isinstance(values.get(k), int | float) for k in keys):
            return {}
        unit = str(values.get("pixelUnit") or "")
        return _whole({a: nanometres(values[k], unit) for a, k in zip(SPACE, keys, strict=True)})

    def _tags(self, values: dict[str, Any]) -> Lengths:
        """Voxel size of vigra's axis tags; their resolutions are lengths where units stand beside."""
        tags, units = values.get("axistags"), self.units
        if not isinstance(tags, dict) or not isinstance(units, dict):
            return {}
        listed: list[Any] = tags.get("axes") or []
        axes = [a for a in listed if isinstance(a, dict) and a.get("resolution") and a.get("key") in units]
        return _whole({str(a["key"]): nanometres(a["resolution"], units[a["key"]]) for a in axes})

    def _lengths(self, several: Sequence[Any], reverse: bool, unit: str | None) -> Lengths:
        by_letter = self.spread(several, reverse)
        units = dict.fromkeys(SPACE, unit) if unit else self._units_of(reverse)
        return _whole({a: nanometres(v, units.get(a) or "nm") for a, v in by_letter.items() if a in SPACE})

    def _units_of(self, reverse: bool) -> dict[str, str]:
        if isinstance(self.units, dict):
            return {str(a): str(u) for a, u in self.units.items()}
        if isinstance(self.units, list):
            return {a: str(u or "") for a, u in self.spread(self.units, reverse).items()}
        return dict.fromkeys(SPACE, str(self.units or ""))

    def spread(self, several: Sequence[Any], reverse: bool) -> dict[str, Any]:
        """Return a list by letter; `reverse`: the list begins with the axis that varies fastest."""
        ordered = list(several[::-1] if reverse else several)
        for names in (self.names, tuple(n for n in self.names if n != "c"), tuple(n for n in self.names if n in SPACE)):
            if len(names) == len(ordered):
                return dict(zip(names, ordered, strict=True))
        return {}
