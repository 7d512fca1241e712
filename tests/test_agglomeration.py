"""Agglomeration by blocks and octree against a whole-volume reference in plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.agglomeration import Rule
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


def rule_of(values, dtype):
    large = None if values["large_voxels"] is None else max(values["threshold"] or 0, 0.6)
    return Rule(**values, dtype=str(dtype), t_low=0.2, large_threshold=large)


@settings(max_examples=100)
@given(octrees(7), st.sampled_from(KINDS), RULES, st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_segments_are_those_of_the_whole_volume(octree, kind, values, min_size, seed):
    affinity = random_affinity(np.random.default_rng(seed), octree.grid.roi.shape, kind)
    rule = rule_of(values, affinity.dtype)
    ids, results, blocks = supervoxels_by_octree(affinity, octree, 0.2, 2.0)
    want, merges = reference_segments(ids, affinity, rule, min_size)
    got, ups, rows = segments_by_octree(results, blocks, octree, rule, min_size)
    assert rows == merges
    np.testing.assert_array_equal(got, want)
    objects = ComponentTable.concat(up.closed for up in ups.values())
    check_objects(objects.take(np.argsort(objects.key)), want, octree.grid.roi)
