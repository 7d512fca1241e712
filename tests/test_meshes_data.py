"""Meshes of real segmentations: closed at every level, volumes within the stated error."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.geometry import Box
from connectomake.meshes import MeshSpec, PackReader, slab_fragments, write_pack
from connectomake.meshes.cells import code_places, decode

FOLDER = Path(os.environ.get("CONNECTOMAKE_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
LARGE = 10_000
LODS = 3


def fib25() -> Any:
    path = FOLDER / "fib25/training_sample2_groundtruth.h5"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    with h5py.File(path) as file:
        return file["labels"][:].astype(np.uint64), (10.0, 10.0, 10.0)


def connectomics() -> Any:
    path = FOLDER / "connectomics/connectomics.npy.ckl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    crackle = pytest.importorskip("crackle")
    size = int(os.environ.get("CONNECTOMAKE_MESH_SIDE", "512"))
    labels = crackle.decompress(gzip.decompress(path.read_bytes())).T[:size, :size, :size]
    return np.ascontiguousarray(labels).astype(np.uint64), (16.0, 16.0, 16.0)


def pack_of(path: Any, labels: Any, spec: Any) -> Any:
    """Mesh a whole array in slabs of cells."""
    grown = spec.roi.grow(1)

    def fragments() -> Iterator[Any]:
        for z in range(0, labels.shape[0], spec.cell[0]):
            own = Box((z, 0, 0), (min(z + spec.cell[0], labels.shape[0]), *labels.shape[1:]))
            box = own.grow(1).intersect(grown)
            part = np.pad(labels[max(z - 1, 0) : own.stop[0] + 1], ((int(z == 0), 1), (1, 1), (1, 1)))[: box.shape[0]]
            yield from slab_fragments(own, part, box, spec)

    write_pack(path, spec, fragments(), spec.cells_of(spec.roi))
    return path


def object_mesh(reader: Any, rows: Any, offsets: Any, spec: Any, lod: Any) -> Any:
    """Vertices in steps of the grid of a level, joined where they coincide, and faces."""
    vertex_parts, face_parts, count = [], [], 0
    for row, offset in zip(rows, offsets, strict=True):
        vertices, corners = decode(reader.data(int(offset), int(row["size"]), int(row["checksum"])))
        place = code_places(np.array([row["code"]], np.uint64)).astype(np.int64)
        vertex_parts.append(vertices + spec.top * place)
        face_parts.append(corners + count)
        count += len(vertices)
    points, faces = np.concatenate(vertex_parts), np.concatenate(face_parts)
    keys = (points[:, 0] << 42) + (points[:, 1] << 21) + points[:, 2]
    _, first, names = np.unique(keys, return_index=True, return_inverse=True)
    return points[first] * spec.step * 2.0**lod, names.reshape(-1)[faces]


def odd_edges(faces: np.ndarray) -> int:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = np.minimum(edges[:, 0], edges[:, 1]) * (faces.max() + 1) + np.maximum(edges[:, 0], edges[:, 1])
    return int((np.unique(keys, return_counts=True)[1] % 2).sum())


def area_and_volume(points: Any, faces: np.ndarray) -> Any:
    a, b, c = (points[faces[:, i]] - points[0] for i in range(3))
    cross = np.cross(b - a, c - a)
    return np.linalg.norm(cross, axis=1).sum() / 2, np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def measure(path: Any, labels: Any, spec: Any) -> Any:
    """Per level: objects, triangles, odd edges, worst relative error of volume, worst error over area x bound."""
    ids, voxels = np.unique(labels[labels > 0], return_counts=True)
    large = dict(zip(ids.tolist(), voxels.tolist(), strict=True))
    truth: dict[Any, Any]
    truth, figures = {}, []
    with PackReader(path, spec.sharding) as reader:
        for lod in range(spec.lods):
            total = {"objects": 0, "triangles": 0, "open": 0, "volume": 0.0, "moved": 0.0}
            for shard in range(spec.sharding.count):
                index, offsets = reader.index(shard), reader.offsets(shard)
                chosen = np.flatnonzero(index["lod"] == lod)
                for rows in np.split(chosen, np.flatnonzero(np.diff(index["id"][chosen])) + 1):
                    name = int(index["id"][rows[0]])
                    points, faces = object_mesh(reader, index[rows], offsets[rows], spec, lod)
                    total["objects"] += 1
                    total["triangles"] += len(faces)
                    total["open"] += odd_edges(faces)
                    if large[name] <= LARGE:
                        continue
                    area, volume = area_and_volume(points, faces)
                    exact = large[name] * float(np.prod(spec.voxel_size))
                    truth.setdefault(name, area)
                    total["volume"] = max(total["volume"], abs(volume / exact - 1))
                    if spec.max_error:
                        total["moved"] = max(total["moved"], abs(volume - exact) / (area * spec.error(lod)))
            assert total["objects"] == len(ids)
            figures.append(total)
    return figures


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("source", [fib25, connectomics])
@pytest.mark.parametrize("simplified", [False, True])
def test_closed_and_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: Callable[..., Any], simplified: bool
) -> None:
    labels, size = source()
    lods = LODS if simplified else 1
    spec = MeshSpec(Box.of_shape(labels.shape), (64,) * 3, size, 16, 8, max(size) if simplified else None, lods)
    figures = measure(pack_of(tmp_path / "all.pack", labels, spec), labels, spec)
    with capsys.disabled():
        for lod, total in enumerate(figures):
            print(f"\n{source.__name__} {'level ' + str(lod) if simplified else 'unsimplified'}: {total}", end="")
    for total in figures:
        assert total["open"] == 0
        assert total["volume"] <= 0.02 if not simplified else total["moved"] <= 1
