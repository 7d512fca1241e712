"""Given labels: those of one block numbered from 1, whole or split into connected components."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.components import flood
from connectomake.components.block import BlockLabels, check_shape, table_at
from connectomake.errors import RunError
from connectomake.geometry import Box
from connectomake.tables import LabelFaces


@dataclass(frozen=True, slots=True)
class NumberedLabels:
    """The labels of one block, numbered.

    Parameters
    ----------
    result
        A row per number; of components also faces by which they are joined with those of the neighbours.
    ids
        (n + 1,) uint64: the label that each number stands for; ``ids[0]`` is 0.
    """

    result: BlockLabels
    ids: np.ndarray


def number_block(labels: np.ndarray, box: Box, roi: Box, connectivity: int | None = None) -> NumberedLabels:
    """Number the labels of one block from 1, in the order of their first voxels; 0 is background.

    Parameters
    ----------
    labels
        (z, y, x), any integers of 0 or more.
    box
        Where the block lies.
    roi
        The region of interest, which contains it.
    connectivity
        6, 18 or 26: a number for each connected component of voxels of one label, within the block; None: one for each label,
        wherever its voxels are.

    Raises
    ------
    RunError
        If a label is negative, or the shape is not the box's.
    """
    check_shape(labels.shape, box)
    check_labels(labels, box)
    values = np.ascontiguousarray(labels, labels.dtype.newbyteorder("="))
    numbers = _in_order(values if connectivity is None else _components(values, connectivity))
    count = int(numbers.max(initial=0))
    measured = flood.relabel(numbers, np.arange(count + 1, dtype=np.uint32), count)
    ids = np.zeros(count + 1, np.uint64)
    ids[1:] = values[measured[:, 1], measured[:, 2], measured[:, 3]]
    table = table_at((measured[:, 0], measured[:, 1:4], measured[:, 4:7], measured[:, 7:10], measured[:, 10:13]), box, roi)
    return NumberedLabels(BlockLabels(numbers, table, LabelFaces.with_ids(numbers, ids)), ids)


def _components(values: np.ndarray, connectivity: int) -> np.ndarray:
    import cc3d

    steps: Any = connectivity
    found: np.ndarray = cc3d.connected_components(values, connectivity=steps, out_dtype=np.uint32)
    return found


def _in_order(values: np.ndarray) -> np.ndarray:
    """Number values but 0 from 1, in the order of their first voxels: a new array, (z, y, x) uint32."""
    import fastremap

    numbers, _ = fastremap.renumber(np.ascontiguousarray(values), start=1, preserve_zero=True, in_place=False)
    return np.array(numbers, np.uint32, order="C")


def check_labels(labels: np.ndarray, box: Box) -> None:
    """Check that no label of a block is negative.

    Parameters
    ----------
    labels
        (z, y, x), any integers; only signed ones are looked at.
    box
        Where they lie, in voxels.

    Raises
    ------
    RunError
        If a label is negative; the first one in raster order is named with its position.
    """
    if labels.dtype.kind != "i" or not labels.size or labels.min() >= 0:
        return
    place = np.unravel_index(int((labels < 0).argmax()), labels.shape)
    z, y, x = (int(p) + s for p, s in zip(place, box.start, strict=True))
    raise RunError(
        f"the label at z, y, x = {z}, {y}, {x} is {labels[place]}, but labels are 0 (background) or more; give such voxels "
        "another label in the file, or name another volume in source.path"
    )
