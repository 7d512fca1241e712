"""Annotations of a Neuroglancer layer in the precomputed format, as far as it is not sharded: where they lie."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConfigError

POINTS = {"point": ("point",), "line": ("pointA", "pointB"), "axis_aligned_bounding_box": ("pointA", "pointB"),
          "ellipsoid": ("center", "radii")}  # fmt: skip
"""The points that an annotation has, by its type, as a state of Neuroglancer calls them."""
_SIZES = {"rgb": 3, "rgba": 4, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "float32": 4}
_CHUNK = re.compile(r"\d+(_\d+)*")


def layer_info(folder: Path) -> dict[str, Any]:
    """Read the info of a layer.

    Raises
    ------
    ConfigError
        If there is none that we read.
    """
    try:
        info: dict[str, Any] = json.loads((folder / "info").read_text())
        kind = str(info["annotation_type"]).lower()
        known = kind in POINTS and info["@type"] == "neuroglancer_annotations_v1"
        sharded = any("sharding" in level for level in info["spatial"])
        lacking = [p["type"] for p in info["properties"] if p["type"] not in _SIZES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"--points {folder} is not an annotation layer: {error}") from error
    if not known or lacking:
        raise ConfigError(
            f"--points {folder} holds annotations of type {kind} that are not supported; write a CSV with z, y, x"
        )
    if sharded:
        raise ConfigError(f"--points {folder} is sharded, which is not supported; write a CSV with z, y, x")
    return info | {"annotation_type": kind}


def layer_annotations(folder: Path, info: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each annotation once, as a state of Neuroglancer has it, coordinates in the order of the info's dimensions.

    Raises
    ------
    ConfigError
        If a file is damaged.
    """
    names, rank = POINTS[info["annotation_type"]], len(info["dimensions"])
    size = -(-(4 * rank * len(names) + sum(_SIZES[p["type"]] for p in info["properties"])) // 4) * 4
    seen: set[int] = set()
    for path in sorted(p for level in info["spatial"] for p in (folder / level["key"]).glob("*") if _CHUNK.fullmatch(p.name)):
        data = path.read_bytes()
        count = int.from_bytes(data[:8], "little")
        if len(data) != 8 + count * (size + 8):
            raise ConfigError(f"{path} has {len(data):,} bytes, not those of {count:,} annotations; write the layer again")
        rows = np.frombuffer(data, np.uint8, count * size, 8).reshape(count, size)
        places = rows[:, : 4 * rank * len(names)].copy().view("<f4").reshape(count, len(names), rank)
        ids = np.frombuffer(data, "<u8", count, 8 + count * size)
        for number, points in zip(ids.tolist(), places.tolist(), strict=True):
            if number not in seen:
                seen.add(number)
                yield {"type": info["annotation_type"], **dict(zip(names, points, strict=True))}
