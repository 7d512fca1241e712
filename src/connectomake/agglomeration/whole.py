"""Agglomeration of a whole volume in memory, and segments at any threshold from the history of merges."""

from collections.abc import Iterable, Iterator

import numpy as np

from connectomake.agglomeration.graph import Edges, region_graph
from connectomake.agglomeration.means import reaches
from connectomake.agglomeration.rule import Rule
from connectomake.agglomeration.solve import ABSORBED, MEAN, Merges, Regions, solve


def agglomerate_graph(edges: Edges, voxels: np.ndarray, rule: Rule) -> tuple[np.ndarray, Merges]:
    """Agglomerate a graph of labels 1 … n.

    Parameters
    ----------
    edges
        Between labels; see `region_graph`.
    voxels
        (n + 1,): voxels of each label, from 0.
    rule
        What is joined.

    Returns
    -------
    segments : (n + 1,) uint64
        Of each label the smallest label of its segment; 0 of 0.
    merges : Merges
        By labels; see `segments_at`.
    """
    from connectomake.union_find import unite

    keys = np.arange(1, len(voxels), dtype=np.uint64)
    one = np.uint64(1)
    regions = Regions.whole(keys, np.asarray(voxels[1:]).astype(np.uint64))
    found = solve(edges.between(edges.u - one, edges.v - one), regions, rule)
    group = unite(len(found.passed_up), np.ascontiguousarray(found.votes, np.int64))[found.cluster]
    smallest = np.full(len(found.passed_up), len(voxels), np.uint64)
    np.minimum.at(smallest, group, keys)
    return np.concatenate([np.zeros(1, np.uint64), smallest[group]]), found.merges


def agglomerate(affinity: np.ndarray, supervoxels: np.ndarray, rule: Rule) -> tuple[np.ndarray, Merges]:
    """Agglomerate supervoxels that are in memory.

    Parameters
    ----------
    affinity
        (3, z, y, x) float32 or uint8, channels z, y, x.
    supervoxels
        (z, y, x) uint32: 0, 1, 2, … as `connectomake.components.watershed` gives them.
    rule
        What is joined.

    Returns
    -------
    segments : (z, y, x) uint64
        Of each voxel the smallest label of its segment.
    merges : Merges
        By labels; see `segments_at`.

    Examples
    --------
    >>> supervoxels = watershed(affinity, 0.02, 0.995)
    >>> segments, merges = agglomerate(affinity, supervoxels, Rule(0.3, "uint8", min_supervoxel=100, absorb=500))
    """
    table, merges = agglomerate_graph(region_graph(supervoxels, affinity), np.bincount(supervoxels.ravel()), rule)
    return table[supervoxels], merges


def segments_at(keys: np.ndarray, merges: Merges, threshold: float, dtype: str, *, absorbed: bool = False) -> np.ndarray:
    """Return the segment of each supervoxel at a threshold at or above that of the merges.

    Parameters
    ----------
    keys
        (n,) uint64, ascending: all supervoxels, as the merges name them.
    merges
        The history.
    threshold
        Merges of a lower mean do not count.
    dtype
        Of the affinities.
    absorbed
        Whether small segments are absorbed, as they were at the threshold of the merges; only right at that one.

    Returns
    -------
    (n,) uint64
        Smallest key of the segment.
    """
    from connectomake.union_find import unite

    counts = (merges.kind != MEAN) | reaches(merges.total, merges.count, threshold, dtype)
    counts &= (merges.kind != ABSORBED) | absorbed
    pairs = np.stack([np.searchsorted(keys, side[counts]) for side in (merges.a, merges.b)], axis=-1)
    return np.asarray(keys[unite(len(keys), pairs)])


def segments_over(merges: Merges, thresholds: Iterable[float], dtype: str) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield the segments of supervoxels at each of several thresholds; see `segments_at`.

    Parameters
    ----------
    merges
        The history.
    thresholds
        Each at or above that of the history.
    dtype
        Of the affinities: uint8 or float32.

    Yields
    ------
    threshold : float
        As given.
    supervoxels : (n,) uint64
        Those that are part of any merge, ascending; the others are segments of their own at every threshold.
    segments : (n,) uint64
        Smallest supervoxel of the segment of each.
    """
    keys = np.unique(np.concatenate([merges.a, merges.b]))
    for threshold in thresholds:
        yield threshold, keys, segments_at(keys, merges, threshold, dtype)
