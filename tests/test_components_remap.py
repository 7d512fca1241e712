"""The look-up from local labels to final ids."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import LayerError, RunError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, ShardReader, ShardWriter, write_block
from connectomake.segmentation import halo_planes, remap, remap_chunks

CODEC = "compressed_segmentation"


def test_remap_looks_up_every_voxel() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, (4, 5, 6), dtype=np.uint32)
    ids = np.concatenate([[0], rng.integers(1, 2**60, 49)]).astype(np.uint64)
    np.testing.assert_array_equal(remap(labels, ids), ids[labels])
    out = np.empty(labels.shape, np.uint64)
    assert remap(labels, ids, out) is out
    np.testing.assert_array_equal(remap(labels[:, 1:3], ids), ids[labels[:, 1:3]])


@pytest.mark.parametrize("length", [0, 5])
def test_a_label_without_an_id_is_an_error(length: int) -> None:
    with pytest.raises(RunError, match="label 7 has no id"):
        remap(np.full((1, 1, 3), 7, np.uint32), np.zeros(length, np.uint64))


def test_halo_is_the_low_planes() -> None:
    block = np.arange(24, dtype=np.uint64).reshape(2, 3, 4)
    halo = halo_planes(block)
    np.testing.assert_array_equal(halo["halo/z"], block[0])
    np.testing.assert_array_equal(halo["halo/y"], block[:, 0])
    np.testing.assert_array_equal(halo["halo/x"], block[:, :, 0])


def specs(roi: Box, block: tuple[int, int, int], chunk: tuple[int, int, int]) -> list[LayerSpec]:
    """The layers of local labels and of final ids."""
    return [LayerSpec("l", d, 1, roi, block, chunk, (1, 1, 1), "segmentation", CODEC) for d in ("uint32", "uint64")]


@settings(deadline=None)
@given(st.integers(1, 19), st.integers(1, 19), st.integers(1, 19), st.integers(1, 60), st.integers(1, 60))
def test_chunks_give_what_the_whole_block_gives(z: int, y: int, x: int, labels: int, objects: int) -> None:
    roi = Box((5, -2, 0), (5 + 2 * z, 2 * y - 3, x))
    local, final = specs(roi, (16, 32, 32), (8, 16, 16))
    rng = np.random.default_rng(z + y + x)
    ids = np.concatenate([[0], rng.choice(rng.integers(0, 2**60, objects), labels)]).astype(np.uint64)
    with tempfile.TemporaryDirectory() as folder:
        for block in local.grid.ids:
            before = rng.integers(0, labels + 1, local.grid.box(block).shape).astype(np.uint32)
            names = [Path(folder, f"{block}.{name}.shard") for name in ("local", "final", "again")]
            write_block(names[0], local, block, before, {})
            with ShardWriter(names[1], final, block, {}) as writer:
                halo = remap_chunks(ShardReader(names[0], local, block), writer, final, block, ids)
            after = remap(before, ids)
            write_block(names[2], final, block, after, {})
            assert names[1].read_bytes() == names[2].read_bytes()
            assert halo.keys() == halo_planes(after).keys()
            for name, plane in halo_planes(after).items():
                np.testing.assert_array_equal(halo[name], plane)


def test_a_shard_with_a_label_without_an_id_is_not_made(tmp_path: Path) -> None:
    roi = Box.of_shape((8, 8, 8))
    local, final = specs(roi, (8, 8, 8), (4, 4, 4))
    write_block(tmp_path / "0.shard", local, 0, np.full(roi.shape, 7, np.uint32), {})
    reader = ShardReader(tmp_path / "0.shard", local, 0)
    for count in (0, 7):
        with pytest.raises(RunError, match="label 7 has no id"), ShardWriter(tmp_path / "1.shard", final, 0, {}) as writer:
            remap_chunks(reader, writer, final, 0, np.arange(count, dtype=np.uint64))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.shard"]


def test_chunks_of_another_shape_are_refused(tmp_path: Path) -> None:
    local, other = (specs(Box.of_shape(s), s, s)[0] for s in ((8, 8, 8), (64, 64, 64)))
    write_block(tmp_path / "0.shard", local, 0, np.arange(512, dtype=np.uint32).reshape(8, 8, 8), {})
    with pytest.raises(LayerError, match="was written with other blocks or chunks"):
        ShardReader(tmp_path / "0.shard", other, 0).relabel((0, 0, 0), np.zeros(1, np.uint64))
