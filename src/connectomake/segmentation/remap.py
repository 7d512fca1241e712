"""Look up final ids: of an array, or of an encoded block."""

from typing import TypeAlias

import numpy as np

from connectomake.errors import RunError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, ShardReader, ShardWriter
from connectomake.layers.segmentation_codec import decode_part

Halo: TypeAlias = dict[str, np.ndarray]
PIECE = 1 << 16
"""Labels looked up at a time, so that NumPy's index array stays in the cache."""
_NO_IDS = np.zeros(1, np.uint64)


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
    _check_highest(int(labels.max(initial=0)), ids)
    result = np.empty(labels.shape, np.uint64) if out is None else out
    flat, target = np.ascontiguousarray(labels).reshape(-1), result.reshape(-1)
    for low in range(0, flat.size, PIECE):
        np.take(ids, flat[low : low + PIECE], out=target[low : low + PIECE], mode="clip")
    return result


def _check_highest(highest: int, ids: np.ndarray) -> None:
    if highest >= len(ids):
        raise RunError(
            f"label {highest} has no id in a table of {len(ids)} labels: the block and its table are not of the same run; "
            "delete the table and rerun"
        )


def remap_chunks(reader: ShardReader, writer: ShardWriter, spec: LayerSpec, block_id: int, ids: np.ndarray) -> Halo:
    """Replace the labels of a block, storage chunk by storage chunk, without decoding them; see `segmentation_codec`.

    Parameters
    ----------
    reader
        The block's components.
    writer
        The block's segmentation.
    spec
        The segmentation.
    block_id
        The block.
    ids
        See `remap`.

    Returns
    -------
    dict
        See `halo_planes`.

    Raises
    ------
    LayerError
        If a chunk of the components is missing or damaged.
    RunError
        See `remap`.
    """
    box = spec.grid.box(block_id)
    planes = blank_halo(box)
    for position in sorted(spec.chunks.positions_meeting(box), key=spec.chunks.id_at):
        data, highest = reader.relabel(position, ids if len(ids) else _NO_IDS)
        _check_highest(highest, ids)
        writer.write_encoded(position, data)
        _copy_planes(planes, data, spec.chunks.box_at(position), box)
    return planes


def _copy_planes(planes: Halo, data: bytes, part: Box, block: Box) -> None:
    """Put what an encoded chunk has of the block's low planes into them."""
    for axis, plane in enumerate(planes.values()):
        if part.start[axis] > block.start[axis]:
            continue
        z, y, x = (1 if i == axis else n for i, n in enumerate(part.shape))
        others = tuple(s for i, s in enumerate(part.slices(block.start)) if i != axis)
        plane[others] = decode_part(data, part.shape, (z, y, x)).take(0, axis)


def halo_planes(segmentation: np.ndarray) -> Halo:
    """Copy the low-side planes of a block (z, y, x), by the names they have in its file: ``halo/z``, ``/y``, ``/x``."""
    planes = {"z": segmentation[0], "y": segmentation[:, 0], "x": segmentation[:, :, 0]}
    return {f"halo/{axis}": plane.copy() for axis, plane in planes.items()}


def blank_halo(box: Box) -> Halo:
    """Return the low-side planes of a block of background; see `halo_planes`."""
    return {f"halo/{axis}": np.zeros([n for k, n in enumerate(box.shape) if k != i], np.uint64) for i, axis in enumerate("zyx")}
