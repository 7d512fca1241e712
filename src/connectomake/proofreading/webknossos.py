"""webKnossos: supervoxels as a volume, and the agglomerate file over it, as HDF5 and as a Zarr 3 group.

The layout is that of webKnossos's own description of the Zarr 3 group ("AgglomerateAttachment Specification", version 4) in its
Python library, which names the same arrays as its server reads from HDF5.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConfigError
from connectomake.exporting import Options, export_volume, format_of, levels_of
from connectomake.planning.plan import Plan
from connectomake.proofreading.run_graph import suffix_of
from connectomake.proofreading.supervoxels import SupervoxelGraph, graph_of, supervoxel_source

VERSION = 4
_OFFSETS = ("agglomerate_to_segments_offsets", "agglomerate_to_edges_offsets")
_CHUNK, _OFFSET_CHUNK, _CHUNKS_OF_SHARD = 1 << 18, 1 << 16, 1 << 12
_HIGHEST = np.iinfo(np.int32).max


def write_webknossos(plan: Plan, layer: str, folder: Path) -> None:
    """Write the supervoxels and the agglomerate file of a segmentation.

    Parameters
    ----------
    plan
        Of a finished run.
    layer
        Which segmentation, such as ``segmentation_0.35``; the file is called so.
    folder
        Is made: ``supervoxels.ome.zarr``, ``agglomerates/LAYER.hdf5`` and ``agglomerates/LAYER``.

    Raises
    ------
    ConfigError
        If the run does not agglomerate, or begins below 0, where webKnossos has no voxels.
    LayerError, RunError
        If a file of the run is missing or damaged.
    """
    suffix = suffix_of(plan, layer)
    if min(plan.roi.start) < 0 or max(plan.roi.stop) > _HIGHEST:
        raise ConfigError(
            f"webKnossos has voxels from 0 to {_HIGHEST}, the region of interest is {plan.roi}; set source.offset so that it "
            "lies there"
        )
    graph = graph_of(plan, suffix)
    (folder / "agglomerates").mkdir(parents=True)
    arrays = agglomerates(graph, plan)
    _hdf5(folder / "agglomerates" / f"{layer}.hdf5", arrays)
    _zarr(folder / "agglomerates" / layer, arrays)
    volume = str(folder / "supervoxels.ome.zarr")
    levels = levels_of([supervoxel_source(plan, graph.keys, dense=True)])
    export_volume(levels, volume, format_of("ome5", volume), Options(labels=True))


def agglomerates(graph: SupervoxelGraph, plan: Plan) -> dict[str, np.ndarray]:
    """Return the arrays of an agglomerate file; segments are the supervoxels from 1, agglomerates the objects from 1.

    Parameters
    ----------
    graph
        Of the supervoxels.
    plan
        Says where the first voxel of each lies.
    """
    count = len(graph.keys)
    ids = "uint32" if count < 1 << 32 else "uint64"
    names, of = np.unique(graph.objects, return_inverse=True)
    order = np.lexsort((np.arange(count), of))
    local = np.empty(count, np.int64)
    starts = _starts(of, len(names))
    local[order] = np.arange(count) - starts[of[order] + 1]
    within = np.flatnonzero(of[graph.u] == of[graph.v])
    a, b = graph.u[within], graph.v[within]
    edges = np.lexsort((local[b], local[a], of[a]))
    places = np.stack(np.unravel_index(graph.keys[order].astype(np.int64) - 1, plan.roi.shape), axis=-1)
    return {
        "segment_to_agglomerate": np.concatenate([[0], of + 1]).astype(np.uint64),
        "agglomerate_to_segments_offsets": starts.astype(np.uint64),
        "agglomerate_to_segments": (order + 1).astype(ids),
        "agglomerate_to_edges_offsets": _starts(of[a], len(names)).astype(np.uint64),
        "agglomerate_to_edges": np.stack([local[a], local[b]], axis=-1)[edges].astype(ids),
        "agglomerate_to_affinities": graph.affinity[within][edges],
        "agglomerate_to_positions": (places + np.array(plan.roi.start))[:, ::-1].astype(np.int32),
    }


def _starts(of: np.ndarray, count: int) -> np.ndarray:
    """Return where the rows of each agglomerate start, (count + 2,), that of 0, which has none, first, and their end."""
    return np.concatenate([[0, 0], np.cumsum(np.bincount(of, minlength=count))]).astype(np.int64)


def _hdf5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            options: dict[str, Any] = {}
            if array.size:
                rows = max(min(_rows(name, array), len(array)), 1)
                options = {"chunks": (rows, *array.shape[1:]), "compression": "gzip", "compression_opts": 1, "shuffle": True}
            file.create_dataset(name, data=array, **options)


def _rows(name: str, array: np.ndarray) -> int:
    row = array.itemsize * int(np.prod(array.shape[1:]))
    return (_OFFSET_CHUNK if name in _OFFSETS else _CHUNK) // row


def _zarr(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    import tensorstore as ts

    folder.mkdir()
    said = {"artifact_schema_version": VERSION, "artifact_class": "AgglomerateViewArtifact"}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"voxelytics": said}}
    (folder / "zarr.json").write_text(json.dumps(group, indent=2))
    for name, array in arrays.items():
        chunk = max(min(_rows(name, array), len(array)), 1)
        shard = chunk * max(min(-(-len(array) // chunk), _CHUNKS_OF_SHARD), 1)
        rest = list(array.shape[1:])
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        sharding = {
            "chunk_shape": [chunk, *rest],
            "codecs": [little, {"name": "zstd", "configuration": {"level": 5}}],
            "index_codecs": [little, {"name": "crc32c"}],
        }
        metadata = {
            "shape": list(array.shape), "data_type": array.dtype.name, "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard, *rest]}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        }  # fmt: skip
        store = {"driver": "file", "path": f"{folder / name}/"}
        opened = ts.open({"driver": "zarr3", "kvstore": store, "metadata": metadata, "create": True}).result()
        if array.size:
            opened.write(array).result()
