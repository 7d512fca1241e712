"""Whole runs whose jobs are made by workers: the same bytes as Snakemake's, which then finds nothing to be done."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectomake.storage.stores import open_store
from tests.flow import ROOT, Flow, sha
from tests.queue_help import LONG, Cloud, call, wait_for, worker

pytestmark = pytest.mark.slow
RULES = (
    "info", "image", "affinity", "components", "merge", "lookup", "segmentation", "measures", "objects", "fragments", "gather",
    "meshes",
)  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of Snakemake."""
    flow = Flow(tmp_path_factory.mktemp("queue") / "run").make()
    flow.write()
    flow.run()
    return flow


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, not begun; the working directory is its folder."""
    flow = Flow(tmp_path / "run").make()
    flow.write()
    monkeypatch.chdir(flow.folder)
    return flow


@pytest.fixture
def copied(done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return Flow(tmp_path / "copy", done.shape, done.config)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = Cloud(monkeypatch)
    server.client("s3").create_bucket(Bucket="bucket")
    yield server
    server.stop()


def files_of(flow: Flow) -> dict[str, Any]:
    """SHA-256 of every file of a run but logs, benchmarks and the copy of the plan, which a head leaves."""
    folder = flow.folder / "out"
    return {
        str(path.relative_to(folder)): sha(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in {"logs", "benchmarks", "plan.json"}
        and not path.name.endswith(".part")
    }


def fill(rule: Any, *words: Any, queue: str = "fq://queue", check: int = 0) -> Any:
    return call("queue", "fill", rule, "--queue", queue, "--workflow", str(ROOT), *words, check=check)[1]


def make(rule: Any, queue: str = "fq://queue") -> Any:
    """Fill and work until nothing of a rule is missing; return how many tasks there were."""
    tasks = 0
    while "nothing is missing" not in (text := fill(rule, queue=queue)):
        tasks += int(text.split()[1])
        call("queue", "work", queue, "--workflow", str(ROOT), check=0)
    return tasks


def test_a_run_by_workers_alone(done: Flow, flow: Flow) -> None:
    """One worker is killed half-way through a block; another makes it when the lease has run out."""
    assert "added to fq://queue" in fill("info")
    make("info")
    make("image")
    refused = fill("merge", check=1)
    assert "no target of merge can be made yet" in refused
    assert "1 for components" in refused
    assert "8 tasks" in fill("affinity")
    with worker("fq://queue", "--lease", "10", "--workflow", str(ROOT)) as first:
        wait_for(lambda: list(Path("out/affinity").rglob("*.part")))
        first.kill()
        first.wait()
    before = {path: path.stat().st_mtime_ns for path in Path("out/affinity").rglob("*.shard")}
    with worker("fq://queue", "--workflow", str(ROOT)) as second, worker("fq://queue", "--workflow", str(ROOT)) as third:
        assert (second.wait(LONG), third.wait(LONG)) == (0, 0)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert [make(rule) for rule in RULES[3:]] == [8, 1, 1, 8, 2, 1, 8, 0, 1]
    assert files_of(flow) == files_of(done)
    assert "Nothing to be done" in flow.run("-n")
    assert flow.would_run(flow.with_values(segmentation__min_size=31)) == done.would_run(
        done.with_values(segmentation__min_size=31)
    )


def test_outdated_targets_are_missing_too_and_snakemake_believes_the_new_ones(copied: Any) -> None:
    """Snakemake's notes tell of other params; the files that workers made are right all the same."""
    assert "nothing is missing" in fill("components")
    copied.write(copied.with_values(segmentation__threshold=0.6))
    assert "8 tasks of components" in fill("components")
    call("queue", "work", "fq://queue", "--workflow", str(ROOT), check=0)
    assert "components" not in copied.would_run(copied.with_values(segmentation__threshold=0.6))
    text = fill("merge")
    assert "1 task of merge" in text
    copied.run()
    assert "Nothing to be done" in copied.run("-n")


def test_some_targets_wait(copied: Any) -> None:
    targets = copied.targets()
    Path(targets.tables("components", 0)).unlink()
    Path(targets.shard("segmentation", 3)).unlink()
    Path(targets.shard("components", 3)).unlink()
    Path(targets.mesh_shard(0)).unlink()
    text = fill("components")
    assert "2 tasks of components" in text
    call("queue", "work", "fq://queue", "--workflow", str(ROOT), check=0)
    copied.run()
    assert "Nothing to be done" in copied.run("-n")


def test_an_unknown_rule_and_a_config_with_a_mistake(flow: Flow) -> None:
    text = fill("watersheds", check=1)
    assert "there is no rule 'watersheds'" in text
    assert "components" in text
    flow.write(flow.with_values(block=[32, 32]), "wrong.yaml")
    text = call("queue", "fill", "wrong.yaml", "image", "-q", "fq://queue", "--workflow", str(ROOT), check=1)[1]
    assert "block" in text
    assert "Traceback" not in text
    text = call("queue", "fill", "absent.yaml", "image", "-q", "fq://queue", "--workflow", str(ROOT), check=1)[1]
    assert "absent.yaml" in text
    assert fill("all", check=1).count("there is no rule 'all' that a worker can run") == 1


def test_workers_without_a_shared_disk(
    done: Flow, flow: Flow, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines: the head has the source; the worker has an empty folder, SQS and a bucket."""
    storage = ["--storage", "s3://bucket/run"]
    fill("image", *storage, "--create", queue="sqs://work")
    call("queue", "work", "sqs://work", "--workflow", str(ROOT), check=0)
    for rule in ("affinity", "components"):
        monkeypatch.chdir(flow.folder)
        fill(rule, *storage, queue="sqs://work")
        elsewhere = tmp_path / f"elsewhere-{rule}"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        call("queue", "work", "sqs://work", "--workflow", str(ROOT), check=0)
        assert list(elsewhere.iterdir()) == []
    monkeypatch.chdir(flow.folder)
    assert not (flow.folder / "out").exists()
    options = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/run"]
    options += ["--storage-s3-endpoint-url", cloud.url, "--default-resources", "disk_mb=100"]
    assert "Nothing to be done" not in flow.run("-n", *options)
    flow.run(*options)
    assert "Nothing to be done" in flow.run("-n", *options)
    store = open_store("s3://bucket/run", cloud.url)
    for path, digest in files_of(done).items():
        store.download(f"out/{path}", tmp_path / "file")
        assert sha((tmp_path / "file").read_bytes()) == digest, path


def test_work_needs_no_config_nor_source(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a worker needs is in the message and in the storage, here a folder."""
    storage = tmp_path / "shared"
    storage.mkdir()
    for name in ("raw.h5", "model.py", "config.yaml"):
        shutil.copy(flow.folder / name, storage / name)
    make_here = ["--storage", f"file://{storage}"]
    monkeypatch.chdir(storage)
    fill("image", *make_here, queue=f"fq://{tmp_path}/queue")
    call("queue", "work", f"fq://{tmp_path}/queue", "--workflow", str(ROOT), check=0)
    fill("affinity", *make_here, queue=f"fq://{tmp_path}/queue")
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    call("queue", "work", f"fq://{tmp_path}/queue", "--workflow", str(ROOT), check=0)
    assert list(away.iterdir()) == []
    assert len(list((storage / "out/affinity").rglob("*.shard"))) == 8
    assert (storage / "out/logs/affinity/0.log").exists()
