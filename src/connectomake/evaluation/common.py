"""Overlap of the objects of two volumes, such as nuclei in cells, as a table."""

import numpy as np

from connectomake.evaluation.contingency import Contingency
from connectomake.geometry import Box


def overlap_columns(pairs: Contingency, box: Box, *, best: bool = False) -> dict[str, np.ndarray]:
    """Return the table of objects and the others that they share voxels with.

    Parameters
    ----------
    pairs
        Voxels per (object, other), as `pairs_of` counts them.
    box
        What they were counted in.
    best
        Whether each object has one row, that of the other with most voxels.

    Returns
    -------
    dict
        Columns (n,): ``object`` and ``other`` (uint64); ``rank`` (uint64), 1 for the other with most voxels, the smaller id of
        two with as many; ``voxels`` in common, ``object_voxels`` of the object in the box (uint64); ``share``, their ratio;
        ``outside`` (uint64), voxels of the object in no other; ``z``, ``y``, ``x`` (int64), the first voxel in common,
        absolute. An object in no other has one row, with other, rank and voxels 0, and the place of its own first voxel. Rows
        are in the order of objects, then of ranks.
    """
    objects, of = np.unique(pairs.keys[:, 0], return_inverse=True)
    whole = np.zeros(len(objects), np.int64)
    np.add.at(whole, of, pairs.count)
    none = pairs.keys[:, 1] == 0
    outside = np.zeros(len(objects), np.int64)
    outside[of[none]] = pairs.count[none]
    alone = none & (outside == whole)[of]
    voxels = np.where(none, 0, pairs.count)
    order = np.lexsort((pairs.keys[:, 1], -voxels, of))
    order = order[(~none | alone)[order]]
    of, voxels = of[order], voxels[order]
    starts = np.searchsorted(of, of)
    rank = np.where(voxels > 0, np.arange(len(of)) - starts + 1, 0)
    kept = rank <= 1 if best else np.ones(len(of), bool)
    zyx = np.stack(np.unravel_index(pairs.first[order], box.shape), axis=-1) + np.array(box.start, np.int64)
    columns = {
        "object": pairs.keys[order, 0], "other": pairs.keys[order, 1], "rank": rank.astype(np.uint64),
        "voxels": voxels.astype(np.uint64), "object_voxels": whole[of].astype(np.uint64), "share": voxels / whole[of],
        "outside": outside[of].astype(np.uint64), "z": zyx[:, 0], "y": zyx[:, 1], "x": zyx[:, 2],
    }  # fmt: skip
    return {name: column[kept] for name, column in columns.items()}
