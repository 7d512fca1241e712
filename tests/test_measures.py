"""Surfaces against zmesh, points deep inside against a distance by brute force, blocks against the whole."""

from typing import Any

import numpy as np
import pytest
import zmesh
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import RunError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_tables
from connectomake.layers.slabs import halo_blocks
from connectomake.measures import measure_blocks, measure_slab
from connectomake.measures.depth import measure_depth, steps_of
from connectomake.objects import collect_measures
from connectomake.tables import ComponentTable, MeasureTable, voxel_of_key
from tests.test_meshes import blobs, layer_of, offsets

CELL = (4, 4, 4)


def whole(
    volume: np.ndarray, start: tuple[int, int, int], size: tuple[float, float, float], cell: tuple[int, int, int] = CELL
) -> MeasureTable:
    roi = Box.of_shape(volume.shape, start)
    layer = LayerSpec("segmentation", "uint64", 1, roi, roi.shape, roi.shape, size, "segmentation")
    return measure_slab(roi, np.pad(volume, 1), roi.grow(1), layer, cell)


def brute_depth(part: np.ndarray, size: tuple[int, int, float]) -> np.ndarray:
    """City-block distance in steps from each voxel to the nearest one of another label; outside is another label."""
    steps, padded = steps_of(size), np.pad(part.astype(np.int64), 1, constant_values=-1)
    places = np.indices(padded.shape).reshape(3, -1).T
    out = np.zeros(part.shape, np.int64)
    for place in np.ndindex(part.shape):
        other = places[padded.reshape(-1) != part[place]]
        out[place] = (np.abs(other - np.array(place) - 1) * steps).sum(axis=1).min()
    return out


@settings(max_examples=8)
@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(1, 12)] * 3), size=st.sampled_from([(1, 1, 1), (40, 4, 4.5)]))
def test_surface_is_that_of_zmesh(seed: int, shape: tuple[int, int, int], size: tuple[int, int, float]) -> None:
    volume = blobs(shape, seed)
    found = whole(volume, (0, 0, 0), size)
    mesher = zmesh.Mesher((2, 2, 2))
    mesher.mesh(np.pad(volume, 1), close=False)
    assert found.id.tolist() == sorted(mesher.ids())
    for row, name in enumerate(found.id.tolist()):
        mesh = mesher.get(name)
        a, b, c = ((mesh.vertices[mesh.faces[:, i]] / 2 * np.array(size)).astype(np.float64) for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
        assert found.area[row] * MeasureTable.area_unit(size) == pytest.approx(area, rel=1e-5)


@settings(max_examples=8)
@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(1, 7)] * 3), size=st.sampled_from([(1, 1, 1), (40, 4, 4.5)]))
def test_depth_is_the_distance_to_the_border(seed: int, shape: tuple[int, int, int], size: tuple[int, int, float]) -> None:
    part = blobs(shape, seed, 2).astype(np.uint32)
    far = np.zeros(shape, np.int64)
    measure_depth(part, steps_of(size), far)
    np.testing.assert_array_equal(far, brute_depth(part, size))


@pytest.mark.slow
@settings(max_examples=8)
@given(
    seed=st.integers(0, 99), start=offsets, shape=st.tuples(*[st.integers(3, 18)] * 3), cell=st.sampled_from([None, CELL]),
    block=st.sampled_from([(4, 8, 4), (8, 8, 8), (16, 4, 12)]),
)  # fmt: skip
def test_blocks_equal_the_whole(
    tmp_path_factory: pytest.TempPathFactory, seed: Any, start: Any, shape: Any, cell: Any, block: Any
) -> None:
    volume, size, root = blobs(shape, seed), (9.0, 4.0, 4.0), tmp_path_factory.mktemp("m")
    layer, shards, halos = layer_of(root, volume, start, block, tuple(b // 2 for b in block), size)
    tables = []
    for number in layer.grid.ids:
        tables.append(root / f"{number}.h5")
        needed = {i: halos[i] for i in halo_blocks(layer.grid, [number])}
        measure_blocks(tables[-1], layer, cell, {number: shards[number]}, needed)
    want = whole(volume, start, size, cell)
    found = MeasureTable.merge(MeasureTable.from_arrays(read_tables(path), "measures") for path in reversed(tables))
    for name, column in want.arrays("m").items():
        np.testing.assert_array_equal(found.arrays("m")[name], column)
    if cell is None:
        np.testing.assert_array_equal(found.inside, found.id.astype(np.int64))
        return
    for place, name in zip(voxel_of_key(found.inside.astype(np.uint64), layer.roi), found.id, strict=True):
        assert volume[tuple(place - np.array(start))] == name


def test_point_of_a_ball_is_its_middle() -> None:
    grid = np.indices((16, 16, 16)) - 7
    volume = ((grid**2).sum(axis=0) <= 36).astype(np.uint64)
    found = whole(volume, (0, 0, 0), (8.0, 8.0, 8.0), (16, 16, 16))
    (place,) = voxel_of_key(found.inside.astype(np.uint64), Box.of_shape((16, 16, 16)))
    assert place.tolist() == [7, 7, 7]


def test_objects_of_another_segmentation_are_noticed() -> None:
    table = ComponentTable.empty()
    assert len(collect_measures([], table).id) == 0
    one = ComponentTable(*(np.ones((1, *column.shape[1:]), column.dtype) for column in table.columns()))
    with pytest.raises(RunError, match="object 1 is only in one of"):
        collect_measures([], one)
