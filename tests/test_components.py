"""Labelling of one block against cc3d and NumPy."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.components import label_block, threshold_for
from connectomake.components.files import write_block_tables
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box, as_vec
from connectomake.layers import read_record, read_tables
from connectomake.layers.records import encode_record
from connectomake.tables import ComponentTable, voxel_of_key
from tests.octree_reference import components_of

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20))


def first_voxels(labels: np.ndarray) -> np.ndarray:
    """Replace each label by 1 + raster index of its first voxel."""
    values, first = np.unique(labels, return_index=True)
    ids = np.where(values == 0, 0, first + 1).astype(np.uint64)
    return ids[np.searchsorted(values, labels)]


def measured(labels: np.ndarray, box: Box, roi: Box) -> list[tuple[Any, ...]]:
    """Compute the table with NumPy, one label at a time."""
    rows = []
    for label in range(1, int(labels.max(initial=0)) + 1):
        place = np.argwhere(labels == label) + np.array(box.start)
        inside = place - np.array(roi.start)
        key = 1 + np.ravel_multi_index(tuple(inside[0]), roi.shape)
        rows.append((key, len(place), place.min(axis=0), place.max(axis=0) + 1, inside.sum(axis=0)))
    return rows


def check_table(table: ComponentTable, labels: np.ndarray, box: Box, roi: Box) -> None:
    rows = measured(labels, box, roi)
    assert len(table) == len(rows)
    for i, (key, voxels, start, stop, sums) in enumerate(rows):
        assert (table.key[i], table.voxels[i]) == (key, voxels)
        for got, want in ((table.start[i], start), (table.stop[i], stop), (table.sums[i], sums)):
            np.testing.assert_array_equal(got, want)


@given(SHAPES, st.sampled_from([6, 18, 26]), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans())
def test_labels_and_table_equal_the_reference(
    shape: tuple[int, int, int], connectivity: int, density: float, seed: int, as_bytes: bool
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.random(shape) < density).astype(np.float32)
    offset = as_vec([int(v) for v in rng.integers(-50, 50, 3)])
    roi = Box.of_shape(as_vec([s + 7 for s in shape]), offset)
    box = Box.of_shape(shape, as_vec([o + int(v) for o, v in zip(offset, rng.integers(0, 7, 3), strict=True)]))
    result = label_block((values * 255).astype(np.uint8) if as_bytes else values, 0.5, connectivity, box, roi)
    expected = components_of(values > 0.5, connectivity)
    np.testing.assert_array_equal(first_voxels(result.labels), first_voxels(expected))
    assert result.labels.dtype == np.uint32
    firsts = np.unique(result.labels, return_index=True)[1][1 if (result.labels == 0).any() else 0 :]
    assert (np.diff(firsts) > 0).all()
    check_table(result.table, result.labels, box, roi)
    np.testing.assert_array_equal(voxel_of_key(result.table.key, roi)[:, 0], result.table.start[:, 0])
    np.testing.assert_array_equal(result.faces.y1, result.labels[:, -1])
    np.testing.assert_array_equal(result.faces.x0, result.labels[:, :, 0])


@pytest.mark.parametrize("threshold", [0, 0.2, 0.28, 0.35, 0.5, 0.6, 0.8, 0.999])
def test_uint8_threshold_is_an_integer(threshold: float) -> None:
    from fractions import Fraction

    bound = threshold_for(threshold, "uint8")
    for value in range(256):
        assert (value > bound) == (Fraction(value, 255) > Fraction(str(threshold)))


def test_float_threshold_compares_as_numpy_does() -> None:
    values = np.array([0.1, 0.3, np.nextafter(np.float32(0.3), np.float32(1)), 0.9], np.float32).reshape(1, 1, 4)
    box = Box.of_shape(values.shape)
    np.testing.assert_array_equal(label_block(values, 0.3, 6, box, box).labels > 0, values > 0.3)


@pytest.mark.parametrize("threshold", [-0.1, 1, 1.5, float("nan")])
def test_bad_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="the threshold must be at least 0 and below 1, got"):
        threshold_for(threshold, "uint8")


def test_bad_values_are_refused() -> None:
    box = Box.of_shape((2, 3, 9), (-5, 0, 7))
    values = np.zeros(box.shape, np.float32)
    values[1, 2, 8] = np.nan
    with pytest.raises(RunError, match=r"\(-4, 2, 15\)"):
        label_block(values, 0.5, 6, box, box)
    with pytest.raises(ConfigError, match="connectivity must be 6, 18 or 26, got 8"):
        label_block(np.zeros(box.shape, np.float32), 0.5, 8, box, box)
    with pytest.raises(ConfigError, match="int16"):
        label_block(np.zeros(box.shape, np.int16), 0.5, 6, box, box)
    with pytest.raises(RunError, match="has shape"):
        label_block(np.zeros((2, 3, 8), np.float32), 0.5, 6, box, box)


def test_block_file_holds_table_and_faces(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5, 6, 7)) < 0.4
    box = Box.of_shape(values.shape)
    result = label_block(values, 0, 26, box, box)
    paths = [tmp_path / "a" / "0.h5", tmp_path / "b" / "0.h5"]
    for path in paths:
        write_block_tables(path, result, {"stage": "components"})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    arrays, record = read_tables(paths[0]), read_record(paths[0])
    data = paths[0].read_bytes().removesuffix(encode_record(record))
    held = sum(array.nbytes for array in arrays.values())
    assert record == {"stage": "components", "content": [len(data), zlib.crc32(data)], "table_bytes": held}
    np.testing.assert_array_equal(ComponentTable.from_arrays(arrays, "table").sums, result.table.sums)
    for name in ("z0", "z1", "y0", "y1", "x0", "x1"):
        np.testing.assert_array_equal(arrays[f"faces/{name}"], getattr(result.faces, name))


def test_one_long_run_beyond_the_first_capacity() -> None:
    values = np.zeros((1, 4, 4000), np.uint8)
    values[..., ::2] = 255
    box = Box.of_shape(values.shape)
    assert len(label_block(values, 0.5, 6, box, box).table) == 2000
