"""One union-find for all stages, against SciPy's."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from connectomake.union_find import number, sets, unite

SOURCE = Path(__file__).resolve().parents[1] / "src"


@pytest.mark.parametrize(("count", "pairs"), [(1, 0), (7, 3), (50, 20), (500, 400), (2000, 5000)])
def test_sets_are_those_of_scipy(count: int, pairs: int) -> None:
    chosen = np.random.default_rng(count).integers(0, count, (pairs, 2))
    graph = coo_array((np.ones(len(chosen)), chosen.T), shape=(count, count))
    expected_count, group = connected_components(graph, directed=False)
    smallest = np.full(expected_count, count)
    np.minimum.at(smallest, group, np.arange(count))
    first = unite(count, chosen)
    assert np.array_equal(first, smallest[group])
    numbers, found = sets(count, chosen)
    assert found == expected_count
    assert np.array_equal(numbers, np.unique(first, return_inverse=True)[1])  # numbered by the smallest member


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_numbers_begin_where_asked(dtype: type[np.generic]) -> None:
    parents = np.array([0, 0, 2, 1, 2, 5], dtype)
    assert number(parents, 1) == 3
    assert parents.tolist() == [1, 1, 2, 1, 2, 3]


def test_no_other_module_follows_parents() -> None:
    halving = re.compile(r"while (\w+)\[(\w+)\] != \2\b")
    found = [p.relative_to(SOURCE).as_posix() for p in sorted(SOURCE.rglob("*.py")) if halving.search(p.read_text())]
    assert found == ["connectomake/union_find.py"]
