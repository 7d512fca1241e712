"""Meshes: cell surfaces against the padded whole, cracks, files read back by cloud-volume."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmesh
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import ConfigError, LayerError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, write_block, write_tables
from connectomake.layers.id_shards import murmurhash3_x86_128
from connectomake.meshes import (
    IdSharding,
    MeshSpec,
    box_of,
    cell_triangles,
    halo_blocks,
    merge_packs,
    mesh_fragments,
    mesh_info,
    mesh_shard,
)
from connectomake.meshes.cells import cell_code, code_places


def blobs(shape: tuple[int, int, int], seed: int, labels: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, labels, tuple(-(-s // 3) for s in shape)).astype(np.uint64)
    out = coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[tuple(slice(s) for s in shape)].copy()
    flips = rng.random(shape) < 0.05
    out[flips] = rng.integers(0, labels, flips.sum())
    return np.where(out > 0, out + np.uint64(2**40), 0).astype(np.uint64)


def triangle_set(vertices: np.ndarray, faces: np.ndarray) -> set[tuple[int, ...]]:
    """Triangles as rows of nine integers, each turned so that its least corner comes first."""
    corners = vertices[faces].astype(np.int64)
    keys = corners[:, :, 0] * (1 << 40) + corners[:, :, 1] * (1 << 20) + corners[:, :, 2]
    first = keys.argmin(axis=1)
    turned = np.stack([corners[np.arange(len(faces)), (first + i) % 3] for i in range(3)], axis=1)
    return {tuple(row) for row in turned.reshape(-1, 9).tolist()}


def whole(volume: np.ndarray, start: tuple[int, int, int]) -> dict[int, set[tuple[int, ...]]]:
    """Surfaces of the whole volume padded by one background voxel, in absolute half voxels."""
    mesher = zmesh.Mesher((2, 2, 2))
    mesher.mesh(np.pad(volume, 1), close=False)
    offset = 2 * (np.array(start) - 1) + 1
    out = {}
    for i in mesher.ids():
        mesh = mesher.get(i)
        out[int(i)] = triangle_set(mesh.vertices.astype(np.int64) + offset, mesh.faces)
    return out


def padded_reach(volume: np.ndarray, spec: MeshSpec, position: tuple[int, int, int]) -> np.ndarray:
    reach = spec.reach(position)
    grown = spec.roi.grow(1)
    return np.pad(volume, 1)[reach.slices(grown.start)]


vec = st.tuples(*[st.integers(1, 9)] * 3)


offsets = st.tuples(*[st.integers(-20, 20)] * 3)


@given(shape=vec, cell=st.tuples(*[st.integers(1, 5)] * 3), start=offsets, seed=st.integers(0, 99))
def test_union_of_cells_is_the_whole(
    shape: tuple[int, int, int], cell: tuple[int, int, int], start: tuple[int, int, int], seed: int
) -> None:
    volume = blobs(shape, seed)
    spec = MeshSpec(Box.of_shape(shape, start), cell, (1, 1, 1))
    union: dict[Any, Any] = {}
    for position in spec.positions(spec.roi):
        for object_id, vertices, faces in cell_triangles(padded_reach(volume, spec, position), spec, position):
            found = triangle_set(vertices, faces)
            assert not found & union.setdefault(object_id, set())
            union[object_id] |= found
    assert union == whole(volume, start)


def layer_of(
    root: Path,
    volume: np.ndarray,
    start: tuple[int, int, int],
    block: tuple[int, int, int],
    chunk: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
) -> tuple[LayerSpec, dict[int, Path], dict[int, Path]]:
    """Write a segmentation with its halo files, as the segmentation stage does."""
    spec = LayerSpec("segmentation", "uint64", 1, Box.of_shape(volume.shape, start), block, chunk, voxel_size, "segmentation")
    shards, halos = {}, {}
    for block_id in spec.grid.ids:
        part = volume[spec.grid.box(block_id).slices(start)]
        shards[block_id] = root / spec.shard_name(block_id)
        halos[block_id] = root / "halo" / f"{block_id}.h5"
        write_block(shards[block_id], spec, block_id, part)
        write_tables(halos[block_id], {"halo/z": part[0], "halo/y": part[:, 0], "halo/x": part[:, :, 0]})
    info = spec.info() | {"mesh": "mesh"}
    (root / "info").write_text(json.dumps(info))
    return spec, shards, halos


def build(
    root: Path,
    volume: np.ndarray,
    start: tuple[int, int, int],
    block: tuple[int, int, int],
    chunk: Any,
    mesh: MeshSpec,
    group_bits: int = 1,
    keep: np.ndarray | None = None,
) -> dict[str, bytes]:
    layer, shards, halos = layer_of(root, volume, start, block, chunk, mesh.voxel_size)
    packs, bits = {}, group_bits
    for group, blocks in itertools.groupby(layer.grid.ids, key=lambda i: i >> group_bits):
        chosen = list(blocks)
        needed = {i: halos[i] for i in halo_blocks(layer.grid, chosen)}
        packs[group] = root / "packs" / f"{group}.pack"
        mesh_fragments(packs[group], layer, mesh, {i: shards[i] for i in chosen}, needed, keep)
    while len(packs) > 2:
        bits += 1
        below, packs = packs, {}
        for parent, children in itertools.groupby(below, key=lambda i: i >> 1):
            packs[parent] = root / "packs" / f"{bits}-{parent}.pack"
            cells = mesh.cells_of(box_of(layer.grid, [i for i in layer.grid.ids if i >> bits == parent]))
            merge_packs(packs[parent], mesh, [below[i] for i in children], cells)
    (root / "mesh").mkdir(exist_ok=True)
    (root / "mesh" / "info").write_text(json.dumps(mesh_info(mesh)))
    for shard in range(mesh.sharding.count):
        mesh_shard(root / "mesh" / mesh.sharding.name(shard), mesh, shard, list(packs.values()))
    return {p.name: p.read_bytes() for p in (root / "mesh").iterdir()}


def load(root: Path, ids: list[int] | np.ndarray, lod: int = 0) -> dict[int, Any]:
    from cloudvolume import CloudVolume

    volume = CloudVolume(f"file://{root}", use_https=False, progress=False, cache=False)
    return {int(i): volume.mesh.get([int(i)], lod=lod)[int(i)] for i in ids}


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def open_edges(mesh: Any, decimals: int = 3) -> int:
    """Edges with other than two triangles, after joining vertices at the same place."""
    _, names = np.unique(np.round(mesh.vertices, decimals), axis=0, return_inverse=True)
    faces = names.reshape(-1)[mesh.faces].astype(np.int64)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    return int((counts % 2).sum())


@pytest.mark.slow
@settings(max_examples=12)
@given(
    data=st.data(), blocks=st.sampled_from([(8, 8, 8), (4, 8, 4), (16, 8, 12), (4, 4, 4)]),
    start=offsets, bits=st.sampled_from([10, 16]), max_error=st.sampled_from([0, 3.0, 30.0]),
)  # fmt: skip
def test_same_files_for_any_block(
    tmp_path_factory: pytest.TempPathFactory, data: Any, blocks: Any, start: Any, bits: Any, max_error: Any
) -> None:
    shape = data.draw(st.tuples(*[st.integers(3, 20)] * 3))
    volume = blobs(shape, data.draw(st.integers(0, 99)))
    mesh = MeshSpec(Box.of_shape(shape, start), (4, 4, 4), (7, 4, 4), bits, 100, max_error, data.draw(st.integers(1, 4)))
    found = [
        build(tmp_path_factory.mktemp("seg"), volume, start, b, tuple(s // 2 for s in b), mesh, data.draw(st.integers(0, 2)))
        for b in ((20, 20, 20), blocks)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("max_error", [0, 4.0, 16.0])
@pytest.mark.parametrize("bits", [10, 16])
def test_no_cracks_between_cells(tmp_path: Path, max_error: float, bits: int) -> None:
    volume = blobs((22, 20, 18), 5)
    start = (-7, 3, 101)
    mesh = MeshSpec(Box.of_shape(volume.shape, start), (8, 8, 8), (8, 4, 4), bits, 1000, max_error, 3)
    build(tmp_path, volume, start, (8, 16, 8), (4, 8, 4), mesh)
    ids = np.unique(volume[volume > 0])
    triangles = []
    for lod in range(3):
        triangles.append(0)
        for object_id, found in load(tmp_path, ids, lod).items():
            assert open_edges(found) == 0, (object_id, lod)
            triangles[-1] += len(found.faces)
    assert triangles[0] == triangles[1] if not max_error else triangles[0] > triangles[1] > triangles[2] > 0


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: int) -> np.ndarray:
    grid = np.indices(shape) - np.array(centre).reshape(3, 1, 1, 1)
    return np.asarray(((grid**2).sum(0) <= radius**2).astype(np.uint64))


@pytest.mark.parametrize("max_error", [0, 5.0])
@pytest.mark.parametrize("bits", [10, 16])
def test_ball_in_nm(tmp_path: Path, max_error: float, bits: int) -> None:
    volume = ball((40, 44, 48), (19, 22, 21), 16) * np.uint64(2**33 + 5)
    start, size = (-50, 7, -3), (9.0, 5.0, 3.0)
    mesh = MeshSpec(Box.of_shape(volume.shape, start), (16, 16, 16), size, bits, 100, max_error)
    build(tmp_path, volume, start, (32, 16, 32), (16, 8, 16), mesh)
    found = load(tmp_path, [2**33 + 5])[2**33 + 5]
    expected = volume.astype(bool).sum() * np.prod(size)
    assert signed_volume(found.vertices, found.faces) == pytest.approx(expected, rel=0.02 if not max_error else 0.06)
    where = np.argwhere(volume)
    low = (where.min(0) + start) * np.array(size)
    high = (where.max(0) + 1 + start) * np.array(size)
    slack = max_error + (0.5 * np.array(size)[::-1] if bits == 10 else 0.05)
    assert (np.abs(found.vertices.min(0) - low[::-1]) <= slack).all()
    assert (np.abs(found.vertices.max(0) - high[::-1]) <= slack).all()
    if max_error:
        assert len(found.faces) < 4000


def test_full_volume_and_single_voxel(tmp_path: Path) -> None:
    """The object that fills the region is closed at the region's faces."""
    volume = np.full((9, 8, 7), 3, np.uint64)
    volume[4, 4, 4] = 9
    mesh = MeshSpec(Box.of_shape(volume.shape), (4, 4, 4), (1, 1, 1), 16)
    build(tmp_path, volume, (0, 0, 0), (4, 4, 4), (4, 4, 4), mesh)
    found = load(tmp_path, [3, 9])
    assert open_edges(found[3]) == open_edges(found[9]) == 0
    assert np.allclose([found[3].vertices.min(0), found[3].vertices.max(0)], [[0, 0, 0], [7, 8, 9]], atol=1e-3)
    assert np.allclose([found[9].vertices.min(0), found[9].vertices.max(0)], [[4, 4, 4], [5, 5, 5]], atol=1e-3)


