"""What webKnossos takes of a run: against plain Python, and byte for byte as webKnossos's own library writes and reads it."""

import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import networkx as nx  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorstore as ts

from connectomake.cli import main
from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan
from connectomake.proofreading import run_graph
from connectomake.proofreading.webknossos import write_webknossos
from tests.agglomeration_reference import exact, voxel_edges
from tests.graph_run import CONFIG, run, whole, write_affinities

SOURCE = CONFIG["source"] | {"offset": [3, 5, 7]}
ARRAYS = (
    "segment_to_agglomerate", "agglomerate_to_segments_offsets", "agglomerate_to_segments", "agglomerate_to_edges_offsets",
    "agglomerate_to_edges", "agglomerate_to_affinities", "agglomerate_to_positions",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webknossos")
    write_affinities(folder)
    return folder


@pytest.fixture
def plan(place: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(place)
    return run(source=SOURCE)


def open_zarr(path: str) -> Any:
    return (
        ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{Path(path).absolute()}/"}})
        .result()[...]
        .read()
        .result()
    )


def graph_by_plain_python(plan: Plan) -> Any:
    """Supervoxels (z, y, x) from 1, the graph that joins them, and where each begins."""
    basins, objects = whole(plan, run_graph.supervoxel_ids), whole(plan, lambda p, b: run_graph.object_ids(p, b, ""))
    basins = np.where(objects > 0, basins, 0)
    keys, first = np.unique(basins, return_index=True)
    keys, first = keys[keys > 0], first[keys > 0]
    dense = {int(k): i + 1 for i, k in enumerate(keys)}
    with h5py.File("affinities.h5") as file:
        affinity = file["edges"][:]
    graph = nx.Graph()
    for i, raster in enumerate(first):
        z, y, x = (int(p) + s for p, s in zip(np.unravel_index(raster, basins.shape), plan.roi.start, strict=True))
        graph.add_node(i + 1, position=(x, y, z), object=int(objects.ravel()[raster]))
    sums: dict[Any, Any] = {}
    for value, _, u, v in voxel_edges(basins, affinity):
        pair = tuple(sorted((dense[u], dense[v])))
        total, count = sums.get(pair, (0, 0))
        sums[pair] = total + exact(value), count + 1
    for (u, v), (total, count) in sums.items():
        if graph.nodes[u]["object"] == graph.nodes[v]["object"]:
            graph.add_edge(u, v, affinity=np.float32(total / (count * 255)))
    return np.vectorize({0: 0, **dense}.get, otypes=[np.uint32])(basins), graph


@pytest.mark.slow
def test_the_files_are_those_of_plain_python(plan: Plan) -> None:
    volume, graph = graph_by_plain_python(plan)
    with pytest.raises(SystemExit) as ended:
        main(["proofread", "out.yaml", "wk", "--for", "webknossos", "--overwrite"])
    assert not ended.value.code
    np.testing.assert_array_equal(open_zarr("wk/supervoxels.ome.zarr/0"), volume)
    scale, move = json.loads(Path("wk/supervoxels.ome.zarr/zarr.json").read_text())["attributes"]["ome"]["multiscales"][0][
        "datasets"
    ][0]["coordinateTransformations"]
    assert (scale["scale"], move["translation"]) == ([20, 10, 10], [60, 50, 70])
    with h5py.File("wk/agglomerates/segmentation.hdf5") as file:
        found = {name: file[name][()] for name in ARRAYS}
        assert set(file) == set(ARRAYS)
    for name in ARRAYS:
        other = open_zarr(f"wk/agglomerates/segmentation/{name}")
        np.testing.assert_array_equal(other, found[name])
        assert other.dtype == found[name].dtype
    components = sorted(nx.connected_components(graph), key=min)
    assert [sorted(c) for c in components] == read(found)
    np.testing.assert_array_equal(
        found["agglomerate_to_positions"], [graph.nodes[s]["position"] for s in found["agglomerate_to_segments"].tolist()]
    )
    edges = {(u, v): a for u, v, a in edges_of(found)}
    assert edges == {tuple(sorted((u, v))): data["affinity"] for u, v, data in graph.edges(data=True)}
    assert sum(len(c) > 2 for c in components) >= 5


def read(found: Any) -> list[list[int]]:
    """The segments of each agglomerate, as webKnossos's server looks them up, checked against the way back."""
    starts, segments = found["agglomerate_to_segments_offsets"].tolist(), found["agglomerate_to_segments"].tolist()
    assert (starts[:2], starts[-1]) == ([0, 0], len(segments))
    of = found["segment_to_agglomerate"].tolist()
    parts = [segments[a:b] for a, b in itertools.pairwise(starts[1:])]
    assert of[0] == 0
    for number, part in enumerate(parts):
        assert part == sorted(part)
        assert {of[segment] for segment in part} == {number + 1}
    return parts


def edges_of(found: Any) -> Any:
    """Edges by the ids of segments; within each agglomerate they are ascending."""
    parts, starts = read(found), found["agglomerate_to_edges_offsets"].tolist()
    assert (starts[:2], starts[-1]) == ([0, 0], len(found["agglomerate_to_edges"]))
    for part, (a, b) in zip(parts, itertools.pairwise(starts[1:]), strict=True):
        edges = found["agglomerate_to_edges"][a:b].tolist()
        assert edges == sorted(edges)
        assert all(u < v for u, v in edges)
        for (u, v), affinity in zip(edges, found["agglomerate_to_affinities"][a:b], strict=True):
            yield part[u], part[v], affinity


@pytest.mark.slow
def test_blocks_do_not_matter(plan: Plan) -> None:
    other = run(source=SOURCE, outdir="other", block=[8, 32, 24])
    for made, name in ((plan, "a"), (other, "b")):
        write_webknossos(made, "segmentation_0.5", Path(name))
    with h5py.File("a/agglomerates/segmentation_0.5.hdf5") as a, h5py.File("b/agglomerates/segmentation_0.5.hdf5") as b:
        for array in ARRAYS:
            np.testing.assert_array_equal(a[array][()], b[array][()])
    np.testing.assert_array_equal(open_zarr("a/supervoxels.ome.zarr/0"), open_zarr("b/supervoxels.ome.zarr/0"))


@pytest.mark.slow
def test_the_region_must_not_begin_below_zero(plan: Plan) -> None:
    from connectomake.planning.resolve import resolve

    moved = resolve({**plan.config, "source": {**CONFIG["source"], "offset": [3, -5, 7]}, "outdir": "moved"})
    with pytest.raises(ConfigError, match="webKnossos has voxels from 0 to"):
        write_webknossos(moved, "segmentation", Path("moved"))


@pytest.mark.slow
def test_webknossos_reads_it_and_writes_the_same(plan: Plan, tmp_path: Path) -> None:
    """With webKnossos's own library, where somebody has installed it; it is no dependency."""
    attachments: Any = pytest.importorskip("webknossos.dataset.layer.segmentation_layer.attachments.agglomerate_attachment")
    write_webknossos(plan, "segmentation", tmp_path / "ours")
    folder = tmp_path / "ours/agglomerates/segmentation"
    kind = attachments.AttachmentDataFormat.Zarr3
    graph = attachments.AgglomerateAttachment.from_path_and_name(folder, "segmentation", data_format=kind).to_graph()
    attachments.AgglomerateAttachment.create(tmp_path / "theirs", graph)
    for name in ARRAYS:
        np.testing.assert_array_equal(open_zarr(str(folder / name)), open_zarr(str(tmp_path / "theirs" / name)))
    ours, theirs = (json.loads((path / "zarr.json").read_text()) for path in (folder, tmp_path / "theirs"))
    assert ours == theirs
