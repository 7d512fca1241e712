"""Where the voxels of an NRRD file lie: names of its axes, voxel size and offset."""

import math
from collections.abc import Sequence

from connectomake.errors import ConfigError
from connectomake.keys import key
from connectomake.sources.axes import SPACE, letters, nanometres
from connectomake.sources.grid import Grid
from connectomake.sources.nrrd_header import Header
from connectomake.sources.options import SourceOptions

_SPACE_KINDS = ("domain", "space")
_TINY = 1e-6

Vectors = list[tuple[float, ...] | None]


def nrrd_grid(header: Header, options: SourceOptions, voxel_size: Sequence[float] | None) -> Grid:
    """Return what a header says, axes in the order in which NumPy indexes them (the slowest first).

    Space directions come before spacings. Their lengths have the units of ``space units``, or spacings those of ``units``; a
    file without units has no voxel size here, since programs differ in what they take it for.

    Raises
    ------
    ConfigError
        If lengths have no unit that is known, and the user does not give the voxel size.
    SourceError
        If fields contradict each other.
    """
    directions = header.vectors("space directions")
    if directions is not None and len(directions) != header.dimension:
        raise header.fault(f"there are {len(directions)} space directions for {header.dimension} axes")
    names = _names(header, directions)
    given = tuple(options.axes.lower())[::-1] if options.axes and len(options.axes) == header.dimension else None
    own = given or names or _default(header.dimension)
    notes: list[str] = []
    if directions is not None:
        lengths, starts = _of_directions(header, own, directions, notes)
        units = _space_units(header, own, directions)
    else:
        lengths, starts = _of_spacings(header, own)
        units = _units(header, own)
    size, offset = _in_nm(header, lengths, starts, units, voxel_size)
    return Grid(None if names is None else names[::-1], size, offset, notes=tuple(notes))


def _default(dimension: int) -> tuple[str, ...]:
    return tuple({3: "xyz", 4: "xyzc"}.get(dimension, "?" * dimension))


def _names(header: Header, directions: Vectors | None) -> tuple[str, ...] | None:
    """Return one letter per axis, the fastest first; None if the header does not tell."""
    labels, kinds = header.texts("labels"), header.words("kinds")
    if labels is not None and (found := letters(labels[::-1], header.sizes[::-1])) is not None:
        return found[::-1]
    if directions is not None:
        spatial = [v is not None for v in directions]
    elif kinds is not None and len(kinds) == header.dimension:
        spatial = [k.lower() in _SPACE_KINDS for k in kinds]
    else:
        return None
    if sum(spatial) != 3:
        return None
    along = iter(_along(directions) or "xyz")
    kind_of = [k.lower() for k in kinds] if kinds is not None and len(kinds) == header.dimension else [""] * header.dimension
    return tuple(next(along) if s else "t" if kind_of[a] == "time" else "c" for a, s in enumerate(spatial))


def _along(directions: Vectors | None) -> str | None:
    """Return the letters of the axes of space, where each goes along another axis of the world; None if they are oblique."""
    vectors = [v for v in directions or () if v is not None]
    if len(vectors) != 3 or any(len(v) != 3 for v in vectors):
        return None
    found = "".join("xyz"[max(range(3), key=lambda i, v=v: abs(v[i]))] for v in vectors)  # type: ignore[misc]
    return found if sorted(found) == list("xyz") and not any(_oblique(v) for v in vectors) else None


def _oblique(vector: Sequence[float]) -> bool:
    longest = max(abs(v) for v in vector)
    return sum(abs(v) > _TINY * longest for v in vector) != 1


def _of_directions(
    header: Header, names: Sequence[str], directions: Vectors, notes: list[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the lengths of voxels, and the place of the first one where directions go straight along the axes."""
    lengths = {n: math.hypot(*v) for n, v in zip(names, directions, strict=True) if v is not None}
    vectors = [v for v in directions if v is not None]
    if any(_oblique(v) for v in vectors):
        notes.append(
            f"{header.path} is stored turned by its space directions; it is read as it is stored, its first voxel at 0"
        )
        return lengths, {}
    origins = header.vectors("space origin")
    origin = origins[0] if origins else None
    if mirrored := [n for n, v in zip(names, directions, strict=True) if v is not None and sum(v) < 0]:
        notes.append(
            f"{header.path} is stored mirrored along {', '.join(mirrored)} by its space directions; it is read as stored, "
            "its first voxel at 0"
        )
        return lengths, {}
    if origin is None:
        return lengths, {}
    if any(len(v) != len(origin) for v in vectors):
        raise header.fault("the space origin has another number of coordinates than the space directions")
    return lengths, {
        n: origin[max(range(len(v)), key=lambda i, v=v: abs(v[i]))]  # type: ignore[misc]
        for n, v in zip(names, directions, strict=True)
        if v is not None
    }


def _of_spacings(header: Header, names: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Return spacings, and the least positions of the axes (which are borders of the first voxel unless it says nodes)."""
    spacings, least = header.numbers("spacings"), header.numbers("axis mins")
    for what, found in (("spacings", spacings), ("axis mins", least)):
        if found is not None and len(found) != header.dimension:
            raise header.fault(f"there are {len(found)} {what} for {header.dimension} axes")
    lengths = {n: abs(v) for n, v in zip(names, spacings or (), strict=False) if math.isfinite(v)}
    starts = {n: v for n, v in zip(names, least or (), strict=False) if math.isfinite(v)}
    return lengths, starts


def _space_units(header: Header, names: Sequence[str], directions: Vectors) -> dict[str, str]:
    units = header.texts("space units")
    if units is None:
        return _units(header, names)
    found = {}
    for n, v in zip(names, directions, strict=True):
        if v is not None:
            axis = max(range(len(v)), key=lambda i, v=v: abs(v[i]))  # type: ignore[misc]
            found[n] = units[axis] if axis < len(units) else ""
    return found


def _units(header: Header, names: Sequence[str]) -> dict[str, str]:
    units = header.texts("units") or []
    return dict(zip(names, units, strict=False)) if len(units) == len(names) else {}


def _in_nm(
    header: Header,
    lengths: dict[str, float],
    starts: dict[str, float],
    units: dict[str, str],
    voxel_size: Sequence[float] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return voxel size and offset in nm; without known units, the offset in voxels of the user's size and no size."""
    if any(a not in lengths or not lengths[a] > 0 for a in SPACE):
        return {}, {}
    starts = starts if all(a in starts for a in SPACE) else {}
    factors = {a: nanometres(1, units.get(a, "") or "none") for a in SPACE}
    if any(f is None for f in factors.values()):
        said = ", ".join(f"{a} {lengths[a]:g} {units.get(a) or '(no unit)'}" for a in SPACE)
        if voxel_size is None:
            raise ConfigError(
                f"{header.path} has voxels of {said}, without a known unit of length; set {key('voxel_size')} "
                "to [z, y, x] in nm"
            )
        own = dict(zip(SPACE, voxel_size, strict=True))
        return {}, {a: starts[a] / lengths[a] * own[a] for a in SPACE} if starts else {}
    nm = {a: float(f or 0) for a, f in factors.items()}
    return _times(lengths, nm), _times(starts, nm)


def _times(values: dict[str, float], factors: dict[str, float]) -> dict[str, float]:
    return {a: float(f"{values[a] * factors[a]:.12g}") for a in SPACE if a in values}