def test_keep_leaves_the_rest_out(tmp_path: Path) -> None:
    volume = blobs((9, 9, 9), 1)
    ids = np.unique(volume[volume > 0])
    mesh = MeshSpec(Box.of_shape(volume.shape), (4, 4, 4), (1, 1, 1))
    full = build(tmp_path / "a", volume, (0, 0, 0), (8, 8, 8), (8, 8, 8), mesh)
    part = build(tmp_path / "b", volume, (0, 0, 0), (8, 8, 8), (8, 8, 8), mesh, keep=ids[:1])
    none = build(tmp_path / "c", volume, (0, 0, 0), (8, 8, 8), (8, 8, 8), mesh, keep=ids[:0])
    assert len(full["0.shard"]) > len(part["0.shard"]) > len(none["0.shard"])
    a, b = load(tmp_path / "a", ids[:1]), load(tmp_path / "b", ids[:1])
    assert np.array_equal(a[int(ids[0])].vertices, b[int(ids[0])].vertices)
    with pytest.raises(Exception, match=str(ids[1])):
        load(tmp_path / "b", ids[1:2])


def test_many_shards_and_empty_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sharding = IdSharding(3, 2)
    monkeypatch.setattr(IdSharding, "for_voxels", classmethod(lambda cls, voxels: sharding))
    volume = np.zeros((8, 8, 8), np.uint64)
    ids = np.array([7, 2**60 + 1, 12], np.uint64)
    volume[1:3, 1:3, 1:3], volume[5, 5, 5], volume[0, 7] = ids
    mesh = MeshSpec(Box.of_shape(volume.shape), (4, 4, 4), (1, 1, 1))
    files = build(tmp_path, volume, (0, 0, 0), (4, 4, 4), (4, 4, 4), mesh)
    assert len(files) == 9
    found = load(tmp_path, ids)
    assert all(open_edges(m) == 0 for m in found.values())
    absent = next(i for i in range(100, 999) if sharding.shards(np.array([i], np.uint64))[0] not in sharding.shards(ids))
    with pytest.raises(Exception, match=str(absent)):
        load(tmp_path, [absent])


