"""Contacts between the objects of a segmentation: against plain Python on the whole, for any tiles, formats and places."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroglancer.read_precomputed_annotations import AnnotationReader  # type: ignore[import-untyped]

from connectomake.cli import main
from connectomake.evaluation import tiles_of
from connectomake.geometry import Box
from connectomake.synapses import tally
from connectomake.synapses.contacts import contact_columns, contacts_of
from tests.test_overlap import volume

NAMES = [*"object_a object_b faces_z faces_y faces_x faces area_nm2 z y x axis z_nm y_nm x_nm".split()]  # noqa: SIM905
SIZE = (40.0, 8.0, 4.5)


def reference(a: Any, start: Any, size: Any, least: int = 1) -> list[tuple[Any, ...]]:
    """The rows by plain Python; areas and places as exact fractions."""
    found: dict[tuple[int, int], list[tuple[tuple[int, ...], int]]] = {}
    for place in np.ndindex(a.shape):
        for axis in range(3):
            below = tuple(p - (i == axis) for i, p in enumerate(place))
            if below[axis] >= 0 and a[place] and a[below] and a[place] != a[below]:
                low, high = sorted((int(a[place]), int(a[below])))
                found.setdefault((low, high), []).append((place, axis))
    rows = []
    for pair, faces in sorted(found.items()):
        if len(faces) < least:
            continue
        counts = [sum(axis == i for _, axis in faces) for i in range(3)]
        voxel = Fraction(size[0]) * Fraction(size[1]) * Fraction(size[2])
        area = sum(n * voxel / Fraction(v) for n, v in zip(counts, size, strict=True))
        twice = [sum(2 * (place[i] + start[i]) + (axis != i) for place, axis in faces) for i in range(3)]
        middle = [float(Fraction(t, 2 * len(faces)) * Fraction(v)) for t, v in zip(twice, size, strict=True)]
        at = [p + s for p, s in zip(faces[0][0], start, strict=True)]
        rows.append((*pair, *counts, len(faces), float(area), *at, "zyx"[faces[0][1]], *middle))
    return rows


def check(columns: Any, want: list[tuple[Any, ...]]) -> None:
    assert list(columns) == NAMES
    lists = [c if isinstance(c, list) else c.tolist() for c in columns.values()]
    for name, column, expected in zip(NAMES, lists, zip(*want, strict=True), strict=True) if want else []:
        if name in ("area_nm2", "z_nm", "y_nm", "x_nm"):
            np.testing.assert_allclose(column, expected, rtol=1e-13, atol=1e-9)
        else:
            assert column == list(expected), name
    assert len(lists[0]) == len(want)


shapes, tiles = st.tuples(*[st.integers(1, 6)] * 3), st.tuples(*[st.integers(1, 4)] * 3)
places = st.tuples(*[st.integers(-9, 99)] * 3)
sizes = st.tuples(*[st.sampled_from([0.5, 4.0, 18.6, 40.0])] * 3)


@settings(max_examples=40, deadline=None)
@given(shapes, tiles, places, sizes, st.integers(1, 3), st.integers(0, 2**31), st.integers(1, 6))
def test_the_table_is_that_of_plain_python(
    shape: Any, tile: Any, start: Any, size: Any, cell: int, seed: int, least: int
) -> None:
    a = volume(shape, seed, cell)
    a.flat[0] = a.flat[0] or 7  # there is an object
    box = Box.of_shape(shape, start)
    whole = contact_columns(contacts_of(lambda t: a[t.slices(start)], [box], box), box, size, least)
    check(whole, reference(a, start, size, least))
    cut = contact_columns(contacts_of(lambda t: a[t.slices(start)], tiles_of(box, tile)[::-1], box), box, size, least)
    for name, column in whole.items():
        assert column.tobytes() == cut[name].tobytes()


def test_more_pairs_than_are_kept_and_lines_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every voxel is an object of its own: rows are pushed out, the output fills up, parts are summed on the way."""
    from connectomake.synapses import contacts

    monkeypatch.setattr(contacts, "_CAPACITY", 10)
    monkeypatch.setattr(tally, "ROWS_KEPT", 100)
    shape = (9, 20, 23)
    a = np.random.default_rng(3).permutation(np.arange(1, 9 * 20 * 23 + 1, dtype=np.uint64)).reshape(shape)
    box = Box.of_shape(shape)
    found = contacts_of(lambda t: a[t.slices()], tiles_of(box, (4, 20, 23)), box)
    check(contact_columns(found, box, SIZE), reference(a, (0, 0, 0), SIZE))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    a = volume((9, 10, 11), 1, 3)
    with h5py.File("a.h5", "w") as file:
        file["cells"] = a
        file["nothing"] = np.zeros((4, 5, 6), np.uint8)
        file["sized"] = a
        file["sized"].attrs["resolution"] = SIZE
        file["scores"] = np.zeros((4, 5, 6), np.float32)
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{tmp_path}/a.zarr/"}}
    layout = ts.ChunkLayout(chunk_shape=(5, 6, 7))
    ts.open(spec, create=True, dtype=ts.uint64, shape=a.shape, chunk_layout=layout).result().write(a).result()
    return a


