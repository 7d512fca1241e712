"""From the labels of one cell to the skeletons of its objects."""

import itertools

import numpy as np

from connectomake.geometry import Box, Vec
from connectomake.skeletons.lattice import DIRECTIONS, SkeletonSpec
from connectomake.skeletons.table import Traces


def trace_cell(labels: np.ndarray, spec: SkeletonSpec, position: Vec, keep: np.ndarray | None = None) -> Traces:
    """Trace all objects of one cell.

    Parameters
    ----------
    labels : (z, y, x) uint64
        Voxels of ``spec.around(position)``; 0 is background.
    spec
        The skeletons.
    position
        Lattice position of the cell.
    keep : (n,) uint64, optional
        Ascending ids of the objects wanted; default all.

    Returns
    -------
    Traces
        The skeletons' voxels, also those in the planes shared with the next cells; sizes count the cell's own voxels.
    """
    ids, numbers = _numbered(labels, keep)
    around, reach, own = spec.around(position), spec.reach(position), spec.lattice.box(position)
    counts = np.bincount(numbers[own.slices(around.start)].ravel(), minlength=len(ids))[1:]
    part = np.ascontiguousarray(numbers[reach.slices(around.start)])
    if not part.any():
        return Traces.empty()
    radius = _radii(numbers, spec)[reach.slices(around.start)]
    tree, links, padded = _traced(part, radius, spec, own)
    rows = np.flatnonzero(tree)
    places = np.stack(np.unravel_index(rows, part.shape), axis=1) + (np.array(reach.start) - np.array(spec.roi.start))
    keys = 1 + places @ spec.strides
    names = ids[part.ravel()[rows]]
    there = counts > 0
    order = np.argsort(ids[1:][there])
    return Traces(names, keys, padded[rows], links[rows], ids[1:][there][order], counts[there][order].astype(np.int64))


def _numbered(labels: np.ndarray, keep: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (n,) uint64, the first 0, and an array of the labels' places among them, uint32."""
    import fastremap

    if keep is not None:
        labels = fastremap.mask_except(labels, keep.tolist(), in_place=False)
    numbers, places = fastremap.renumber(np.ascontiguousarray(labels), start=1, preserve_zero=True, in_place=False)
    ids = np.zeros(int(max(places.values(), default=0)) + 1, np.uint64)
    ids[np.fromiter(places.values(), np.int64, len(places))] = np.fromiter(places.keys(), np.uint64, len(places))
    return ids, np.ascontiguousarray(numbers, np.uint32)


def _radii(numbers: np.ndarray, spec: SkeletonSpec) -> np.ndarray:
    """Return the distance of every voxel to the nearest other label, or, where there is none at all, to the array's end."""
    from connectomake.skeletons.distance import squared_distances

    widths = np.array(spec.voxel_size, np.float64)
    far = squared_distances(numbers, widths, np.zeros(3, np.bool_))
    if np.isinf(far.flat[0]):
        far = squared_distances(numbers, widths, np.ones(3, np.bool_))
    roots: np.ndarray = np.sqrt(far)
    return roots


def _traced(part: np.ndarray, radius: np.ndarray, spec: SkeletonSpec, own: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run TEASAR on what a cell traces; return skeleton, links and radii, each flat."""
    from connectomake.skeletons.paths import trace_paths

    padded = np.pad(part, 1)
    shape = np.array(padded.shape, np.int64)
    offsets = np.array(DIRECTIONS, np.int64) @ np.array([shape[1] * shape[2], shape[2], 1], np.int64)
    tree, links = trace_paths(
        padded.ravel(), np.pad(radius, 1).ravel(), np.pad(_joins(part, spec), 1).ravel(), shape,
        np.array(own.shape, np.int64), offsets, spec.steps, np.array(spec.voxel_size, np.float64),
        np.array([spec.scale, spec.const], np.float64),
    )  # fmt: skip
    inner = (slice(1, -1),) * 3
    return (
        tree.reshape(padded.shape)[inner].ravel(), links.reshape(padded.shape)[inner].ravel(),
        np.ascontiguousarray(radius).ravel(),
    )  # fmt: skip


def _joins(part: np.ndarray, spec: SkeletonSpec) -> np.ndarray:
    """Mark the voxels through which skeletons pass on a cell's outer planes: one for each region of an object there.

    On planes shared with other cells skeletons are joined there; on the faces of the region of interest, where an object is cut
    off, they end in the middle of the cut and not at its rim.
    """
    from connectomake.skeletons.distance import plane_centres

    marked: np.ndarray = np.zeros(part.shape, np.bool_)
    for axis, side in itertools.product(range(3), (0, -1)):
        place = tuple(side if i == axis else slice(None) for i in range(3))
        sides = [length for i, length in enumerate(spec.voxel_size) if i != axis]
        plane = np.ascontiguousarray(part[place])
        chosen = np.zeros(plane.shape, np.bool_)
        chosen.flat[plane_centres(plane, np.array([1.0, *sides]))] = True
        marked[place] |= chosen
    return marked
