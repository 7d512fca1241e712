"""Agglomeration by blocks and octree against a whole-volume reference in plain Python."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.agglomeration import Rule, agglomerate_graph, region_graph, segments_at
from connectomake.geometry import Octree
from connectomake.tables import ComponentTable
from tests.agglomeration_reference import reference_segments, segments_by_octree, supervoxels_by_octree
from tests.test_octree import check_objects
from tests.test_watershed import octrees
from tests.watershed_reference import KINDS, random_affinity

RULES = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([None, 0.0, 0.3, 0.5, 0.7, 1.0]),
        "min_supervoxel": st.sampled_from([0, 2, 5, 12]),
        "absorb": st.sampled_from([0, 4, 20, 1000]),
        "large_voxels": st.sampled_from([None, 3, 10]),
    }
)


def rule_of(values: dict[str, Any], dtype: Any) -> Rule:
    large = None if values["large_voxels"] is None else max(values["threshold"] or 0, 0.6)
    return Rule(**values, dtype=str(dtype), t_low=0.2, large_threshold=large)


@pytest.mark.slow
@settings(max_examples=100)
@given(octrees(7), st.sampled_from(KINDS), RULES, st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_segments_are_those_of_the_whole_volume(octree: Octree, kind: str, values: Any, min_size: int, seed: int) -> None:
    affinity = random_affinity(np.random.default_rng(seed), octree.grid.roi.shape, kind)
    rule = rule_of(values, affinity.dtype)
    ids, results, blocks = supervoxels_by_octree(affinity, octree, 0.2, 2.0)
    want, merges = reference_segments(ids, affinity, rule, min_size)
    got, ups, rows = segments_by_octree(results, blocks, octree, rule, min_size)
    assert rows == merges
    np.testing.assert_array_equal(got, want)
    objects = ComponentTable.concat(up.closed for up in ups.values())
    check_objects(objects.take(np.argsort(objects.key)), want, octree.grid.roi)


@pytest.mark.slow  # most of it for compiling
@settings(max_examples=10)
@given(octrees(6), st.sampled_from(KINDS), RULES, st.integers(0, 2**32 - 1))
def test_every_fan_out_gives_what_the_whole_volume_does(octree: Octree, kind: str, values: dict[str, Any], seed: int) -> None:
    """The fan-out follows the memory that a job may take, so the same blocks may be joined through any tree."""
    affinity = random_affinity(np.random.default_rng(seed), octree.grid.roi.shape, kind)
    rule = rule_of(values, affinity.dtype)
    want, merges = None, None
    for bits in (1, 2, 3, 6):
        tree = Octree(octree.grid, bits)
        ids, results, blocks = supervoxels_by_octree(affinity, tree, 0.2, 2.0)
        if want is None:
            want, merges = reference_segments(ids, affinity, rule, 3)
        got, ups, rows = segments_by_octree(results, blocks, tree, rule, 3)
        assert rows == merges
        np.testing.assert_array_equal(got, want)
        objects = ComponentTable.concat(up.closed for up in ups.values())
        check_objects(objects.take(np.argsort(objects.key)), want, tree.grid.roi)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.integers(2, 40), RULES, st.sampled_from([0.2, 0.4, 0.6, 0.9]), st.integers(0, 2**32 - 1))
def test_the_history_holds_every_higher_threshold(labels: Any, values: Any, higher: Any, seed: Any) -> None:
    """Merges to a threshold are those of any lower one whose mean reaches it, size rules and all; but for absorption."""
    rng = np.random.default_rng(seed)
    shape = (4, 5, 6)
    supervoxels = rng.integers(0, labels, shape).astype(np.uint32)
    affinity = rng.integers(0, 6, (3, *shape)).astype(np.uint8) * 51
    low = rule_of({**values, "threshold": 0.2, "absorb": 0}, "uint8")
    edges, voxels = region_graph(supervoxels, affinity), np.bincount(supervoxels.ravel(), minlength=labels)
    at = Rule(
        **{**asdict(low), "threshold": higher, **({} if higher <= 0.6 else {"large_voxels": None, "large_threshold": None})}
    )
    want, _ = agglomerate_graph(edges, voxels, at)
    _, merges = agglomerate_graph(edges, voxels, low)
    keys = np.arange(1, labels, dtype=np.uint64)
    np.testing.assert_array_equal(segments_at(keys, merges, higher, "uint8"), want[1:])
