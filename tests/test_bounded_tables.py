"""Tables of a whole run in bounded memory: the same bytes as from everything at once, in memory that does not grow with it."""

import errno
import io
import itertools
import tempfile
import tracemalloc
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.agglomeration.files import canonical, read_merges, write_history
from connectomake.agglomeration.history import merges_in_order
from connectomake.agglomeration.solve import ABSORBED, MEAN, SMALL, Merges, concat
from connectomake.errors import ConfigError, LayerError, RunError, StorageError
from connectomake.geometry import Box
from connectomake.layers import KeySample, Spill, columns, read_batches, read_columns, spill, write_columns, write_tables
from connectomake.layers.parquet_seal import seal
from connectomake.layers.records import PARQUET_CHECKSUMS_KEY, PARQUET_KEY, checksum_of
from connectomake.objects import (
    ObjectFiles,
    collect,
    collect_interiors,
    collect_lengths,
    collect_measures,
    overview,
    rows_of,
    select,
    select_from,
    sizes,
    write_objects,
    write_parquet,
    write_segment_properties,
)
from connectomake.pipeline import checks
from connectomake.tables import ComponentTable, MeasureTable

ROI, VOXEL = Box.of_shape((100, 200, 300), (5, -7, 0)), (40.0, 4.0, 4.5)
KEYS = st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=8)


@pytest.mark.slow
@given(KEYS, st.integers(1, 40))
def test_rows_come_back_by_range_in_the_order_they_came(
    tmp_path_factory: pytest.TempPathFactory, tables: Any, rows: Any
) -> None:
    folder, sample = tmp_path_factory.mktemp("spill"), KeySample()
    for keys in tables:
        sample.add(np.array(keys, np.uint64))
    cuts = sample.cuts(rows)
    put = Spill(folder / "table", cuts, {"key": np.zeros(0, np.uint64), "place": np.zeros((0, 2), np.int64)})
    for i, keys in enumerate(tables):
        key = np.array(keys, np.uint64)
        put.add(key, {"key": key, "place": np.stack([np.full(len(key), i), np.arange(len(key))], axis=-1)})
    got = [put.take(number) for number in put.ranges]
    assert list(folder.iterdir()) == [], "what waits has no name"
    place = np.concatenate([part["place"] for part in got])
    wanted = sorted((int(np.searchsorted(cuts, k, side="right")), i, j) for i, t in enumerate(tables) for j, k in enumerate(t))
    assert [tuple(row) for row in place.tolist()] == [row[1:] for row in wanted]
    key = np.concatenate([part["key"] for part in got])
    assert [tables[i][j] for i, j in place.tolist()] == key.tolist()


@pytest.mark.parametrize("largest", [50, 10**6])
def test_ranges_have_about_the_rows_that_were_asked_for(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    monkeypatch.setattr(spill, "_SAMPLE", 500)
    sample, rng, every = KeySample(), np.random.default_rng(3), []
    for _ in range(40):
        every.append(rng.integers(0, largest, rng.integers(0, 900)).astype(np.uint64))
        sample.add(every[-1])
    keys = np.concatenate(every)
    cuts = sample.cuts(1000)
    rows = np.bincount(np.searchsorted(cuts, keys, side="right"))
    assert len(rows) > 10
    assert rows.max() < 2000


def plain_parquet(path: Path, table: Any, record: dict[str, int]) -> None:
    """What Arrow writes of the whole table at once."""
    arrow = pa.table({name: pa.array(column) for name, column in table.items()})
    checksums = {name: checksum_of(name, column) for name, column in table.items()}
    text = ["".join(str(value).split()).replace("'", '"') for value in (record, dict(sorted(checksums.items())))]
    arrow = arrow.replace_schema_metadata({PARQUET_KEY: text[0], PARQUET_CHECKSUMS_KEY: text[1]})
    pq.write_table(arrow, path, compression="zstd", row_group_size=columns._GROUP)
    seal(path)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(0, 99))
