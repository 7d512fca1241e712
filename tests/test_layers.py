"""Shards and sidecars: written, read back by us and by others, damaged."""

import itertools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import ConfigError, LayerError
from connectomake.geometry import Box, as_vec
from connectomake.layers import (
    LayerSpec,
    ShardReader,
    ShardWriter,
    read_block,
    read_box,
    read_record,
    read_tables,
    write_block,
    write_tables,
)
from connectomake.layers.shard_file import compress, level_worth

ENCODINGS = [("raw", "uint8"), ("raw", "float32"), ("compressed_segmentation", "uint32"), ("compressed_segmentation", "uint64")]


def make_spec(
    roi: Box,
    chunk: tuple[int, int, int] = (4, 8, 8),
    k: int = 1,
    encoding: str = "raw",
    dtype: str = "uint8",
    channels: int = 1,
    voxel_size: tuple[int, float, float] = (40, 4.6, 4.6),
) -> LayerSpec:
    block = as_vec([c << k for c in chunk])
    kind = "image" if encoding == "raw" else "segmentation"
    return LayerSpec("layer", dtype, channels, roi, block, chunk, voxel_size, kind, encoding, 1)


def random_volume(spec: LayerSpec, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 200, (spec.channels, *spec.roi.shape)) * 1.0).astype(spec.dtype)


def write_layer(root: Path, spec: LayerSpec, volume: np.ndarray) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "info").write_text(json.dumps(spec.info()))
    for block in spec.grid.ids:
        part = volume[(slice(None), *spec.grid.box(block).slices(spec.roi.start))]
        write_block(root / spec.shard_name(block), spec, block, part, {"stage": "test"})


@pytest.mark.slow
@settings(max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    start=st.tuples(*[st.integers(-60, 60)] * 3),
    chunk=st.tuples(*[st.integers(1, 9)] * 3),
    k=st.integers(0, 3),
    encoding=st.sampled_from(ENCODINGS),
)
def test_layers_read_back_by_tensorstore_and_us(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    start: tuple[int, int, int],
    chunk: tuple[int, int, int],
    k: int,
    encoding: tuple[str, str],
) -> None:
    import tensorstore as ts

    root = tmp_path_factory.mktemp("layer")
    channels = 2 if encoding[0] == "raw" else 1
    spec = make_spec(Box.of_shape(shape, start), chunk, k, *encoding, channels=channels)
    volume = random_volume(spec)
    write_layer(root, spec, volume)
    np.testing.assert_array_equal(read_box(root, spec, spec.roi), volume)
    store = ts.open({"driver": "neuroglancer_precomputed", "kvstore": f"file://{root}"}).result()
    assert store.domain.origin[:3] == tuple(spec.roi.start[::-1])
    np.testing.assert_array_equal(store.read().result().transpose(3, 2, 1, 0), volume)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_layers_read_back_by_cloudvolume(tmp_path: Path, encoding: tuple[str, str]) -> None:
    from cloudvolume import CloudVolume

    spec = make_spec(Box((-5, 7, 3), (45, 60, 88)), (4, 8, 8), 2, *encoding)
    volume = random_volume(spec)
    write_layer(tmp_path / "l", spec, volume)
    cloud = CloudVolume(f"file://{tmp_path / 'l'}", progress=False)
    np.testing.assert_array_equal(np.asarray(cloud[:, :, :]).transpose(3, 2, 1, 0), volume)


