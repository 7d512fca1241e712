"""Which axis is which in formats that name their axes, and lengths in nm."""

from collections.abc import Sequence
from typing import Any

from connectomake.errors import SourceError

Order = tuple[int | None, int, int, int]

_NM = {
    "nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "nanometre": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3,
    "microns": 1e3, "micrometer": 1e3, "micrometers": 1e3, "micrometre": 1e3, "angstrom": 0.1, "a": 0.1, "å": 0.1,
    "millimeter": 1e6, "mm": 1e6, "meter": 1e9, "m": 1e9,
}  # fmt: skip


def axis_order(labels: Sequence[str | None] | None, shape: Sequence[int], default: str, where: str) -> Order:
    """Return the positions of c, z, y, x among the axes.

    Parameters
    ----------
    labels
        Names of the axes, if the file has them: x, y, z, c (or channel), and t.
    shape
        Extent per axis. Axes named otherwise must have the extent 1.
    default
        Order without labels, of four letters; three axes are its part without c.
    where
        Named in errors.

    Raises
    ------
    SourceError
        If the axes are not three of space, perhaps channels, and others of extent 1.
    """
    names = _short_names(labels)
    if names is None or len(names) != len(shape):
        kept = default if len(shape) == 4 else default.replace("c", "")
        if len(shape) != len(kept):
            raise SourceError(f"{where} has {len(shape)} dimensions {list(shape)}; it must have three, or four with channels")
        names = list(kept)
    spare = [n for n, extent in zip(names, shape, strict=True) if n not in "czyx" and extent != 1]
    if spare:
        raise SourceError(
            f"{where} has the axis {spare[0]} beside x, y, z and channel (shape {list(shape)}); take one part of it"
        )
    z, y, x = (names.index(a) for a in "zyx")
    return (names.index("c") if "c" in names else None), z, y, x


def _short_names(labels: Sequence[str | None] | None) -> list[str] | None:
    """Return one-letter names, or None unless each of z, y, x is there once."""
    if labels is None:
        return None
    names = ["c" if (label or "").lower().startswith(("c^", "channel")) else (label or "").lower() for label in labels]
    names = [n or "?" for n in names]
    return names if all(names.count(a) == 1 for a in "zyx") and names.count("c") <= 1 else None


def nanometres(value: Any, unit: str | None) -> float | None:
    """Return a length in nm, or None if the unit is unknown."""
    factor = _NM.get((unit or "").strip().lower())
    return None if factor is None else float(f"{float(value) * factor:.12g}")
