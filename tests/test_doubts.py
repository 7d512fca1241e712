"""Doubtful merges and splits of a run: against plain Python on the whole volume, for any blocks; read by others' readers."""

import copy
import csv
from pathlib import Path
from typing import Any

import h5py
import networkx as nx  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroglancer.read_precomputed_annotations import AnnotationReader  # type: ignore[import-untyped]

from connectomake.cli import main
from connectomake.errors import ConfigError, ConnectomakeError, RunError
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.proofreading import run_graph
from connectomake.proofreading.chunked_graph import write_chunked_graph
from connectomake.proofreading.doubts import Doubts, doubts_of
from connectomake.proofreading.sides import sides_of
from connectomake.proofreading.supervoxels import objects_of, supervoxel_source
from tests.agglomeration_reference import exact, voxel_edges
from tests.graph_run import CONFIG, SHAPE, VOXEL, run, whole, write_affinities

START = (3, -5, 7)


@pytest.fixture(scope="module", params=["uint8", "float32"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with affinities."""
    folder = tmp_path_factory.mktemp("doubts")
    write_affinities(folder, request.param)
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def plan(here: Path) -> Plan:
    return resolve(copy.deepcopy(CONFIG)) if (here / "out/agglomeration/merges.parquet").exists() else run()


def reference(plan: Plan, suffix: str, threshold: float, within: float) -> list[dict[str, Any]]:
    """All doubts by plain Python, in order."""
    basins, objects = whole(plan, run_graph.supervoxel_ids), whole(plan, lambda p, b: run_graph.object_ids(p, b, suffix))
    with h5py.File("affinities.h5") as file:
        affinity = file["edges"][:]
    top = 255 if affinity.dtype == np.uint8 else 2**24
    sizes = dict(zip(*(c.tolist() for c in np.unique(basins[basins > 0], return_counts=True)), strict=True))
    merges = pq.read_table(f"out/agglomeration{suffix}/merges.parquet").to_pylist()
    forest = nx.Graph([(m["a"], m["b"]) for m in merges])
    forest.add_nodes_from(sizes)
    whole_of = {min(c): sum(sizes[k] for k in c) for c in nx.connected_components(forest)}
    rows = []
    for m in merges:
        parts = nx.node_connected_component(forest, m["a"])
        if not m["count"] or not (objects == min(parts)).any():
            continue
        cut = forest.subgraph(parts).copy()
        cut.remove_edge(m["a"], m["b"])
        sides = [sum(sizes[k] for k in nx.node_connected_component(cut, m[end])) for end in "ab"]
        mean = m["total"] / (m["count"] * top)
        rows.append((0, min(parts), min(parts), m["a"], m["b"], m["count"], m["index"], mean, sides))
    contacts: dict[Any, Any] = {}
    for value, index, u, v in voxel_edges(objects, affinity):
        total, count, least = contacts.get((min(u, v), max(u, v)), (0, 0, index))
        contacts[min(u, v), max(u, v)] = total + exact(value), count + 1, min(least, index)
    for (u, v), (total, count, index) in contacts.items():
        rows.append((1, u, v, u, v, count, index, total / (count * top), [whole_of[u], whole_of[v]]))
    found = []
    for split, a, b, part_a, part_b, count, index, mean, sides in rows:
        large = min(sides) >= 900 and (split or mean >= 0.6)
        doubt = min(sides) * (1 - abs(mean - (0.6 if large else threshold)) / within)
        z, y, x = np.unravel_index(index // 3, SHAPE)
        at = (int(z) + START[0], int(y) + START[1], int(x) + START[2], "zyx"[index % 3])
        if doubt > 0:
            found.append((-doubt, index, split, a, b, part_a, part_b, at, mean, count, min(sides)))
    names = ("doubt", "index", "split", "object_a", "object_b", "part_a", "part_b", "at", "affinity", "faces", "voxels")
    return [dict(zip(names, row, strict=True)) for row in sorted(found)]


def check(found: Doubts, want: list[dict[str, Any]]) -> None:
    assert len(found) == len(want)
    assert found.kind.tolist() == ["split" if w["split"] else "merge" for w in want]
    for name in ("object_a", "object_b", "part_a", "part_b", "faces", "voxels"):
        assert getattr(found, name).tolist() == [w[name] for w in want], name
    places = zip(*(getattr(found, n).tolist() for n in ("z", "y", "x", "axis")), strict=True)
    assert list(places) == [w["at"] for w in want]
    np.testing.assert_array_equal(found.affinity, [w["affinity"] for w in want])
    np.testing.assert_array_equal(found.doubt, [-w["doubt"] for w in want])


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "threshold"), [("segmentation", 0.55), ("segmentation_0.5", 0.5)])
def test_doubts_are_those_of_plain_python(plan: Plan, layer: str, threshold: float) -> None:
    want = reference(plan, layer.removeprefix("segmentation"), threshold, 0.15)
    kinds = [w["split"] for w in want]
    assert min(kinds.count(0), kinds.count(1)) >= 10
    check(doubts_of(plan, layer, within=0.15, most=10**6), want)
    check(doubts_of(plan, layer, within=0.15, most=7), want[:7])


@pytest.mark.slow
def test_a_place_is_a_contact_of_the_two(plan: Plan) -> None:
    objects = whole(plan, lambda p, b: run_graph.object_ids(p, b, ""))
    basins = whole(plan, run_graph.supervoxel_ids)
    for row in zip(*(c.tolist() for c in doubts_of(plan).named().values()), strict=True):
        kind, a, b, (z, y, x), axis, nm = row[1], row[2], row[3], row[6:9], row[9], row[10:13]
        upper = np.array((z, y, x)) - START
        lower = upper - (np.arange(3) == "zyx".index(axis))
        assert {int(objects[tuple(upper)]), int(objects[tuple(lower)])} == {a, b}
        assert basins[tuple(upper)] != basins[tuple(lower)]
        middle = (upper + lower + 1) / 2 + START
        np.testing.assert_allclose(nm, middle * VOXEL)
        assert kind == ("merge" if a == b else "split")


@pytest.mark.slow
def test_blocks_do_not_matter(here: Path, plan: Plan) -> None:
    other = run(outdir="other", block=[8, 32, 24], merge={"fan_out": 2})
    a, b = doubts_of(plan).named(), doubts_of(other).named()
    for name, column in a.items():
        np.testing.assert_array_equal(column, b[name])


@pytest.mark.slow
def test_tables_and_annotations_hold_the_same(plan: Plan, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = doubts_of(plan, most=50)
    for suffix in ("csv", "parquet", "arrow", "annotations"):
        main_of("doubts", "out.yaml", f"d.{suffix}", "--most", "50", "--overwrite")
        assert f"d.{suffix}: 50 doubts" in capsys.readouterr().out
    columns = {name: column.tolist() for name, column in found.named().items()}
    assert pq.read_table("d.parquet").to_pydict() == columns
    with pa.memory_map("d.arrow") as file:
        assert pa.ipc.open_file(file).read_all().to_pydict() == columns
    with Path("d.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["object_a"]) for row in rows] == columns["object_a"]
    assert [float(row["doubt"]) for row in rows] == columns["doubt"]
    check_annotations(found)


def check_annotations(found: Doubts) -> None:
    """Neuroglancer's own reader finds each doubt by its id, by its objects, and in the box."""
    reader = AnnotationReader(f"file://{Path('d.annotations').absolute()}/")
    for i in range(len(found)):
        note = reader.by_id[i + 1]
        np.testing.assert_allclose(note.point[::-1] * VOXEL, [found.z_nm[i], found.y_nm[i], found.x_nm[i]], rtol=1e-6)
        props = dict(zip([p.id for p in reader.properties], note.props, strict=True))
        assert (props["rank"], props["faces"]) == (i + 1, found.faces[i])
        assert props["affinity"] == np.float32(found.affinity[i])
        assert ("merge", "split")[int(props["kind"])] == found.kind[i]
        assert set(np.ravel(note.segments[0]).tolist()) == {found.object_a[i], found.object_b[i]}
    for object_id in set(found.object_a.tolist()):
        rows = [i + 1 for i in range(len(found)) if object_id in (found.object_a[i], found.object_b[i])]
        assert [int(note.id) for note in reader.relationships["objects"][object_id]] == rows


def main_of(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_sides_are_those_of_networkx(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    forest = nx.Graph()
    forest.add_nodes_from(range(count))
    for node in range(1, count):
        if rng.random() < 0.8:
            forest.add_edge(node, int(rng.integers(node)))
    names, voxels = rng.permutation(count), rng.integers(0, 2**40, count).astype(np.uint64)
    edges = np.array([(names[u], names[v]) for u, v in forest.edges], np.int64).reshape(-1, 2)
    side_a, side_b, root = sides_of(voxels, edges[:, 0], edges[:, 1])
    forest = nx.relabel_nodes(forest, dict(enumerate(names.tolist())))
    for i, (a, b) in enumerate(edges.tolist()):
        forest.remove_edge(a, b)
        for node, side in ((a, side_a), (b, side_b)):
            assert int(side[i]) == sum(int(voxels[k]) for k in nx.node_connected_component(forest, node))
        forest.add_edge(a, b)
    assert root.tolist() == [min(nx.node_connected_component(forest, k)) for k in range(count)]


def test_a_circle_is_an_error() -> None:
    with pytest.raises(RunError, match="joins two parts twice"):
        sides_of(np.ones(3, np.uint64), np.array([0, 1, 2]), np.array([1, 2, 0]))


def test_what_cannot_be_is_refused(tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = resolve(copy.deepcopy(CONFIG) | {"outdir": "empty"})
    with pytest.raises(ConfigError, match=r"has no segmentation 'affinity'; there are: segmentation, segmentation_0\.5"):
        doubts_of(plan, "affinity")
    with pytest.raises(ConfigError, match="within must be above 0 and at most 1, got 0"):
        doubts_of(plan, within=0)
    with pytest.raises(RunError, match="is missing; run snakemake first"):
        doubts_of(plan)
    without = copy.deepcopy(CONFIG)
    del without["agglomeration"]
    with pytest.raises(ConfigError, match=r"agglomeration is null; set agglomeration\.threshold"):
        doubts_of(resolve(without))
    (tmp_path / "d.csv").touch()
    from connectomake.proofreading.doubt_files import SUFFIXES
    from connectomake.table_files import check_destination

    for name, says in ((f"{tmp_path}/d.csv", "exists"), ("d.xlsx", "ends in none of"), ("gs://b/d.csv", "is not a local path")):
        with pytest.raises(ConnectomakeError) as caught:
            check_destination(name, SUFFIXES, overwrite=False)
        assert says in str(caught.value)


@pytest.mark.slow
def test_blocks_outside_a_mask_have_no_tables_and_are_not_asked_for(here: Path) -> None:
    inside = np.zeros(SHAPE, np.uint8)
    inside[:, :, :14] = 1
    with h5py.File("mask.h5", "w") as file:
        file["mask"] = inside
    mask = {"path": "mask.h5", "dataset": "mask", "voxel_size": list(VOXEL), "offset": list(START)}
    masked = run(outdir="masked", mask=mask)
    assert any(masked.is_outside(block) for block in masked.grid.ids)
    found = doubts_of(masked)
    assert len(found) > 10
    assert found.x.max() < START[2] + 14
    keys, _ = objects_of(masked, "")
    volume = supervoxel_source(masked, keys, dense=True).read(masked.roi)[0]
    assert volume[inside == 0].max() == 0
    assert volume.max() == len(keys)
    (here / "pcg").mkdir(exist_ok=True)
    assert write_chunked_graph(masked, "segmentation", here / "pcg", (8, 16, 16), 6) >= 0
    assert list((here / "pcg/edges").iterdir())
