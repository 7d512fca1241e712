"""The real workflow on affinities: the same basins and neurons as the whole volume in memory, for any blocks."""

import copy
import csv
import json
import os
import shutil
import signal
import subprocess
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import ndimage

from connectomake.agglomeration import Rule, agglomerate_graph, read_merges, region_graph
from connectomake.agglomeration.files import canonical
from connectomake.cli import main
from connectomake.components import interior, watershed
from connectomake.evaluation import Contingency, both_scores, thresholds_of
from connectomake.geometry import Box
from connectomake.objects import read_parquet
from tests.flow import CONFIG, Flow, sha, without_record
from tests.test_workflow import wait_for

pytestmark = pytest.mark.slow
SHAPE = (36, 40, 44)
WATERSHED: dict[str, Any] = {
    **{key: copy.deepcopy(CONFIG[key]) for key in ("outdir", "block", "chunk", "meshes", "keep")},
    "source": {"path": "affinity.h5", "dataset": "affinity", "voxel_size": [20, 10, 10]},
    "segmentation": {"method": "watershed", "t_low": 0.1, "t_high": 0.98, "min_size": 10},
}


def smooth_affinity(shape: tuple[int, int, int] = SHAPE, seed: int = 0, dtype: str = "uint8") -> Any:
    """Affinities of blobs of some voxels; uint8, so that ties abound."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).random(shape)
    cells = gaussian_filter(noise, 2)
    cells = (cells - cells.min()) / np.ptp(cells)
    inside = np.clip(3 * np.abs(cells - 0.5), 0, 1)
    affinity = np.stack([np.minimum(inside, np.roll(inside, 1, axis)) for axis in range(3)])
    return np.floor(255 * affinity + 0.5).astype(np.uint8) if dtype == "uint8" else affinity.astype(np.float32)


@pytest.fixture(scope="module", params=["uint8", "float32"])
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with affinities as source."""
    flow = Flow(tmp_path_factory.mktemp(request.param) / "run", SHAPE, copy.deepcopy(WATERSHED))
    flow.folder.mkdir(parents=True)
    with h5py.File(flow.folder / "affinity.h5", "w") as file:
        file["affinity"] = smooth_affinity(dtype=request.param)
    return flow


def ids_of(labels: np.ndarray, min_size: int = 0) -> Any:
    """Turn labels into 1 + raster index of the first voxel; 0 below `min_size`."""
    values, first, count = np.unique(labels, return_index=True, return_counts=True)
    ids = np.where((values == 0) | (count < min_size), 0, first + 1).astype(np.uint64)
    return ids[np.searchsorted(values, labels)]


def test_basins_of_any_blocks(flow: Any) -> None:
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    layouts: dict[str, dict[str, Any]] = {
        "one": {"block": [64, 64, 64], "chunk": [16, 16, 16]},
        "some": {},
        "flat": {"block": [16, 32, 16], "chunk": [16, 32, 16], "merge__fan_out": 2},
        "offset": {"source__start": [3, 5, 7], "source__stop": [34, 40, 41], "merge__fan_out": 4},
    }
    for name, values in layouts.items():
        config = flow.with_values(outdir=name, meshes__enabled=False, **values)
        flow.write(config)
        flow.run()
        roi = flow.plan(config).roi
        cut = np.ascontiguousarray(affinity[(slice(None), *roi.slices())])
        want = ids_of(watershed(cut, 0.1, 0.98), 10)
        assert len(np.unique(want)) > 100
        np.testing.assert_array_equal(flow.array("segmentation", config)[0], want)


def in_memory(affinity: np.ndarray, rule: Any) -> Any:
    """Ids of the segments of a whole volume, and its merges by supervoxel ids."""
    labels = watershed(affinity, 0.1, 0.98)
    segments, merges = agglomerate_graph(region_graph(labels, affinity), np.bincount(labels.ravel()), rule)
    merges = canonical(merges)
    keys = np.unique(np.append(ids_of(labels), np.uint64(0)))
    rows = zip(merges.kind.tolist(), keys[merges.a].tolist(), keys[merges.b].tolist(), merges.index.tolist(), strict=True)
    return ids_of(segments[labels], 10), set(rows)


