"""The supervoxels of a finished run as a graph and as a volume, numbered from 1 without gaps or by their own ids."""

import functools
from dataclasses import dataclass

import numpy as np

from connectomake.agglomeration.means import scale_of
from connectomake.geometry import Box
from connectomake.planning.plan import Plan
from connectomake.proofreading import run_graph
from connectomake.proofreading.run_graph import needed
from connectomake.sources import Source

_KEPT = 64


@dataclass(frozen=True, slots=True)
class SupervoxelGraph:
    """The supervoxels of all objects, and the contacts between them.

    Parameters
    ----------
    keys
        (n,) uint64, ascending: their ids; of an object that was left out there are none.
    objects
        (n,) uint64: the object that each belongs to.
    u, v
        (m,) int64: rows of the two that touch, u < v; pairs ascending.
    affinity
        (m,) float32: mean of the contact, 0 to 1.
    faces
        (m,) uint64: its area in faces of voxels.
    """

    keys: np.ndarray
    objects: np.ndarray
    u: np.ndarray
    v: np.ndarray
    affinity: np.ndarray
    faces: np.ndarray


def objects_of(plan: Plan, suffix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the supervoxels of all objects, ascending, and the object of each, (n,) uint64.

    Raises
    ------
    LayerError, RunError
        If a file of the run is missing or damaged.
    """
    keys, objects = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    for block in run_graph.blocks(plan).ids:
        key, of = run_graph.supervoxel_ids(plan, block), run_graph.object_ids(plan, block, suffix)
        kept = of > 0
        keys, first = np.unique(np.concatenate([keys, key[kept]]), return_index=True)
        objects = np.concatenate([objects, of[kept]])[first]
    return keys, objects


def graph_of(plan: Plan, suffix: str) -> SupervoxelGraph:
    """Return the graph of a segmentation's supervoxels; memory follows their number and that of their contacts.

    Raises
    ------
    LayerError, RunError
        If a file of the run is missing or damaged.
    """
    keys, objects = objects_of(plan, suffix)
    edges = run_graph.edges_between(plan, lambda block: _known(run_graph.supervoxel_ids(plan, block), keys))
    scale, top = scale_of(plan.agglomeration(suffix).dtype)
    u, v = (np.searchsorted(keys, side) for side in (edges.u, edges.v))
    affinity = (edges.total / (edges.count * (scale * top))).astype(np.float32)
    return SupervoxelGraph(keys, objects, u, v, affinity, edges.count)


def _known(ids: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return ids, with 0 for those that are not among the keys (ascending)."""
    if not len(keys):
        return np.zeros_like(ids)
    return np.where(keys[np.minimum(np.searchsorted(keys, ids), len(keys) - 1)] == ids, ids, np.uint64(0))


def supervoxel_source(plan: Plan, keys: np.ndarray, *, dense: bool) -> Source:
    """Return the supervoxels as a volume that is read box by box; those that are not among the keys are 0.

    Parameters
    ----------
    plan
        Of the run.
    keys
        (n,) uint64, ascending: ids.
    dense
        Whether voxels hold 1 + the place of their supervoxel among the keys, as uint32 where that fits; else its id.
    """
    from connectomake.layers import read_box

    small = dense and len(keys) < 1 << 32
    dtype = "uint32" if small else "uint64"

    @functools.lru_cache(_KEPT)
    def table(block: int) -> np.ndarray:
        ids = _known(run_graph.supervoxel_ids(plan, block), keys)
        found = np.where(ids > 0, np.searchsorted(keys, ids) + 1, 0) if dense else ids
        return found.astype(dtype)

    def read(box: Box) -> np.ndarray:
        out = np.zeros((1, *box.shape), dtype)
        for block in plan.grid.ids_meeting(box):
            if plan.is_outside(block):
                continue
            common = plan.grid.box(block).intersect(box)
            needed(f"{plan.outdir}/components/{plan.layers['components'].shard_name(block)}")
            labels = read_box(f"{plan.outdir}/components", plan.layers["components"], common)[0]
            out[(0, *common.slices(box.start))] = table(block)[labels]
        return out

    path = f"{plan.outdir}/components"
    return Source(path, "supervoxels", plan.roi, 1, dtype, plan.source.voxel_size, "", read)
