"""Warnings about implausible shapes and voxel sizes of a source, each a sentence with what to do."""

from collections.abc import Sequence

from connectomake.errors import ConfigError
from connectomake.keys import key

_SMALLEST = 0.5
"""nm: no voxel of an electron microscope's volume is smaller; µm taken for nm are."""
_ALIKE = 1.6
"""Two voxel sizes that differ by less may be the same, measured twice."""
_FEW, _MANY, _TOO_MANY = 4, 16, 128
"""So few voxels are no axis of a volume; so many channels have few networks, and none."""

Shape = tuple[int, int, int]


def check_voxel_size(
    given: Sequence[float] | None, stored: Sequence[float] | None, size: tuple[float, float, float], where: str
) -> tuple[str, ...]:
    """Return what is odd about the voxel size.

    Parameters
    ----------
    given, stored
        The user's and the file's, in nm, z, y, x; None if there is none.
    size
        The one that is taken.
    where
        The source, as it is named.
    """
    said = f"voxel_size {_text(given)}" if given is not None else f"the voxel size {_text(size)} that {where} names"
    notes = []
    if 0 < min(size) < _SMALLEST:
        notes.append(
            f"{said} is in nm and smaller than any electron microscope resolves; is it in µm? "
            f"then say voxel_size: {_text([round(1000 * v, 6) for v in size])}"
        )
    elif size[2] > 1.33 * max(size[:2]):
        notes.append(f"{said} is taken as z, y, x; is it x, y, z? then say voxel_size: {_text(size[::-1])}")
    if given is not None and stored is not None and _unlike(given, stored):
        notes.append(
            f"voxel_size {_text(given)} of the config is taken, but {where} says {_text(stored)} nm (z, y, x); leave "
            "voxel_size out to take the file's"
        )
    return tuple(notes)


def _unlike(a: Sequence[float], b: Sequence[float]) -> bool:
    return any(max(p, q) > _ALIKE * min(p, q) for p, q in zip(a, b, strict=True))


def check_shape(
    names: Sequence[str], shape: Sequence[int], channels: int, extent: Shape, size: Sequence[float], where: str
) -> tuple[str, ...]:
    """Return what is odd about the shape of an array whose axes nothing names.

    Parameters
    ----------
    names
        Letters of the axes as they are taken.
    shape
        As stored.
    channels, extent
        As they are read; the extent is z, y, x.
    size
        Voxel size, z, y, x.
    where
        The source, as it is named.

    Raises
    ------
    ConfigError
        If the shape can only be of another order: so many channels, and next to no voxels along an axis.
    """
    z, y, x = extent
    read = f"{where} has the shape {list(shape)} and nothing names its axes: they are taken as {', '.join(names)}"
    way = f"say which is which with {key('axes')}, such as {_guess(names, shape)} (or {''.join(names)}, if that is right)"
    few = min(extent) <= _FEW
    if (channels > _FEW and few) or channels > _MANY:
        text = f"{read}, which makes {channels} channels of {z} × {y} × {x} voxels (z, y, x); {way}"
        if x <= _FEW or (channels > _MANY and min(extent) <= _MANY) or channels > _TOO_MANY:
            raise ConfigError(text)
        return (text,)
    if min(y, x) <= _FEW < max(extent) and min(y, x) < z:
        axis = "x" if x <= y else "y"
        return (f"{read}, which leaves {min(y, x)} voxels along {axis}; are these channels, or sections? {way}",)
    if z > max(y, x) and size[0] > _ALIKE * max(size[1:]):
        return (
            f"{read}: {z} sections of {y} × {x} voxels, more sections than a section is wide, though voxels are "
            f"{_text(size)} nm; if they are in another order, {way}",
        )
    return ()


def _guess(names: Sequence[str], shape: Sequence[int]) -> str:
    """Return another order of the axes that fits the shape better."""
    smallest = min(range(len(shape)), key=lambda i: (shape[i], -i))
    rest = [n for n in names if n != "c"]
    if len(shape) == 4:
        return "".join([*rest[:smallest], "c", *rest[smallest:]])
    return "".join(names[::-1])


def _text(numbers: Sequence[float] | None) -> str:
    return f"[{', '.join(f'{float(v):g}' for v in numbers or ())}]"