def test_streaming_in_any_order_gives_the_same_voxels(tmp_path: Path) -> None:
    spec = make_spec(Box((0, 0, 0), (16, 30, 16)), (4, 8, 8), 2)
    volume = random_volume(spec)
    write_block(tmp_path / "a.shard", spec, 0, volume)
    with ShardWriter(tmp_path / "b.shard", spec, 0, {}) as writer:
        for z in (8, 0, 12, 4):
            writer.write(Box((z, 0, 0), (z + 4, 30, 16)), volume[:, z : z + 4])
    np.testing.assert_array_equal(read_block(tmp_path / "b.shard", spec, 0), volume)
    assert (tmp_path / "a.shard").read_bytes() == (tmp_path / "b.shard").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.shard", "b.shard"]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_noise_is_stored_and_what_shrinks_is_compressed(tmp_path: Path, dtype: str) -> None:
    spec = make_spec(Box((0, 0, 0), (128, 64, 64)), (64, 64, 64), 1, dtype=dtype)
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 64 * np.dtype(dtype).itemsize), np.uint8)
    volume = np.zeros((1, 128, 64, 64), dtype)
    volume[:, :64] = noise.view(dtype)
    write_block(tmp_path / "0.shard", spec, 0, volume)
    noisy, even = (noise.size + 30, 5000)
    assert noise.size < (tmp_path / "0.shard").stat().st_size < noisy + even
    assert read_block(tmp_path / "0.shard", spec, 0).tobytes() == volume.tobytes()


@given(st.integers(1, 300_000), st.integers(1, 255), st.integers(0, 9))
def test_storing_instead_of_compressing_costs_little(size: int, greys: int, level: int) -> None:
    data = np.random.default_rng(size).integers(0, greys, size, np.uint8).tobytes()
    found = level_worth(data, level)
    assert found in (0, level)
    assert len(compress(data, found)) <= 1.35 * len(compress(data, level)) + 30


