"""Label one block: threshold rule, connectivity 6, 18 or 26."""

from dataclasses import dataclass

import numpy as np

from connectomake.components import runs
from connectomake.components.threshold import threshold_for
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box, Vec
from connectomake.tables import ComponentTable, Faces
from connectomake.union_find import number

_BUDGET = {6: 1, 18: 2, 26: 3}


@dataclass(frozen=True, slots=True)
class BlockLabels:
    """The components of one block.

    Parameters
    ----------
    labels
        (z, y, x) uint32: 0 is background; 1, 2, … in the order of the components' first voxels.
    table
        Row i is label i + 1.
    faces
        The six face planes of `labels`; of a watershed also which edges across them are kept.
    """

    labels: np.ndarray
    table: ComponentTable
    faces: Faces


def label_block(values: np.ndarray, threshold: float, connectivity: int, box: Box, roi: Box) -> BlockLabels:
    """Label the components of one block.

    Parameters
    ----------
    values
        (z, y, x) float32, uint8 (read as value/255) or bool.
    threshold
        In [0, 1); foreground is ``value > threshold``, see `threshold_for`.
    connectivity
        6, 18 or 26.
    box
        Where the block lies.
    roi
        The region of interest, which contains it.

    Raises
    ------
    ConfigError
        If the threshold, the connectivity or the dtype is not one of these.
    RunError
        If a value is NaN, the shape is not the box's, or the block has more runs of foreground than int32 can count.
    """
    bound = threshold_for(threshold, values.dtype)
    if connectivity not in _BUDGET:
        raise ConfigError(f"the connectivity must be 6, 18 or 26, got {connectivity}")
    check_shape(values.shape, box)
    block = np.ascontiguousarray(values.view(np.uint8) if values.dtype == bool else values)
    starts, stops, parents, firsts, nan = runs.find_runs(block, bound, _BUDGET[connectivity])
    if nan:
        raise RunError(f"the value at {first_nan(values, box.start)} (z, y, x) is NaN; check the model and its input")
    count = number(parents, 1)
    labels = np.zeros(block.shape, np.uint32)
    runs.paint(starts, stops, parents, firsts, labels)
    table = table_at(runs.measure(starts, stops, parents, firsts, block.shape[1], count), box, roi)
    return BlockLabels(labels, table, Faces.of(labels))


def check_shape(shape: tuple[int, ...], box: Box) -> None:
    """Raise a RunError unless an array has the shape of its box, and few enough voxels to be labelled."""
    if shape != box.shape:
        raise RunError(f"the values have shape {shape} but the block {box} has shape {box.shape} (z, y, x)")
    if shape[0] * shape[1] * (shape[2] // 2 + 1) >= 2**31:
        raise RunError(f"the block {box} has too many voxels to be labelled (over 4 billion); choose a smaller block")


def first_nan(values: np.ndarray, start: Vec) -> Vec:
    """Return where the first NaN of an array (z, y, x) lies that begins at `start`."""
    place = np.unravel_index(int(np.isnan(values).argmax()), values.shape)
    z, y, x = (int(p) + s for p, s in zip(place, start, strict=True))
    return (z, y, x)


def table_at(measured: tuple[np.ndarray, ...], box: Box, roi: Box) -> ComponentTable:
    """Move measures from a block's own coordinates to the region of interest: voxels, first voxels, starts, stops, sums."""
    voxels, heads, lows, highs, sums = measured
    start = np.array(box.start, np.int64)
    shift = start - np.array(roi.start, np.int64)
    z, y, x = (heads + shift).T
    raster = (z * roi.shape[1] + y) * roi.shape[2] + x
    return ComponentTable(
        key=raster.astype(np.uint64) + np.uint64(1),
        voxels=voxels.astype(np.uint64),
        start=lows + start,
        stop=highs + start,
        sums=(sums + shift * voxels[:, None]).astype(np.uint64),
    )
