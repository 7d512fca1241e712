"""Untrusted text, read within bounds: YAML and JSON up to the size, depth and number of values that files of a run have.

YAML may name a value again by an alias, so a few lines can stand for billions of values, and each bracket that is opened takes
a level of the interpreter's stack. What is too much is found before any value is made.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 22
MOST_VALUES = 100_000
MOST_DEPTH = 50


class TooLargeError(ValueError):
    """A text is larger or deeper, or has more values, than any file of a run."""


def read_json(text: str | bytes | bytearray) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise TooLargeError("it is nested too deeply") from None


def read_text(path: str | os.PathLike[str]) -> str:
    """Return a text file of at most `MOST_BYTES`.

    Raises
    ------
    OSError, UnicodeDecodeError
        If it cannot be read, or is not UTF-8.
    TooLargeError
        If it is larger.
    """
    with Path(path).open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise TooLargeError(f"it is larger than {MOST_BYTES // 1_000_000} MB")
    return data.decode()


def check_yaml(text: str) -> None:
    """Check that a YAML text is within bounds, aliases followed, by its events alone.

    Raises
    ------
    TooLargeError
        If it is not, or a value contains itself.
    yaml.YAMLError
        If it is no YAML.
    """
    import yaml

    opened: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    count = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        anchor: Any = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor in (name for name, _ in opened):
                raise TooLargeError(f"*{anchor} contains itself")
            count += sizes.get(anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = opened.pop()
            if name is not None:
                sizes[name] = count - before
        else:
            count += isinstance(event, yaml.ScalarEvent)
        _check(count, len(opened))


def check_amount(value: Any) -> None:
    """Check that nested lists and mappings are within bounds, whatever made them.

    Raises
    ------
    TooLargeError
        If they are not.
    """
    stack: list[tuple[Iterator[Any], int]] = [(iter([value]), 0)]
    count = 0
    while stack:
        parts, depth = stack[-1]
        part = next(parts, stack)
        if part is stack:
            stack.pop()
            continue
        count += 1
        _check(count, depth)
        if isinstance(part, dict | list):
            stack.append((iter(part.values() if isinstance(part, dict) else part), depth + 1))


def _check(count: int, depth: int) -> None:
    if count > MOST_VALUES:
        raise TooLargeError(f"it stands for more than {MOST_VALUES:,} values")
    if depth > MOST_DEPTH:
        raise TooLargeError(f"it is nested more than {MOST_DEPTH} levels deep")
