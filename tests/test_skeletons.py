"""Skeletons: distances against scipy, blocks against the whole, pieces against connected components, what readers get."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectomake.errors import ConfigError, LayerError, RunError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_tables, write_block, write_tables
from connectomake.objects import collect_lengths
from connectomake.skeletons import SkeletonSpec, Traces, gather_traces, read_traces, trace_blocks, trace_cell, write_traces
from connectomake.skeletons.distance import plane_centres, squared_distances
from connectomake.skeletons.heal import heal, lengths_of
from connectomake.skeletons.prune import prune
from connectomake.skeletons.reading import SkeletonReader, export_swc
from connectomake.skeletons.shards import Skeleton, skeleton_info, skeleton_shard, skeletons_of
from connectomake.tables import ComponentTable
from tests.test_meshes import blobs, offsets

SIZE = (16.0, 16.0, 16.0)
SIZES = st.sampled_from([SIZE, (40.0, 4.0, 4.5)])


def traces_of(volume: np.ndarray, spec: SkeletonSpec, keep: np.ndarray | None = None) -> Traces:
    """All cells of a volume, in memory."""
    parts = [trace_cell(volume[spec.around(p).slices(spec.roi.start)], spec, p, keep) for p in spec.positions(spec.roi)]
    return Traces.merge([Traces.empty(), *parts])


def spec_of(
    volume: np.ndarray,
    cell: tuple[int, int, int] | Any,
    start: tuple[int, int, int] = (0, 0, 0),
    size: tuple[float, float, float] = SIZE,
    **options: Any,
) -> SkeletonSpec:
    return SkeletonSpec(Box.of_shape(volume.shape, start), cell, size, **options)


def skeletons(volume: np.ndarray, cell: Any, **options: Any) -> dict[int, Skeleton]:
    spec = spec_of(volume, cell, **options)
    return dict(skeletons_of(heal(traces_of(volume, spec), spec), spec))


def voxels_of(
    skeleton: Skeleton, start: tuple[int, int, int] = (0, 0, 0), size: tuple[float, float, float] = SIZE
) -> np.ndarray:
    return np.floor(skeleton.vertices.astype(np.float64) / size).astype(np.int64) - start


def pieces_of(count: int, edges: np.ndarray) -> int:
    """Number of connected pieces of a graph."""
    graph = scipy.sparse.coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    return int(scipy.sparse.csgraph.connected_components(graph, directed=False)[0])


@settings(max_examples=20)
@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(1, 12)] * 3), size=SIZES, closed=st.tuples(*[st.booleans()] * 3))
def test_distances_are_scipys(
    seed: int, shape: tuple[int, int, int], size: tuple[float, float, float], closed: tuple[bool, bool, bool]
) -> None:
    volume = blobs(shape, seed).astype(np.uint32)
    found = squared_distances(volume, np.array(size), np.array(closed))
    padded = np.pad(volume, [(int(c), int(c)) for c in closed])
    inner = tuple(slice(1, -1) if c else slice(None) for c in closed)
    for label in np.unique(volume[volume > 0]):
        mask = padded == label
        expected = scipy.ndimage.distance_transform_edt(mask, size)[inner] if not mask.all() else np.full(shape, np.inf)
        np.testing.assert_allclose(np.sqrt(found[volume == label]), expected[volume == label], rtol=1e-6)
    assert not found[volume == 0].any()


def test_centres_of_a_plane() -> None:
    plane = np.zeros((5, 9), np.uint32)
    plane[:, :5], plane[1, 7] = 3, 3
    assert plane_centres(plane, np.array([1.0, 1.0, 1.0])).tolist() == [2 * 9 + 2, 9 + 7]
    assert not len(plane_centres(plane * 0, np.array([1.0, 1.0, 1.0])))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99), start=offsets, shape=st.tuples(*[st.integers(1, 20)] * 3),
    cell=st.tuples(*[st.integers(1, 9)] * 3), size=SIZES, const=st.sampled_from([0.0, 30.0, 300.0]),
)  # fmt: skip
@example(seed=0, start=(-3, 2, 5), shape=(20, 1, 20), cell=(1, 1, 1), size=SIZE, const=0.0)
def test_every_piece_is_one_tree(
    seed: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    cell: tuple[int, int, int],
    size: tuple[float, float, float],
    const: float,
) -> None:
    volume = blobs(shape, seed)
    found = skeletons(volume, cell, start=start, size=size, const=const)
    assert sorted(found) == np.unique(volume[volume > 0]).tolist()
    for name, skeleton in found.items():
        places = tuple(voxels_of(skeleton, start, size).T)
        assert (volume[places] == name).all(), "vertices lie in the object"
        assert (skeleton.radius >= min(size)).all()
        pieces, count = cc3d.connected_components(volume == name, connectivity=26, return_N=True)
        assert len(np.unique(pieces[places])) == count, "every piece has a skeleton"
        assert pieces_of(len(skeleton.vertices), skeleton.edges) == count, "of one part"
        assert len(skeleton.edges) == len(skeleton.vertices) - count, "without loops"
        steps = np.diff(voxels_of(skeleton, start, size)[skeleton.edges.astype(np.int64)], axis=1)
        assert (np.abs(steps).max(axis=(1, 2)) == 1).all(), "from voxel to voxel"


def length_of(skeleton: Skeleton) -> float:
    """Cable in nm."""
    points = skeleton.vertices.astype(np.float64)
    return float(np.linalg.norm(np.diff(points[skeleton.edges.astype(np.int64)], axis=1), axis=2).sum())


@pytest.mark.parametrize("radius", [0, 1, 4, 6, 10, 16])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [64, 17])
def test_a_tube_that_the_region_cuts_ends_in_the_middle_of_the_cut(radius: int, axis: int, side: int) -> None:
    """kimimaro gives 396 nm for 40 voxels of 10 nm, that is from the first to the last plane and a little more."""
    z, y, _ = np.indices((40, 40, 40))
    volume = np.moveaxis(((z - 20) ** 2 + (y - 20) ** 2 <= radius**2).astype(np.uint64), 2, axis)
    size = (10.0, 10.0, 10.0)
    cell = tuple(side if i == axis else 64 for i in range(3))
    skeleton = skeletons(volume, cell, size=size)[1]
    assert np.bincount(skeleton.edges.ravel()).max() == 2, "no branch"
    assert length_of(skeleton) == pytest.approx(390)
    places = voxels_of(skeleton, size=size)
    for end in (places[:, axis].argmin(), places[:, axis].argmax()):
        assert places[end].tolist() == [p if i == axis else 20 for i, p in enumerate(places[end])], "in the middle"
    assert (places[:, axis].min(), places[:, axis].max()) == (0, 39)


@pytest.mark.parametrize("size", [(10.0, 10.0, 10.0), (16.0, 16.0, 16.0), (40.0, 8.0, 8.0)])
@pytest.mark.parametrize("centre", [(64, 64, 64), (64, 64, 40), (64, 40, 40), (60, 70, 66), (68, 61, 64)])
@pytest.mark.parametrize("radius", [200.0, 280.0, 400.0])
def test_a_ball_over_several_cells_has_no_hairpin(
    size: tuple[float, float, float], centre: tuple[int, int, int], radius: float
) -> None:
    sides = np.array(size)
    away = (np.indices((128, 128, 128)).reshape(3, -1).T - centre) * sides
    volume = ((away**2).sum(axis=1) <= radius**2).reshape(128, 128, 128).astype(np.uint64)
    skeleton = skeletons(volume, (64, 64, 64), size=size)[1]
    assert length_of(skeleton) <= 2.7 * radius


def test_a_bent_neurite_keeps_its_cable() -> None:
    """A U of thin arms, wide enough that it is no ball, loses nothing but what lies in the end caps."""
    volume = np.zeros((12, 60, 40), np.uint64)
    volume[4:8, 8:52, 6:10] = volume[4:8, 8:52, 30:34] = volume[4:8, 48:52, 6:34] = 1
    size = (10.0, 10.0, 10.0)
    skeleton = skeletons(volume, (16, 16, 16), size=size, const=20.0)[1]
    assert length_of(skeleton) >= 10 * (2 * 38 + 22)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(1, 14)] * 3), thin=st.integers(0, 2), cell=st.integers(1, 16))
def test_objects_that_lie_flat_on_a_face_have_one_tree(seed: int, shape: tuple[int, int, int], thin: int, cell: int) -> None:
    volume = blobs(shape, seed)
    volume = np.take(volume, [0], axis=thin)
    for name, skeleton in skeletons(volume, (cell,) * 3).items():
        pieces = cc3d.connected_components(volume == name, connectivity=26, return_N=True)[1]
        assert pieces_of(len(skeleton.vertices), skeleton.edges) == pieces


def layer_of(
    root: Path,
    volume: np.ndarray,
    start: tuple[int, int, int],
    block: tuple[int, int, int],
    chunk: tuple[int, int, int],
    size: tuple[float, float, float] = SIZE,
) -> LayerSpec:
    layer = LayerSpec("segmentation", "uint64", 1, Box.of_shape(volume.shape, start), block, chunk, size, "segmentation")
    for i in layer.grid.ids:
        write_block(root / layer.shard_name(i), layer, i, volume[layer.grid.box(i).slices(start)])
    return layer


def build(
    root: Path,
    volume: np.ndarray,
    spec: SkeletonSpec,
    block: tuple[int, int, int],
    chunk: tuple[int, int, int],
    fan_out: int,
    keep: Any = None,
) -> tuple[int, list[str]]:
    """Make the skeleton shard as the workflow does: a job per block, then up to `fan_out` files gathered into one."""
    layer = layer_of(root, volume, spec.roi.start, block, chunk, spec.voxel_size)
    files = []
    for i in layer.grid.ids:
        shards = {b: root / layer.shard_name(b) for b in layer.grid.ids_meeting(spec.needed(layer.grid.box(i)))}
        files.append(root / f"{i}.h5")
        trace_blocks(files[-1], layer, spec, layer.grid.box(i), shards, keep)
    while len(files) > fan_out:
        parts = [files[i : i + fan_out] for i in range(0, len(files), fan_out)]
        files = [root / f"{len(parts)}-{i}.h5" for i in range(len(parts))]
        for path, part in zip(files, parts, strict=True):
            gather_traces(path, part)
    count = skeleton_shard(root / "skeletons/0.shard", root / "lengths.h5", spec, 0, reversed(files), {})
    return count, [hashlib.sha256((root / name).read_bytes()).hexdigest() for name in ("skeletons/0.shard", "lengths.h5")]


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 99), start=offsets, shape=st.tuples(*[st.integers(2, 22)] * 3), size=SIZES,
    cell=st.sampled_from([(5, 7, 4), (8, 8, 8), (3, 16, 30)]), halo=st.sampled_from([0.0, 60.0]),
    block=st.sampled_from([(8, 8, 8), (4, 16, 8), (16, 12, 8)]), fan_out=st.sampled_from([2, 8]),
)  # fmt: skip
def test_blocks_equal_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    seed: Any,
    start: Any,
    shape: Any,
    size: Any,
    cell: Any,
    halo: Any,
    block: Any,
    fan_out: Any,
) -> None:
    volume = blobs(shape, seed)
    spec = spec_of(volume, cell, start, size, halo=halo, const=40.0, min_voxels=20)
    root = tmp_path_factory.mktemp("s")
    count, digests = build(root / "blocks", volume, spec, block, tuple(b // 4 for b in block), fan_out)
    whole = tuple(-(-n // 2) * 2 for n in shape)
    assert digests == build(root / "whole", volume, spec, whole, whole, 64)[1]
    names, sizes = np.unique(volume[volume > 0], return_counts=True)
    assert read_tables(root / "blocks/lengths.h5")["id"].tolist() == names[sizes >= 20].tolist()
    assert count == (sizes >= 20).sum()


@pytest.mark.parametrize("step", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, -1), (-1, 1, -1)])
@pytest.mark.parametrize("cell", [(4, 4, 4), (4, 40, 30), (64, 64, 64)])
def test_a_rod_of_one_voxel_is_a_path_of_its_length(step: tuple[int, int, int], cell: tuple[int, int, int]) -> None:
    volume = np.zeros([44 if s else 6 for s in step], np.uint64)
    places = np.arange(40)[:, None] * np.array(step) + [2 if s >= 0 else 41 for s in step]
    volume[tuple(places.T)] = 9
    (skeleton,) = skeletons(volume, cell).values()
    assert sorted(map(tuple, voxels_of(skeleton).tolist())) == sorted(map(tuple, places.tolist()))
    degrees = np.bincount(skeleton.edges.ravel().astype(np.int64))
    assert sorted(degrees.tolist()) == [1, 1] + 38 * [2]
    spec = spec_of(volume, cell)
    ids, length = lengths_of(heal(traces_of(volume, spec), spec), spec)
    assert ids.tolist() == [9]
    assert length[0] == pytest.approx(39 * 16 * np.linalg.norm(step))


def test_voxels_that_touch_across_edges_and_corners_of_cells_are_joined() -> None:
    corners = [(3, 3), (4, 4)], [(3, 4), (4, 3)]
    for (a, b), (c, d) in itertools.product(corners, corners):
        volume = np.zeros((8, 8, 8), np.uint64)
        volume[a[0], a[1], c[0]] = volume[b[0], b[1], c[1]] = 5
        assert d[0] in (3, 4)
        (skeleton,) = skeletons(volume, (4, 4, 4)).values()
        assert len(skeleton.vertices) == 2
        assert skeleton.edges.shape == (1, 2)


def test_one_voxel_is_one_vertex_and_nothing_is_nothing() -> None:
    volume = np.zeros((6, 6, 6), np.uint64)
    assert not skeletons(volume, (4, 4, 4))
    volume[3, 4, 5] = 2**63 + 5
    found = skeletons(volume, (4, 4, 4))
    assert list(found) == [2**63 + 5]
    assert found[2**63 + 5].vertices.tolist() == [[56, 72, 88]]
    assert not len(found[2**63 + 5].edges)
    assert found[2**63 + 5].radius.tolist() == [16]


@pytest.mark.parametrize(("cell", "off", "tips"), [((64, 24, 24), 2, 2), ((20, 24, 24), 2, 2), ((20, 16, 16), 3, 3)])
def test_a_tube_is_its_axis(cell: tuple[int, int, int], off: int, tips: int) -> None:
    """Vertices lie near the axis, without spurs, and radii are those of the tube, also where borders of cells cut it open."""
    y, x = np.indices((100, 24, 24))[1:]
    volume = ((y - 11) ** 2 + (x - 12) ** 2 < 36).astype(np.uint64)
    (skeleton,) = skeletons(volume, cell, const=100.0).values()
    assert np.linalg.norm(voxels_of(skeleton)[:, 1:] - [11, 12], axis=1).mean() < off
    assert skeleton.radius.max() <= 6.1 * 16
    assert np.median(skeleton.radius) > 4.5 * 16
    assert (np.bincount(skeleton.edges.ravel().astype(np.int64)) == 1).sum() <= tips
    assert np.ptp(skeleton.vertices[:, 0]) > 85 * 16


def test_a_ball_over_many_cells_has_no_loops_and_few_branches() -> None:
    z, y, x = np.indices((40, 40, 40)) - 19.5
    volume = (z**2 + y**2 + x**2 < 18**2).astype(np.uint64)
    (skeleton,) = skeletons(volume, (10, 10, 10), const=30.0).values()
    assert len(skeleton.edges) == len(skeleton.vertices) - 1
    assert (np.bincount(skeleton.edges.ravel().astype(np.int64)) == 1).sum() <= 4


def test_a_ring_over_four_cells_is_cut_once() -> None:
    y, x = np.indices((40, 40)) - 19.5
    volume = np.zeros((8, 40, 40), np.uint64)
    volume[2:6] = np.abs(np.hypot(y, x) - 15) < 2
    (skeleton,) = skeletons(volume, (20, 20, 20), const=20.0).values()
    spec = spec_of(volume, (20, 20, 20), const=20.0)
    length = lengths_of(heal(traces_of(volume, spec), spec), spec)[1][0]
    assert len(skeleton.edges) == len(skeleton.vertices) - 1
    assert length == pytest.approx(2 * np.pi * 15 * 16, rel=0.15)


@pytest.mark.parametrize(
    ("branch", "stays"),
    [
        ([(20, y) for y in range(11, 15)], False),  # reaches 40 nm from the junction, where 50 nm are covered
        ([(20, y) for y in range(11, 20)], True),  # 90 nm
        ([*[(20, y) for y in range(11, 15)], *[(z, 14) for z in range(21, 25)]], False),  # 57 nm, but 45 nm from the line
        ([*[(20, y) for y in range(11, 17)], (21, 16), *[(22, y) for y in range(16, 12, -1)]], True),  # near, by a detour
    ],
)
def test_branches_that_a_path_covers_are_left_out(branch: list[tuple[int, int]], stays: bool) -> None:
    """A line of 40 voxels, a branch from its middle; 10 nm to a voxel and a radius everywhere, so a path covers 50 nm."""
    spec = SkeletonSpec(Box.of_shape((40, 30, 3)), (64, 64, 64), (10.0,) * 3, scale=1.0, const=40.0)
    paths = [[(z, 10, 1) for z in range(40)], [(20, 10, 1), *[(z, y, 1) for z, y in branch]]]
    keys = [[1 + int(np.dot(place, spec.strides)) for place in path] for path in paths]
    key = np.unique(np.concatenate(keys))
    ends = np.searchsorted(key, np.concatenate([np.stack([k[1:], k[:-1]], axis=1) for k in keys]))
    edges = np.sort(ends, axis=1)[:, ::-1]
    edges = np.ascontiguousarray(edges[np.lexsort(edges.T[::-1])])
    traces = Traces(np.full(len(key), 7, np.uint64), key, np.full(len(key), 10, np.float32), *[np.zeros(0)] * 3)
    places = np.stack(np.unravel_index(key - 1, spec.roi.shape), axis=1)
    lengths = 10 * np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    found = set(key[prune(traces, edges, lengths, spec)].tolist())
    assert found == set(keys[0] + (keys[1] if stays else []))


def test_dust_is_decided_by_the_whole_object() -> None:
    volume = np.zeros((44, 8, 8), np.uint64)
    volume[2:42, 3, 3] = 9
    for least, there in ((40, True), (41, False)):
        spec = spec_of(volume, (4, 4, 4), min_voxels=least)
        assert bool(build_in_memory(volume, spec)) is there


def build_in_memory(volume: np.ndarray, spec: SkeletonSpec) -> dict[int, Skeleton]:
    from connectomake.skeletons.shards import without_dust

    return dict(skeletons_of(heal(without_dust(traces_of(volume, spec), spec.min_voxels), spec), spec))


def test_only_chosen_objects() -> None:
    volume = blobs((20, 20, 20), 3)
    names = np.unique(volume[volume > 0])[:2]
    spec = spec_of(volume, (8, 8, 8))
    some, all_of_them = traces_of(volume, spec, names), traces_of(volume, spec)
    rows = np.isin(all_of_them.id, names)
    assert rows.any()
    assert not rows.all()
    expected = all_of_them.take(rows, np.isin(all_of_them.size_id, names))
    for name, column in some.arrays("x").items():
        np.testing.assert_array_equal(column, expected.arrays("x")[name])


def test_a_halo_makes_radii_exact() -> None:
    """A tube beside a cell's border: without a halo the other side of the border is unknown."""
    volume = np.zeros((12, 30, 30), np.uint64)
    volume[:, 5:18, 5:18] = 1
    spec, near = (spec_of(volume, (12, 16, 16), halo=h) for h in (300.0, 0.0))
    exact = np.sqrt(squared_distances(volume.astype(np.uint32), np.array(SIZE), np.zeros(3, bool))).ravel()
    found, rough = traces_of(volume, spec), traces_of(volume, near)
    np.testing.assert_allclose(found.radius, exact[found.key - 1])
    assert (rough.radius >= exact[rough.key - 1] - 1e-3).all()
    assert (rough.radius > exact[rough.key - 1] + 1).any()