@given(st.data())
def test_any_part_of_a_shard(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    spec = make_spec(Box((1, 2, 3), (14, 25, 36)), (4, 8, 8), 2)
    volume = random_volume(spec)
    path = tmp_path_factory.mktemp("part") / "0.shard"
    write_block(path, spec, 0, volume[(slice(None), *spec.grid.box(0).slices(spec.roi.start))])
    low, high = zip(
        *(
            sorted(data.draw(st.tuples(st.integers(a, b), st.integers(a, b))))
            for a, b in zip(spec.roi.start, spec.grid.box(0).stop, strict=True)
        ),
        strict=True,
    )
    box = Box(low, high)
    np.testing.assert_array_equal(ShardReader(path, spec, 0).read(box), volume[(slice(None), *box.slices(spec.roi.start))])


def test_nothing_is_left_of_an_unfinished_shard(tmp_path: Path) -> None:
    spec = make_spec(Box((0, 0, 0), (8, 16, 16)))
    zeros = np.zeros((1, 4, 16, 16), np.uint8)
    with pytest.raises(LayerError, match="were not written"), ShardWriter(tmp_path / "0.shard", spec, 0, {}) as writer:
        writer.write(Box((0, 0, 0), (4, 16, 16)), zeros)
    with pytest.raises(LayerError, match="written twice"), ShardWriter(tmp_path / "0.shard", spec, 0, {}) as writer:
        for _ in range(2):
            writer.write(Box((0, 0, 0), (4, 16, 16)), zeros)
    with pytest.raises(LayerError, match="expects"):
        write_block(tmp_path / "0.shard", spec, 0, np.zeros((8, 16, 16), np.uint16))
    with pytest.raises(KeyError), ShardWriter(tmp_path / "0.shard", spec, 0, {}):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", [0, 6])
def test_any_flipped_bit_of_the_data_is_found(tmp_path: Path, level: int) -> None:
    spec = LayerSpec("l", "uint8", 1, Box((0, 0, 0), (8, 16, 16)), (8, 16, 16), (4, 8, 8), (1, 1, 1), gzip=level)
    volume = random_volume(spec) // 50  # which is worth compressing
    path = tmp_path / "0.shard"
    write_block(path, spec, 0, volume, {"stage": "x"})
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            got = read_block(path, spec, 0)
        except LayerError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:  # the time and system bytes of a gzip header say nothing of the voxels
            np.testing.assert_array_equal(got, volume)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_shards_are_refused(tmp_path: Path, keep: float) -> None:
    spec = make_spec(Box((0, 0, 0), (8, 16, 16)))
    path = tmp_path / "0.shard"
    write_block(path, spec, 0, random_volume(spec))
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(LayerError, match=r"delete|run snakemake"):
        read_block(path, spec, 0)


@pytest.mark.parametrize(("chunk", "k"), [((4, 4, 8), 1), ((4, 8, 8), 0), ((2, 4, 4), 2), ((4, 8, 8), 2), ((1, 1, 1), 4)])
def test_shards_of_other_blocks_or_chunks_are_refused(tmp_path: Path, chunk: tuple[int, int, int], k: int) -> None:
    roi = Box((0, 0, 0), (40, 80, 80))
    spec, other = make_spec(roi, (4, 8, 8), 1), make_spec(roi, chunk, k)
    write_block(tmp_path / "3.shard", spec, 3, random_volume(spec)[(slice(None), *spec.grid.box(3).slices())])
    with pytest.raises(LayerError, match=r"3\.shard.* is corrupted or was written with other blocks or chunks; delete"):
        read_block(tmp_path / "3.shard", other, 3)


def test_missing_shard_is_named(tmp_path: Path) -> None:
    spec = make_spec(Box((0, 0, 0), (8, 16, 16)))
    with pytest.raises(LayerError, match=r"0\.shard is missing"):
        read_block(tmp_path / "0.shard", spec, 0)


@pytest.mark.parametrize(("block", "chunk"), [((8, 8, 8), (4, 4, 8)), ((12, 12, 12), (4, 4, 4)), ((4, 4, 4), (8, 8, 8))])
def test_blocks_that_are_not_a_power_of_two_of_chunks(block: tuple[int, int, int], chunk: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="2\\^k storage chunks"):
        LayerSpec("l", "uint8", 1, Box((0, 0, 0), (9, 9, 9)), block, chunk, (1, 1, 1))


tables = st.dictionaries(
    st.sampled_from(["a", "b/c", "b/d", "e/f/g"]),
    st.tuples(
        st.sampled_from(["uint32", "int64", "float64", "uint8"]), st.lists(st.integers(0, 5), min_size=1, max_size=3)
    ).map(lambda t: np.arange(np.prod(t[1])).reshape(t[1]).astype(t[0])),
)


@given(tables)
def test_sidecars_come_back_and_are_deterministic(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("side")
    write_tables(folder / "a.h5", arrays, {"stage": "s"})
    write_tables(folder / "b.h5", dict(reversed(arrays.items())), {"stage": "s"})
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()
    got = read_tables(folder / "a.h5")
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)
    record, data = read_record(folder / "a.h5"), (folder / "a.h5").read_bytes()
    covered, checksum = record.pop("content")
    assert record == {"stage": "s", "table_bytes": sum(array.nbytes for array in arrays.values())}
    assert checksum == zlib.crc32(data[:covered])
    assert data[covered:].startswith(b"{")


def test_damaged_sidecars_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_tables(path, {"big": np.random.default_rng(0).integers(0, 1 << 60, 20000)}, {})
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-5], b"", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(LayerError):
            read_tables(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    path.write_bytes(flipped)
    with pytest.raises(LayerError, match="corrupted"):
        read_tables(path)
    with pytest.raises(LayerError, match="missing"):
        read_tables(tmp_path / "none.h5")


def test_long_records(tmp_path: Path) -> None:
    spec = make_spec(Box((0, 0, 0), (8, 16, 16)))
    record = {"text": "x" * 10000}
    write_block(tmp_path / "0.shard", spec, 0, random_volume(spec), record)
    assert read_record(tmp_path / "0.shard") == record
    assert ShardReader(tmp_path / "0.shard", spec, 0).record == record


def test_every_ragged_grid_has_names_of_one_width() -> None:
    for shape in itertools.product((1, 5, 17), repeat=3):
        spec = make_spec(Box.of_shape(as_vec(shape)), (1, 1, 1), 0)
        assert len({len(spec.grid.name(b)) for b in spec.grid.ids}) == 1
