"""One block of a scale from the shards of the scale below, storage chunk by storage chunk."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from connectomake.geometry import BlockGrid, Box, Vec, as_vec
from connectomake.layers import LayerSpec, ShardReader, ShardWriter
from connectomake.pyramid import kernels
from connectomake.pyramid.scales import child_box, coarser_box, factor_between

MEAN, SPARSE = "mean", "sparse"


def downsample(source: np.ndarray, factor: Vec, lead: Vec, shape: Vec, how: str) -> np.ndarray:
    """Make one voxel of several.

    Parameters
    ----------
    source
        (z, y, x), C-contiguous.
    factor
        Voxels that make one, per axis.
    lead
        Where the first voxel lies within its output voxel, 0 to factor - 1 per axis.
    shape
        Of the output.
    how
        ``mean``: of integers halves are rounded up; of floats, float64 in z, y, x order. ``mode``: the most frequent label, the
        smallest of equally frequent ones. ``sparse``: the same of all labels but 0, which is left only where there is no other.

    Returns
    -------
    (z, y, x), dtype of `source`
    """
    out = np.empty(shape, source.dtype)
    if how == MEAN:
        kernel = kernels.mean_of_floats if source.dtype.kind == "f" else kernels.mean_of_integers
        kernel(source, factor, lead, out)
    else:
        kernels.mode(source, factor, lead, how == SPARSE, out)
    return out


def write_parent(
    path: str | os.PathLike[str],
    child: LayerSpec,
    parent: LayerSpec,
    block: int,
    shards: Mapping[int, str],
    how: str,
    record: dict[str, Any],
) -> None:
    """Write one block of a scale.

    Parameters
    ----------
    path
        The shard to write.
    child, parent
        The layer at the scale below and at this scale.
    block
        The block of this scale.
    shards
        The shards of the scale below that the block stands for, by block.
    how
        See `downsample`.
    record
        What to note in the shard.

    Raises
    ------
    LayerError
        If a shard of the scale below is missing or damaged.
    """
    readers = {b: ShardReader(p, child, b) for b, p in shards.items()}
    chunks = parent.chunks
    with ShardWriter(path, parent, block, record) as writer:
        for position in sorted(chunks.positions_meeting(parent.grid.box(block)), key=chunks.id_at):
            box = chunks.box_at(position)
            writer.write(box, _joined(readers, child, parent, box, how))


def _joined(readers: Mapping[int, ShardReader], child: LayerSpec, parent: LayerSpec, box: Box, how: str) -> np.ndarray:
    """Return a box of a scale, shape (c, z, y, x), from the parts of the scale below, one after the other."""
    out = np.empty((parent.channels, *box.shape), np.dtype(parent.dtype))
    factor = factor_between(child, parent)
    for part in _parts(child, factor, child_box(child, parent, box)):
        place = coarser_box(part, factor)
        z, y, x = (a - p * f for a, p, f in zip(part.start, place.start, factor, strict=True))
        for channel, voxels in zip(out, _read(readers, child, part), strict=True):
            channel[place.slices(box.start)] = downsample(voxels, factor, (z, y, x), place.shape, how)
    return out


def _parts(child: LayerSpec, factor: Vec, box: Box) -> Iterator[Box]:
    """Cut a box into its storage chunks, which are read without a copy; not along an axis where that would part a voxel."""
    axes = zip(child.roi.start, child.roi.shape, child.chunk, factor, strict=True)
    pieces = BlockGrid(child.roi, as_vec([c if a % f == 0 and c % f == 0 else n for a, n, c, f in axes]))
    for position in pieces.positions_meeting(box):
        yield pieces.box_at(position).intersect(box)


def _read(readers: Mapping[int, ShardReader], spec: LayerSpec, box: Box) -> np.ndarray:
    """Read a box of the scale below, shape (c, z, y, x)."""
    blocks = spec.grid.ids_meeting(box)
    if len(blocks) == 1:
        return readers[blocks[0]].read(box)
    out = np.empty((spec.channels, *box.shape), np.dtype(spec.dtype))
    for block in blocks:
        common = spec.grid.box(block).intersect(box)
        out[(slice(None), *common.slices(box.start))] = readers[block].read(common)
    return out
