"""Queues and workers: leases, renewals, faults, signals, and what is said of wrong input."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectomake.errors import QueueError, StorageError
from connectomake.queueing.messages import KEY, Drawn, OthersTaskError, read_message
from connectomake.queueing.queues import open_queue
from connectomake.queueing.task import Named, Task
from connectomake.queueing.task_process import stand_in
from connectomake.storage.s3 import S3Store
from connectomake.storage.stores import FolderStore, Store, open_store
from tests.queue_help import (
    LONG,
    Cloud,
    call,
    draw,
    lines,
    make_plan,
    make_task,
    make_workflow,
    message_of,
    put_text,
    wait_for,
    worker,
)  # fmt: skip


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        server = Cloud(patch)
        yield server
        server.stop()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workflow of one script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    make_workflow(tmp_path)
    return tmp_path


@pytest.fixture(params=["fq", "sqs"])
def url(request: pytest.FixtureRequest, here: Path) -> str:
    if request.param == "fq":
        return "fq://queue"
    request.getfixturevalue("cloud")
    return f"sqs://queue-{time.time_ns()}"


# tasks


def test_a_task_survives_json() -> None:
    task = make_task("a", ["out/x.h5"])
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"script": "../evil.py"}, "script"),
        ({"script": "/bin/sh"}, "script"),
        ({"log": ["/etc/passwd"]}, "relative"),
        ({"output": {"items": ["../x"], "names": {}}}, "relative"),
        ({"input": {"items": ["s3://bucket/x"], "names": {}}}, "relative"),
    ],
)
def test_a_task_cannot_name_files_elsewhere(values: dict[str, Any], text: str) -> None:
    with pytest.raises(QueueError, match=text):
        make_task("a", **values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": "9.9.9"}, "install one version"),
        ({"format": 9}, "install one version"),
        ({"plan_hash": "0"}, "fill it again"),
        ({"unknown": 1}, "damaged"),
    ],
)
def test_messages_of_others_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(QueueError, match=text):
        Task.from_json(make_task("a").to_json() | change)


@pytest.mark.parametrize("value", [None, "x", [], {"a": 1}])
def test_what_is_no_task_is_refused(value: Any) -> None:
    with pytest.raises(QueueError, match="another program"):
        Task.from_json(value)


def test_a_plan_that_means_something_else_is_refused() -> None:
    with pytest.raises(QueueError, match="another fingerprint"):
        make_task("a", fingerprint="0" * 32).check_plan()


def test_the_stand_in_has_what_snakemake_has() -> None:
    from snakemake.iocontainers import Namedlist

    theirs = Namedlist(["a", "b", "c"])
    theirs._set_name("first", 0)
    theirs._set_name("rest", 1, end=3)
    theirs._set_name("none", 3, end=3)
    ours = Named(list(theirs), {name: [a, b] for name, (a, b) in theirs._get_names()})
    for name in ("first", "rest", "none"):
        assert getattr(ours, name) == getattr(theirs, name)
        assert ours.get(name) == theirs.get(name)
    assert list(ours) == list(theirs)
    assert ours.get("absent") is None
    with pytest.raises(AttributeError):
        _ = ours.absent
    assert stand_in(make_task("2a")).wildcards.block == "2a"


# queues


def test_put_draw_renew_finish(url: str) -> None:
    queue = open_queue(url, create=True)
    assert queue.put([make_task(f"{n:x}") for n in range(25)]) == 25
    assert queue.counts() == (25, 0)
    drawn = [draw(queue) for _ in range(25)]
    assert sorted(Task.from_json(d.value).wildcards["block"] for d in drawn) == sorted(f"{n:x}" for n in range(25))
    assert {d.draws for d in drawn} == {1}
    assert queue.draw(60, 0) is None
    assert queue.counts() == (0, 25)
    queue.renew(drawn[0], 0)
    again = draw(queue, 60, 1)
    assert (again.value, again.draws) == (drawn[0].value, 2)
    for d in [again, *drawn[1:]]:
        queue.finish(d)
    assert queue.counts() == (0, 0)


@pytest.mark.slow
def test_a_lease_runs_out_unless_renewed(url: str) -> None:
    queue = open_queue(url, create=True)
    queue.put([make_task("a")])
    drawn, ends = draw(queue, 5), time.time() + 6
    queue.renew(drawn, 3600)
    wait_for(lambda: time.time() > ends)
    assert queue.draw(5, 0) is None
    queue.renew(drawn, 1)
    again: list[Drawn | None] = []

    def come() -> bool:
        again.append(queue.draw(60, 0))
        return again[-1] is not None

    wait_for(come)
    assert [drawn and drawn.draws for drawn in again[-1:]] == [2]


@pytest.mark.slow
def test_purge(url: str) -> None:
    queue = open_queue(url, create=True)
    queue.put([make_task("a"), make_task("b")])
    queue.draw(60, 0)
    assert "2 tasks" in call("queue", "purge", url, "--yes", check=0)[1]
    assert queue.counts() == (0, 0)
    assert "0 waiting, 0 being made" in call("queue", "status", url, check=0)[1]


def test_purge_asks(here: Path) -> None:
    open_queue("fq://queue", create=True).put([make_task("a")])
    code, text = call("queue", "purge", "fq://queue")
    assert (code, open_queue("fq://queue").counts()) == (1, (1, 0)), text


def test_large_tasks_go_in_smaller_batches_or_not_at_all(url: str) -> None:
    queue = open_queue(url, create=True)
    reads = [f"out/components/10_10_20/{n:08x}.h5" for n in range(1500)]
    assert queue.put([make_task(str(n), reads) for n in range(12)]) == 12
    with pytest.raises(QueueError, match="let snakemake make write"):
        queue.put([make_task("a", reads * 10)])


# stores


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "file":
        return open_store(f"file://{tmp_path}/store/")
    cloud = request.getfixturevalue("cloud")
    cloud.client("s3").create_bucket(Bucket="bucket")
    return open_store(f"s3://bucket/run-{time.time_ns()}")


def test_stores(store: Any, tmp_path: Path) -> None:
    place = tmp_path / "local"
    place.write_bytes(bytes(range(200)))
    assert store.mtime("a/b") is None
    before = time.time()
    store.upload(place, "a/b")
    assert before - 2 < store.mtime("a/b") < time.time() + 2
    assert store.tail("a/b", 3) == bytes([197, 198, 199])
    assert store.tail("a/b", 1000) == place.read_bytes()
    store.download("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == place.read_bytes()


def test_buckets_that_cloud_files_knows(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gs:// cannot be tried here; the same class on an S3 server can."""
    from connectomake.storage.cloud import CloudStore

    monkeypatch.setenv("AWS_SESSION_TOKEN", "")
    cloud.client("s3").create_bucket(Bucket="bucket")
    test_stores(CloudStore(f"s3://bucket/run-{time.time_ns()}"), tmp_path)


