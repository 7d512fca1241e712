"""Look up final ids."""

from collections.abc import Callable, Iterable

import numpy as np

from connectomake.errors import RunError
from connectomake.geometry import Box

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


def remap_slabs(
    slabs: Iterable[Box],
    ids: np.ndarray,
    read: Callable[[Box], np.ndarray],
    write: Callable[[Box, np.ndarray], None],
) -> dict[str, np.ndarray]:
    """Replace the labels of a block slab by slab; one slab is in memory.

    Parameters
    ----------
    slabs
        Cut the block along z, from low z.
    ids
        See `remap`.
    read
        Returns the labels of a box, (1, z, y, x) uint32.
    write
        Takes the final ids of a box, (z, y, x) uint64; the array is used again for the next slab.

    Returns
    -------
    dict
        The low-side planes of the block, by the names they have in its file: ``halo/z``, ``halo/y``, ``halo/x``.
    """
    parts: list[dict[str, np.ndarray]] = []
    buffer = np.empty(0, np.uint64)
    for slab in slabs:
        if buffer.size < slab.volume:
            buffer = np.empty(slab.volume, np.uint64)
        final = remap(read(slab)[0], ids, buffer[: slab.volume].reshape(slab.shape))
        write(slab, final)
        parts.append(halo_planes(final))
    rest = {name: np.concatenate([part[name] for part in parts]) for name in ("halo/y", "halo/x")}
    return {"halo/z": parts[0]["halo/z"], **rest}


def halo_planes(segmentation: np.ndarray) -> dict[str, np.ndarray]:
    """Copy the low-side planes of a block (z, y, x), by the names they have in its file: ``halo/z``, ``/y``, ``/x``."""
    planes = {"z": segmentation[0], "y": segmentation[:, 0], "x": segmentation[:, :, 0]}
    return {f"halo/{axis}": plane.copy() for axis, plane in planes.items()}
