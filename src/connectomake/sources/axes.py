"""Which axis is which, from the names that formats and users give them; lengths in nm."""

from collections.abc import Sequence
from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.keys import key

Order = tuple[int | None, int, int, int]
SPACE = "zyx"
DEFAULTS = {3: "zyx", 4: "czyx", 5: "tczyx"}
"""Axes of arrays that nothing names, as NumPy indexes them."""

_UNITS = {
    1.0: "nm nanometer nanometers nanometre nanometres",
    1e3: "um µm μm micron microns micrometer micrometers micrometre micrometres \\u00b5m",
    0.1: "angstrom angstroms ångström a å",
    1e-3: "pm picometer picometers picometre",
    1e6: "mm millimeter millimeters millimetre millimetres",
    1e7: "cm centimeter centimeters centimetre",
    1e9: "m meter meters metre metres",
    25.4e6: "inch in",
}
_NM = {name: factor for factor, names in _UNITS.items() for name in names.split()}
_WORDS = {
    "c": "channel channels colour color ch", "t": "time frame frames timepoint",
    "z": "depth plane planes slice slices section sections pln", "y": "height row rows", "x": "width column columns col cols",
}  # fmt: skip
_LETTER = {word: letter for letter, words in _WORDS.items() for word in words.split()}


def nanometres(value: Any, unit: str | None) -> float | None:
    """Return a length in nm, or None if the unit is unknown, or it is no number."""
    factor = _NM.get((unit or "").strip().lower())
    try:
        return None if factor is None else float(f"{float(value) * factor:.12g}")
    except (TypeError, ValueError):
        return None


def letters(labels: Sequence[str | None] | None, shape: Sequence[int]) -> tuple[str, ...] | None:
    """Return one letter per axis, or None unless each of z, y, x is there once.

    Parameters
    ----------
    labels
        Names of the axes as a file has them: ``z``, ``Y``, ``c^``, ``channel``, ``depth``, …. Others become ``?``.
    shape
        Extent per axis. Time is taken for z where there is no z: many programs call the sections of a stack so.
    """
    if labels is None or len(labels) != len(shape):
        return None
    names = [_letter(label) for label in labels]
    if "z" not in names and names.count("t") == 1 and shape[names.index("t")] > 1:
        names[names.index("t")] = "z"
    fits = all(names.count(a) == 1 for a in SPACE) and names.count("c") <= 1
    return tuple(names) if fits else None


def _letter(label: str | None) -> str:
    name = (label or "").strip().lower().rstrip("^")
    name = _LETTER.get(name, name)
    return "c" if name.startswith("channel") else name if len(name) == 1 else "?"


def given_axes(text: str, dimensions: int, where: str) -> tuple[str, ...]:
    """Return the letters of ``source.axes`` for an array of so many dimensions.

    Raises
    ------
    ConfigError
        If they are not z, y and x, each once, perhaps c, and others that may only have the extent 1; or too few or too many.
    """
    names = tuple(text.lower())
    if any(names.count(a) != 1 for a in SPACE) or len(set(names)) != len(names) or not text.isalpha():
        raise ConfigError(
            f"{key('axes')} {text!r} must name z, y and x once each, and c for channels if there are any, such as zyx or xyzc"
        )
    if len(names) != dimensions:
        raise ConfigError(
            f"{key('axes')} {text!r} names {len(names)} axes, but {where} has {dimensions}; name one letter for each"
        )
    return names


def positions(names: Sequence[str], shape: Sequence[int], where: str) -> Order:
    """Return the positions of c, z, y, x among named axes.

    Raises
    ------
    SourceError
        If an axis beside these has an extent other than 1.
    """
    for name, extent in zip(names, shape, strict=True):
        if name not in ("c", *SPACE) and extent != 1:
            called = {"t": "of time", "?": "beside x, y, z and channel"}.get(name, f"{name} beside x, y, z and channel")
            raise SourceError(f"{where} has an axis {called} of extent {extent} (shape {list(shape)}); take one part of it")
    z, y, x = (names.index(a) for a in SPACE)
    return (names.index("c") if "c" in names else None), z, y, x
