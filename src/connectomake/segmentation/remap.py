"""Look up final ids."""

import numpy as np

from connectomake.errors import RunError

PIECE = 1 << 16
"""Labels looked up at a time, so that NumPy's index array stays in the cache. To load numba would take longer."""


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
    highest = int(labels.max(initial=0))
    if highest >= len(ids):
        raise RunError(
            f"label {highest} has no id in a table of {len(ids)} labels: the block and its table are not of the same run; "
            "delete the table and rerun"
        )
    result = np.empty(labels.shape, np.uint64) if out is None else out
    flat, target = np.ascontiguousarray(labels).reshape(-1), result.reshape(-1)
    for low in range(0, flat.size, PIECE):
        np.take(ids, flat[low : low + PIECE], out=target[low : low + PIECE], mode="clip")
    return result


def halo_planes(segmentation: np.ndarray) -> dict[str, np.ndarray]:
    """Copy the low-side planes of a block (z, y, x), by the names they have in its file: ``halo/z``, ``/y``, ``/x``."""
    planes = {"z": segmentation[0], "y": segmentation[:, 0], "x": segmentation[:, :, 0]}
    return {f"halo/{axis}": plane.copy() for axis, plane in planes.items()}