def test_hash_is_murmur() -> None:
    from cloudvolume.datasource.precomputed import mmh3

    keys = np.array([0, 1, 2**32, 2**63 + 12345, 2**64 - 1, 987654321987], np.uint64)
    expected = [mmh3.hash64(key.tobytes(), x64arch=False)[0] % 2**64 for key in keys]
    assert murmurhash3_x86_128(keys).tolist() == expected


@given(position=st.tuples(*[st.integers(-1, 2**20)] * 3))
def test_codes(position: tuple[int, int, int]) -> None:
    code = cell_code(position)
    assert tuple(code_places(np.array([code], np.uint64))[0]) == tuple(p + 1 for p in position)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 12}, "12"),
        ({"cell": (4, 4, 600), "bits": 10}, "600"),
        ({"cell": (0, 4, 4)}, "0"),
        ({"voxel_size": (1, 0, 1)}, "voxel size"),
        ({"factor": 0.5}, "0.5"),
        ({"max_error": -1.0}, "-1.0"),
    ],
)
def test_bad_specs(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"roi": Box.of_shape((8, 8, 8)), "cell": (4, 4, 4), "voxel_size": (1, 1, 1)}
    with pytest.raises(ConfigError, match=message):
        MeshSpec(**(good | change))


def test_block_must_be_multiple_of_cell() -> None:
    spec = MeshSpec(Box.of_shape((12, 12, 12)), (4, 4, 4), (1, 1, 1))
    with pytest.raises(ConfigError, match="does not divide"):
        list(spec.positions(Box((6, 0, 0), (12, 6, 6))))


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_damaged_pack(tmp_path: Path, damage: str) -> None:
    volume = ball((8, 8, 8), (4, 4, 4), 3)
    mesh = MeshSpec(Box.of_shape(volume.shape), (8, 8, 8), (1, 1, 1))
    build(tmp_path, volume, (0, 0, 0), (8, 8, 8), (8, 8, 8), mesh)
    pack = tmp_path / "packs" / "0.pack"
    data = pack.read_bytes()
    if damage == "missing":
        pack.unlink()
    else:
        middle = data.index(b"DRACO") + 9
        pack.write_bytes(data[:-40] if damage == "truncated" else data[:middle] + b"\xff\x00" + data[middle + 2 :])
    target = tmp_path / "mesh" / "again.shard"
    with pytest.raises(LayerError, match=r"0\.pack"):
        mesh_shard(target, mesh, 0, [pack])
    assert not list(target.parent.glob("*again*"))
