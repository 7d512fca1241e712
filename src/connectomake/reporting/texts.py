"""Numbers as people read them: sizes, times, shapes, counts."""

from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """Write a number of things, ``1 block`` or ``1,200 blocks``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def shape_text(values: Sequence[float]) -> str:
    """Write a triple, ``128 x 256 x 256``."""
    return " x ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def scaled(value: float, units: Sequence[str], base: float = 1000.0) -> str:
    """Write a number with three digits or so and the unit that suits it."""
    index = 0
    while abs(value) >= base * 0.9995 and index < len(units) - 1:
        value /= base
        index += 1
    digits = 0 if index == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {units[index]}"


def bytes_text(value: float) -> str:
    """Write a number of bytes, ``1.2 GB``."""
    return scaled(value, ("B", "kB", "MB", "GB", "TB", "PB"))


def voxels_text(value: float) -> str:
    """Write a number of voxels, ``27.0 Mvox``."""
    return scaled(value, ("vox", "kvox", "Mvox", "Gvox", "Tvox", "Pvox"))


def seconds_text(value: float) -> str:
    """Write a duration, ``< 0.1 s``, ``45 s``, ``12 min``, ``3.5 h`` or ``2.1 days``."""
    if 0 < value < 0.1:
        return "< 0.1 s"
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if value < limit:
            number = value / divisor
            return f"{number:.1f} {unit}" if number < 10 and unit != "min" else f"{number:.0f} {unit}"
    return f"{value / 86400:.1f} days"