@pytest.mark.parametrize("url", ["x", "s3://", "file://relative", "https://x/y"])
def test_what_is_no_storage_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="is not a storage"):
        open_store(url)


# workers


@pytest.mark.slow
def test_workers_make_all_tasks_once(here: Path, url: str) -> None:
    open_queue(url, create=True).put([make_task(f"{n:x}") for n in range(8)])
    text = call("queue", "work", url, "-j", "2", check=0)[1]
    assert sorted(lines(here / "starts")) == sorted(f"{n:x}" for n in range(8))
    for n in range(8):
        assert (here / f"out/{n:x}.shard").read_bytes().startswith(f"whole {n:x}".encode())
        assert "s\th:m:s\tmax_rss" in (here / f"out/benchmarks/{n:x}.tsv").read_text()
        assert "done in" in (here / f"out/logs/{n:x}.log").read_text()
    assert text.count("made in") == 8
    assert text.count("ended:") == 2
    assert "left, about" in text


@pytest.mark.slow
def test_what_is_made_already_is_left_unless_an_input_is_younger(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out/in").write_text("read")
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a", ["out/in"])] * 2)
    assert "1 made, 1 were made already" in call("queue", "work", "fq://queue", check=0)[1]
    assert b"read" in (here / "out/a.shard").read_bytes()
    later = time.time() + 100
    os.utime(here / "out/in", (later, later))
    queue.put([make_task("a", ["out/in"])])
    call("queue", "work", "fq://queue", check=0)
    assert lines(here / "starts") == ["a", "a"]
    assert (here / "out/a.shard").stat().st_mtime >= (here / "out/in").stat().st_mtime
    (here / "out/a.shard").write_bytes(b"of other settings")
    queue.put([make_task("a", ["out/in"])])
    call("queue", "work", "fq://queue", check=0)
    assert lines(here / "starts") == ["a", "a", "a"]


@pytest.mark.slow
def test_a_lease_is_renewed_while_a_job_runs(here: Path, url: str) -> None:
    open_queue(url, create=True).put([make_task("a")])
    with worker(url, "--lease", "10", SLEEP="12") as first, worker(url, "--lease", "10", SLEEP="12") as second:
        assert (first.wait(LONG), second.wait(LONG)) == (0, 0)
    assert lines(here / "starts") == ["a"]
    assert (here / "out/a.shard").read_bytes().startswith(b"whole")


@pytest.mark.slow
def test_a_killed_workers_task_goes_to_another(here: Path, url: str) -> None:
    open_queue(url, create=True).put([make_task("a")])
    with worker(url, "--lease", "3", SLEEP="600") as first:
        wait_for(lambda: list((here / "out").glob(".a.shard.*.part")))
        half = next((here / "out").glob(".a.shard.*.part"))
        pid = int(half.name.split(".")[3])
        first.kill()
        first.wait()
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())
    assert not (here / "out/a.shard").exists()
    text = call("queue", "work", url, check=0)[1]
    assert "a: made in" in text
    assert lines(here / "starts") == ["a", "a"]
    assert (here / "out/a.shard").read_bytes().startswith(b"whole")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_releases_the_lease(here: Path, url: str, number: Any) -> None:
    queue = open_queue(url, create=True)
    queue.put([make_task("a")])
    with worker(url, "--lease", "600", SLEEP="600") as first:
        wait_for(lambda: list((here / "out").glob(".a.shard.*.part")))
        first.send_signal(number)
        assert first.wait(LONG) == 128 + number
        assert first.stdout is not None
        assert "its lease is released" in first.stdout.read()
    assert queue.counts() == (1, 0)
    assert not list((here / "out").glob(".*"))
    call("queue", "work", url, check=0)
    assert (here / "out/a.shard").read_bytes().startswith(b"whole")


