"""A table that joins given labels: read from others' files, exact to 64 bits; for any blocks the same as numpy on the whole."""

import copy
import json
from pathlib import Path
from typing import Any

import cc3d
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.errors import ConnectomakeError, RunError, SourceError
from connectomake.geometry import Box
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.segment_table import Joined, most_rows, rows_of, segments_of, sorted_table, write_table
from tests.flow import Flow
from tests.rule_jobs import do_all
from tests.test_components import first_voxels

OFFSET, SHAPE = (3, -5, 7), (20, 24, 40)
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "labels.h5", "dataset": "labels", "voxel_size": [20, 10, 10], "offset": list(OFFSET)},
    "block": [16, 16, 16],
    "merge": {"fan_out": 4},
    "meshes": {"enabled": False},
    "objects": {"measure": False},
    "pyramid": {"scales": 0},
}
IDS = np.array([0, 0, 1, 7, 2**31, 2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1], np.uint64)
LARGE = [2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
ROWS = [(1, 7), (7, 7), (2**31, 2**53 + 1), (2**53 + 1, 2**53 + 1), (2**53 + 2, 0), (2**63 - 1, 2**64 - 1)]
ROWS += [(2**63, 2**64 - 2), (2**64 - 2, 2**64 - 2), (2**64 - 1, 5)]
TABLE = dict(ROWS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(rows: Any, delimiter: str = ",", head: str = "") -> str:
    return head + "".join(f"{a}{delimiter}{b}\n" for a, b in rows)


def write_rows(name: str, rows: Any = ROWS) -> None:
    """Write rows in the format of the name."""
    a, b = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    suffix = Path(name).suffix
    if suffix in (".csv", ".tsv"):
        Path(name).write_text(text(rows, "\t" if suffix == ".tsv" else ","))
    elif suffix == ".parquet":
        pq.write_table(pa.table({"supervoxel": a, "segment": b}), name)
    elif suffix in (".arrow", ".feather"):
        table = pa.table({"supervoxel": a, "segment": b})
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    elif suffix == ".npy":
        np.save(name, np.stack([a, b], axis=1))
    elif suffix == ".h5":
        with h5py.File(name, "w") as file:
            file["segment_to_agglomerate"] = np.stack([a, b], axis=1)
    else:
        Path(name).write_text(json.dumps(rows))


@pytest.mark.parametrize("name", [f"t.{s}" for s in ("csv", "tsv", "parquet", "arrow", "feather", "npy", "h5", "json")])
def test_every_format_is_read_exactly(name: str) -> None:
    write_rows(name)
    a, b = rows_of(name)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == ROWS
    assert a.dtype == b.dtype == np.uint64
    assert most_rows(name) >= len(ROWS)


def test_the_stream_format_of_arrow_is_read() -> None:
    table = pa.table({"supervoxel": pa.array(LARGE, pa.uint64()), "segment": pa.array(LARGE, pa.uint64())})
    with pa.OSFile("t.arrow", "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert rows_of("t.arrow")[0].tolist() == LARGE


@pytest.mark.parametrize(
    ("content", "columns", "want"),
    [
        ("supervoxel,segment\n1,2\n", None, [(1, 2)]),
        ("﻿supervoxel,segment\r\n1,2\r\n", None, [(1, 2)]),
        ('"supervoxel","segment"\n"18446744073709551615","2"\n', None, [(2**64 - 1, 2)]),
        ("1, 2\n 3 ,4\n", None, [(1, 2), (3, 4)]),
        ("x,b,a\n9,1,2\n9,3,4\n", ["a", "b"], [(2, 1), (4, 3)]),
        ("x,b,a\n0.5,1,2\n", ["b", "a"], [(1, 2)]),
        ("", None, []),
        ("a,b\n", None, []),
    ],
)
def test_text(content: str, columns: Any, want: Any) -> None:
    Path("t.csv").write_text(content, encoding="utf-8")
    a, b = rows_of("t.csv", columns=columns)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == want


def test_one_column_holds_the_segment_of_each_supervoxel() -> None:
    with h5py.File("t.h5", "w") as file:
        file["segment_to_agglomerate"] = np.array([0, 3, 3, 1], np.uint32)
        file["other"] = np.array([0, 9], np.int64)
    assert [c.tolist() for c in rows_of("t.h5")] == [[0, 1, 2, 3], [0, 3, 3, 1]]
    assert [c.tolist() for c in rows_of("t.h5", "other")] == [[0, 1], [0, 9]]
    with pytest.raises(SourceError, match=r"has shape \[4\]; a table has two columns, \(n, 2\)$"):
        rows_of("t.h5", pairs=True)


WRONG = {
    "t.csv": [
        ("1,2\n3,4.0\n", "row 2 of the data holds '4.0', which is not an integer"),
        ("1,2\n3,1e5\n", "holds '1e5'"),
        ("1,-2\n", "holds '-2'"),
        ("1,18446744073709551616\n", "holds '18446744073709551616', which is not an integer from 0 to"),
        ("1,99999999999999999999\n", "holds '99999999999999999999'"),
        ("1,\n", "holds ''"),
        ("a,b\n1,x\n", "b, row 1 of the data holds 'x'"),
        ("1,2,3\n", "has 3 columns"),
        ("1\n", "has 1 columns"),
        ("1,2\n3\n", "cannot be read as a table"),
    ],
    "t.json": [
        ("[[1]]", "not a list of two integers or more"),
        ("[[1, 2.0]]", "holds '2.0'"),
        ("[[1, true]]", "holds 'True'"),
        ('{"1": 2}', "must be a list of lists"),
        ("[[1, -2]]", "holds '-2'"),
        ("[[1, 2]", "cannot be read as a table"),
    ],
    "t.npy": [("no array", "cannot be read as a table")],
    "t.parquet": [("no table", "cannot be read as a table")],
    "t.h5": [("no file", "cannot be read as a table")],
    "t.arrow": [("no file", "cannot be read as a table")],
    "t.xlsx": [("", "has an unknown suffix; known are .csv")],
}


@pytest.mark.parametrize(("name", "content", "says"), [(n, c, s) for n, cases in WRONG.items() for c, s in cases])
def test_what_is_no_table_is_named(name: str, content: str, says: str) -> None:
    Path(name).write_text(content)
    with pytest.raises(SourceError) as caught:
        rows_of(name)
    assert says in str(caught.value)


def test_columns_that_are_no_integers_are_named() -> None:
    pq.write_table(pa.table({"a": [1.0], "b": [2]}), "t.parquet")
    with pytest.raises(SourceError, match="column 'a' holds double, which are not integers"):
        rows_of("t.parquet")
    pq.write_table(pa.table({"a": [1, None], "b": [2, 3]}), "t.parquet")
    with pytest.raises(SourceError, match="column 'a' has 1 rows without a value"):
        rows_of("t.parquet")
    pq.write_table(pa.table({"a": [1], "b": [2], "c": [3]}), "t.parquet")
    with pytest.raises(SourceError, match=r"has 3 columns \(a, b, c\), not two"):
        rows_of("t.parquet")
    with pytest.raises(SourceError, match="has no column 'd'; it has a, b, c"):
        rows_of("t.parquet", columns=["a", "d"])
    assert [c.tolist() for c in rows_of("t.parquet", columns=["c", "a"])] == [[3], [1]]
    np.save("t.npy", np.ones((3, 2)))
    with pytest.raises(SourceError, match="holds float64, which are not integers"):
        rows_of("t.npy")
    np.save("t.npy", np.array([[1, 2], [3, -4]]))
    with pytest.raises(SourceError, match="column 2, row 2 of the data holds '-4'"):
        rows_of("t.npy")
    np.save("t.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(SourceError, match="cannot be read as a table"):
        rows_of("t.npy")
    with pytest.raises(SourceError, match=r"columns names columns, but t\.npy has no names"):
        rows_of("t.npy", columns=["a", "b"])
    with pytest.raises(SourceError, match=r"names an array of HDF5, but t\.npy is not HDF5"):
        rows_of("t.npy", "x")
    with pytest.raises(SourceError, match=r"'gone\.csv' does not exist"):
        rows_of("gone.csv")


def columns(rows: Any) -> Any:
    return [np.array(column, np.uint64) for column in zip(*rows, strict=True)]


def test_two_segments_of_one_supervoxel_are_refused() -> None:
    keys, values = sorted_table("t", *columns([(5, 1), (3, 2), (5, 1), (0, 0)]), pairs=False)
    assert (keys.tolist(), values.tolist()) == ([0, 3, 5], [0, 2, 1])
    with pytest.raises(SourceError, match="puts the supervoxel 5 in 1 and in 2; each belongs to one segment"):
        sorted_table("t", *columns([(5, 1), (3, 2), (5, 2)]), pairs=False)
    with pytest.raises(SourceError, match="gives 0, the background, the segment 4"):
        sorted_table("t", *columns([(0, 0), (0, 4)]), pairs=False)
    with pytest.raises(SourceError, match="joins 9 with 0"):
        sorted_table("t", *columns([(1, 2), (9, 0)]), pairs=True)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 8, *LARGE]), st.sampled_from([1, 2, 3, 8, *LARGE])), max_size=12))