def test_tables_unite(tmp_path: Path) -> None:
    volume = blobs((16, 16, 16), 1)
    spec = spec_of(volume, (8, 8, 8))
    whole = traces_of(volume, spec)
    assert len(np.unique(whole.key)) == len(whole.key)
    write_traces(tmp_path / "a.h5", whole, spec.sharding)
    gather_traces(tmp_path / "b.h5", [tmp_path / "a.h5", tmp_path / "a.h5"])
    twice = read_traces(tmp_path / "b.h5", 0)
    np.testing.assert_array_equal(twice.links, whole.links)
    np.testing.assert_array_equal(twice.size, 2 * whole.size)
    assert not len(read_traces(tmp_path / "b.h5", 7).id)
    write_traces(tmp_path / "none.h5", Traces.empty(), spec.sharding)
    gather_traces(tmp_path / "none2.h5", [tmp_path / "none.h5"])
    assert skeleton_shard(tmp_path / "0.shard", tmp_path / "l.h5", spec, 0, [tmp_path / "none2.h5"], {}) == 0


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, np.ndarray, SkeletonSpec]:
    """A layer with skeletons, with the info of both."""
    volume = blobs((24, 30, 36), 5)
    spec = spec_of(volume, (10, 12, 14), (3, -7, 5), (40.0, 4.0, 8.0), const=60.0)
    build(tmp_path, volume, spec, (16, 16, 16), (8, 8, 8), 8)
    layer = LayerSpec("segmentation", "uint64", 1, spec.roi, (16,) * 3, (8,) * 3, spec.voxel_size, "segmentation")
    (tmp_path / "info").write_text(json.dumps(layer.info() | {"skeletons": "skeletons"}))
    (tmp_path / "skeletons/info").write_text(json.dumps(skeleton_info(spec)))
    return tmp_path, volume, spec


