"""Metadata in the groups above an array: the voxel size of a pyramid, its factors, COSEM's list of scales."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from connectomake.sources.axes import SPACE
from connectomake.sources.grid import Attributes, Grid, plain, read_grid

_LEVEL = re.compile(r"s?(\d+)")


def read_levels(
    name: str,
    attributes_of: Callable[[str], Attributes],
    shape: Sequence[int],
    f_order: bool = False,
    given: Sequence[str] | None = None,
) -> Grid:
    """Read the grid of an array from its attributes and, where these say nothing, from those of the groups above it.

    Parameters
    ----------
    name
        Of the array in its container, such as ``volumes/raw/s1``.
    attributes_of
        Returns the attributes of a group or array by name; ``""`` is the container.
    shape, f_order, given
        See `read_grid`.
    """
    own = attributes_of(name)
    grid = read_grid(own, shape, f_order, given)
    for group, below in _above(name):
        if grid.names and grid.size and grid.offset:
            break
        attributes = {str(k): plain(v) for k, v in attributes_of(group).items()}
        grid = grid.completed(_of_scale(attributes, below, shape, f_order, given))
        grid = grid.completed(_coarser(attributes, own, below, shape, f_order, given))
    return grid


def _above(name: str) -> Iterator[tuple[str, str]]:
    """Yield each group above an array, the nearest first, and the array's name within it."""
    parts = [p for p in name.split("/") if p]
    for i in range(len(parts) - 1, -1, -1):
        yield "/".join(parts[:i]), "/".join(parts[i:])


def _of_scale(attributes: dict[str, Any], below: str, shape: Sequence[int], f_order: bool, given: Sequence[str] | None) -> Grid:
    """Read COSEM's ``multiscales``: a transform for each array of the group."""
    for multiscale in attributes.get("multiscales") or ():
        for entry in multiscale.get("datasets") or () if isinstance(multiscale, dict) else ():
            if isinstance(entry, dict) and entry.get("path") == below and "transform" in entry:
                return read_grid({"transform": entry["transform"]}, shape, f_order, given)
    return Grid()


def _coarser(
    attributes: dict[str, Any],
    own: Attributes,
    below: str,
    shape: Sequence[int],
    f_order: bool,
    given: Sequence[str] | None,
) -> Grid:
    """Read the group's attributes, which are those of its finest array, and multiply the voxel size by the array's factors."""
    factors = plain(own.get("downsamplingFactors")) or _listed(attributes, below)
    values = {k: v for k, v in attributes.items() if k not in ("downsamplingFactors", "scales", "multiscales")}
    if isinstance(factors, list):
        values["downsamplingFactors"] = factors
    return read_grid(values, shape, f_order, given)


def _listed(attributes: dict[str, Any], below: str) -> list[float] | None:
    """Return the factors that a group lists for one of its levels, ``s0``, ``s1`` and so on."""
    level = _LEVEL.fullmatch(below.rpartition("/")[2])
    for key in ("downsamplingFactors", "scales"):
        found = attributes.get(key)
        if level and isinstance(found, list) and int(level[1]) < len(found) and isinstance(found[int(level[1])], list):
            return list(found[int(level[1])])
    return None


def by_letters(lengths: dict[str, float]) -> list[float] | None:
    """Return lengths as z, y, x; None if they are not known."""
    return [lengths[a] for a in SPACE] if all(a in lengths for a in SPACE) else None
