"""The real workflow, end to end: exact, the same for any blocks, resumable, rerunning exactly what depends."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.layers import write_tables
from tests.flow import ROOT, Flow, job_counts

pytestmark = pytest.mark.slow
BELOW_AFFINITY = {"components", "merge", "lookup", "segmentation", "measures", "objects", "fragments", "meshes"}
BELOW_COMPONENTS = BELOW_AFFINITY - {"components"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run. Tests that change it copy it first."""
    flow = Flow(tmp_path_factory.mktemp("flow") / "run").make()
    flow.write()
    flow.run()
    return flow


@pytest.fixture
def copied(done: Any, tmp_path: Path) -> Any:
    """A copy of the finished run, times kept."""
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    return Flow(tmp_path / "copy", done.shape, done.config)


def whole_volume_segmentation(affinity: Any, threshold: Any, connectivity: Any, min_size: Any) -> Any:
    import cc3d

    components = cc3d.connected_components(affinity > np.float32(threshold), connectivity=connectivity)
    labels, first, counts = np.unique(components.ravel(), return_index=True, return_counts=True)
    table = np.zeros(int(components.max()) + 1, np.uint64)
    big = (labels > 0) & (counts >= min_size)
    table[labels[big]] = first[big] + 1
    return table[components]


def test_segmentation_is_that_of_the_whole_volume(done: Flow) -> None:
    expected = whole_volume_segmentation(done.array("affinity")[0], 0.55, 6, 30)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(done.array("segmentation")[0], expected)


def test_nothing_is_done_twice(done: Flow) -> None:
    assert "Nothing to be done" in done.run("-n")


@pytest.mark.parametrize(
    "values",
    [
        {"block": [16, 64, 32], "chunk": [16, 64, 32], "merge__fan_out": 2},
        {"block": [64, 64, 64], "chunk": [16, 16, 16], "meshes__voxels_per_job": 1},
    ],
)
def test_blocks_do_not_matter(done: Flow, copied: Any, values: dict[str, Any]) -> None:
    config = copied.with_values(outdir="other", **values)
    copied.write(config)
    copied.run()
    assert copied.digests(config) == done.digests()


def test_offset_region_is_exact(done: Flow, copied: Any) -> None:
    config = copied.with_values(outdir="other", source__start=[3, 5, 7], source__stop=[34, 40, 41], meshes__enabled=False)
    copied.write(config)
    copied.run()
    affinity = copied.array("affinity", config)[0]
    np.testing.assert_array_equal(copied.array("segmentation", config)[0], whole_volume_segmentation(affinity, 0.55, 6, 30))


def test_killed_and_resumed(done: Any, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "killed").make()
    flow.write()
    for stage, kill in (("affinity", signal.SIGKILL), ("components", signal.SIGINT), ("segmentation", signal.SIGKILL)):
        process = subprocess.Popen(
            flow.command(), cwd=flow.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(lambda s=stage: len(list((flow.folder / "out" / s).rglob("*.shard"))) >= 2, process)
        os.killpg(process.pid, kill)
        process.wait(timeout=1800)
        flow.run("--unlock")
    times = {path: path.stat().st_mtime_ns for path in (flow.folder / "out").rglob("*.shard")}
    flow.run()
    assert flow.digests() == done.digests()
    redone = [path for path, when in times.items() if path.stat().st_mtime_ns != when]
    assert len(redone) <= 2, "only jobs that ran when the run was killed may run again"


def wait_for(condition: Any, process: Any, seconds: int = 1800) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.time() < deadline
        time.sleep(0.05)


def test_one_target_by_name(copied: Any) -> None:
    shutil.rmtree(copied.folder / "out")
    target = copied.targets().shard("affinity", 0)
    copied.run(target)
    assert (copied.folder / target).exists()
    assert len(list((copied.folder / "out/affinity").rglob("*.shard"))) == 1
    code, text = copied.run(str(Path(target).with_name("7.shard").parent / "zz.shard"), check=False)
    assert code != 0
    assert "zz.shard" in text
    code, text = copied.run("out/affinity/10_10_20/ff.shard", check=False)
    assert code != 0
    assert "does not exist" in text


RERUNS = [
    ({"segmentation__threshold": 0.6}, BELOW_AFFINITY),
    ({"segmentation__connectivity": 26}, BELOW_AFFINITY),
    ({"segmentation__min_size": 31}, BELOW_COMPONENTS),
    ({"merge__fan_out": 8}, BELOW_COMPONENTS),
    ({"inference__overlap": [4, 2, 6]}, {"affinity", *BELOW_AFFINITY}),
    ({"inference__overlap": [2, 6, 4]}, {"affinity", *BELOW_AFFINITY}),
    ({"inference__batch": 2}, {"affinity", *BELOW_AFFINITY}),
    ({"inference__threads": 2}, {"affinity", *BELOW_AFFINITY}),
    ({"meshes__cell": [32, 16, 16]}, {"measures", "objects", "fragments", "meshes"}),
    ({"meshes__simplify__factor": 5}, {"fragments", "meshes"}),
    ({"meshes__simplify__max_error": 11}, {"fragments", "meshes"}),
    ({"objects__properties_limit": 5}, {"objects"}),
    ({"meshes__enabled": False}, {"measures", "objects", "info"}),
    ({"keep": ["image"]}, set()),
    ({"inference__output_patch": [10, 16, 16]}, set()),
    ({"compression": 2}, {"image", "affinity", *BELOW_AFFINITY}),
]


@pytest.mark.parametrize(("values", "rules"), RERUNS, ids=[str(v) for v, _ in RERUNS])
def test_a_changed_key_reruns_what_depends_on_it(done: Flow, values: dict[str, Any], rules: set[str]) -> None:
    assert set(done.would_run(done.with_values(**values))) == rules


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"segmentation__threshold": 0.6}, BELOW_AFFINITY),
        ({"meshes__simplify__factor": 5}, {"fragments", "meshes"}),
        ({"objects__properties_limit": 5}, {"objects"}),
        ({"inference__overlap": [4, 2, 6]}, {"affinity", *BELOW_AFFINITY}),
    ],
)
def test_changes_are_seen_without_snakemakes_metadata(copied: Any, values: dict[str, Any], rules: set[str]) -> None:
    shutil.rmtree(copied.folder / ".snakemake")
    assert copied.would_run(copied.config) == {}
    assert set(copied.would_run(copied.with_values(**values))) == rules


