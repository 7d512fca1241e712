"""Doubtful merges and splits: pairs that agglomeration joined, or kept apart, by a mean affinity close to its threshold."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from connectomake.agglomeration.means import scale_of
from connectomake.columns import Columns
from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.planning.plan import Plan
from connectomake.proofreading import run_graph
from connectomake.proofreading.sides import sides_of

if TYPE_CHECKING:
    from connectomake.agglomeration import Edges, Merges

MERGE, SPLIT = "merge", "split"


@dataclass(frozen=True, slots=True)
class Doubts(Columns):
    """Doubts, one per row, the greatest first.

    Parameters
    ----------
    kind
        (n,) text: ``merge``, two parts of one object that may belong apart; ``split``, two objects that may belong together.
    object_a, object_b
        (n,) uint64: the objects; the same of a merge.
    part_a, part_b
        (n,) uint64: of a merge the smallest supervoxels of the two parts when they were joined; else the objects.
    z, y, x
        (n,) int64: the first voxel of the contact, absolute; its lower neighbour along `axis` is on the other side.
    axis
        (n,) text: ``z``, ``y`` or ``x``.
    z_nm, y_nm, x_nm
        (n,) float64: the middle of the face between these two.
    affinity
        (n,) float64: mean of the contact, 0 to 1.
    threshold
        (n,) float64: what it was compared with.
    faces
        (n,) uint64: area of the contact in faces of voxels.
    voxels
        (n,) uint64: of the smaller side.
    doubt
        (n,) float64: what they are ranked by.
    """

    kind: np.ndarray
    object_a: np.ndarray
    object_b: np.ndarray
    part_a: np.ndarray
    part_b: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    axis: np.ndarray
    z_nm: np.ndarray
    y_nm: np.ndarray
    x_nm: np.ndarray
    affinity: np.ndarray
    threshold: np.ndarray
    faces: np.ndarray
    voxels: np.ndarray
    doubt: np.ndarray

    def named(self) -> dict[str, np.ndarray]:
        """Return the columns by name, with the rank from 1 in front."""
        rank = np.arange(1, len(self) + 1, dtype=np.uint64)
        return {"rank": rank, **{f.name: getattr(self, f.name) for f in fields(self)}}


def doubts_of(plan: Plan, layer: str = "segmentation", within: float = 0.2, most: int = 1000) -> Doubts:
    """Return the greatest doubts about a segmentation of a finished run, in an order that does not depend on the blocks.

    A doubt is the voxels of the smaller side × (1 - |mean affinity - threshold| / `within`): what is large and was close is
    looked at first. Equal ones are in the order of their places, then of their kind. Joins of `min_supervoxel` have no mean,
    and are not among them. Memory follows the number of supervoxels and of contacts between objects.

    Parameters
    ----------
    plan
        Of the run.
    layer
        Which segmentation.
    within
        Means further from the threshold leave no doubt.
    most
        How many are listed at most.

    Raises
    ------
    ConfigError
        If the run does not agglomerate, or has no such segmentation.
    LayerError, RunError
        If a file of the run is missing or damaged.
    """
    suffix = run_graph.suffix_of(plan, layer)
    threshold = plan.thresholds[suffix]
    if threshold is None:
        raise ConfigError("doubts are counted from a threshold, but agglomeration is null; set agglomeration.threshold")
    if not 0 < within <= 1:
        raise ConfigError(f"--within must be above 0 and at most 1, got {within:g}")
    there = np.zeros(0, np.uint64)
    for block in run_graph.blocks(plan).ids:
        there = np.union1d(there, run_graph.object_ids(plan, block, suffix))
    keys, voxels = run_graph.supervoxels(plan)
    rule = plan.agglomeration(suffix)
    large = (rule.large_voxels, rule.large_threshold)
    merges, objects = _merges(run_graph.history(plan, suffix), keys, voxels, there)
    edges = run_graph.edges_between(plan, lambda block: run_graph.object_ids(plan, block, suffix))
    rows = [merges, _splits(edges, *objects)]
    found = _Rows(*_Rows.joined(rows)).ranked(threshold, large, rule.dtype, within, most)
    return found.placed(plan.roi, plan.source.voxel_size)


@dataclass(frozen=True, slots=True)
class _Rows(Columns):
    """Candidates: whether a split, objects, parts, sum, count and index of the contact, voxels of both sides."""

    split: np.ndarray
    object_a: np.ndarray
    object_b: np.ndarray
    part_a: np.ndarray
    part_b: np.ndarray
    total: np.ndarray
    count: np.ndarray
    index: np.ndarray
    side_a: np.ndarray
    side_b: np.ndarray

    def ranked(
        self, threshold: float, large: tuple[int | None, float | None], dtype: str, within: float, most: int
    ) -> "_Ranked":
        scale, top = scale_of(dtype)
        affinity = self.total / (self.count * (scale * top))
        compared = np.full(len(self), threshold)
        if large[0] is not None and large[1] is not None:
            both = (self.side_a >= np.uint64(large[0])) & (self.side_b >= np.uint64(large[0]))
            compared[both & (self.split | (affinity >= large[1]))] = large[1]
        smaller = np.minimum(self.side_a, self.side_b)
        doubt = smaller * (1 - np.abs(affinity - compared) / within)
        rows = np.flatnonzero(doubt > 0)
        rows = rows[np.lexsort((self.split[rows], self.index[rows], -doubt[rows]))][:most]
        return _Ranked(self.take(rows), affinity[rows], compared[rows], smaller[rows], doubt[rows])


@dataclass(frozen=True, slots=True)
class _Ranked:
    rows: _Rows
    affinity: np.ndarray
    threshold: np.ndarray
    voxels: np.ndarray
    doubt: np.ndarray

    def placed(self, roi: Box, voxel_size: tuple[float, float, float]) -> Doubts:
        r = self.rows
        raster, axis = np.divmod(r.index.astype(np.int64), 3)
        zyx = np.stack(np.unravel_index(raster, roi.shape), axis=-1) + np.array(roi.start, np.int64)
        middle = (zyx + 0.5 * (np.arange(3) != axis[:, None])) * np.array(voxel_size, np.float64)
        return Doubts(
            np.where(r.split, SPLIT, MERGE), r.object_a, r.object_b, r.part_a, r.part_b, zyx[:, 0], zyx[:, 1], zyx[:, 2],
            np.array(list("zyx"))[axis], middle[:, 0], middle[:, 1], middle[:, 2], self.affinity, self.threshold, r.count,
            self.voxels, self.doubt,
        )  # fmt: skip


def _merges(
    merges: "Merges", keys: np.ndarray, voxels: np.ndarray, there: np.ndarray
) -> tuple[_Rows, tuple[np.ndarray, np.ndarray]]:
    """Return the merges within objects that are there; and all that supervoxels were joined to, with their voxels."""
    a, b = (np.searchsorted(keys, side) for side in (merges.a, merges.b))
    side_a, side_b, root = sides_of(voxels, a, b)
    whole = np.zeros(len(keys), np.uint64)
    np.add.at(whole, root, voxels)
    objects = keys[root[a]] if len(a) else np.zeros(0, np.uint64)
    kept = (merges.count > 0) & np.isin(objects, there, kind="sort")
    rows = _Rows(
        np.zeros(len(a), bool), objects, objects, merges.a, merges.b, merges.total, merges.count, merges.index, side_a, side_b
    )
    return rows.take(kept), (keys, whole)


def _splits(edges: "Edges", keys: np.ndarray, whole: np.ndarray) -> _Rows:
    """Return the contacts of objects; an object has the id of its smallest supervoxel."""
    u, v = edges.u, edges.v
    sides = (whole[np.searchsorted(keys, side)] for side in (u, v))
    return _Rows(np.ones(len(u), bool), u, v, u, v, edges.total, edges.count, edges.index, *sides)
