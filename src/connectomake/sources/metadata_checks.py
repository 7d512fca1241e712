"""Checks of a source's metadata before they are used: types, lengths, ranges, sizes of chunks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from connectomake.errors import SourceError

Rule: TypeAlias = tuple[Callable[[Any], Any], str]
MOST_CHUNK_BYTES = 1 << 31
_FARTHEST = 1 << 53
"""Beyond it JSON of other programs has no whole numbers."""
_MOST_CHANNELS = 1 << 16
_SHOWN = 80


def check_chunk(chunk: Sequence[int], itemsize: int, where: str) -> None:
    """Refuse storage chunks that would take the memory of the machine, for each is decoded as a whole.

    Parameters
    ----------
    chunk
        Shape, in the array's own order.
    itemsize
        Bytes of a value.
    where
        The array, for people.

    Raises
    ------
    SourceError
        If a chunk takes 2 GB or more.
    """
    size = math.prod(chunk) * itemsize
    if size >= MOST_CHUNK_BYTES:
        raise SourceError(
            f"{where} is stored in chunks of {list(chunk)}, {size / 1e9:.1f} GB each, which are read as a whole; rewrite it in "
            "chunks of less than 2 GB, such as 64 x 64 x 64"
        )


def check_info(path: str, info: dict[str, Any]) -> None:
    """Check the values in the ``info`` of a precomputed layer, as far as they are there and used.

    Raises
    ------
    SourceError
        For the first value of a wrong type, length or range.
    """
    where = f"the info file of {path}"
    _check(info, _LAYER, where)
    for number, scale in enumerate(info.get("scales", ())):
        _check(scale, _SCALE, f"scale {number} in {where}")


def _check(values: dict[str, Any], rules: dict[str, Rule], where: str) -> None:
    for key, (is_right, wanted) in rules.items():
        if key in values and not is_right(values[key]):
            text = repr(values[key])
            shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
            raise SourceError(f"{where} has the {key} {shown}; it must be {wanted}: correct it")


def _is_triple(value: Any, low: int) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_is_whole(v, low, _FARTHEST) for v in value)


def _is_whole(value: Any, low: int, high: int) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and low <= value <= high


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_LAYER: dict[str, Rule] = {
    "data_type": (_is_text, "a string such as uint8"),
    "num_channels": (lambda v: _is_whole(v, 1, _MOST_CHANNELS), f"a whole number from 1 to {_MOST_CHANNELS}"),
    "scales": (lambda v: isinstance(v, list) and v and all(isinstance(s, dict) for s in v), "a list of scales"),
}
_SCALE: dict[str, Rule] = {
    "key": (_is_text, "a string"),
    "encoding": (_is_text, "a string such as raw"),
    "size": (lambda v: _is_triple(v, 0), "three whole numbers, x, y, z"),
    "voxel_offset": (lambda v: _is_triple(v, -_FARTHEST), "three whole numbers, x, y, z"),
    "chunk_sizes": (
        lambda v: isinstance(v, list) and v and all(_is_triple(c, 1) for c in v),
        "a list of three whole numbers, x, y, z, above 0",
    ),
    "sharding": (lambda v: isinstance(v, dict | None), "keys and values"),
}
