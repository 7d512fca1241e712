"""PyChunkedGraph: supervoxels cut at the faces of chunks, and per chunk their edges and components, as its ingest reads them.

First every chunk is cut and numbered by itself and written; then the edges of every chunk are summed from what was written of
it and the voxels around. So memory follows the chunk, beside the table of all supervoxels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from connectomake.config.checks import default_chunk
from connectomake.errors import ConfigError
from connectomake.exporting import FORMATS, Options, levels_of
from connectomake.geometry import Box, Vec
from connectomake.planning.plan import Plan
from connectomake.proofreading.chunk_ids import LAYER_BITS, Chunks
from connectomake.proofreading.chunk_messages import ChunkEdges, components_message, edges_message
from connectomake.proofreading.run_graph import affinities, suffix_of
from connectomake.proofreading.supervoxels import objects_of, supervoxel_source

WATERSHED, EDGES, COMPONENTS = "watershed", "edges", "components"
Read = Callable[[Box], np.ndarray]


def write_chunked_graph(plan: Plan, layer: str, folder: Path, chunk: Vec, bits: int) -> int:
    """Export a segmentation for PyChunkedGraph's ingest.

    Parameters
    ----------
    plan
        Of a finished run.
    layer
        Which segmentation.
    folder
        Is made: ``watershed``, ``edges``, ``components``, and ``ingest.yaml`` with the parts of its config that follow.
    chunk
        Shape of a chunk, z, y, x.
    bits
        For the place of a chunk along each axis.

    Returns
    -------
    int
        How many supervoxels touch no other: the ingest takes supervoxels from edges, so it will not have them.

    Raises
    ------
    ConfigError
        If the run does not agglomerate, leaves out boundaries, or has more chunks than the bits count.
    LayerError, RunError, SourceError
        If a file of the run, or the affinities, are missing or damaged.
    """
    suffix = suffix_of(plan, layer)
    if plan.t_boundary:
        raise ConfigError(
            f"segmentation.t_boundary {plan.t_boundary} leaves voxels out, so that parts of a supervoxel need not touch, and "
            "PyChunkedGraph would take them for several objects; set it to 0 for this export"
        )
    chunks, (keys, objects) = Chunks(plan.roi, chunk, bits), objects_of(plan, suffix)
    supervoxels = supervoxel_source(plan, keys, dense=False).read
    (level,) = levels_of([supervoxel_source(plan, keys, dense=False)])
    options = Options(chunk=default_chunk(chunk), encoding="compressed_segmentation", labels=True)
    (writer,) = FORMATS["precomputed"].create(folder / WATERSHED, [level], options)
    for place in chunks.places():
        box = chunks.box(place)
        writer.write(box.translate(tuple(-s for s in plan.roi.start)), _cut(chunks, place, supervoxels(box)[0])[None])  # type: ignore[arg-type]
    writer.close()
    for name in (EDGES, COMPONENTS):
        (folder / name).mkdir()
    there = _Written(chunks, _reader(folder / WATERSHED), supervoxels, affinities(plan), plan.agglomeration(suffix).dtype)
    alone = sum(_write_chunk(there, folder, place, keys, objects) for place in chunks.places())
    (folder / "ingest.yaml").write_text(yaml.safe_dump(_config(chunks), sort_keys=False))
    return alone


def _cut(chunks: Chunks, place: Vec, supervoxels: np.ndarray) -> np.ndarray:
    """Return the ids of the connected parts of supervoxels (z, y, x) within a chunk, in the order of their first voxels."""
    from connectomake.components import number_block

    box = chunks.box(place)
    return chunks.ids(place, number_block(supervoxels, box, chunks.roi, 6).result.labels)


def _reader(folder: Path) -> Read:
    from connectomake.sources import open_source

    source = open_source(f"precomputed://{folder.absolute()}")
    return lambda box: source.read(box)[0]


@dataclass(frozen=True, slots=True)
class _Written:
    """The input of a chunk's edges: ids as they were written, supervoxels, affinities."""

    chunks: Chunks
    ids: Read
    supervoxels: Read
    affinity: Read
    dtype: str


@dataclass(frozen=True, slots=True)
class _Around:
    """The ids of a chunk and of the voxels around it, ascending; to which supervoxel each belongs, and whether it is within."""

    ids: np.ndarray
    supervoxels: np.ndarray
    within: np.ndarray


