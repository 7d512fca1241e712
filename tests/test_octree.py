"""The merge octree against cc3d of the whole volume."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import LayerError, RunError
from connectomake.geometry import BlockGrid, Box, Octree
from connectomake.octree import (
    Adjacency,
    MemoryBlocks,
    down_node,
    lower_neighbours,
    merge_blocks,
    up_blocks,
    up_nodes,
)
from connectomake.octree.contacts import touching_labels
from connectomake.tables import ComponentTable
from tests.octree_reference import (
    assemble,
    components_of,
    down_path,
    label_blocks,
    merge_in_memory,
    merge_on_files,
    reference,
    segment,
)

CONNECTIVITY = st.sampled_from([6, 18, 26])


@st.composite
def octrees(draw: st.DrawFn, most: int = 12) -> Any:
    """Any small region, also below zero, and blocks that need not divide it."""
    shape = draw(st.tuples(*[st.integers(1, most)] * 3))
    block = draw(st.tuples(*[st.integers(1, 7)] * 3))
    start = draw(st.tuples(*[st.integers(-99, 99)] * 3))
    return Octree(BlockGrid(Box.of_shape(shape, start), block), draw(st.integers(1, 6)))


def check(values: np.ndarray, octree: Octree, threshold: float, connectivity: int, min_size: int) -> None:
    got, objects, _ = segment(values, octree, threshold, connectivity, min_size)
    want = reference(values > threshold, connectivity, min_size)
    np.testing.assert_array_equal(got, want)
    check_objects(objects, want, octree.grid.roi)


def check_objects(objects: ComponentTable, segmentation: np.ndarray, roi: Box) -> None:
    """Compare the object table with NumPy on the whole segmentation."""
    ids, inverse, count = np.unique(segmentation, return_inverse=True, return_counts=True)
    keep = ids > 0
    np.testing.assert_array_equal(objects.key, ids[keep])
    np.testing.assert_array_equal(objects.voxels, count[keep])
    position = np.indices(roi.shape).reshape(3, -1)
    for axis in range(3):
        sums = np.zeros(len(ids), np.int64)
        np.add.at(sums, inverse.ravel(), position[axis])
        np.testing.assert_array_equal(objects.sums[:, axis], sums[keep])
        for column, function, most in (("start", np.minimum, 2**40), ("stop", np.maximum, -(2**40))):
            edge = np.full(len(ids), most)
            function.at(edge, inverse.ravel(), position[axis] + roi.start[axis] + (column == "stop"))
            np.testing.assert_array_equal(getattr(objects, column)[:, axis], edge[keep])


@pytest.mark.slow
@settings(max_examples=200)
@given(octrees(), CONNECTIVITY, st.floats(0, 1), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_segmentation_equals_the_whole_volume(
    octree: Octree, connectivity: int, density: float, min_size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.random(octree.grid.roi.shape) < density).astype(np.float32)
    check(values, octree, 0.5, connectivity, min_size)


@pytest.mark.slow
@settings(max_examples=60)
@given(octrees(16), CONNECTIVITY, st.floats(0.05, 0.95), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_smooth_objects_across_many_blocks(
    octree: Octree, connectivity: int, threshold: float, min_size: int, seed: int
) -> None:
    from scipy.ndimage import uniform_filter

    values = uniform_filter(np.random.default_rng(seed).random(octree.grid.roi.shape), 3).astype(np.float32)
    check(values, octree, float(np.quantile(values, threshold)) if values.size > 1 else 0.5, connectivity, min_size)


@pytest.mark.slow
@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize("block", [(1, 1, 1), (2, 1, 3), (4, 4, 4), (3, 5, 2)])
def test_checkerboards_touch_by_edges_and_corners_only(connectivity: int, bits: int, block: tuple[int, int, int]) -> None:
    z, y, x = np.indices((5, 6, 7))
    octree = Octree(BlockGrid(Box.of_shape((5, 6, 7), (-3, 0, 11)), block), bits)
    for pattern in ((z + y + x) % 2 == 0, (z % 2 == 0) & (y % 2 == 0) & (x % 2 == 0), (z == y) & (y == x)):
        check(pattern.astype(np.uint8), octree, 0, connectivity, 0)
        check(pattern[:, ::-1].astype(np.uint8), octree, 0, connectivity, 3)
        check(pattern[:, :, ::-1].astype(np.uint8), octree, 0, connectivity, 0)


@pytest.mark.parametrize("density", [0, 1])
def test_empty_and_full_volumes(density: int) -> None:
    octree = Octree(BlockGrid(Box.of_shape((9, 9, 9)), (4, 2, 5)), 2)
    check(np.full((9, 9, 9), density, np.float32), octree, 0.5, 26, 2)


@settings(max_examples=100)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_contacts_of_planes_equal_all_pairs(rows: int, columns: int, budget: int, density: float, seed: int) -> None:
    """Planes of labels of components, so that neighbours within a plane share a label, compared pixel by pixel."""
    rng = np.random.default_rng(seed)
    connectivity = {0: 4, 1: 4, 2: 8}[budget]
    a, b = (components_of(rng.random((rows, columns)) < density, connectivity).astype(np.uint32) for _ in range(2))
    want = {
        (a[i, j], b[p, q])
        for i, j in np.ndindex(a.shape)
        for p, q in np.ndindex(b.shape)
        if a[i, j] and b[p, q] and max(abs(i - p), abs(j - q)) <= 1 and abs(i - p) + abs(j - q) <= budget
    }
    assert [tuple(pair) for pair in touching_labels(a, b, budget)] == sorted(want)


@pytest.mark.slow
@settings(max_examples=20)
@given(octrees(9), CONNECTIVITY, st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_files_give_the_same_as_memory(
    tmp_path_factory: pytest.TempPathFactory, octree: Octree, connectivity: int, min_size: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    values = (np.random.default_rng(seed).random(octree.grid.roi.shape) < 0.4).astype(np.uint8)
    results = label_blocks(values, octree, 0, connectivity)
    tables, _ = merge_in_memory(results, octree, connectivity, min_size)
    from_files, _ = merge_on_files(results, octree, connectivity, min_size, folder)
    for block, table in tables.items():
        np.testing.assert_array_equal(from_files[block], table)
    np.testing.assert_array_equal(assemble(results, from_files, octree), reference(values > 0, connectivity, min_size))


def test_only_what_touches_the_boundary_is_passed_up() -> None:
    values = np.zeros((16, 16, 16), np.uint8)
    values[::2, ::2, ::2] = 1
    octree = Octree(BlockGrid(Box.of_shape(values.shape), (4, 4, 4)), 3)
    _, objects, summaries = segment(values, octree, 0, 6, 0)
    assert len(objects) == 512
    # a node's objects lie at 0, 2, 4, 6 of its 8 voxels: only those at its low faces inside the region are open
    opened = sorted(len(s.passed.open) for (level, _), s in summaries.items() if level == 1)
    assert opened == [0, 16, 16, 16, 28, 28, 28, 37]
    top = summaries[octree.levels, 0].passed
    assert len(top.open) == len(top.members.key) == len(top.pair_key) == 0


def test_lower_neighbours_are_those_across_low_sides() -> None:
    octree = Octree(BlockGrid(Box.of_shape((8, 8, 8)), (2, 2, 2)), 3)
    assert lower_neighbours(octree, 0, Adjacency(6).offsets) == []
    grid = octree.grid
    high = octree.parent(0, grid.id_at((2, 2, 2)))
    near = lower_neighbours(octree, high, Adjacency(6).offsets)
    assert len(near) == 12
    assert all(min(grid.position(b)) == 1 for b in near)
    assert len(lower_neighbours(octree, high, Adjacency(26).offsets)) == 19


@pytest.fixture
def merged(tmp_path: Path) -> tuple[Path, Octree]:
    """Two runs on files: of one volume, and of another with the same grid."""
    octree = Octree(BlockGrid(Box.of_shape((8, 8, 8)), (2, 2, 2)), 3)
    for name, seed in (("a", 1), ("b", 2)):
        values = (np.random.default_rng(seed).random((8, 8, 8)) < 0.3).astype(np.uint8)
        merge_on_files(label_blocks(values, octree, 0, 6), octree, 6, 0, tmp_path / name)
    return tmp_path, octree


def test_files_of_different_runs_are_noticed(merged: tuple[Path, Octree]) -> None:
    folder, octree = merged
    mixed = {c: folder / ("b" if c else "a") / "up1" / f"{octree.name(1, c)}.h5" for c in octree.children(2, 0)}
    with pytest.raises(RunError, match="do not fit each other"):
        up_nodes(folder / "x.h5", octree, 2, 0, mixed, 0, {})
    up, parent = folder / "a" / "up1" / f"{octree.name(1, 0)}.h5", down_path(folder / "b", octree, 2, 0)
    with pytest.raises(RunError, match="not of the same run"):
        down_node(folder / "x.h5", octree, 1, 0, up, parent, {})
    assert not (folder / "x.h5").exists()


def test_a_missing_block_file_is_an_error(merged: tuple[Path, Octree]) -> None:
    folder, octree = merged
    files = {b: folder / "a" / f"{octree.grid.name(b)}.h5" for b in octree.grid.ids}
    files[3].unlink()
    with pytest.raises(LayerError, match="is missing"):
        up_blocks(folder / "x.h5", octree, 0, files, Adjacency(6), 0, {})
    assert not (folder / "x.h5").exists()


def test_faces_of_another_shape_are_an_error() -> None:
    octree = Octree(BlockGrid(Box.of_shape((4, 4, 4)), (2, 4, 4)), 3)
    other = Octree(BlockGrid(Box.of_shape((4, 4, 5)), (2, 4, 5)), 3)
    results = label_blocks(np.ones((4, 4, 4), np.uint8), octree, 0, 6)
    results[1] = label_blocks(np.ones((4, 4, 5), np.uint8), other, 0, 6)[1]
    with pytest.raises(RunError, match="have shapes"):
        merge_in_memory(results, octree, 6, 0)


def test_faces_and_tables_that_differ_are_an_error() -> None:
    octree = Octree(BlockGrid(Box.of_shape((4, 4, 4)), (2, 4, 4)), 1)
    results = label_blocks(np.ones((4, 4, 4), np.uint8), octree, 0, 6)
    empty = label_blocks(np.zeros((4, 4, 4), np.uint8), octree, 0, 6)
    for bits in (1, 6):
        for block in (0, 1):
            mixed = {**results, block: dataclasses.replace(results[block], table=empty[block].table)}
            with pytest.raises(RunError, match=f"table of block {block} do not fit"):
                merge_in_memory(mixed, Octree(octree.grid, bits), 6, 0)


def test_a_neighbour_outside_the_node_whose_table_differs_is_an_error() -> None:
    octree = Octree(BlockGrid(Box.of_shape((8, 2, 2)), (2, 2, 2)), 1)
    results = label_blocks(np.ones((8, 2, 2), np.uint8), octree, 0, 6)
    empty = label_blocks(np.zeros((8, 2, 2), np.uint8), octree, 0, 6)[1]
    tables = {b: empty.table if b == 1 else r.table for b, r in results.items()}
    blocks = MemoryBlocks(tables, {b: r.faces for b, r in results.items()})
    with pytest.raises(RunError, match="table of block 1 do not fit"):
        merge_blocks(octree, 1, blocks, Adjacency(6), 0)


def test_empty_tables_concatenate() -> None:
    assert len(ComponentTable.concat([])) == 0
