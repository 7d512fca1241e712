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
from connectomake.layers.precomputed import number, xyz
from connectomake.layers.records import append_record
from connectomake.layers.shard_file import compress
from connectomake.meshes.cells import code_places
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.pack import Merged, Spool, add_parents, open_packs

_ENTRY = 16
_GZIP_LEVEL = 6


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


def _write_indices(stream: BinaryIO, spec: MeshSpec, ids: np.ndarray, places: np.ndarray) -> None:
    """Write the minishard indices at the end and the shard index at the start; `places` is (n, 2): offset, size."""
    minishards = 1 << spec.sharding.minishard_bits
    base = _ENTRY * minishards
    numbers = spec.sharding.minishards(ids)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(minishards + 1))
    entries = np.zeros((minishards, 2), "<u8")
    for minishard in range(minishards):
        rows = order[bounds[minishard] : bounds[minishard + 1]]
        entries[minishard, 0] = stream.tell() - base
        if len(rows):
            stream.write(compress(_minishard_index(ids[rows], places[rows], base), _GZIP_LEVEL))
        entries[minishard, 1] = stream.tell() - base
    stream.seek(0)
    stream.write(entries.tobytes())


def _minishard_index(ids: np.ndarray, places: np.ndarray, base: int) -> bytes:
    starts, sizes = places.T
    ends = np.concatenate([[base], (starts + sizes)[:-1]])
    table = np.stack([np.diff(ids, prepend=np.uint64(0)), (starts - ends).astype(np.uint64), sizes.astype(np.uint64)])
    return table.astype("<u8").tobytes()


def mesh_shard(
    path: str | os.PathLike[str],
    spec: MeshSpec,
    shard: int,
    packs: Sequence[str | os.PathLike[str]],
    record: dict[str, Any] | None = None,
) -> int:
    """Write one mesh shard from packs; whole or not at all. A shard without objects is a valid file too.

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
            stream.write(bytes(_ENTRY << spec.sharding.minishard_bits))
            ids, places = _write_objects(stream, spec, merged)
            _write_indices(stream, spec, ids, places)
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
