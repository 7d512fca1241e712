"""Interior of a block's objects: their voxels without those on the boundary."""

import os

import numpy as np

from connectomake.errors import RunError
from connectomake.layers import read_tables
from connectomake.tables import ComponentTable


def interior_of_objects(path: str | os.PathLike[str], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Sum what is left of a block's labels to what is left of its objects: ``interior/id`` and the columns of a table.

    Parameters
    ----------
    path
        The file beside the block's components, with the tables ``interior/*``.
    ids
        (n + 1,) uint64: the final id of each label, of which object 0 is left out.

    Raises
    ------
    LayerError
        If the file is missing, damaged or without these tables.
    RunError
        If there are not as many labels as ids.
    """
    table = ComponentTable.from_arrays(read_tables(path, ComponentTable.names("interior")), "interior")
    if len(table) + 1 != len(ids):
        raise RunError(f"{path} has {len(table)} labels, its table of ids {len(ids) - 1}: delete both and rerun")
    objects, rows = table.of_objects(ids[1:])
    return {"interior/id": objects, **rows.arrays("interior")}


def blank_interior() -> dict[str, np.ndarray]:
    """Return the same of a block of background."""
    return {"interior/id": np.zeros(0, np.uint64), **ComponentTable.empty().arrays("interior")}