def test_pairs_are_joined_as_in_networkx(pairs: Any) -> None:
    import networkx as nx  # type: ignore[import-untyped]

    graph = nx.Graph(pairs)
    want = {node: min(part) for part in nx.connected_components(graph) for node in part}
    keys, values = sorted_table("t", *(columns(pairs) if pairs else [np.zeros(0, np.uint64)] * 2), pairs=True)
    assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == want
    assert keys.tolist() == sorted(want)


@given(st.integers(1, 7), st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_parts_are_looked_up_as_the_whole(part: int, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.choice(np.array([0, 1, 2, 3, 4, 5, 6, 9, *LARGE], np.uint64), count))
    values = rng.integers(0, 2**64, len(keys), np.uint64)
    write_table("t.h5", keys, values, part=part)
    asked = np.unique(rng.choice(np.array([0, 1, 2, 4, 7, 8, 9, 10, *LARGE], np.uint64), 9))
    found, known = segments_of("t.h5", asked)
    table = dict(zip(keys.tolist(), values.tolist(), strict=True))
    assert known.tolist() == [a in table for a in asked.tolist()]
    assert found.tolist() == [table.get(a, 0) for a in asked.tolist()]


@pytest.mark.parametrize("missing", ["keep", "background"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_boxes_are_joined_as_in_numpy(missing: str, dtype: Any) -> None:
    values = np.random.default_rng(1).choice(np.array([0, 1, 2, 3, 100], dtype), (1, 5, 6, 7))
    write_table("t.h5", *sorted_table("t", *columns([(1, 2**60), (3, 2), (77, 1)]), pairs=False))
    found = Joined(lambda _: values, "t.h5", missing, "t")(Box.of_shape(values.shape[1:]))
    table = {0: 0, 1: 2**60, 2: 2, 3: 2, 100: 100} if missing == "keep" else {0: 0, 1: 2**60, 2: 0, 3: 2, 100: 0}
    np.testing.assert_array_equal(found, np.vectorize(table.get, otypes=[np.uint64])(values))


def config(**table: Any) -> Any:
    return copy.deepcopy(CONFIG) | {"segmentation": {"method": "labels", "table": {"path": "t.csv", **table}}}


def volume(seed: int = 0, cell: int = 5) -> Any:
    """Boxes of labels; the same label in several places."""
    coarse = np.random.default_rng(seed).choice(IDS, [-(-n // cell) for n in SHAPE])
    for axis in range(3):
        coarse = np.repeat(coarse, cell, axis)
    return np.ascontiguousarray(coarse[tuple(slice(n) for n in SHAPE)])


def write(values: Any) -> None:
    with h5py.File("labels.h5", "w") as file:
        file.create_dataset("labels", data=values, chunks=(8, 8, 8))


def segment(values: Any) -> Plan:
    """Run all up to the segmentation."""
    prepare_plan(copy.deepcopy(values))
    plan = resolve(copy.deepcopy(values))
    for rule in Stages(plan).rules():
        if rule.name in ("segment_table", "components", "merge", "lookup", "segmentation", "objects"):
            do_all(plan, rule)
    return plan


def result(plan: Plan) -> Any:
    return read_box(f"{plan.outdir}/segmentation", plan.layers["segmentation"], plan.roi)[0]


def test_only_the_chosen_channel_is_joined() -> None:
    values = np.array([5, 1, -3]).reshape(3, 1, 1, 1)
    write_table("t.h5", *sorted_table("t", *columns([(1, 9)]), pairs=False))
    found = Joined(lambda _: values, "t.h5", "error", "t", channel=1)(Box.of_shape((1, 1, 1)))
    assert found.ravel().tolist() == [0, 9, 0]


@pytest.mark.parametrize("block", [[16, 16, 16], [8, 32, 24]])
@pytest.mark.parametrize("relabel", ["none", "components"])
def test_a_run_equals_numpy_for_any_blocks(block: Any, relabel: str) -> None:
    values = volume(seed=5)
    write(values)
    write_rows("t.csv", ROWS[::-1])
    changed = config() | {"block": block}
    changed["segmentation"]["relabel"] = relabel
    plan = segment(changed)
    want = np.vectorize({0: 0, **TABLE}.get, otypes=[np.uint64])(values)
    if relabel == "components":
        want = first_voxels(cc3d.connected_components(want, connectivity=6))
    np.testing.assert_array_equal(result(plan), want)
    ids, counts = np.unique(want[want > 0], return_counts=True)
    table = pq.read_table("out/objects/objects.parquet").to_pydict()
    assert (table["id"], table["voxels"]) == (ids.tolist(), counts.tolist())


def test_pairs_join_and_leave_all_others() -> None:
    values = volume()
    write(values)
    Path("t.json").write_text(json.dumps([[2**64 - 1, 7, 2**63], [2**53 + 2, 2**53 + 1], [2**63, 2**31]]))
    plan = segment(config(path="t.json", holds="pairs"))
    table = dict.fromkeys([2**64 - 1, 7, 2**63, 2**31], 7) | {2**53 + 2: 2**53 + 1}
    np.testing.assert_array_equal(result(plan), np.vectorize(lambda v: table.get(int(v), int(v)), otypes=[np.uint64])(values))


def test_a_label_without_a_row_is_an_error_that_names_it() -> None:
    values = np.zeros((20, 24, 40), np.uint32)
    values[3, 4, 5], values[4, 4, 5], values[19, 23, 39] = 8, 1, 12345
    write(values)
    write_rows("t.csv", [(1, 1)])
    plan = resolve(config())
    z, y, x = (a + b for a, b in zip(OFFSET, (3, 4, 5), strict=True))
    write_table("s.h5", *sorted_table("t.csv", *rows_of("t.csv"), pairs=False))
    with pytest.raises(RunError) as caught:
        Joined(lambda _: values[None], "s.h5", "error", "t.csv")(plan.roi)
    assert f"has no row for the label 8 at z, y, x = {z}, {y}, {x} (lacking in" in str(caught.value)
    assert "8, 12345)" in str(caught.value)
    with pytest.raises(SystemExit):
        segment(config())


def test_its_content_is_in_the_fingerprints() -> None:
    write(volume())
    plain = Stages(resolve(config() | {"segmentation": {"method": "labels"}})).fingerprint("components")
    write_rows("t.csv")
    plans = [resolve(config())]
    write_rows("t.csv", [*ROWS[:-1], (2**64 - 1, 6)])
    plans += [resolve(config()), resolve(config(missing="keep")), resolve(config(holds="pairs"))]
    prints = [Stages(plan).fingerprint("components") for plan in plans]
    assert len({plain, *prints}) == 5
    assert Stages(plans[1]).fingerprint("segment_table") == Stages(plans[2]).fingerprint("segment_table")
    assert Plan.from_json(json.loads(json.dumps(plans[0].to_json()))) == plans[0]


def test_a_table_that_changed_since_the_plan_is_refused() -> None:
    write(volume())
    write_rows("t.csv")
    plan = resolve(config())
    write_rows("t.csv", ROWS[:-1])
    with pytest.raises(SystemExit):
        do_all(plan, Stages(plan).rule("segment_table"))
    assert plan.table is not None
    with pytest.raises(SourceError, match="has changed since the plan was made"):
        plan.table.check()
    prepare_plan(config())
    write_rows("t.csv", ROWS[:-2])
    assert "the table t.csv has changed" in str(prepare_plan(config()))


BAD: list[tuple[Any, str]] = [
    ({"path": "gone.csv"}, "segmentation.table.path 'gone.csv' does not exist"),
    ({"path": "t.xlsx"}, "has an unknown suffix"),
    ({"path": "gs://bucket/t.csv"}, "must be a file here"),
    ({"holds": "pairs", "missing": "background"}, "does not apply to pairs"),
    ({"missing": "drop"}, "one of error, keep, background"),
]


@pytest.mark.parametrize(("table", "says"), BAD)
def test_what_cannot_be_is_refused(table: Any, says: str) -> None:
    write(volume())
    write_rows("t.csv")
    with pytest.raises(ConnectomakeError) as caught:
        resolve(config(**table))
    assert says in str(caught.value)


def test_a_table_without_labels_is_refused() -> None:
    write(volume())
    section = {"method": "threshold", "table": {"path": "t.csv"}}
    with pytest.raises(ConnectomakeError, match=r"segmentation\.table joins labels that the source holds, but"):
        resolve(config() | {"segmentation": section})


def test_memory_follows_the_table() -> None:
    from connectomake.pipeline.demands import Demands

    write(volume())
    asked = []
    for rows in (10, 10**6):
        np.save("t.npy", np.stack([np.arange(rows, dtype=np.uint64)] * 2, axis=1))
        demands = Demands(resolve(config(path="t.npy")))
        asked.append((demands.memory("segment_table"), demands.memory("components")))
    assert asked[1][0] - asked[0][0] >= 60
    assert asked[1][1] == asked[0][1]


@pytest.mark.slow
def test_the_workflow_runs_it_and_a_change_of_the_table_remakes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(tmp_path / "flow", config=config())
    (tmp_path / "flow").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "flow")
    values = volume()
    write(values)
    write_rows("t.csv")
    flow.write()
    flow.run()
    np.testing.assert_array_equal(result(flow.plan()), np.vectorize({0: 0, **TABLE}.get, otypes=[np.uint64])(values))
    assert "Nothing to be done" in flow.run()
    write_rows("t.csv", [*ROWS[:-1], (2**64 - 1, 6)])
    jobs = flow.would_run(config())
    assert jobs["segment_table"] == 1
    assert jobs["components"] == flow.plan().grid.count
