"""Neuroglancer segment properties: sizes of the largest objects, to search and sort by in the viewer.

Format: Neuroglancer, "Segment properties" of the precomputed format, inline form.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomake.atomic import write_json
from connectomake.tables import ComponentTable


def segment_properties(table: ComponentTable, limit: int, numbers: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Return the ``info`` of a segment properties folder.

    Parameters
    ----------
    table
        All objects.
    limit
        How many to list, the largest first (ties: smaller id first); the viewer loads the whole file.
    numbers
        Further numbers of every object by name, such as ``volume_um3``; listed as float32.

    Returns
    -------
    dict
        Label "#1" for the largest object, "#2", …, with zeros in front (#07 of 12 objects) so that viewers sort them;
        number ``voxels`` (uint32, or float32 where a size exceeds uint32).
    """
    largest = largest_of(table, limit)
    voxels = table.voxels[largest]
    small = not len(voxels) or int(voxels[0]) < 2**32
    sizes = voxels.tolist() if small else voxels.astype(np.float32).astype(np.float64).tolist()
    size = {"id": "voxels", "type": "number", "data_type": "uint32" if small else "float32", "values": sizes}
    further = [_float32(name, values[largest]) for name, values in (numbers or {}).items()]
    digits = len(str(len(largest)))
    label = {"id": "label", "type": "label", "values": [f"#{i:0{digits}}" for i in range(1, len(largest) + 1)]}
    return {
        "@type": "neuroglancer_segment_properties",
        "inline": {"ids": [str(i) for i in table.key[largest].tolist()], "properties": [label, size, *further]},
    }


def largest_of(table: ComponentTable, limit: int) -> np.ndarray:
    """Return the rows of the largest objects, the largest first (ties: smaller id first), at most `limit`."""
    return np.lexsort((table.key, np.iinfo(np.uint64).max - table.voxels))[: max(limit, 0)]


def _float32(name: str, values: np.ndarray) -> dict[str, Any]:
    shortest = [float(str(v)) for v in values.astype(np.float32)]
    return {"id": name, "type": "number", "data_type": "float32", "values": shortest}


def write_segment_properties(
    path: str | os.PathLike[str], table: ComponentTable, limit: int, numbers: Mapping[str, np.ndarray] | None = None
) -> None:
    """Atomically write the ``info`` file of a segment properties folder.

    Parameters
    ----------
    path
        The file.
    table, limit, numbers
        See `segment_properties`.
    """
    write_json(path, segment_properties(table, limit, numbers))