def _write_chunk(written: _Written, folder: Path, place: Vec, keys: np.ndarray, objects: np.ndarray) -> int:
    """Write edges and components of a chunk; return how many of its supervoxels touch no other."""
    z, y, x = place
    around, edges = _edges(written, place)
    own = around.ids[around.within]
    kinds = _kinds(around, edges)
    ends = np.concatenate([side for kind in kinds for side in (kind.u, kind.v)])
    if len(ends):
        (folder / EDGES / f"edges_{x}_{y}_{z}.proto.zst").write_bytes(edges_message(*kinds))
    named = np.union1d(own, ends)
    if len(named):
        of = objects[np.searchsorted(keys, around.supervoxels[np.searchsorted(around.ids, named)])]
        order = np.argsort(of, kind="stable")
        parts = np.split(named[order], np.flatnonzero(np.diff(of[order])) + 1)
        data = components_message([part.tolist() for part in parts])
        (folder / COMPONENTS / f"components_{x}_{y}_{z}.proto").write_bytes(data)
    return len(own) - int(np.isin(own, ends).sum())


def _edges(written: _Written, place: Vec) -> tuple[_Around, ChunkEdges]:
    """Return what lies in and around a chunk, and all edges that have an end in it, ends as places among the ids."""
    from connectomake.agglomeration import region_graph
    from connectomake.agglomeration.means import scale_of

    chunks = written.chunks
    box = chunks.box(place)
    near = box.grow((1, 1, 1)).intersect(chunks.roi)
    volume = written.ids(near)
    ids, first, labels = np.unique(volume, return_index=True, return_inverse=True)
    supervoxels = written.supervoxels(near)[0].ravel()[first]
    low = np.uint64(chunks.first(place))
    within = (ids > low) & (ids - low < np.uint64(1 << chunks.number_bits))
    background = int(len(ids) > 0 and ids[0] == 0)
    numbers = (labels.reshape(volume.shape) + (1 - background)).astype(np.uint32)
    if not within.any():
        none = np.zeros(0, np.uint64)
        return _Around(ids, supervoxels, within), ChunkEdges(none, none, np.zeros(0, np.float32), none)
    found = region_graph(numbers, written.affinity(near))
    u, v = (side.astype(np.int64) - (1 - background) for side in (found.u, found.v))
    rows = within[u] | within[v]
    scale, top = scale_of(written.dtype)
    affinity = (found.total[rows] / (scale * top)).astype(np.float32)
    return _Around(ids, supervoxels, within), ChunkEdges(u[rows], v[rows], affinity, found.count[rows])


def _kinds(around: _Around, edges: ChunkEdges) -> tuple[ChunkEdges, ChunkEdges, ChunkEdges]:
    """Return the edges within the chunk, those that a cut made, and those between chunks; the first end lies in the chunk."""
    inner = around.within[edges.u] & around.within[edges.v]
    cut = ~inner & (around.supervoxels[edges.u] == around.supervoxels[edges.v])
    outer_first = ~around.within[edges.u]
    u, v = np.where(outer_first, edges.v, edges.u), np.where(outer_first, edges.u, edges.v)
    order = np.lexsort((around.ids[v], around.ids[u]))

    def chosen(rows: np.ndarray) -> ChunkEdges:
        rows = order[rows[order]]
        return ChunkEdges(around.ids[u[rows]], around.ids[v[rows]], edges.affinity[rows], edges.area[rows])

    within, cross, between = chosen(inner), chosen(cut), chosen(~inner & ~cut)
    endless = np.full(len(cross.u), np.inf, np.float32)
    return within, ChunkEdges(cross.u, cross.v, endless, np.ones(len(cross.u), np.uint64)), between


def _config(chunks: Chunks) -> dict[str, object]:
    """Return the parts of the ingest's config that follow from the files; paths are to be filled in."""
    graph = {
        "CHUNK_SIZE": list(chunks.shape[::-1]), "FANOUT": 2, "LAYER_ID_BITS": LAYER_BITS, "SPATIAL_BITS": chunks.bits
    }  # fmt: skip
    data = {
        "EDGES": f"BUCKET/{EDGES}",
        "COMPONENTS": f"BUCKET/{COMPONENTS}",
        "WATERSHED": f"BUCKET/{WATERSHED}",
        "DATA_VERSION": 2,
    }
    return {"graph_config": graph, "data_source": data}
