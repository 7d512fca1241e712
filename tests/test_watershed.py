"""The watershed by blocks and octree against a whole-volume reference in plain Python."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.components import WatershedRule, interior, interior_of_block, watershed, watershed_block
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import BlockGrid, Box, Octree
from connectomake.tables import ComponentTable
from tests.test_octree import check_objects
from tests.watershed_reference import (
    KINDS,
    edges_of,
    high_planes,
    random_affinity,
    reached,
    reference_watershed,
    watershed_by_octree,
)


@st.composite
def octrees(draw: st.DrawFn, most: int = 9) -> Octree:
    """Any small region, also below zero, and blocks that need not divide it."""
    shape = draw(st.tuples(*[st.integers(1, most)] * 3))
    block = draw(st.tuples(*[st.integers(1, 6)] * 3))
    start = draw(st.tuples(*[st.integers(-99, 99)] * 3))
    return Octree(BlockGrid(Box.of_shape(shape, start), block), draw(st.integers(1, 6)))


THRESHOLDS = st.sampled_from([(0.02, 0.995), (0.1, 0.8), (0.35, 0.36), (0.3334, 1.0), (0.2, 2.0), (1e-6, 1e-5)])


@settings(max_examples=200)
@given(octrees(), st.sampled_from(KINDS), THRESHOLDS, st.integers(0, 2**32 - 1))
def test_basins_are_those_of_the_whole_volume(octree: Octree, kind: str, thresholds: tuple[float, float], seed: int) -> None:
    affinity = random_affinity(np.random.default_rng(seed), octree.grid.roi.shape, kind)
    want = reference_watershed(affinity, *thresholds)
    got, _, _, summaries = watershed_by_octree(affinity, octree, *thresholds)
    np.testing.assert_array_equal(got, want)
    objects = ComponentTable.concat(s.closed for s in summaries.values())
    check_objects(objects.take(np.argsort(objects.key)), want, octree.grid.roi)


@settings(max_examples=50)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from(KINDS), THRESHOLDS, st.integers(0, 2**32 - 1))
def test_in_memory_labels_are_dense_in_the_order_of_first_voxels(
    shape: tuple[int, int, int], kind: str, thresholds: tuple[float, float], seed: int
) -> None:
    affinity = random_affinity(np.random.default_rng(seed), shape, kind)
    ids = reference_watershed(affinity, *thresholds)
    want = np.searchsorted(np.unique(np.append(ids, np.uint64(0))), ids)
    np.testing.assert_array_equal(watershed(affinity, *thresholds), want)


@settings(max_examples=100)
@given(octrees(), st.sampled_from(KINDS), st.sampled_from([1e-9, 0.3, 0.3334, 0.5, 0.8, 1.0]), st.integers(0, 2**32 - 1))
def test_the_boundary_is_that_of_the_whole_volume(octree: Octree, kind: str, t_boundary: float, seed: int) -> None:
    """By blocks and in memory the voxels none of whose edges reaches it; what is left of the objects is measured exactly."""
    grid = octree.grid
    affinity = random_affinity(np.random.default_rng(seed), grid.roi.shape, kind)
    want = np.zeros(grid.roi.shape, bool)
    for edge, value in edges_of(affinity).items():
        for voxel in edge:
            want[voxel] |= reached(value, t_boundary, affinity.dtype)
    np.testing.assert_array_equal(interior(affinity, t_boundary), want)
    whole, results, tables, _ = watershed_by_octree(affinity, octree, 0.02, 0.995)
    left, ids = [], []
    for b in grid.ids:
        box, place = grid.box(b), grid.box(b).slices(grid.roi.start)
        cut = np.ascontiguousarray(affinity[(slice(None), *place)])
        found = interior_of_block(results[b], cut, high_planes(affinity, box, grid.roi), t_boundary, box, grid.roi)
        np.testing.assert_array_equal(found.labels, np.where(want[place], results[b].labels, 0))
        left.append(found.table)
        ids.append(tables[b][1:])
    objects, rows = ComponentTable.concat(left).of_objects(np.concatenate(ids))
    check_objects(replace(rows, key=objects), np.where(want, whole, 0), grid.roi)


@pytest.mark.parametrize("value", [0, 5, 6, 200, 255])
def test_a_plateau_is_one_basin_or_nothing(value: int) -> None:
    """All edges tied: the fixed order of directions joins them into one; below t_low they are no edges."""
    labels = watershed(np.full((3, 5, 6, 7), value, np.uint8), 0.02, 0.995)
    assert np.all(labels == (value >= 6))


def test_a_tie_goes_to_one_edge() -> None:
    """On uint8, keeping every tied edge would join the two basins here through the voxel between them."""
    affinity = np.zeros((3, 1, 1, 4), np.uint8)
    affinity[2, 0, 0] = [0, 100, 100, 200]  # edges 0-1, 1-2, 2-3
    assert watershed(affinity, 0.02, 0.995).tolist() == [[[1, 1, 2, 2]]]


def test_uint8_thresholds_are_integers() -> None:
    found: tuple[Any, ...] = WatershedRule(0.35, 0.8).bounds("uint8")
    assert found == (90, 204), "89.25 is not reached by 89; 204/255 is .8 exactly"
    assert WatershedRule(0.35, 2).bounds("uint8")[1] > 255
    low, high = WatershedRule(0.1, 0.2).bounds("float32")
    assert (low, high) == (np.float32(0.1), np.float32(0.2))


@pytest.mark.parametrize("pair", [(0.5, 0.5), (0.6, 0.5), (0, 0.5), (-0.1, 0.5), (0.5, 2.1), (float("nan"), 1)])
def test_thresholds_out_of_order(pair: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"^t_low .* change one of them"):
        WatershedRule(*pair)


def test_wrong_arrays() -> None:
    rule, box = WatershedRule(0.1, 0.9), Box.of_shape((4, 4, 4))
    none = (None, None, None)
    with pytest.raises(RunError, match="three channels"):
        watershed_block(np.zeros((2, 4, 4, 4), np.uint8), none, rule, box, box)
    with pytest.raises(RunError, match="has shape"):
        watershed_block(np.zeros((3, 4, 4, 5), np.uint8), none, rule, box, box)
    with pytest.raises(ConfigError, match="float64"):
        watershed_block(np.zeros((3, 4, 4, 4)), none, rule, box, box)
    plane = np.zeros((4, 3), np.uint8)
    with pytest.raises(RunError, match="high y face"):
        watershed_block(np.zeros((3, 4, 4, 4), np.uint8), (None, plane, None), rule, box, box)


@pytest.mark.parametrize("place", [(0, 1, 2, 3), (1, 0, 0, 0), (2, 3, 3, 0)])
def test_nan_is_an_error(place: tuple[int, int, int, int]) -> None:
    affinity = np.full((3, 4, 4, 4), 0.5, np.float32)
    affinity[place] = np.nan
    with pytest.raises(RunError, match=r"is NaN; check the model") as caught:
        watershed(affinity, 0.1, 0.9)
    assert str(place[1:]) in str(caught.value)
