"""Objects of one volume in those of another: against numpy on the whole, for any tiles, formats and places."""

from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.evaluation import overlap_columns, pairs_of, tiles_of
from connectomake.geometry import Box

IDS = np.array([0, 0, 1, 2, 5, 2**53 + 1, 2**53 + 2, 2**63, 2**64 - 1], np.uint64)
NAMES = ["object", "other", "rank", "voxels", "object_voxels", "share", "outside", "z", "y", "x"]


def volume(shape: tuple[int, ...], seed: int, cell: int = 1) -> Any:
    coarse = np.random.default_rng(seed).choice(IDS, [-(-n // cell) for n in shape])
    for axis in range(3):
        coarse = np.repeat(coarse, cell, axis)
    return np.ascontiguousarray(coarse[tuple(slice(n) for n in shape)])


def reference(a: Any, b: Any, start: tuple[int, ...], best: bool) -> list[tuple[Any, ...]]:
    """The rows by plain Python."""
    common: Counter[tuple[int, int]] = Counter()
    whole: Counter[int] = Counter()
    first: dict[tuple[int, int], tuple[int, ...]] = {}
    for place in np.ndindex(a.shape):
        i, j = int(a[place]), int(b[place])
        if i:
            whole[i] += 1
            common[i, j] += 1
            first.setdefault((i, j), tuple(p + s for p, s in zip(place, start, strict=True)))
    rows = []
    for i in sorted(whole):
        others = sorted((j for k, j in common if k == i and j), key=lambda j: (-common[i, j], j))
        for rank, j in enumerate(others[: 1 if best else None], 1):
            rows.append((i, j, rank, common[i, j], whole[i], common[i, j] / whole[i], common[i, 0], *first[i, j]))
        if not others:
            rows.append((i, 0, 0, 0, whole[i], 0.0, whole[i], *first[i, 0]))
    return rows


def rows_of(columns: Any) -> list[tuple[Any, ...]]:
    assert list(columns) == NAMES
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 7)] * 3),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.integers(1, 3),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_the_table_is_that_of_plain_python(shape: Any, tile: Any, cell: int, seed: int, best: bool) -> None:
    a, b = volume(shape, seed, cell), volume(shape, seed + 1, 2)
    box = Box.of_shape(shape, (3, -5, 7))
    pairs = pairs_of(lambda t: a[t.slices(box.start)], lambda t: b[t.slices(box.start)], tiles_of(box, tile), box)
    assert rows_of(overlap_columns(pairs, box, best=best)) == reference(a, b, box.start, best)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A in HDF5, B larger and elsewhere, in Zarr."""
    monkeypatch.chdir(tmp_path)
    a, b = volume((9, 10, 11), 1, 3), volume((12, 14, 20), 2, 4)
    with h5py.File("a.h5", "w") as file:
        file["nuclei"] = a
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{tmp_path}/b.zarr/"}}
    store = ts.open(
        spec, create=True, dtype=ts.uint64, shape=b.shape, chunk_layout=ts.ChunkLayout(chunk_shape=(5, 6, 7))
    ).result()
    store.write(b).result()
    return a, b


def call(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(["overlap", *words])
    return ended.value.code


PLACED = ("a.h5", "b.zarr", "--dataset-a", "nuclei", "--offset-a", "2", "3", "4", "--offset-b", "0", "0", "0")


@pytest.mark.parametrize("best", [False, True])
def test_volumes_of_any_format_are_compared_where_they_lie(folder: Any, best: bool, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folder
    want = reference(a, b[2:11, 3:13, 4:15], (2, 3, 4), best)
    more = ["--best"] if best else []
    assert not call(*PLACED[:2], "t.parquet", *PLACED[2:], *more)
    assert f"t.parquet: {len(want)} rows" in capsys.readouterr().out
    assert [tuple(row.values()) for row in pq.read_table("t.parquet").to_pylist()] == want
    assert not call(*PLACED[:2], "t.csv", *PLACED[2:], *more)
    lines = Path("t.csv").read_text().splitlines()
    assert lines[0] == ",".join(NAMES)
    assert [int(line.split(",")[0]) for line in lines[1:]] == [row[0] for row in want]


def test_a_box_and_the_screen(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folder
    assert not call(*PLACED, "--start", "3", "4", "5", "--stop", "8", "9", "10")
    shown = capsys.readouterr().out
    for row in reference(a[1:6, 1:6, 1:6], b[3:8, 4:9, 5:10], (3, 4, 5), best=False)[:20]:
        assert str(row[0]) in shown
    assert "share %" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a.h5", "b.zarr", "t.xlsx"), "ends in none of .csv, .parquet, .arrow"),
        (("a.h5", "gone.zarr", "--dataset-a", "nuclei"), "gone.zarr"),
        (("a.h5", "b.zarr", "--dataset-a", "nuclei"), "--offset-a"),
        (("a.h5", "b.zarr", "--dataset-a", "nuclei", "--missing-b", "x"), "--missing-b 'x' must be error or fill"),
    ],
)
def test_what_cannot_be_is_refused(folder: Any, words: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 1
    assert says in capsys.readouterr().err
