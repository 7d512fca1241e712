"""Look up final ids."""

import numpy as np
from numba import njit

from connectomake.errors import RunError


def remap(labels: np.ndarray, ids: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Replace each local label by its final id.

    Parameters
    ----------
    labels
        Any shape, uint32, C-contiguous: a block or a part of one.
    ids
        (n + 1,) uint64: the final id of each label; ``ids[0]`` is 0.
    out
        uint64, C-contiguous, of the same shape, to be filled; a new array by default.

    Raises
    ------
    RunError
        If a label has no id, that is, if labels and table are not of the same run.
    """
    result = np.empty(labels.shape, np.uint64) if out is None else out
    if not len(ids) or _gather(np.ascontiguousarray(labels).ravel(), ids, result.reshape(-1)):
        raise RunError(
            f"label {int(labels.max(initial=0))} has no id in a table of {len(ids)} labels: the block and its table "
            "are not of the same run; delete the table and rerun"
        )
    return result


def halo_planes(segmentation: np.ndarray) -> dict[str, np.ndarray]:
    """Copy the low-side planes of a block (z, y, x), by the names they have in its file: ``halo/z``, ``/y``, ``/x``."""
    planes = {"z": segmentation[0], "y": segmentation[:, 0], "x": segmentation[:, :, 0]}
    return {f"halo/{axis}": plane.copy() for axis, plane in planes.items()}


@njit(cache=True, nogil=True)
def _gather(labels, ids, out):  # type: ignore[no-untyped-def]
    """Fill `out`; tell whether a label was out of range (such voxels get the last id)."""
    last = np.uint32(ids.size - 1)
    bad = False
    for i in range(labels.size):
        label = labels[i]
        bad |= label > last
        out[i] = ids[min(label, last)]
    return bad