def test_cloudvolume_reads_them(made: tuple[Path, np.ndarray, SkeletonSpec]) -> None:
    from cloudvolume import CloudVolume

    root, volume, spec = made
    reader = SkeletonReader(root / "skeletons", spec)
    seen = CloudVolume(f"file://{root}", use_https=False, progress=False)
    lengths = read_tables(root / "lengths.h5")
    for name, nm in zip(lengths["id"].tolist(), lengths["nm"].tolist(), strict=True):
        theirs, ours = seen.skeleton.get(name), reader.read(name)
        np.testing.assert_array_equal(theirs.vertices, ours.vertices[:, ::-1])
        np.testing.assert_array_equal(theirs.edges, ours.edges)
        np.testing.assert_array_equal(theirs.radius, ours.radius)
        assert theirs.cable_length() == pytest.approx(nm, rel=1e-5)
        z, y, x = np.floor(theirs.vertices[:, ::-1] / np.array(spec.voxel_size)).astype(int).T
        assert (volume[z - 3, y + 7, x - 5] == name).all()


def test_swc_has_parents_before_children(made: tuple[Path, np.ndarray, SkeletonSpec]) -> None:
    root, _, spec = made
    reader = SkeletonReader(root / "skeletons", spec)
    ids = read_tables(root / "lengths.h5")["id"].tolist()
    for name in ids:
        text = export_swc(reader, name, root / "swc").read_text().splitlines()
        rows = [line.split() for line in text if not line.startswith("#")]
        ours = reader.read(name)
        assert "micrometres" in text[1]
        assert [int(r[0]) for r in rows] == list(range(1, len(ours.vertices) + 1))
        assert all(int(r[6]) == -1 or 0 < int(r[6]) < int(r[0]) for r in rows)
        assert sum(int(r[6]) == -1 for r in rows) == pieces_of(len(ours.vertices), ours.edges)
        points = np.array([[float(v) for v in r[2:5]] for r in rows]) * 1000
        order = np.lexsort(points.T.round(1))
        expected = ours.vertices[:, ::-1]
        np.testing.assert_allclose(points[order], expected[np.lexsort(expected.T.round(1))], rtol=1e-4)
    with pytest.raises(ConfigError, match="object 12 has no skeleton"):
        reader.read(12)


