"""Which files are served: the viewer's own, and of a layer what its info names; no logs, tables, benchmarks or configs."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ALWAYS = ("info", "provenance", "thumbnail.png")
_OF_A_LAYER = re.compile(r"info|provenance|thumbnail\.png|.+\.shard|(-?\d+--?\d+_){2}-?\d+--?\d+")
_LARGEST_INFO = 1 << 26


def file_in(folder: Path, parts: list[str]) -> tuple[Path, str | None] | None:
    """Return a file inside a folder, or the compressed form in which other software may have stored it, and its encoding."""
    file = folder.joinpath(*(parts if parts[-1:] != [""] else [*parts[:-1], "index.html"]))
    for suffix, encoding in (("", None), (".gz", "gzip"), (".br", "br")):
        candidate = file.with_name(file.name + suffix).resolve()
        if candidate.is_relative_to(folder) and candidate.is_file():
            return candidate, encoding
    return None


def layer_file_in(folder: Path, parts: list[str]) -> tuple[Path, str | None] | None:
    """Return a file of a layer as `file_in` does, if it is one of those that the layer's info names."""
    if not parts or any(part.startswith(".") or not part for part in parts):
        return None
    if len(parts) == 1:
        return file_in(folder, parts) if parts[0] in ALWAYS else None
    below = "/".join(parts)
    info = folder / "info"
    named = _named(info, info.stat().st_mtime_ns) if info.is_file() else frozenset()
    return file_in(folder, parts) if any(below.startswith(f"{name}/") for name in named) else None


def run_file_in(folder: Path, parts: list[str]) -> tuple[Path, str | None] | None:
    """Return a file of one of the layers in a run's folder, as `layer_file_in` does, but no table that lies beside a shard."""
    layer = (folder / parts[0]).resolve() if parts else folder
    if layer == folder or not _OF_A_LAYER.fullmatch(parts[-1]) or not layer.is_relative_to(folder):
        return None
    return layer_file_in(layer, parts[1:])


@functools.lru_cache(64)
def _named(info: Path, _modified: int) -> frozenset[str]:
    """Return the folders that an info names: of scales, meshes, skeletons, properties, annotations."""
    try:
        with info.open("rb") as stream:
            value = json.loads(stream.read(_LARGEST_INFO))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(name.strip("/") for name in _folders(value) if name.strip("/") and ".." not in name.split("/"))


def _folders(info: Any) -> Iterator[str]:
    if not isinstance(info, dict):
        return
    for name in ("mesh", "skeletons", "segment_properties"):
        if isinstance(info.get(name), str):
            yield info[name]
    for name in ("scales", "spatial", "relationships"):
        for entry in info.get(name) or () if isinstance(info.get(name), list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("key"), str):
                yield entry["key"]
    by_id = info.get("by_id")
    if isinstance(by_id, dict) and isinstance(by_id.get("key"), str):
        yield by_id["key"]
