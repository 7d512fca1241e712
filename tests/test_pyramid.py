"""Pyramids: every scale equal to a whole-volume reference, whatever the blocks, and read back by others at every scale."""

import itertools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from connectomake.errors import ConfigError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box, read_record, write_block
from connectomake.pipeline.targets import Targets
from connectomake.planning.infos import info_of
from connectomake.planning.scales import Scales
from connectomake.pyramid import child_box, downsample, scales_of, write_parent, write_thumbnail
from connectomake.pyramid.scales import factor_between
from connectomake.pyramid.thumbnail import section_of, thumbnail_scale
from tests.test_planning import make_plan

SIZE = (40.0, 4.0, 4.0)
END_OF_PNG = b"IEND\xaeB`\x82"
FACTORS = st.lists(st.tuples(*[st.integers(1, 3)] * 3).filter(lambda f: f != (1, 1, 1)), min_size=1, max_size=2)


def reference(
    volume: np.ndarray, start: tuple[int, int, int], factor: tuple[int, int, int], how: str
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """One voxel of several, voxel by voxel: (z, y, x) array that begins at `start`, and where the result begins."""
    low = [a // f for a, f in zip(start, factor, strict=True)]
    high = [-(-(a + n) // f) for a, n, f in zip(start, volume.shape, factor, strict=True)]
    out = np.empty([b - a for a, b in zip(low, high, strict=True)], volume.dtype)
    for position in itertools.product(*map(range, low, high)):
        cut = tuple(slice(max(p * f - a, 0), (p + 1) * f - a) for p, f, a in zip(position, factor, start, strict=True))
        out[tuple(p - a for p, a in zip(position, low, strict=True))] = joined(volume[cut].ravel(), how)
    return out, (low[0], low[1], low[2])


def joined(values: np.ndarray, how: str) -> int | np.float32:
    if how == "mean" and values.dtype.kind == "f":
        return np.float32(sum(float(v) for v in values) / len(values))
    if how == "mean":
        return (2 * sum(int(v) for v in values) + len(values)) // (2 * len(values))
    labels, counts = np.unique(values[values > 0] if how == "sparse" and values.any() else values, return_counts=True)
    return int(labels[counts.argmax()])


@st.composite
def cases(draw: st.DrawFn) -> Any:
    shape, start = draw(st.tuples(*[st.integers(1, 13)] * 3)), draw(st.tuples(*[st.integers(-9, 9)] * 3))
    k, chunk = draw(st.integers(0, 2)), draw(st.tuples(*[st.integers(1, 5)] * 3))
    dtype, how = draw(st.sampled_from([("uint8", "mean"), ("int16", "mean"), ("float32", "mean"), ("uint64", "mode"),
                                       ("uint64", "sparse")]))  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    volume = rng.integers(-4 if dtype == "int16" else 0, draw(st.sampled_from([1, 3, 200])), shape).astype(dtype)
    volume = volume / np.float32(7) if dtype == "float32" else volume
    block = tuple(c << k for c in chunk)
    kind = ("segmentation", "compressed_segmentation") if dtype == "uint64" else ("image", "raw")
    return LayerSpec("layer", dtype, 1, Box.of_shape(shape, start), block, chunk, SIZE, *kind), volume, how


def write_pyramid(folder: Path, spec: LayerSpec, volume: np.ndarray, scales: tuple[LayerSpec, ...], how: str) -> None:
    for b in spec.grid.ids:
        write_block(folder / spec.shard_name(b), spec, b, np.ascontiguousarray(volume[spec.grid.box(b).slices(spec.roi.start)]))
    for child, parent in itertools.pairwise(scales):
        for b in parent.grid.ids:
            near = child.grid.ids_meeting(child_box(child, parent, parent.grid.box(b)))
            shards = {c: str(folder / child.shard_name(c)) for c in near}
            write_parent(folder / parent.shard_name(b), child, parent, b, shards, how, {"stage": "pyramid_layer"})


@pytest.mark.slow
@settings(max_examples=30)
@given(cases(), FACTORS)
def test_every_scale_is_that_of_the_whole_volume(tmp_path_factory: pytest.TempPathFactory, case: Any, factors: Any) -> None:
    spec, volume, how = case
    folder = tmp_path_factory.mktemp("layer")
    scales = scales_of(spec, None, factors)
    write_pyramid(folder, spec, volume, scales, how)
    expected, start = volume, spec.roi.start
    for factor, scale in zip(factors, scales[1:], strict=True):
        expected, start = reference(expected, start, factor, how)
        assert scale.roi == Box.of_shape(expected.shape, start)
        np.testing.assert_array_equal(read_box(folder, scale, scale.roi)[0], expected)


def test_channels_are_joined_apart(tmp_path: Path) -> None:
    spec = LayerSpec("layer", "uint8", 3, Box.of_shape((4, 6, 6)), (4, 4, 4), (2, 2, 2), (8.0, 8.0, 8.0))
    volume = np.random.default_rng(0).integers(0, 255, (3, 4, 6, 6), dtype=np.uint8)
    for b in spec.grid.ids:
        write_block(
            tmp_path / spec.shard_name(b), spec, b, np.ascontiguousarray(volume[(slice(None), *spec.grid.box(b).slices())])
        )
    parent = scales_of(spec, 1)[1]
    for b in parent.grid.ids:
        near = spec.grid.ids_meeting(child_box(spec, parent, parent.grid.box(b)))
        shards = {c: str(tmp_path / spec.shard_name(c)) for c in near}
        write_parent(tmp_path / parent.shard_name(b), spec, parent, b, shards, "mean", {})
    found = read_box(tmp_path, parent, parent.roi)
    assert all(np.array_equal(found[c], reference(volume[c], (0, 0, 0), (2, 2, 2), "mean")[0]) for c in range(3))


def test_thin_neurites_stay_in_sparse_scales() -> None:
    labels = np.zeros((16, 16, 16), np.uint64)
    labels[:, 7, 9] = 5
    kept, lost = (downsample(labels, (2, 2, 2), (0, 0, 0), (8, 8, 8), how) for how in ("sparse", "mode"))
    assert (kept == 5).sum() == 8
    assert not lost.any()
    tie = np.array([[[9, 3], [3, 9]]], np.uint64)
    assert downsample(tie, (1, 2, 2), (0, 0, 0), (1, 1, 1), "mode").item() == 3


def layer(
    shape: tuple[int, int, int] = (50, 700, 900),
    size: tuple[float, float, float] = SIZE,
    start: tuple[int, int, int] = (0, 0, 0),
    chunk: int = 64,
) -> LayerSpec:
    return LayerSpec("layer", "uint8", 1, Box.of_shape(shape, start), (chunk,) * 3, (chunk,) * 3, size)


def steps(spec: LayerSpec, count: int | None = None, factors: list[list[int]] | None = None) -> list[tuple[int, int, int]]:
    return [factor_between(a, b) for a, b in itertools.pairwise(scales_of(spec, count, factors))]


def test_factors_follow_the_voxel_size() -> None:
    assert steps(layer()) == [(1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert steps(layer(size=(8.0, 8.0, 8.0))) == [(2, 2, 2)] * 4
    assert steps(layer(size=(30.0, 8.0, 8.0), shape=(1, 300, 300))) == [(1, 2, 2)] * 3
    assert steps(layer(size=(5.0, 4.0, 4.0)), 2) == [(2, 2, 2)] * 2
    assert steps(layer(shape=(9, 9, 9))) == []
    assert steps(layer(), None, [[1, 4, 4], [2, 2, 2]]) == [(1, 4, 4), (2, 2, 2)]
    assert steps(layer(), 1, [[1, 4, 4], [2, 2, 2]]) == [(1, 4, 4)]
    assert scales_of(layer(shape=(1, 1, 1)), 5) == (layer(shape=(1, 1, 1)),)


@pytest.mark.parametrize("start", [(0, 0, 0), (-3, 5, -70)])
def test_others_read_every_scale(tmp_path: Path, start: tuple[int, int, int]) -> None:
    import tensorstore as ts
    from cloudvolume import CloudVolume

    spec = LayerSpec("layer", "uint64", 1, Box.of_shape((11, 40, 50), start), (16, 16, 16), (8, 8, 8), SIZE, "segmentation",
                     "compressed_segmentation")  # fmt: skip
    volume = np.random.default_rng(1).integers(0, 4, spec.roi.shape).astype(np.uint64)
    scales = scales_of(spec)
    assert len(scales) > 3
    write_pyramid(tmp_path, spec, volume, scales, "mode")
    info = spec.info() | {"scales": [s.info()["scales"][0] for s in scales]}
    (tmp_path / "info").write_text(json.dumps(info))
    for mip, scale in enumerate(scales):
        ours = read_box(tmp_path, scale, scale.roi)[0]
        theirs = CloudVolume(f"file://{tmp_path}", mip=mip, progress=False)[:]
        np.testing.assert_array_equal(np.asarray(theirs)[..., 0].T, ours)
        assert list(theirs.bounds.minpt)[::-1] == list(scale.roi.start)
        store = {"driver": "file", "path": f"{tmp_path}/"}
        opened = ts.open({"driver": "neuroglancer_precomputed", "kvstore": store, "scale_index": mip}).result()
        assert list(opened.domain.inclusive_min[:3])[::-1] == list(scale.roi.start)
        np.testing.assert_array_equal(np.asarray(opened.read().result())[..., 0].T, ours)


def test_thumbnails_are_small_pictures_with_a_record(tmp_path: Path) -> None:
    spec = layer((3, 600, 100))
    assert thumbnail_scale(scales_of(layer((3, 600, 100)))) == 2
    assert section_of(spec) == Box((1, 44, 0), (2, 556, 100))
    volume = np.random.default_rng(0).integers(0, 255, spec.roi.shape, dtype=np.uint8)
    for b in spec.grid.ids:
        write_block(tmp_path / spec.shard_name(b), spec, b, np.ascontiguousarray(volume[spec.grid.box(b).slices()]))
    shards = {b: str(tmp_path / spec.shard_name(b)) for b in spec.grid.ids_meeting(section_of(spec))}
    for name in ("a.png", "b.png"):
        write_thumbnail(tmp_path / name, spec, shards, {"stage": "pyramid_layer"})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), volume[1, 44:556])
    picture = b"".join((tmp_path / "a.png").read_bytes().partition(END_OF_PNG)[:2])
    assert read_record(tmp_path / "a.png") == {"stage": "pyramid_layer", "content": [len(picture), zlib.crc32(picture)]}


def test_each_block_of_a_scale_is_made_from_the_shards_it_stands_for() -> None:
    plan = make_plan(start=(-5, 3, 0), block=[32, 32, 32], pyramid={"enabled": True}, keep=["image"])
    scales = Scales(plan)
    assert scales.layers == ["image", "segmentation"]
    for name in scales.layers:
        specs = scales.specs(name)
        assert len(specs) > 2
        for i, spec in enumerate(specs[1:], start=1):
            used = {b for block in spec.grid.ids for b in scales.children(name, i, block)}
            assert used == set(specs[i - 1].grid.ids), "no shard is left out"
            for block in spec.grid.ids:
                assert scales.parse(name, spec.scale_key, spec.grid.name(block)) == (i, block)
        assert [s["key"] for s in info_of(plan, name)["scales"]] == [s.scale_key for s in specs]
        with pytest.raises(ConfigError, match="no coarser scale '1_1_1'"):
            scales.parse(name, "1_1_1", "0")
        with pytest.raises(ConfigError, match="no coarser scale"):
            scales.parse(name, specs[0].scale_key, "0")
        with pytest.raises(ConfigError, match="does not exist"):
            scales.parse(name, specs[-1].scale_key, "ff")
    final = Targets(plan).final()
    assert len(final) == len(set(final))


def test_a_scale_has_an_eighth_of_the_shards() -> None:
    plan = make_plan(shape=(256, 256, 256), block=[32, 32, 32], pyramid={"enabled": True, "factors": [[2, 2, 2]] * 3})
    assert [spec.grid.count for spec in Scales(plan).specs("segmentation")] == [512, 64, 8, 1]