def call(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main(["contacts", *words])
    return ended.value.code


PLACED = ("--voxel-size", "40", "8", "4.5", "--offset", "2", "-3", "4")


def test_tables_and_annotations_hold_the_same(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    want = reference(folder, (2, -3, 4), SIZE, 2)
    for suffix in ("csv", "parquet", "arrow", "annotations"):
        assert not call("a.zarr", f"t.{suffix}", *PLACED, "--min-faces", "2")
        assert f"t.{suffix}: {len(want)} contacts" in capsys.readouterr().out
    check(pq.read_table("t.parquet").to_pydict(), want)
    with pa.memory_map("t.arrow") as file:
        check(pa.ipc.open_file(file).read_all().to_pydict(), want)
    lines = Path("t.csv").read_text().splitlines()
    assert lines[0] == ",".join(NAMES)
    assert [tuple(map(int, line.split(",")[:2])) for line in lines[1:]] == [row[:2] for row in want]
    reader = AnnotationReader(f"file://{Path('t.annotations').absolute()}/")
    for i, row in enumerate(want):
        note = reader.by_id[i + 1]
        np.testing.assert_allclose(np.array(note.point[::-1]) * SIZE, row[-3:], rtol=1e-6, atol=1e-4)
        assert [list(map(int, ids)) for ids in note.segments] == [list(row[:2])]
        assert row[5] in note.props
    of_first = [i + 1 for i, row in enumerate(want) if want[0][0] in row[:2]]
    assert [int(note.id) for note in reader.relationships["objects"][want[0][0]]] == of_first


def test_a_box_and_the_screen(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not call("a.h5", "--dataset", "sized", "--offset", "0", "0", "0", "--box", "1:8,0:9,2:10")
    shown = capsys.readouterr().out
    for row in reference(folder[1:8, :9, 2:10], (1, 0, 2), SIZE)[:20]:
        assert str(row[0]) in shown
        assert f"{row[6]:.0f}" in shown


def test_ids_are_taken_for_nothing(folder: Any) -> None:
    gone = [2, 2**64 - 1]
    want = reference(np.where(np.isin(folder, np.array(gone, np.uint64)), 0, folder), (2, -3, 4), SIZE)
    assert len(want) < len(reference(folder, (2, -3, 4), SIZE))
    assert not call("a.zarr", "t.parquet", *PLACED, *(word for i in gone for word in ("--ignore", str(i))))
    check(pq.read_table("t.parquet").to_pydict(), want)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a.zarr", "t.xlsx", *PLACED), "ends in none of .csv, .parquet, .arrow, .annotations"),
        (("gone.zarr",), "gone.zarr"),
        (("a.zarr",), "a.zarr has no voxel size, which areas and distances need; give it with --voxel-size Z Y X, in nm"),
        (("a.zarr", "--voxel-size", "4", "0", "4"), "--voxel-size 4.0 0.0 4.0 must be three positive lengths"),
        (("a.h5", "--dataset", "sized", "--voxel-size", "4", "4", "4"), "a.h5, [40.0, 8.0, 4.5] nm; leave it out, or correct"),
        (("a.h5", "--dataset", "nothing", *PLACED), "there is no object in z 2:6, y -3:2, x 4:10, only 0"),
        (("a.h5", "--dataset", "scores", *PLACED), "float32, which are not labels"),
        (("a.h5", "--dataset", "missing", *PLACED), "--dataset"),
        (("a.zarr", *PLACED, "--box", "0:3,0:3,0:3"), "--box 0:3,0:3,0:3 is not within what a.zarr holds, z 2:11"),
        (("a.zarr", *PLACED, "--missing", "x"), "--missing 'x' must be error or fill"),
    ],
)
def test_what_cannot_be_is_refused(folder: Any, words: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 1
    assert says in capsys.readouterr().err
