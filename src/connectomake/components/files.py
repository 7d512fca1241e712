"""The file beside a components shard: the table and the face planes of the block."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomake.components.block import BlockLabels
from connectomake.layers import write_tables


def block_tables(result: BlockLabels) -> dict[str, np.ndarray]:
    """Return the datasets of the block's file: ``table/*`` and ``faces/*``, see `ComponentTable` and `Faces`."""
    return {**result.table.arrays("table"), **result.faces.arrays("faces")}


def write_block_tables(
    path: str | os.PathLike[str], result: BlockLabels, record: Mapping[str, Any], more: Mapping[str, np.ndarray] | None = None
) -> None:
    """Atomically write the block's file, with `more` datasets if there are.

    Parameters
    ----------
    path
        HDF5 file to write.
    result
        The labelled block; see `block_tables` for the datasets.
    record
        What to note in the file: stage, fingerprint, software.
    more
        Further datasets by name.
    """
    write_tables(path, {**block_tables(result), **(more or {})}, record)
