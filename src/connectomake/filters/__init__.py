"""Filters of the image, in the order of the config's list, before anything else sees it.

Each declares its reach, so that a box of the filtered image is made from a box of the image grown by it, and is the same
whatever the boxes. A filter is one module here, one line in `FILTERS` and its keys in the schema of the config.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from connectomake.errors import ConfigError
from connectomake.filters.base import Filter, Place, as_tuple
from connectomake.filters.blackout import Blackout
from connectomake.filters.blockwise import filter_box, held, seconds_per_megavoxel
from connectomake.filters.clahe import Clahe
from connectomake.filters.gaussian import Gaussian
from connectomake.filters.holes import FillHoles
from connectomake.filters.median import Median
from connectomake.filters.normalize import Normalize
from connectomake.filters.python import Python
from connectomake.filters.sections import BadSections
from connectomake.filters.values import Inverse, Rescale, Threshold

__all__ = ["FILTERS", "Filter", "Place", "filter_box", "filters_of", "held", "plain_of", "seconds_per_megavoxel"]

KINDS: tuple[type[Filter], ...] = (
    Normalize, BadSections, Blackout, Gaussian, Median, Clahe, Rescale, Inverse, Threshold, FillHoles, Python,
)  # fmt: skip
FILTERS = {kind.key: kind for kind in KINDS}
"""The filters by their key in the config."""


def filters_of(items: Iterable[Mapping[str, Mapping[str, Any]]]) -> tuple[Filter, ...]:
    """Return the filters of a config's list, each item a mapping of one key to its values.

    Raises
    ------
    ConfigError
        If a value is out of range, or a key unknown.
    """
    found = tuple(_filter(index, item) for index, item in enumerate(items))
    for index, step in enumerate(found):
        if step.first and index:
            raise ConfigError(f"source.filters[{index}].{step.key} must be the first filter: it applies to the stored values")
    return found


def plain_of(filters: Iterable[Filter]) -> list[dict[str, Any]]:
    """Return filters as plain JSON values, from which `filters_of` makes the same ones."""
    return [{step.key: step.plain()} for step in filters]


def _filter(index: int, item: Mapping[str, Mapping[str, Any]]) -> Filter:
    place = f"source.filters[{index}]"
    if len(item) != 1:
        raise ConfigError(f"{place} must name one filter, got {', '.join(item) or 'none'}; give each an item of its own")
    ((key, values),) = item.items()
    if key not in FILTERS:
        raise ConfigError(f"{place} names the filter {key!r}, which does not exist; take one of {', '.join(FILTERS)}")
    try:
        return FILTERS[key](**{name: as_tuple(value) for name, value in values.items()})
    except ConfigError as error:
        raise ConfigError(f"{place}.{key}: {error}") from None
    except (TypeError, ValueError) as error:  # what no schema has checked, such as a damaged message of a queue
        raise ConfigError(f"{place}.{key} is not valid ({error}); correct it") from error
