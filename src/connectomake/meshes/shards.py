"""Mesh shards: what Neuroglancer reads.

Source: "multi-resolution mesh format" and "sharded format" in Neuroglancer's documentation of precomputed. An object's
fragments lie one after another, directly followed by its manifest, which the shard's index names.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.layers.id_shards import write_index
from connectomake.layers.precomputed import number, xyz
from connectomake.layers.records import append_record
from connectomake.meshes.cells import code_places
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.pack import Merged, add_parents, open_packs
from connectomake.meshes.spool import Spool


@dataclass(frozen=True, slots=True)
class Level:
    """The fragments of one object at one level of detail, in the order of their Morton codes.

    Parameters
    ----------
    codes : (n,) uint64
        Morton codes of their places in the fragment lattice of that level.
    sizes : (n,) uint32
        Bytes.
    """

    codes: np.ndarray
    sizes: np.ndarray


def mesh_info(spec: MeshSpec) -> dict[str, Any]:
    """Return the ``info`` of the mesh folder. Stored units are voxels; the transform makes them nm."""
    scale = [number(v) for v in xyz(spec.voxel_size)]
    rows = [[scale[i] if i == j else 0 for j in range(4)] for i in range(3)]
    return {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": spec.bits,
        "transform": [value for row in rows for value in row],
        "lod_scale_multiplier": 1,
        "sharding": spec.sharding.info(),
    }


def manifest(spec: MeshSpec, levels: Sequence[Level]) -> bytes:
    """Return the manifest of one object, finest level first."""
    parts = [
        np.array(xyz(spec.cell), "<f4"),
        np.array(xyz(spec.origin), "<f4"),
        np.array([len(levels)], "<u4"),
        np.array(spec.scales[: len(levels)], "<f4"),
        np.zeros((len(levels), 3), "<f4"),
        np.array([len(level.codes) for level in levels], "<u4"),
    ]
    for level in levels:
        places = code_places(level.codes)
        parts += [np.stack(xyz(list(places.T))).astype("<u4"), level.sizes.astype("<u4")]
    return b"".join(part.tobytes() for part in parts)


def mesh_shard(
    path: str | os.PathLike[str],
    spec: MeshSpec,
    shard: int,
    packs: Sequence[str | os.PathLike[str]],
    record: dict[str, Any] | None = None,
) -> int:
    """Atomically write one mesh shard from packs. A shard without objects is a valid file too.

    Coarser fragments whose children lay in several packs are made here.

    Parameters
    ----------
    path
        The shard's file, ``mesh/<spec.sharding.name(shard)>``.
    spec
        The meshes.
    shard
        Its number.
    packs
        Packs that together hold every fragment.
    record
        What to note at the end of the file.

    Returns
    -------
    int
        Number of objects written.
    """
    with (
        open_packs(packs, spec.sharding) as readers,
        atomic_path(path) as temporary,
        Spool(temporary.parent, spec.sharding) as spool,
    ):
        add_parents([*readers, spool], spool, spec, None, shard)
        merged = Merged([*readers, spool], shard)
        with temporary.open("wb") as stream:
            stream.write(bytes(spec.sharding.index_bytes))
            ids, places = _write_objects(stream, spec, merged)
            write_index(stream, spec.sharding, ids, places)
        append_record(temporary, record or {}, covered=temporary.stat().st_size)
    return len(ids)


def _write_objects(stream: BinaryIO, spec: MeshSpec, merged: Merged) -> tuple[np.ndarray, np.ndarray]:
    """Write fragments and manifest of each object; return ids and, per manifest, offset and size."""
    ids, first = np.unique(merged.index["id"], return_index=True)
    bounds = [*first.tolist(), len(merged.index)]
    places = np.zeros((len(ids), 2), np.int64)
    for i in range(len(ids)):
        start, stop = bounds[i], bounds[i + 1]
        stream.writelines(merged.data(start, stop))
        rows = merged.index[start:stop]
        levels = [rows[rows["lod"] == lod] for lod in range(spec.lods)]
        data = manifest(spec, [Level(level["code"], level["size"]) for level in levels])
        places[i] = stream.tell(), len(data)
        stream.write(data)
    return ids, places