def test_batches_give_the_bytes_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int], group: int, seed: int
) -> None:
    folder, rng = tmp_path_factory.mktemp("parquet"), np.random.default_rng(seed)
    count = sum(parts)
    table: dict[str, np.ndarray] = {
        "id": np.arange(count, dtype=np.uint64), "few": rng.integers(0, 3, count).astype(np.uint8), "real": rng.random(count),
    }  # fmt: skip
    ends = np.cumsum([0, *parts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_GROUP", group)
        plain_parquet(folder / "plain", table, {"a": 1})
        write_columns(folder / "whole", table, {"a": 1})
        batches = ({n: c[a:b] for n, c in table.items()} for a, b in itertools.pairwise(ends))
        columns.write_batches(folder / "batches", batches, lambda: {"a": 1})
    assert (folder / "plain").read_bytes() == (folder / "whole").read_bytes() == (folder / "batches").read_bytes()
    assert {p.name for p in folder.iterdir()} == {"plain", "whole", "batches"}
    found = list(read_batches(folder / "batches", ["id", "real"]))
    assert [set(batch) for batch in found] == [{"id", "real"}] * max(-(-count // group), 1)
    np.testing.assert_array_equal(np.concatenate([batch["real"] for batch in found]), table["real"])


def test_damage_shows_in_batches_as_in_the_whole(tmp_path: Path) -> None:
    write_columns(tmp_path / "t", {"id": np.arange(5000, dtype=np.uint64)})
    whole = (tmp_path / "t").read_bytes()
    for place in (0, 10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "t").write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        for read in (read_columns, lambda path: list(read_batches(path))):
            with pytest.raises(LayerError, match="is corrupted"):
                read(tmp_path / "t")
    with pytest.raises(LayerError, match="is missing"):
        list(read_batches(tmp_path / "no"))


def component_rows(rng: np.random.Generator, key: np.ndarray) -> ComponentTable:
    n = len(key)
    start = rng.integers(0, 90, (n, 3))
    voxels = rng.integers(1, 40, n).astype(np.uint64)
    return ComponentTable(key, voxels, start, start + rng.integers(1, 9, (n, 3)), voxels[:, None] * start.astype(np.uint64))


def measured(rng: np.random.Generator, ids: np.ndarray) -> MeasureTable:
    depth, inside = rng.integers(0, 4, len(ids)), rng.integers(1, 10**6, len(ids))
    return MeasureTable(ids, rng.integers(0, 50, len(ids)).astype(np.uint64), depth, inside)


def object_files(
    folder: Path, rng: np.random.Generator, count: int, files: int = 5
) -> tuple[dict[str, list[Path]], np.ndarray]:
    """Files of a run with objects in several nodes, parts of them in several blocks and groups."""
    ids = np.sort(rng.choice(10**6, count, replace=False)).astype(np.uint64) + np.uint64(1)
    found: Any
    node, found = rng.integers(0, files, count), {"merges": [], "interiors": [], "measures": [], "lengths": []}
    left = rng.random(count) < 0.9
    for i in range(files):
        rows = ids[node == i]
        several = np.sort(
            rng.permutation(np.flatnonzero(left & ((node == i) | (node == (i + 1) % files) | (rng.random(count) < 0.1))))
        )
        has = ids[several]
        tables = {
            "merges": component_rows(rng, rows).arrays("closed"),
            "interiors": {"interior/id": has, **component_rows(rng, has + np.uint64(1)).arrays("interior")},
            "measures": measured(rng, has).arrays("measures"),
            "lengths": {"id": ids[(node == i) & left], "nm": rng.random(int(((node == i) & left).sum()))},
        }  # fmt: skip
        for kind, table in tables.items():
            write_tables(folder / f"{kind}{i}.h5", table)
            found[kind].append(folder / f"{kind}{i}.h5")
    return found, ids[left]


def at_once(folder: Path, files: dict[str, list[Path]], limit: int) -> list[bytes]:
    """Both files, from everything in memory."""
    table = collect(files["merges"])
    table, first = collect_interiors(files["interiors"], table)
    measures, lengths = collect_measures(files["measures"], table), collect_lengths(files["lengths"], table)
    write_segment_properties(folder / "info", table, limit, sizes(table, VOXEL, measures, lengths))
    write_parquet(folder / "t.parquet", table, ROI, VOXEL, {}, measures, lengths, first)
    return [(folder / name).read_bytes() for name in ("info", "t.parquet")]


def streamed(folder: Path, files: dict[str, list[Path]], limit: int, rows: int, wanted: list[int] | None = None) -> list[bytes]:
    write_objects(folder / "t.parquet", folder / "info", ObjectFiles(**files, wanted=wanted), ROI, VOXEL, limit, dict, rows)
    return [(folder / name).read_bytes() for name in ("info", "t.parquet")]


@pytest.mark.parametrize("count", [0, 1, 400])
def test_objects_by_ranges_of_ids_are_the_same_bytes(tmp_path: Path, count: int) -> None:
    files, _ = object_files(tmp_path, np.random.default_rng(count), count)
    want = at_once(tmp_path, files, 20)
    for rows in (1, 7, 100, 10**6):
        assert streamed(tmp_path, files, 20, rows) == want
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_few_kinds_of_files_suffice(tmp_path: Path) -> None:
    files, _ = object_files(tmp_path, np.random.default_rng(1), 50)
    table = collect(files["merges"])
    write_parquet(tmp_path / "want", table, ROI, VOXEL, {})
    write_objects(tmp_path / "got", tmp_path / "info", ObjectFiles(files["merges"]), ROI, VOXEL, 5, dict, 8)
    a, b = (read_columns(tmp_path / name) for name in ("want", "got"))
    assert list(a) == list(b)
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("rows", [6, 10**6])
def test_files_that_do_not_fit_each_other_are_noticed(tmp_path: Path, rows: int) -> None:
    files, ids = object_files(tmp_path, np.random.default_rng(2), 60)
    assert streamed(tmp_path, files, 5, rows, [int(ids[3]), int(ids[-1])])
    whole = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(ConfigError, match=r"skeletons\.ids names 999999999, which is not an object"):
        streamed(tmp_path, files, 5, rows, [int(ids[3]), 999999999])
    with pytest.raises(RunError, match="in two merge files"):
        streamed(tmp_path, {**files, "merges": files["merges"] * 2}, 5, rows)
    with pytest.raises(RunError, match="in the segmentation, but in no merge file"):
        streamed(tmp_path, {**files, "merges": files["merges"][1:]}, 5, rows)
    with pytest.raises(RunError, match="is only in one of the merge files and the segmentation"):
        streamed(tmp_path, {**files, "measures": files["measures"][:1]}, 5, rows)
    write_tables(tmp_path / "odd.h5", {"id": np.array([77 * 10**6], np.uint64), "nm": np.ones(1)})
    with pytest.raises(RunError, match=r"object 77000000 of .*odd\.h5 is in no merge file"):
        streamed(tmp_path, {**files, "lengths": [*files["lengths"], tmp_path / "odd.h5"]}, 5, rows)
    assert (tmp_path / "t.parquet").read_bytes() == whole, "a table stays as it was where a new one fails"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    files, _ = object_files(tmp_path, np.random.default_rng(2), 60)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(StorageError, match=r"t\.parquet cannot be written .*its disk is full"):
        streamed(tmp_path, files, 5, 10)
    paths = merge_files(tmp_path, merges_of([(i, i + 1) for i in range(1, 90)], []), 2, np.random.default_rng(0))
    with pytest.raises(StorageError, match=r"merges\.parquet cannot be written .*its disk is full"):
        list(merges_in_order(paths, tmp_path / "merges.parquet", 10))


def peak_of(work: Any) -> Any:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the objects in ten times the files take no more memory; all at once takes about ten times."""
    monkeypatch.setattr(spill, "_WAITING", 1000)
    monkeypatch.setattr(spill, "_SAMPLE", 1000)
    monkeypatch.setattr(columns, "_GROUP", 1000)
    peaks = {}
    for count in (4000, 40000):
        folder = tmp_path / str(count)
        folder.mkdir()
        files, _ = object_files(folder, np.random.default_rng(0), count, count // 500)
        files = {name: files[name] for name in ("merges",)}
        streamed(folder, files, 10, 1000)
        peaks[count] = peak_of(lambda folder=folder, files=files: streamed(folder, files, 10, 1000))
        peaks[-count] = peak_of(lambda files=files: collect(files["merges"]))
    assert peaks[40000] < 2 * peaks[4000]
    assert peaks[-40000] > 5 * peaks[-4000]


def merge_files(folder: Path, merges: Merges, files: int, rng: np.random.Generator) -> list[Path]:
    """Up files that hold the merges in any order, some of them twice."""
    of_file, paths = rng.integers(0, files, len(merges)), []
    for i in range(files):
        part = merges.take(np.flatnonzero(of_file == i))
        write_tables(folder / f"{i}.up.h5", {f"merges/{f.name}": getattr(part, f.name) for f in fields(Merges)})
        paths.append(folder / f"{i}.up.h5")
    return paths


def merges_of(small: list[tuple[int, int]], others: list[tuple[int, int, int]]) -> Merges:
    """Merges from pairs of keys, and from (kind, index, sum)."""
    a, b = (np.array([sorted(pair)[side] for pair in small], np.uint64) for side in (0, 1))
    none = np.zeros(len(small), np.uint64)
    kind, index, total = (np.array([row[i] for row in others], np.uint64) for i in range(3))
    # what is noted twice is the same each time: its columns follow from kind and index
    rest = Merges(kind.astype(np.uint8), index % 7, index % 7 + kind, index * 3 + total * 0, index + 1, index)
    return concat([Merges(np.full(len(small), SMALL, np.uint8), a, b, none, none, none), rest])


def same(got: Merges, want: Merges) -> bool:
    return all(np.array_equal(getattr(got, f.name), getattr(want, f.name)) for f in fields(Merges))


KEY = st.integers(1, 40)
SMALLS = st.lists(st.tuples(KEY, KEY).filter(lambda pair: pair[0] != pair[1]), max_size=60)
OTHERS = st.lists(st.tuples(st.sampled_from([MEAN, ABSORBED]), st.integers(0, 50), st.integers(0, 9)), max_size=60)


@pytest.mark.slow
@settings(max_examples=60)
@given(SMALLS, OTHERS, st.integers(1, 5), st.sampled_from([1, 3, 10, 1000]), st.integers(0, 99))
def test_merges_by_ranges_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, small: Any, others: Any, files: int, rows: Any, seed: Any
) -> None:
    folder, merges = tmp_path_factory.mktemp("merges"), merges_of(small, others)
    paths = merge_files(folder, merges, files, np.random.default_rng(seed))
    assert same(concat(list(merges_in_order(paths, folder / "table", rows))), canonical(merges))


@pytest.mark.parametrize("shape", ["chain", "star", "comb"])
def test_large_sets_of_small_supervoxels_end_in_stars(tmp_path: Path, shape: str) -> None:
    """Shapes that take the most rounds, and one key with more joins than a range has room for."""
    n, rng = 500, np.random.default_rng(4)
    keys = rng.permutation(np.arange(1, n + 1))
    pairs = {
        "chain": list(itertools.pairwise(keys)),
        "star": [(keys[0], key) for key in keys[1:]],
        "comb": [(i, i + 1) for i in range(1, n, 2)] + [(i, i + 2) for i in range(1, n - 2, 2)],
    }[shape]
    merges = merges_of([(int(a), int(b)) for a, b in pairs], [])
    paths = merge_files(tmp_path, merges, 4, rng)
    found = concat(list(merges_in_order(paths, tmp_path / "table", 20)))
    assert same(found, canonical(merges))
    assert set(found.a.tolist()) == {1}


def test_the_history_is_written_as_it_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    merges = merges_of([(1, 2), (2, 9), (4, 5)], [(1, 30, 2), (2, 30, 2), (1, 4, 1)])
    write_history(tmp_path / "merges.parquet", merge_files(tmp_path, merges, 2, rng), {"x": 1})
    assert same(read_merges(tmp_path / "merges.parquet"), canonical(merges))
    none = merge_files(tmp_path, merges.take(np.zeros(0, int)), 1, rng)
    write_history(tmp_path / "none.parquet", none)
    assert len(read_merges(tmp_path / "none.parquet")) == 0


def test_what_is_asked_of_a_table_does_not_depend_on_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_GROUP", 9)
    files, ids = object_files(tmp_path, np.random.default_rng(7), 80)
    at_once(tmp_path, files, 5)
    path, table = tmp_path / "t.parquet", read_columns(tmp_path / "t.parquet")
    found = overview(path, 4)
    order = sorted(range(len(ids)), key=lambda i: (-int(table["voxels"][i]), int(table["id"][i])))[:4]
    assert (found.count, found.voxels) == (len(table["id"]), int(table["voxels"].sum()))
    assert found.ids.tolist() == table["id"][order].tolist()
    assert found.sizes.tolist() == table["voxels"][order].tolist()
    asked = [int(ids[5]), int(ids[60]), 3, -1, 2**64]
    count, rows = rows_of(path, asked, ["inside_z", "stop_x"])
    some = np.isin(table["id"], ids[[5, 60]])
    assert count == len(ids)
    assert list(rows) == ["id", "inside_z", "stop_x"]
    assert all(np.array_equal(rows[name], table[name][some]) for name in rows)
    whole = checks.objects(str(path))
    assert list(whole) == list(table)
    assert all(np.array_equal(whole[name], table[name]) for name in table)
    write_columns(path, {name: column[np.r_[:30, 5:30]] for name, column in table.items()})
    with pytest.raises(LayerError, match="names an object twice or not in order"):
        checks.objects(str(path))


WANTED: dict[str, Any] = {"ids": None, "min_voxels": 0, "max_voxels": None, "query": None}


QUERY = "start_z > 40 or volume_um3 > 2e-8"


@pytest.mark.parametrize(
    "wanted", [{}, {"min_voxels": 20}, {"max_voxels": 10, "query": QUERY}, {"ids": "some", "min_voxels": 5}]
)
def test_objects_are_chosen_a_row_group_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
) -> None:
    monkeypatch.setattr(columns, "_GROUP", 30)
    files, ids = object_files(tmp_path, np.random.default_rng(6), 100)
    at_once(tmp_path, files, 5)
    wanted = WANTED | wanted | ({"ids": [int(i) for i in ids[::9]]} if "ids" in wanted else {})
    want = select(read_columns(tmp_path / "t.parquet"), wanted)
    np.testing.assert_array_equal(select_from(tmp_path / "t.parquet", wanted), want)
    assert want.dtype == np.uint64
    unknown, no_column = {"ids": [int(ids[0]), 10**9]}, {"query": "size > 3"}
    for wrong, words in ((unknown, "object 1000000000 does not exist"), (no_column, "no column size; there are id,")):
        for how in (select_from, lambda path, wanted: select(read_columns(path), wanted)):
            with pytest.raises(ConfigError, match=words):
                how(tmp_path / "t.parquet", WANTED | wrong)