LAYOUTS: dict[str, Any] = {
    "one": {"block": [64, 64, 64], "chunk": [16, 16, 16]},
    "many": {"block": [16, 16, 16], "chunk": [16, 16, 16], "merge__fan_out": 8},
    "offset": {"source__start": [3, 5, 7], "source__stop": [34, 40, 41], "merge__fan_out": 2},
}


def test_segments_of_any_blocks(flow: Any) -> None:
    """Small basins joined, agglomerated, small segments absorbed: as in memory; the history of merges is the same file."""
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    rule = Rule(0.45, str(affinity.dtype), t_low=0.1, min_supervoxel=12, absorb=40)
    histories = {}
    for name, values in LAYOUTS.items():
        joined = {"agglomeration": {"threshold": 0.45, "absorb": 40}, "segmentation__min_supervoxel": 12}
        config = flow.with_values(outdir=f"{name}-joined", meshes__enabled=False, **joined, **values)
        flow.write(config)
        flow.run()
        roi = flow.plan(config).roi
        want, merges = in_memory(np.ascontiguousarray(affinity[(slice(None), *roi.slices())]), rule)
        assert len(np.unique(want)) > 20
        np.testing.assert_array_equal(flow.array("segmentation", config)[0], want)
        found = read_merges(flow.folder / flow.targets(config).history())
        rows = zip(found.kind.tolist(), found.a.tolist(), found.b.tolist(), found.index.tolist(), strict=True)
        assert set(rows) == merges
        histories[name] = [getattr(found, column).tobytes() for column in ("kind", "a", "b", "total", "count", "index")]
    assert histories["one"] == histories["many"]


