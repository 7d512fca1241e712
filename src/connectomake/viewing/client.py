"""The static Neuroglancer client that comes with the `neuroglancer` package, and its files packed for the way."""

import functools
import importlib.util
import re
from pathlib import Path

from connectomake.layers.shard_file import compress

_NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{16}\.")


def client_folder() -> Path | None:
    """Return the folder of the static Neuroglancer client; None if it is not installed."""
    found = importlib.util.find_spec("neuroglancer")
    places = (found.submodule_search_locations or []) if found else []
    folders = [Path(place) / "static" / "client" for place in places]
    return next((folder for folder in folders if (folder / "index.html").exists()), None)


def cacheable(file: Path) -> bool:
    """Whether a browser may cache a file forever, because its name identifies its content."""
    return _NAMED_BY_CONTENT.search(file.name) is not None


def packed(file: Path) -> bytes:
    """Return a file as a gzip stream, packed once as long as it does not change.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    return _packed(file, file.stat().st_mtime_ns)


@functools.lru_cache(256)
def _packed(file: Path, _modified: int) -> bytes:
    return compress(file.read_bytes(), 9)
