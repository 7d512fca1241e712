"""Points or lines as a Neuroglancer annotation layer: the precomputed annotation format, in files of its own, not sharded."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.geometry import Box
from connectomake.layers.precomputed import xyz

OBJECTS = "objects"
_FORMATS = {"uint32": "<I", "float32": "<f", "uint8": "<B"}


def write_annotations(
    folder: Path,
    points: np.ndarray,
    bounds: Box,
    voxel_size: Sequence[float],
    properties: Mapping[str, tuple[np.ndarray, str]],
    labels: Mapping[str, Sequence[str]],
    objects: Sequence[Sequence[int]],
) -> None:
    """Write points or lines that an annotation layer shows and lists, also by the objects that they belong to.

    Parameters
    ----------
    folder
        Is made.
    points
        (n, 3) float64, z, y, x, in voxels; or (n, 2, 3), both ends of lines; kept as float32. Number i gets the id i + 1.
    bounds
        The box that holds them.
    voxel_size
        Nanometres, z, y, x.
    properties
        By name: values (n,) of uint32, float32 or uint8, and what they say.
    labels
        Of some properties of uint8: the text of each value.
    objects
        Of each point the ids of its objects.
    """
    order = sorted(properties, key=lambda name: -properties[name][0].dtype.itemsize)
    heads = [_property(name, *properties[name], labels.get(name)) for name in order]
    encoded = [_encoded(points[i], [properties[name][0][i] for name in order]) for i in range(len(points))]
    low, high = (list(map(float, xyz(corner))) for corner in (bounds.start, bounds.stop))
    info = {
        "@type": "neuroglancer_annotations_v1",
        "dimensions": {name: [size * 1e-9, "m"] for name, size in zip("xyz", xyz(tuple(voxel_size)), strict=True)},
        "lower_bound": low,
        "upper_bound": high,
        "annotation_type": "point" if points.ndim == 2 else "line",
        "properties": heads,
        "relationships": [{"id": OBJECTS, "key": OBJECTS}],
        "by_id": {"key": "by_id"},
        "spatial": [
            {"key": "spatial0", "grid_shape": [1, 1, 1], "chunk_size": [b - a for a, b in zip(low, high, strict=True)],
             "limit": max(len(points), 1)}
        ],
    }  # fmt: skip
    for name in ("by_id", OBJECTS, "spatial0"):
        (folder / name).mkdir(parents=True)
    (folder / "info").write_text(json.dumps(info, indent=2))
    rows = list(range(len(points)))
    (folder / "spatial0" / "0_0_0").write_bytes(_several(encoded, rows))
    for i, data in enumerate(encoded):
        related = struct.pack(f"<I{len(objects[i])}Q", len(objects[i]), *objects[i])
        (folder / "by_id" / str(i + 1)).write_bytes(data + related)
    of_object: dict[int, list[int]] = {}
    for i, ids in enumerate(objects):
        for object_id in ids:
            of_object.setdefault(object_id, []).append(i)
    for object_id, found in of_object.items():
        (folder / OBJECTS / str(object_id)).write_bytes(_several(encoded, found))


def _property(name: str, values: np.ndarray, text: str, labels: Sequence[str] | None) -> dict[str, Any]:
    head: dict[str, Any] = {"id": name, "type": values.dtype.name, "description": text}
    return head | ({"enum_values": list(range(len(labels))), "enum_labels": list(labels)} if labels else {})


def _encoded(point: np.ndarray, values: Sequence[Any]) -> bytes:
    """Return place or ends, and properties, of a point or line, a multiple of four bytes."""
    data = b"".join(struct.pack("<3f", *xyz(tuple(end))) for end in np.atleast_2d(point).tolist())
    data += b"".join(struct.pack(_FORMATS[value.dtype.name], value) for value in values)
    return data + bytes(-len(data) % 4)


def _several(encoded: Sequence[bytes], rows: Sequence[int]) -> bytes:
    """Return points or lines as the lists of the format have them: their number, then places and properties, then ids."""
    return (
        struct.pack("<Q", len(rows))
        + b"".join(encoded[i] for i in rows)
        + struct.pack(f"<{len(rows)}Q", *(i + 1 for i in rows))
    )