def test_damaged_and_missing_shards(made: tuple[Path, np.ndarray, SkeletonSpec]) -> None:
    root, _, spec = made
    name = int(read_tables(root / "lengths.h5")["id"][0])
    path = Path(root / "skeletons/0.shard")
    data = bytearray(path.read_bytes())
    data[40] ^= 255
    path.write_bytes(data[:60])
    with pytest.raises(LayerError, match="is truncated"):
        SkeletonReader(root / "skeletons", spec).read(name)
    path.unlink()
    with pytest.raises(LayerError, match="is missing"):
        SkeletonReader(root / "skeletons", spec).read(name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"cell": (0, 4, 4)}, "at least 1 voxel"), ({"cell": (1024, 1024, 1024)}, "at most 512"),
     ({"size": (0.0, 4.0, 4.0)}, "voxel size"), ({"const": -1.0}, "negative")],
)  # fmt: skip
def test_values_out_of_range(changes: dict[str, Any], words: str) -> None:
    options = {"cell": (4, 4, 4)} | changes
    with pytest.raises(ConfigError, match=words):
        spec_of(np.zeros((4, 4, 4)), options.pop("cell"), **options)


def test_lengths_of_objects(tmp_path: Path) -> None:
    ids = np.array([3, 8, 9], np.uint64)
    boxes = np.zeros((3, 3), np.int64)
    table = ComponentTable(ids, np.ones(3, np.uint64), boxes, boxes, boxes.astype(np.uint64))
    write_tables(tmp_path / "0.h5", {"id": ids[[0, 2]], "nm": np.array([5.0, 7.0])})
    write_tables(tmp_path / "1.h5", {"id": ids[:0], "nm": np.zeros(0)})
    assert collect_lengths([tmp_path / "1.h5", tmp_path / "0.h5"], table, [8, 3]).tolist() == [5, 0, 7]
    with pytest.raises(ConfigError, match=r"skeletons\.ids names 4"):
        collect_lengths([], table, [3, 4])
    write_tables(tmp_path / "2.h5", {"id": np.array([10], np.uint64), "nm": np.array([5.0])})
    with pytest.raises(RunError, match="object 10"):
        collect_lengths([tmp_path / "2.h5"], table)