def test_a_changed_model_or_source_is_noticed(copied: Any) -> None:
    model = copied.folder / "model.py"
    model.write_text(model.read_text().replace("-1.9", "-1.8"))
    assert "affinity" in copied.would_run(copied.config)
    model.write_text(model.read_text().replace("-1.8", "-1.9"))
    os.utime(model)
    assert copied.would_run(copied.config) == {}
    import h5py

    with h5py.File(copied.folder / "raw.h5", "r+") as file:
        file["raw"][0, 0, 0] ^= 255
    assert "image" in copied.would_run(copied.config)


def test_touched_scripts_and_a_fresh_clone_rerun_nothing(done: Flow, copied: Any, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("Snakefile", "workflow", "scripts", "profiles"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, clone / name)
    for path in clone.rglob("*"):
        os.utime(path)
    snakefile = copied.command("-n")
    snakefile[snakefile.index("-s") + 1] = str(clone / "Snakefile")
    text = subprocess.run(snakefile, cwd=copied.folder, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in text.stdout + text.stderr


def test_a_lost_final_shard_remakes_little(copied: Any) -> None:
    targets = copied.targets()
    (copied.folder / targets.shard("segmentation", 3)).unlink()
    counts = copied.would_run(copied.config)
    assert counts.pop("segmentation") == 1
    assert set(counts) <= {"measures", "objects", "fragments", "meshes"}
    before = copied.folder / targets.shard("segmentation", 0)
    when = before.stat().st_mtime_ns
    copied.run(config="changed.yaml")
    assert before.stat().st_mtime_ns == when


def test_a_lost_final_shard_without_meshes_remakes_itself_only(copied: Any) -> None:
    config = copied.with_values(meshes__enabled=False)
    changed = copied.would_run(config)
    assert set(changed) == {"measures", "objects", "info"}, "without cells others are measured, and the info names no mesh"
    (copied.folder / copied.targets().shard("segmentation", 3)).unlink()
    (copied.folder / copied.targets().shard("affinity", 3)).unlink()
    assert copied.would_run(config) == {"segmentation": 1, **changed}


def test_lost_intermediates_come_back_when_kept_is_asked_for(copied: Any) -> None:
    targets = copied.targets()
    assert copied.would_run(copied.config, "kept") == {}
    (copied.folder / targets.shard("affinity", 3)).unlink()
    assert copied.would_run(copied.config) == {}
    counts = copied.would_run(copied.config, "kept")
    assert counts.pop("affinity") == 1
    assert counts.pop("components") == 1, "its input is made anew"
    assert set(counts) <= BELOW_COMPONENTS
    assert targets.shard("affinity", 3) in copied.run("-n", "kept", config="changed.yaml")


def test_files_that_are_not_ours_are_remade(copied: Any) -> None:
    write_tables(copied.folder / copied.targets().merge(1, 0), {"x": np.zeros(3)}, {"stage": "merge"})
    assert copied.would_run(copied.config)["merge"] >= 1


def test_jobs_need_no_source(done: Flow, copied: Any) -> None:
    """With the image ingested, every later job parses and runs with the source gone; so does the head, from its plan."""
    for layer in ("affinity", "components", "segmentation"):
        shutil.rmtree(copied.folder / "out" / layer)
    (copied.folder / "raw.h5").unlink()
    copied.run()
    (copied.folder / "raw.h5").write_bytes((done.folder / "raw.h5").read_bytes())
    assert copied.digests() == done.digests()


def test_a_job_without_its_plan_fails_at_once(copied: Any) -> None:
    shutil.rmtree(copied.folder / ".connectomake")
    target = copied.targets().shard("components", 0)
    code, text = copied.run("--mode", "subprocess", "--force", target, check=False)
    assert code != 0
    assert "plan" in text
    assert "missing" in text


def test_temporary_layers_are_deleted(done: Flow, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "temp").make()
    config = flow.with_values(keep=[])
    flow.write(config)
    flow.run()
    assert not list((flow.folder / "out/affinity").rglob("*.shard"))
    assert not list((flow.folder / "out/image").rglob("*.shard"))
    assert not list((flow.folder / "out/fragments").rglob("*.pack"))
    np.testing.assert_array_equal(flow.array("segmentation", config), done.array("segmentation"))
    assert "Nothing to be done" in flow.run("-n")


@pytest.mark.parametrize("option", ["--dag", "--rulegraph", "--filegraph", "--summary", "--detailed-summary", "--list-rules"])
def test_snakemake_options_work(done: Flow, option: str) -> None:
    text = done.run(option)
    assert "segmentation" in text


def test_lint(done: Flow) -> None:
    done.run("--lint")


def test_report(copied: Any) -> None:
    copied.run("--report", "report.html")
    assert "segmentation" in (copied.folder / "report.html").read_text()


def test_job_counts_are_parsed() -> None:
    rows = ["job         count", "--------  -------", "all             1", "affinity       12", "total          13"]
    text = "\n".join(["x", "Job stats:", *rows, "", "rest"])
    assert job_counts(text) == {"affinity": 12}