def test_a_signal_while_the_queue_is_empty(here: Path) -> None:
    open_queue("fq://queue", create=True)
    with worker("fq://queue", "--forever") as first:
        assert first.stdout is not None
        assert "no task can be drawn now; waiting" in first.stdout.readline()
        first.terminate()
        assert first.wait(LONG) == 143


@pytest.mark.slow
def test_an_idle_worker_ends(here: Path) -> None:
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a")])
    queue.draw(600, 0)
    started = time.time()
    call("queue", "work", "fq://queue", "--idle", "2", check=0)
    assert time.time() - started >= 2


@pytest.mark.slow
@pytest.mark.parametrize(("block", "how"), [("bad", "exit code 1"), ("killed", "signal 9 .*out of memory")])
def test_a_task_that_always_fails_is_given_up(here: Path, url: str, block: str, how: str) -> None:
    import re

    open_queue(url, create=True).put([make_task(block), make_task("good")])
    code, text = call("queue", "work", url, "--tries", "2", "--lease", "30")
    assert code == 1
    assert len(re.findall(rf"write {block}: FAILED, {how}", text)) == 2
    assert f"write {block}: GIVEN UP after 2 draws; its files are still missing, its log is out/logs/{block}.log" in text
    assert "write good: made" in text
    assert open_queue(url).counts() == (0, 0)
    assert lines(here / "starts").count(block) == 2


def test_a_machine_that_fails_everything_does_not_empty_the_queue(here: Path) -> None:
    (here / "scripts/write.py").write_text("raise SystemExit(1)")
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task(f"{n}") for n in range(6)])
    code, text = call("queue", "work", "fq://queue")
    assert code == 1
    assert "3 tasks failed in a row" in text
    assert sum(queue.counts()) == 6


def test_a_script_that_does_not_write_its_output_fails(here: Path) -> None:
    (here / "scripts/write.py").write_text("pass")
    open_queue("fq://queue", create=True).put([make_task("a")])
    code, text = call("queue", "work", "fq://queue", "--tries", "1")
    assert code == 1
    assert "did not write out/a.shard" in text


def test_workers_without_a_shared_disk(here: Path, store: S3Store | FolderStore) -> None:
    (here / "out").mkdir(exist_ok=True)
    (here / "in").write_text("read")
    store.upload(here / "in", "out/in")
    open_queue("fq://queue", create=True).put([make_task("a", ["out/in"], storage=store.url)])
    call("queue", "work", "fq://queue", check=0)
    assert list((here / "out").iterdir()) == []
    store.download("out/a.shard", here / "copy")
    assert (here / "copy").read_bytes().startswith(b"whole aread")
    assert store.mtime("out/logs/a.log") is not None
    assert store.mtime("out/benchmarks/a.tsv") is not None


