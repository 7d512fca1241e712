"""The object table and the segment properties."""

import json
from pathlib import Path

import numpy as np
import pytest

from connectomake.errors import LayerError, RunError
from connectomake.geometry import BlockGrid, Box, Octree
from connectomake.objects import collect, read_parquet, segment_properties, write_parquet, write_segment_properties
from tests.octree_reference import label_blocks, merge_on_files, reference

SHAPE, START, VOXEL = (13, 14, 15), (-4, 100, 7), (40.0, 4.0, 4.5)


def run(folder: Path, block: tuple[int, int, int], bits: int) -> tuple[list[Path], Box, np.ndarray]:
    values = (np.random.default_rng(5).random(SHAPE) < 0.08).astype(np.uint8)
    octree = Octree(BlockGrid(Box.of_shape(SHAPE, START), block), bits)
    _, up = merge_on_files(label_blocks(values, octree, 0, 18), octree, 18, 4, folder)
    return list(up.values()), octree.grid.roi, reference(values > 0, 18, 4)


@pytest.mark.slow
def test_table_equals_numpy_and_does_not_depend_on_blocks(tmp_path: Path) -> None:
    written = []
    for i, (block, bits) in enumerate([((4, 4, 4), 3), ((13, 14, 15), 6), ((5, 3, 8), 1)]):
        files, roi, segmentation = run(tmp_path / str(i), block, bits)
        path = tmp_path / f"{i}.parquet"
        write_parquet(path, collect(reversed(files)), roi, VOXEL)
        written.append(path.read_bytes())
    assert len(set(written)) == 1
    table = read_parquet(tmp_path / "0.parquet")
    ids, count = np.unique(segmentation[segmentation > 0], return_counts=True)
    np.testing.assert_array_equal(table["id"], ids)
    np.testing.assert_array_equal(table["voxels"], count)
    for row, label in enumerate(ids):
        place = np.argwhere(segmentation == label) + np.array(START)
        for i, axis in enumerate("zyx"):
            assert table[f"start_{axis}"][row] == place[:, i].min()
            assert table[f"stop_{axis}"][row] == place[:, i].max() + 1
            assert table[f"centroid_{axis}_nm"][row] == pytest.approx((place[:, i].mean() + 0.5) * VOXEL[i])


def test_segment_properties_list_the_largest(tmp_path: Path) -> None:
    files, _, _ = run(tmp_path, (4, 4, 4), 3)
    table = collect(files)
    info = segment_properties(table, 3)
    assert info["@type"] == "neuroglancer_segment_properties"
    label, size = info["inline"]["properties"]
    assert label["values"] == ["#1", "#2", "#3"]
    assert size["values"] == sorted(table.voxels.tolist(), reverse=True)[:3]
    assert size["data_type"] == "uint32"
    assert int(info["inline"]["ids"][0]) == table.key[table.voxels.argmax()]
    many = table.take(np.arange(12) % len(table.key))
    labels = segment_properties(many, 100)["inline"]["properties"][0]["values"]
    assert labels == [f"#{i:02}" for i in range(1, 13)] == sorted(labels)
    write_segment_properties(tmp_path / "properties" / "info", table, 3)
    assert json.loads((tmp_path / "properties" / "info").read_text()) == info
    assert segment_properties(table.take(np.zeros(0, int)), 3)["inline"]["ids"] == []


def test_sizes_beyond_uint32_become_float32(tmp_path: Path) -> None:
    files, _, _ = run(tmp_path, (13, 14, 15), 3)
    table = collect(files).take(np.arange(1))
    table.voxels[0] = 2**40
    size = segment_properties(table, 10)["inline"]["properties"][1]
    assert (size["data_type"], size["values"]) == ("float32", [float(2**40)])


def test_an_object_in_two_files_is_noticed(tmp_path: Path) -> None:
    files, _, _ = run(tmp_path, (13, 14, 15), 6)
    with pytest.raises(RunError, match="in two merge files"):
        collect([*files, *files])


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="is missing"):
        read_parquet(tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(LayerError, match="is corrupted"):
        read_parquet(tmp_path / "bad.parquet")
