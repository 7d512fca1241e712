"""Tables whose fields are arrays: named in files, joined, rows taken."""

from dataclasses import dataclass

import numpy as np
import pytest

from connectomake.columns import Arrays, Columns


@dataclass(frozen=True, slots=True)
class Points(Columns):
    """Ids and places, a row each."""

    ids: np.ndarray
    places: np.ndarray


def points(start: int, stop: int) -> Points:
    ids = np.arange(start, stop, dtype=np.uint64)
    return Points(ids, np.stack([ids, ids * 2, ids * 3], 1))


def test_arrays_go_into_a_file_and_come_back_by_their_names() -> None:
    table = points(0, 4)
    named = table.arrays("nodes")
    assert list(named) == Points.names("nodes") == ["nodes/ids", "nodes/places"]
    again = Points.from_arrays({"other": np.zeros(1), **dict(reversed(named.items()))}, "nodes")
    assert again.ids is table.ids
    assert again.places is table.places
    with pytest.raises(KeyError, match="edges/ids"):
        Points.from_arrays(named, "edges")


def test_tables_are_joined_in_their_order() -> None:
    ids, places = Arrays.joined([points(2, 5), points(0, 0), points(0, 2)])
    np.testing.assert_array_equal(ids, [2, 3, 4, 0, 1])
    np.testing.assert_array_equal(places, [[2, 4, 6], [3, 6, 9], [4, 8, 12], [0, 0, 0], [1, 2, 3]])
    assert (ids.dtype, places.dtype) == (np.dtype(np.uint64), np.dtype(np.uint64))


@pytest.mark.parametrize("rows", [[3, 1, 1], [False, True, False, True], []])
def test_rows_are_taken_by_index_or_mask(rows: list[int]) -> None:
    chosen = np.array(rows, dtype=bool if rows and rows[0] is False else np.int64)
    table = points(0, 4)
    taken = table.take(chosen)
    assert type(taken) is Points
    assert len(taken) == len(table.ids[chosen])
    for found, column in zip(taken.columns(), table.columns(), strict=True):
        np.testing.assert_array_equal(found, column[chosen])