def test_another_storage_can_be_named_when_working(here: Path, store: S3Store | FolderStore) -> None:
    open_queue("fq://queue", create=True).put([make_task("a", storage="s3://nowhere/run")])
    call("queue", "work", "fq://queue", "--storage", store.url, check=0)
    assert store.mtime("out/a.shard") is not None


# wrong input


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("fq://nothing", "there is no queue at fq://nothing"),
        ("sqs://nothing", "no such queue"),
        ("nothing", "is not a queue; use fq://"),
        ("sqs://", "is not a queue"),
        ("pubsub://x", "is not a queue"),
        ("https://example.com/x", "is not a queue"),
    ],
)
@pytest.mark.parametrize("command", ["work", "status", "purge"])
def test_no_such_queue(here: Path, cloud: Cloud, url: str, text: str, command: str) -> None:
    code, said = call("queue", command, url)
    assert code == 1
    assert text in said
    assert "Traceback" not in said
    assert not (here / "nothing").exists()


def test_wrong_credentials(here: Path, cloud: Cloud) -> None:
    open_queue("sqs://guarded", create=True)
    cloud.demand_credentials()
    try:
        code, said = call("queue", "work", "sqs://guarded")
    finally:
        cloud.demand_credentials(demand=False)
    assert code == 1
    assert "credentials" in said
    assert "Traceback" not in said


def test_no_credentials(here: Path, cloud: Cloud) -> None:
    code, said = call(
        "queue", "work", "sqs://x", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true"
    )
    assert code == 1
    assert "no AWS credentials" in said


def test_wrong_credentials_for_the_storage(here: Path, cloud: Cloud) -> None:
    open_queue("fq://queue", create=True).put([make_task("a", storage="s3://bucket/run")])
    cloud.demand_credentials()
    try:
        code, said = call("queue", "work", "fq://queue")
    finally:
        cloud.demand_credentials(demand=False)
    assert code == 1
    assert "s3://bucket/run cannot be used" in said
    assert open_queue("fq://queue").counts() == (1, 0)


def test_no_such_bucket(here: Path, cloud: Cloud) -> None:
    open_queue("fq://queue", create=True).put([make_task("a", storage="s3://no-such-bucket/run")])
    code, said = call("queue", "work", "fq://queue", "--tries", "1")
    assert code == 1
    assert "bucket does not exist" in said


@pytest.mark.slow
def test_another_version_or_plan(here: Path) -> None:
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a", version="9.9.9")])
    code, said = call("queue", "work", "fq://queue")
    assert (code, queue.counts()) == (1, (1, 0))
    assert "filled by connectomake 9.9.9" in said
    queue.purge()
    queue.put([make_task("a", plan=make_plan(outdir="elsewhere"))])
    assert message_of("queue")["payload"][2]["task"]["plan"]["config"]["outdir"] == "elsewhere"
    from tests.tiny_run import write_inputs

    write_inputs(here)
    code, said = call("queue", "work", "fq://queue", "--config", "config.yaml")
    assert (code, queue.counts()) == (1, (1, 0))
    assert "another plan, with outdir 'elsewhere'" in said


def test_messages_of_another_program(here: Path, url: str) -> None:
    queue = open_queue(url, create=True)
    put_text(url, json.dumps({"payload": {"class": "PrintTask", "txt": "x"}, "queueName": "q"}))
    code, said = call("queue", "work", url)
    assert code == 1
    assert "messages of another program" in said
    assert sum(queue.counts()) == 1


def test_a_missing_script(here: Path) -> None:
    open_queue("fq://queue", create=True).put([make_task("a", script="absent.py")])
    code, said = call("queue", "work", "fq://queue")
    assert code == 1
    assert "has no rule write" in said


def test_a_folder_that_is_no_workflow(here: Path, tmp_path: Path) -> None:
    open_queue("fq://queue", create=True)
    code, said = call("queue", "work", "fq://queue", "--workflow", str(tmp_path / "nowhere"))
    assert code == 1
    assert "no connectomake workflow" in said


def test_messages_are_data() -> None:
    """A function named in a message is never called."""
    message = {"payload": [["os", "system"], [], {"task": {"command": "true"}}, -1], "id": "x"}
    with pytest.raises(OthersTaskError, match="another program"):
        read_message(json.dumps(message))
    ours = json.dumps({"payload": [list(KEY), [], {"task": {"a": 1}}, -1]})
    assert read_message(ours) == {"a": 1}
