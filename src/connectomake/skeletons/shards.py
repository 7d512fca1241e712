"""Skeleton shards: what Neuroglancer reads.

Source: "skeletons" and "sharded format" in Neuroglancer's documentation of precomputed. Vertices are in nm, so the transform is
the identity; each has the attribute ``radius``.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.layers import write_tables
from connectomake.layers.id_shards import write_index
from connectomake.layers.precomputed import xyz
from connectomake.layers.records import append_record
from connectomake.layers.shard_file import compress
from connectomake.skeletons.files import merge_traces
from connectomake.skeletons.heal import Forest, heal, lengths_of
from connectomake.skeletons.lattice import SkeletonSpec
from connectomake.skeletons.table import Traces

PathLike = str | os.PathLike[str]
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The skeleton of one object.

    Parameters
    ----------
    vertices : (n, 3) float32
        Centres of voxels in nm, z, y, x; voxel i reaches from i to i + 1 voxel sizes.
    edges : (m, 2) uint32
        Rows of their ends; there are no loops.
    radius : (n,) float32
        In nm.
    """

    vertices: np.ndarray
    edges: np.ndarray
    radius: np.ndarray

    def encoded(self) -> bytes:
        """Return the bytes of the precomputed format."""
        counts = np.array([len(self.vertices), len(self.edges)], "<u4")
        points = np.stack(xyz(list(self.vertices.T)), axis=1).astype("<f4")
        return b"".join(part.tobytes() for part in (counts, points, self.edges.astype("<u4"), self.radius.astype("<f4")))

    @property
    def length(self) -> float:
        """Length of all branches in nm."""
        ends = self.vertices.astype(np.float64)[self.edges.astype(np.int64)]
        return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum())

    @classmethod
    def decoded(cls, data: bytes | bytearray) -> "Skeleton":
        """Make a skeleton from what `encoded` gave.

        Raises
        ------
        ValueError
            If the bytes are no skeleton.
        """
        vertices, edges = np.frombuffer(data, "<u4", 2).tolist()
        if len(data) != 8 + 16 * vertices + 8 * edges:
            raise ValueError(f"{len(data)} bytes are not a skeleton of {vertices} vertices and {edges} edges")
        points = np.frombuffer(data, "<f4", 3 * vertices, 8).reshape(-1, 3)
        ends = np.frombuffer(data, "<u4", 2 * edges, 8 + 12 * vertices).reshape(-1, 2)
        radius = np.frombuffer(data, "<f4", vertices, 8 + 12 * vertices + 8 * edges)
        if ends.size and int(ends.max()) >= vertices:
            raise ValueError(f"an edge ends at vertex {int(ends.max())} of {vertices}")
        return cls(np.ascontiguousarray(points[:, ::-1]), ends, radius)


def skeleton_info(spec: SkeletonSpec) -> dict[str, Any]:
    """Return the ``info`` of the skeleton folder."""
    return {
        "@type": "neuroglancer_skeletons",
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": [{"id": "radius", "data_type": "float32", "num_components": 1}],
        "sharding": spec.sharding.info("gzip"),
    }


def skeletons_of(forest: Forest, spec: SkeletonSpec) -> Iterable[tuple[int, Skeleton]]:
    """Yield id and skeleton of each object, by ascending id."""
    places = np.stack(np.unravel_index(forest.key - 1, spec.roi.shape), axis=1) + np.array(spec.roi.start)
    points = ((places + 0.5) * np.array(spec.voxel_size)).astype(np.float32)
    ids, first = np.unique(forest.id, return_index=True)
    bounds = [*first.tolist(), len(forest.id)]
    edges = np.searchsorted(forest.edges[:, 0], bounds)
    for i, object_id in enumerate(ids.tolist()):
        rows, links = slice(bounds[i], bounds[i + 1]), forest.edges[edges[i] : edges[i + 1]] - bounds[i]
        yield object_id, Skeleton(points[rows], links.astype(np.uint32), forest.radius[rows])


def without_dust(traces: Traces, min_voxels: int) -> Traces:
    """Return the skeletons of objects that have so many voxels in all."""
    large = traces.size >= min_voxels
    return traces.take(np.isin(traces.id, traces.size_id[large]), large)


def skeleton_shard(
    path: PathLike, lengths: PathLike, spec: SkeletonSpec, shard: int, files: Iterable[PathLike], record: dict[str, Any]
) -> int:
    """Atomically write one skeleton shard, and the lengths of its skeletons.

    Parameters
    ----------
    path
        The shard's file, ``skeletons/<spec.sharding.name(shard)>``.
    lengths
        Table of lengths by object.
    spec
        The skeletons.
    shard
        Its number.
    files
        Files of traces that together hold every object.
    record
        What to note in both files.

    Returns
    -------
    int
        Number of skeletons written.
    """
    forest = heal(without_dust(merge_traces(files, shard), spec.min_voxels), spec)
    ids, nm = lengths_of(forest, spec)
    places = np.zeros((len(ids), 2), np.int64)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(bytes(spec.sharding.index_bytes))
            for i, (_, skeleton) in enumerate(skeletons_of(forest, spec)):
                data = compress(skeleton.encoded(), _GZIP_LEVEL)
                places[i] = stream.tell(), len(data)
                stream.write(data)
            write_index(stream, spec.sharding, ids, places)
        append_record(temporary, record, covered=temporary.stat().st_size)
    write_tables(lengths, {"id": ids, "nm": nm}, record)
    return len(ids)