def test_killed_while_agglomerating(flow: Any) -> None:
    """Killed twice when some octree nodes are agglomerated and others not, and run again: the same bytes as without."""
    joined = {"agglomeration": {"threshold": 0.45, "absorb": 40}, "segmentation__min_supervoxel": 12}
    whole = flow.with_values(outdir="many-joined", meshes__enabled=False, **joined, **LAYOUTS["many"])
    flow.write(whole)
    flow.run()
    config = {**whole, "outdir": "killed"}
    flow.write(config)

    def made() -> int:
        return len(list((flow.folder / "killed/agglomeration").glob("*/*.up.h5")))

    def have_been_made(count: int) -> bool:
        return made() >= count

    for least in (1, 4):
        run = subprocess.Popen(
            flow.command(), cwd=flow.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(partial(have_been_made, least), run)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(timeout=1800)
        assert least <= made() < 9, "killed between the first node and the root"
        flow.run("--unlock")
    flow.run()
    assert flow.digests(config) == flow.digests(whole)
    histories = [flow.folder / flow.targets(c).history() for c in (config, whole)]
    assert len({sha(without_record(path.read_bytes())) for path in histories}) == 1


def test_another_threshold_remakes_agglomeration_and_what_follows(flow: Any) -> None:
    joined = {"agglomeration": {"threshold": 0.45, "absorb": 40}, "segmentation__min_supervoxel": 12}
    config = flow.with_values(outdir="one-joined", meshes__enabled=False, **joined, **LAYOUTS["one"])
    assert flow.would_run(config) == {}
    below = {"agglomerate", "assign", "history", "segmentation", "measures", "objects", "pyramid", "thumbnail"}
    for change in ({"threshold": 0.5}, {"absorb": 41}, {"large": {"voxels": 50, "threshold": 0.6}}):
        other = copy.deepcopy(config)
        other["agglomeration"].update(change)
        assert set(flow.would_run(other)) == below
    other = copy.deepcopy(config)
    other["segmentation"]["t_low"] = 0.11
    assert set(flow.would_run(other)) == {"components", "merge", "lookup", *below}


def test_boundaries_left_out_of_any_blocks(flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in memory, with and without agglomeration; the objects are measured without them; nothing is left of some."""
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    joined = {"agglomeration": {"threshold": 0.45, "absorb": 40, "thresholds": [0.6]}, "segmentation__min_supervoxel": 12}
    dtype = str(affinity.dtype)
    rules = {at: Rule(t, dtype, t_low=0.1, min_supervoxel=12, absorb=40) for at, t in {"": 0.45, "_0.6": 0.6}.items()}
    vanished, digests = 0, {}
    for name, values in (*LAYOUTS.items(), ("basins", LAYOUTS["many"])):
        own = {} if name == "basins" else joined
        left = {"segmentation__t_boundary": 0.55, "objects": {"measure": name != "many"}}
        config = flow.with_values(outdir=f"{name}-boundary", meshes__enabled=False, **left, **own, **values)
        flow.write(config)
        flow.run()
        roi = flow.plan(config).roi
        cut = np.ascontiguousarray(affinity[(slice(None), *roi.slices())])
        for at, rule in (rules if own else {"": None}).items():
            whole = ids_of(watershed(cut, 0.1, 0.98), 10) if rule is None else in_memory(cut, rule)[0]
            want = np.where(interior(cut, 0.55), whole, 0)
            np.testing.assert_array_equal(flow.array(f"segmentation{at}", config)[0], want)
            vanished += len(np.unique(whole)) - len(np.unique(want))
            if at == "":
                check_table(flow, config, want, roi)
        monkeypatch.chdir(flow.folder)
        with pytest.raises(SystemExit) as ended:
            main(["verify", "config.yaml", "--deep"])
        assert not ended.value.code
        digests[name] = flow.digests(config)["segmentation"]
    assert vanished
    assert digests["one"] == digests["many"] != digests["basins"]
    config["segmentation"]["t_boundary"] = 0.5
    assert {"components", "segmentation", "objects"} <= set(flow.would_run(config))


def check_table(flow: Flow, config: Any, want: Any, roi: Box) -> None:
    """Compare the object table with NumPy on the whole segmentation."""
    table = read_parquet(flow.folder / flow.targets(config).objects)
    ids, first, count = np.unique(want, return_index=True, return_counts=True)
    keep = ids > 0
    np.testing.assert_array_equal(table["id"], ids[keep])
    np.testing.assert_array_equal(table["voxels"], count[keep])
    boxes = ndimage.find_objects(np.searchsorted(ids, want).astype(np.int32))
    for axis, letter in enumerate("zyx"):
        for column, side in (("start", 0), ("stop", 1)):
            edges = [(box[axis].start, box[axis].stop)[side] + roi.start[axis] for box in boxes if box is not None]
            np.testing.assert_array_equal(table[f"{column}_{letter}"], edges)
    inside = np.stack([table[f"inside_{letter}"] for letter in "zyx"], axis=-1) - np.array(roi.start)
    np.testing.assert_array_equal(want[tuple(inside.T)], ids[keep])
    np.testing.assert_array_equal(np.ravel_multi_index(inside.T, want.shape), first[keep])


JOINED: dict[str, Any] = {"threshold": 0.45, "absorb": 40, "large": {"voxels": 50, "threshold": 0.55}}
FURTHER: dict[str, Any] = {"agglomeration": {**JOINED, "thresholds": [0.35, 0.5, 0.7]}, "segmentation__min_supervoxel": 12}


def test_several_thresholds_from_one_graph(flow: Any) -> None:
    """Each layer is that of a run to its threshold alone; an added threshold makes what it lacks, and nothing else anew."""
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    config = flow.with_values(outdir="thresholds", meshes__enabled=False, **FURTHER, **LAYOUTS["many"])
    fewer = copy.deepcopy(config)
    fewer["agglomeration"]["thresholds"] = [0.5]
    flow.write(fewer)
    flow.run()
    assert flow.would_run(config) == {"agglomerate": 18, "assign": 18, "history": 2, "segmentation": 54, "info": 2}
    flow.run(config="changed.yaml")
    assert flow.would_run(config) == {}
    found = set()
    for at, threshold in {"": 0.45, "_0.35": 0.35, "_0.5": 0.5, "_0.7": 0.7}.items():
        large: dict[str, Any] = {"large_voxels": 50, "large_threshold": 0.55} if threshold <= 0.55 else {}
        rule = Rule(threshold, str(affinity.dtype), t_low=0.1, min_supervoxel=12, absorb=40, **large)
        want, merges = in_memory(affinity, rule)
        np.testing.assert_array_equal(flow.array(f"segmentation{at}", config)[0], want)
        history = read_merges(flow.folder / flow.targets(config).history(at))
        rows = zip(history.kind.tolist(), history.a.tolist(), history.b.tolist(), history.index.tolist(), strict=True)
        assert set(rows) == merges
        found.add(want.tobytes())
    assert len(found) >= 3, "another threshold gives another segmentation"
    assert flow.would_run(fewer) == {}
    shutil.rmtree(flow.folder / ".snakemake")
    other = copy.deepcopy(config)
    other["agglomeration"]["thresholds"] = [0.35, 0.5, 0.71]
    assert flow.would_run(other) == {"agglomerate": 9, "assign": 9, "history": 1, "segmentation": 27, "info": 1}
    other["agglomeration"]["absorb"] = 41
    assert flow.would_run(other)["segmentation"] == 4 * 27, "all of them are outdated, as their records say"


def test_a_curve_over_thresholds(flow: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The scores at each threshold are those of the supervoxels agglomerated to it; the run's own are those of the run."""
    with h5py.File(flow.folder / "affinity.h5") as file:
        affinity = file["affinity"][:]
    truth = np.ravel_multi_index(np.indices(SHAPE) // 9, (9, 9, 9)) * (affinity[0] > affinity[0].max() // 4)
    with h5py.File(flow.folder / "truth.h5", "w") as file:
        file["labels"] = truth.astype(np.uint32)
    section = {"ground_truth": "truth.h5", "dataset": "labels", "start": [1, 2, 3]}
    texts = []
    for name in ("many", "one"):
        config = flow.with_values(outdir=f"curve-{name}", meshes__enabled=False, evaluation=section, **FURTHER, **LAYOUTS[name])
        flow.write(config)
        flow.run()
        assert "Nothing to be done" in flow.run("-n")
        texts.append((flow.folder / flow.targets(config).curve()["table"]).read_bytes())
    assert texts[0] == texts[1]
    rows = list(csv.DictReader(texts[0].decode().splitlines()))
    assert [float(row["threshold"]) for row in rows] == thresholds_of(0.35, 0.45)
    labels, box = watershed(affinity, 0.1, 0.98), np.s_[1:, 2:, 3:]
    for row in rows[::6]:
        threshold = float(row["threshold"])
        rule = Rule(threshold, str(affinity.dtype), t_low=0.1, min_supervoxel=12)
        rule = Rule(**{**asdict(rule), **({"large_voxels": 50, "large_threshold": 0.55} if threshold <= 0.55 else {})})
        segments, _ = agglomerate_graph(region_graph(labels, affinity), np.bincount(labels.ravel()), rule)
        pairs = np.stack([truth[box].ravel().astype(np.uint64), segments[labels][box].ravel()], axis=-1)
        keys, count = np.unique(pairs[pairs[:, 0] > 0], axis=0, return_counts=True)
        scores = both_scores(Contingency(keys, count, count))
        for kind, values in scores.items():
            assert [float(row[f"{kind}.{k}"]) for k in asdict(values)] == [float(v) for v in asdict(values).values()]
    monkeypatch.chdir(flow.folder)
    with pytest.raises(SystemExit):
        main(["curve", "config.yaml", "--threshold", "0.4"])
    out = capsys.readouterr().out
    own = json.loads(Path(flow.targets(config).evaluation()["scores"]).read_text())
    assert f"{own['all_voxels']['voi']:.3f}" in next(line for line in out.splitlines() if "this run" in line)
    with pytest.raises(SystemExit):
        main(["verify", "config.yaml", "--deep"])
    assert "every storage chunk decoded" in capsys.readouterr().out
    flow.run("--report", "report.html")
    assert "scores over thresholds" in (flow.folder / "report.html").read_text()
