"""The patch lattice and the blending weights, against plain references."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.errors import ConfigError
from connectomake.geometry.box import Box, as_vec
from connectomake.geometry.lattice import PatchLattice
from connectomake.inference.bump import blend_weights, bump


def plain_starts(size: int, patch: int, overlap: int) -> list[int]:
    """The loop of the formula: 0, stride, …, the last moved inward."""
    if size <= patch:
        return [0]
    return [min(s, size - patch) for s in range(0, size - overlap, patch - overlap)]


@st.composite
def lattices(draw: st.DrawFn) -> PatchLattice:
    patch = [draw(st.integers(1, 7)) for _ in range(3)]
    overlap = [draw(st.integers(0, p - 1)) for p in patch]
    start = [draw(st.integers(-20, 20)) for _ in range(3)]
    size = [draw(st.integers(1, 25)) for _ in range(3)]
    return PatchLattice(Box.of_shape(as_vec(size), as_vec(start)), as_vec(patch), as_vec(overlap))


@given(lattices(), st.data())
def test_patches_meeting_is_the_filtered_whole_lattice(lattice: PatchLattice, data: st.DataObject) -> None:
    low = [data.draw(st.integers(a - 3, b + 2)) for a, b in zip(lattice.roi.start, lattice.roi.stop, strict=True)]
    high = [data.draw(st.integers(a + 1, b + 3)) for a, b in zip(low, lattice.roi.stop, strict=True) if b + 3 > a]
    box = Box(as_vec(low), as_vec(high))
    axes = [
        [lattice.roi.start[a] + s for s in plain_starts(lattice.roi.shape[a], lattice.patch[a], lattice.overlap[a])]
        for a in range(3)
    ]
    assert lattice.counts == tuple(len(a) for a in axes)
    expected = [p for p in itertools.product(*axes) if not Box.of_shape(lattice.patch, as_vec(p)).intersect(box).empty]
    found = lattice.patches_meeting(box)
    assert found.dtype == np.int64
    assert [tuple(p) for p in found.tolist()] == expected
    assert lattice.count(box) == len(expected)


@given(lattices(), st.tuples(*[st.integers(1, 12)] * 3))
def test_forward_passes_add_up_over_blocks(lattice: PatchLattice, block: tuple[int, int, int]) -> None:
    edges = [range(a, b, n) for a, b, n in zip(lattice.roi.start, lattice.roi.stop, block, strict=True)]
    boxes = [Box.of_shape(block, as_vec(p)).intersect(lattice.roi) for p in itertools.product(*edges)]
    assert lattice.forward_passes(block) == sum(lattice.count(box) for box in boxes)
    assert lattice.recompute_factor(block) >= 1


def test_a_huge_region_costs_nothing() -> None:
    lattice = PatchLattice(Box((-(2**40),) * 3, (2**40,) * 3), (64, 256, 256), (16, 64, 64))
    assert lattice.total > 2**90
    assert len(lattice.patches_meeting(Box((2**39,) * 3, (2**39 + 256,) * 3))) < 100


@pytest.mark.parametrize(("patch", "overlap"), [((4, 4, 4), (4, 0, 0)), ((4, 4, 4), (0, -1, 0)), ((0, 4, 4), (0, 0, 0))])
def test_overlap_must_fit(patch: tuple[int, int, int], overlap: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match=r"the (overlap|output patch) must be at least"):
        PatchLattice(Box((0, 0, 0), (9, 9, 9)), patch, overlap)


def plain_weights(patch: tuple[int, int, int], overlap: tuple[int, int, int]) -> np.ndarray:
    """The formula voxel by voxel."""
    values = np.zeros(patch)
    for position in np.ndindex(patch):
        u = [2 * (i + 1) / (n + 1) - 1 for i, n in zip(position, patch, strict=True)]
        values[position] = np.exp(sum(-1 / (1 - v * v) for v in u))
    if values.min() < values.max():
        values = np.interp(values, (values.min(), values.max()), (1, 1e6))
    stride = [p - o for p, o in zip(patch, overlap, strict=True)]
    wide = np.zeros([p + 2 * s for p, s in zip(patch, stride, strict=True)])
    for steps in itertools.product(range(3), repeat=3):
        wide[tuple(slice(k * s, k * s + p) for k, s, p in zip(steps, stride, patch, strict=True))] += values
    return values / wide[tuple(slice(s, s + p) for s, p in zip(stride, patch, strict=True))]


@pytest.mark.parametrize(
    ("patch", "overlap"),
    [
        ((4, 6, 8), (1, 2, 3)),
        ((5, 5, 5), (0, 0, 0)),
        ((1, 7, 9), (0, 3, 4)),
        ((6, 6, 6), (5, 4, 3)),
        ((1, 1, 1), (0, 0, 0)),
    ],
)
def test_weights_follow_the_formula(patch: tuple[int, int, int], overlap: tuple[int, int, int]) -> None:
    weights = blend_weights(patch, overlap)
    assert weights.dtype == np.float32
    assert weights.min() > 0
    np.testing.assert_allclose(weights, plain_weights(patch, overlap), rtol=1e-6)


def test_weights_of_a_regular_lattice_add_up_to_one() -> None:
    patch, overlap = (8, 10, 12), (2, 5, 4)
    weights = blend_weights(patch, overlap).astype(np.float64)
    total = np.zeros((40, 40, 40))
    for z, y, x in itertools.product(range(0, 32, 6), range(0, 30, 5), range(0, 28, 8)):
        total[z : z + 8, y : y + 10, x : x + 12] += weights
    np.testing.assert_allclose(total[8:30, 10:30, 12:28], 1, rtol=1e-6)


def test_bump_spans_one_to_a_million() -> None:
    values = bump((5, 7, 9))
    assert values.min() == 1
    assert values.max() == pytest.approx(1e6)
