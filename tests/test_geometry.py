"""Boxes, Morton ids, grids and the octree."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box, CellLattice, Octree, as_vec, lower_offsets, morton, upper_offsets

shapes = st.tuples(*[st.integers(1, 40)] * 3)
blocks = st.tuples(*[st.integers(1, 17)] * 3)
starts = st.tuples(*[st.integers(-50, 50)] * 3)
grids = st.builds(lambda shape, start, block: BlockGrid(Box.of_shape(shape, start), block), shapes, starts, blocks)


@given(st.tuples(*[st.integers(0, 6)] * 3), st.data())
def test_morton_is_a_bijection(bits: tuple[int, int, int], data: st.DataObject) -> None:
    position = as_vec([data.draw(st.integers(0, (1 << b) - 1)) for b in bits])
    code = morton.encode(position, bits)
    assert 0 <= code < 1 << sum(bits)
    assert morton.decode(code, bits) == position


def test_morton_puts_x_lowest() -> None:
    assert [morton.encode(p, (1, 1, 1)) for p in [(0, 0, 1), (0, 1, 0), (1, 0, 0)]] == [1, 2, 4]


@given(grids)
def test_blocks_tile_the_region(grid: BlockGrid) -> None:
    count = np.zeros(grid.roi.shape, int)
    for block in grid.ids:
        count[grid.box(block).slices(grid.roi.start)] += 1
        assert grid.id_at(grid.position(block)) == block == morton.encode(grid.position(block), grid.bits)
        assert grid.parse(grid.name(block)) == block
    assert (count == 1).all()
    assert len(grid.ids) == grid.count


@given(grids, st.data())
def test_voxels_are_found_in_their_block(grid: BlockGrid, data: st.DataObject) -> None:
    voxel = as_vec([data.draw(st.integers(a, b - 1)) for a, b in zip(grid.roi.start, grid.roi.stop, strict=True)])
    assert grid.box(grid.id_of_voxel(voxel)).contains_voxel(voxel)


@given(grids, starts, shapes)
def test_blocks_meeting_a_box(grid: BlockGrid, start: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    box = Box.of_shape(shape, start)
    expected = {b for b in grid.ids if not grid.box(b).intersect(box).empty}
    assert set(grid.ids_meeting(box)) == expected


def test_ids_of_no_block_are_refused() -> None:
    grid = BlockGrid(Box((0, 0, 0), (1, 1, 5)), (1, 1, 1))
    for name in ("5", "7", "8", "00", "x", "-1", "+1", "0_1"):
        with pytest.raises(ConfigError, match="does not exist"):
            grid.parse(name)
    with pytest.raises(ConfigError, match="outside"):
        grid.id_of_voxel((0, 0, 5))


@given(grids, st.integers(1, 6))
def test_octree_nodes_are_boxes_of_their_blocks(grid: BlockGrid, bits: int) -> None:
    tree = Octree(grid, bits)
    assert tree.nodes(tree.levels) == (0,)
    for level in range(1, tree.levels + 1):
        seen = []
        for node in tree.nodes(level):
            under = tree.blocks(level, node)
            box = tree.box(level, node)
            assert box.volume == sum(grid.box(b).volume for b in under)
            assert all(box.contains(grid.box(b)) for b in under)
            assert all(tree.parent(level - 1, c) == node for c in tree.children(level, node))
            assert tree.parse(level, tree.name(level, node)) == node
            assert len(tree.children(level, node)) <= 1 << bits
            seen += under
        assert sorted(seen) == list(grid.ids)


@given(grids, st.integers(0, 9), st.integers(0, 4))
def test_prefixes_are_those_of_all_ids_though_none_is_listed(grid: BlockGrid, low_bits: int, bits: int) -> None:
    listed = sorted({block >> low_bits for block in grid.ids})
    assert grid.prefixes(low_bits) == tuple(listed)
    assert grid.prefix_count(low_bits) == len(listed)
    assert [p for p in range(-1, listed[-1] + 3) if grid.has_prefix(low_bits, p)] == listed
    above = low_bits + bits
    for prefix in {block >> above for block in grid.ids}:
        assert grid.below(above, bits, prefix) == [p for p in listed if p >> bits == prefix]


@pytest.mark.parametrize(("connectivity", "count"), [(6, 3), (18, 9), (26, 13)])
def test_lower_offsets_are_half_of_all(connectivity: int, count: int) -> None:
    low = lower_offsets(connectivity)
    assert len(low) == count
    assert not {tuple(-v for v in o) for o in low} & set(low)


def test_upper_offsets() -> None:
    assert len(upper_offsets()) == 7


@given(grids, blocks)
def test_cells_tile_the_region(grid: BlockGrid, cell: tuple[int, int, int]) -> None:
    lattice = CellLattice(grid.roi, cell)
    positions = list(lattice.positions_in(grid.roi))
    assert positions == list(itertools.product(*(range(n) for n in lattice.shape)))
    assert sum(lattice.box(p).volume for p in positions) == grid.roi.volume


@given(shapes, starts, shapes, starts)
def test_boxes_agree_with_arrays(
    shape_a: tuple[int, int, int], start_a: tuple[int, int, int], shape_b: tuple[int, int, int], start_b: tuple[int, int, int]
) -> None:
    a, b = Box.of_shape(shape_a, start_a), Box.of_shape(shape_b, start_b)
    ends = zip(a.start, a.stop, b.start, b.stop, strict=True)
    ranges = [set(range(*p)) & set(range(*q)) for *p, q in ((a0, a1, (b0, b1)) for a0, a1, b0, b1 in ends)]
    assert a.intersect(b).volume == np.prod([len(r) for r in ranges])
    assert a.union(b).contains(a)
    assert a.union(b).contains(b)
    assert a.contains(a.intersect(b))
