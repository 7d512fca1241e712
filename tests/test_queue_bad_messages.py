"""Whatever lies in a queue: bad messages are put aside with the reason, tasks of others are left to them, work goes on."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from connectomake.errors import QueueError
from connectomake.planning.plan import Plan
from connectomake.queueing import files
from connectomake.queueing.bounds import outside
from connectomake.queueing.messages import OthersTaskError, envelope, read_message
from connectomake.queueing.queues import open_queue
from connectomake.queueing.task import Task, plan_hash
from connectomake.storage.stores import open_store
from tests.queue_help import Cloud, call, draw, lines, make_plan, make_task, make_workflow, put_text
from tests.tiny_run import CONFIG

GOOD = make_task("a").to_json()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Any]:
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


def changed(**values: Any) -> str:
    return envelope(GOOD | values, "stray")


def of_plan(**config: Any) -> str:
    """A message whose plan names other files, its hash right."""
    plan = make_plan().to_json()
    plan = plan | {"config": plan["config"] | config}
    return changed(plan=plan, plan_hash=plan_hash(plan))


TEXTS = {
    "empty": ("", "it is empty"),
    "spaces": (" \n", "it is empty"),
    "no JSON": ("garbage", "not readable as JSON"),
    "cut": (envelope(GOOD, "stray")[:-30], "not readable as JSON"),
    "nested": ("[" * 100_000, "nested too deep"),
    "deep in the payload": ('{"id": "stray", "payload": ' + "[" * 100_000, "nested too deep"),
    "long number": ('{"a": ' + "9" * 5000 + "}", "not readable as JSON"),
    "NaN": ('{"id": NaN}', "not readable as JSON"),
    "a list": ("[1, 2]", "a list"),
    "a string": ('"x"', "a string"),
    "null": ("null", "nothing"),
    "no payload": ('{"id": "stray"}', "payload is missing"),
    "task of texts": (envelope(cast("Any", "x"), "stray"), "another program"),
    "script": (changed(script="../evil.py"), "not a script of the workflow"),
    "plan": (changed(plan=[]), "its plan is a list"),
    "plan's hash": (changed(plan_hash="0"), "its plan is not the one"),
    "input": (changed(input=5), "its input is 5"),
    "output": (changed(output={"items": ["a"], "names": {"shard": [7, None]}}), "its output is"),
    "log": (changed(log="x"), "its log is"),
    "threads": (changed(threads="many"), "its threads is"),
    "wildcards": (changed(wildcards={"block": 1}), "its wildcards is"),
    "a control character": (changed(rule="a\x1b[2J"), "its rule is"),
    "a surrogate": (changed(log=["out/\ud800"]), "its log is"),
    "a null byte": (changed(benchmark="a\0b"), "its benchmark is"),
    "a long name": (changed(log=["x" * 300]), "too long"),
    "storage": (changed(storage="ftp://x"), "which is not a storage"),
    "endpoint": (changed(endpoint="nowhere"), "which is not an address"),
    "more": (changed(unknown=1), "damaged"),
    "outputs elsewhere": (changed(output={"items": ["../x"], "names": {}}), "relative to the run's folder"),
    "model elsewhere": (of_plan(inference={**CONFIG["inference"], "model": "../../x", "weights": None}), "climbs out"),
    "source elsewhere": (of_plan(source={"path": "a/../../x"}), "climbs out"),
    "source elsewhere, in a pipeline": (of_plan(source={"path": "a.zip|zip:../x|zarr2:"}), "climbs out"),
    "source of an unknown kind": (of_plan(source={"path": "a|b:c"}), "damaged"),
    "source elsewhere, as a URL": (of_plan(source={"path": "zarr://file://../x%2f..%2fy"}), "climbs out"),
    "truth elsewhere": (of_plan(evaluation={"ground_truth": "../x"}), "climbs out"),
    "outdir elsewhere": (of_plan(outdir="/etc"), "relative to the run's folder"),
    "no plan": (changed(plan={}, plan_hash=plan_hash({})), "its plan cannot be read"),
    "no config": (of_plan(source=None, merge=3), "damaged"),
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.values(), ids=TEXTS)
def test_every_bad_text_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(QueueError, match=reason) as caught:
        Task.from_json(read_message(text, None)).check_plan()
        Plan.from_json(json.loads(text)["payload"][2]["task"]["plan"])
    assert not isinstance(caught.value, OthersTaskError)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.slow
def test_bad_messages_are_put_aside_and_work_goes_on(here: Path, url: Any) -> None:
    queue = open_queue(url, create=True)
    bad = [text for name, (text, _) in TEXTS.items() if not (url.startswith("sqs") and name in ("empty", "nested", "spaces"))]
    for number, text in enumerate(bad):
        put_text(url, text.replace('"id": "stray"', f'"id": "stray{number}"'), f"stray{number}")
    queue.put([make_task(f"{n}") for n in range(3)])
    code, said = call("queue", "work", url)
    assert code == 1
    assert "Traceback" not in said
    assert sorted(lines(here / "starts")) == ["0", "1", "2"]
    assert f"ended: 3 made, {len(bad)} put aside, 0 given up" in said
    assert queue.counts() == (0, 0)
    status = call("queue", "status", url, check=0)[1]
    assert "0 waiting, 0 being made" in status
    assert f"{len(bad)} messages put aside" in status
    assert f"and {len(bad) - 3} more" in status
    assert f"queue purge {url} --aside` deletes" in status
    assert "deleted" in call("queue", "purge", url, "--aside", "--yes", check=0)[1]
    assert "put aside" not in call("queue", "status", url, check=0)[1]
    assert call("queue", "work", url, check=0)[1].count("ended: 0 made, 0 given up") == 1


def strange_files(folder: Path) -> Any:
    """Everything that a folder can hold but a message; return how many of it are put aside."""
    (folder / "README.txt").write_text("hello")
    (folder / "9--.json").write_text("{}")
    (folder / f"{'9' * 200}--x.json").write_text("{}")
    (folder / "-5--x.json").write_text("{}")
    Path(os.fsdecode(os.fsencode(folder) + b"/0--\xff.json")).write_text("{}")
    (folder / "0--binary.json").write_bytes(bytes(range(256)))
    (folder / "0--zeros.json").write_bytes(bytes(5000))
    with (folder / "0--huge.json").open("wb") as stream:
        stream.truncate(1 << 40)
    (folder / "0--noid.json").write_text(envelope(GOOD))
    (folder / "0--otherid.json").write_text(envelope(GOOD, "x"))
    (folder / "0--folder.json").mkdir()
    (folder / "0--full.json").mkdir()
    (folder / "0--full.json/0--x.json").write_text("x")
    (folder / "0--link.json").symlink_to("/etc/passwd")
    (folder / "0--dangling.json").symlink_to("nowhere")
    os.mkfifo(folder / "0--pipe.json")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(folder / "0--socket.json"))
    (folder / "0--closed.json").write_text("{}")
    (folder / "0--closed.json").chmod(0)
    number = len(list(folder.iterdir()))
    (folder / ".nfs000000000a").write_text("open elsewhere")
    (folder / ".hidden").mkdir()
    return number


@pytest.mark.slow
def test_whatever_lies_in_a_queues_folder(here: Path) -> None:
    queue = open_queue("fq://queue", create=True)
    number = strange_files(here / "queue/queue")
    (here / "queue/draws/0").mkdir()
    queue.put([make_task(f"{n}") for n in range(2)])
    code, said = call("queue", "work", "fq://queue")
    assert "Traceback" not in said
    assert f"ended: 2 made, {number} put aside, 0 given up" in said
    assert code == 1
    assert sorted(path.name for path in Path("queue/queue").iterdir()) == [".hidden", ".nfs000000000a"]
    kept = [json.loads(path.read_text()) for path in Path("queue/aside").glob("*/reason.json")]
    assert len(kept) == number == len([path for path in Path("queue/aside").glob("*/*") if path.name == "message"])
    reasons = {note["name"].partition("--")[2].removesuffix(".json"): note["reason"] for note in kept}
    for name, reason in {
        "folder": "a folder",
        "link": "a link",
        "pipe": "a pipe",
        "huge": "more than",
        "noid": "no id",
    }.items():
        assert reason in reasons[name]
    call("queue", "purge", "fq://queue", "--yes", check=0)
    assert list(Path("queue/aside").iterdir()) == []


def test_a_lease_in_the_far_future_is_none(here: Path) -> None:
    """Only a machine whose clock is wrong names a message so; it would wait for ever."""
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a")])
    (message,) = (here / "queue/queue").iterdir()
    message.rename(message.with_name("99999999999--" + message.name.partition("--")[2]))
    assert queue.counts() == (1, 0)
    assert draw(queue).draws == 1
    assert queue.counts() == (0, 1)


def test_draws_that_cannot_be_counted(here: Path) -> None:
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a")])
    ident = next((here / "queue/queue").iterdir()).stem.partition("--")[2]
    (here / "queue/draws" / ident).mkdir()
    drawn = draw(queue)
    assert drawn.draws == 1
    queue.renew(drawn, 0)
    assert draw(queue).draws == 2


def test_two_workers_put_the_same_aside(here: Path) -> None:
    first, second = open_queue("fq://queue", create=True), open_queue("fq://queue")
    (here / "queue/queue/stray").write_text("x")
    for queue, drawn in [(queue, draw(queue)) for queue in (first, second)]:
        assert drawn.fault is not None
        queue.set_aside(drawn, drawn.fault)
    assert first.aside().number == 1


def test_no_message_is_seen_half_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = open_queue("fq://queue", create=True)
    seen = []
    fsync = os.fsync

    def look(fd: int) -> None:
        seen.append(list((here / "queue/queue").iterdir()))
        fsync(fd)

    monkeypatch.setattr("os.fsync", look)
    queue.put([make_task("a")])
    assert seen == [[]]


def test_task_queue_sees_the_same_queue(here: Path) -> None:
    """Its own tool can be used on the folder."""
    from taskqueue import TaskQueue

    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a"), make_task("b")])
    theirs = TaskQueue(f"fq://{here}/queue", progress=False)
    assert (theirs.enqueued, theirs.leased) == (2, 0)
    drawn = draw(queue, 600)
    assert (theirs.enqueued, theirs.leased) == (2, 1)
    theirs.api.release_all()
    assert queue.counts() == (2, 0)
    queue.renew(drawn, 600)
    queue.finish(drawn)
    assert queue.counts() == (1, 0)
    assert read_message(json.dumps(theirs.api.lease(60, 1)[0]))["wildcards"]["block"] in "ab"


# tasks that this worker cannot make


@pytest.mark.slow
def test_refused_tasks_are_left_to_others_and_work_goes_on(here: Path, url: Any) -> None:
    queue = open_queue(url, create=True)
    queue.put([make_task(f"v{n}", version="9.9.9") for n in range(4)] + [make_task("x", script="absent.py")])
    put_text(url, json.dumps({"payload": {"class": "PrintTask", "txt": "x"}, "queueName": "q", "id": "stray"}))
    queue.put([make_task(f"{n}") for n in range(3)])
    code, said = call("queue", "work", url)
    assert code == 1
    assert sorted(lines(here / "starts")) == ["0", "1", "2"]
    assert "ended: 3 made, 6 refused, 0 given up" in said
    assert said.count("filled by connectomake 9.9.9") == 1
    assert "has no rule write" in said
    assert "messages of another program" in said
    assert sum(open_queue(url).counts()) == 6
    if url.startswith("fq"):
        assert {path.stat().st_size for path in Path("queue/draws").iterdir()} == {0}, "a refusal is no try"
        status = call("queue", "status", url, check=0)[1]
        assert "6 tasks refused by a worker and left to others" in status
        assert "6 waiting" in status


@pytest.mark.slow
def test_full_paths_must_be_allowed(here: Path) -> None:
    (here / "elsewhere").mkdir()
    (here / "run").mkdir()
    (here / "elsewhere/raw.h5").write_text("x")
    make_workflow(here / "run")
    os.chdir(here / "run")
    plan = make_plan(source={**CONFIG["source"], "path": str(here / "elsewhere/raw.h5")})
    assert outside(plan.to_json(), [here / "elsewhere"]) is None
    assert outside(plan.to_json(), [here / "elsewhere/raw"]) == ("source.path", str(here / "elsewhere/raw.h5"))
    queue = open_queue("fq://queue", create=True)
    queue.put([make_task("a", plan=plan)])
    code, said = call("queue", "work", "fq://queue")
    assert (code, queue.counts()) == (1, (1, 0))
    assert f"start the worker with --allow {here}/elsewhere/raw.h5" in said
    call("queue", "work", "fq://queue", "--allow", str(here / "elsewhere"), check=0)
    assert lines(here / "starts") == ["a"]


@pytest.mark.parametrize(
    "path",
    [
        "~/x",
        "/",
        "file:///",
        "zarr://file:///etc",
        "n5:///etc",
        "precomputed://~/x",
        "/etc|zarr2:",
        "~/x.zip|zip:a|zarr3:b",
        "~/x.zip/in",
        "zarr3:///etc",
        "~/x/in",
    ],
)
def test_every_way_to_write_a_full_path(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("x", "x.zip"):
        (tmp_path / name).write_text("x")
    found = outside({"config": {"source": {"path": path}}}, [tmp_path / "run"])
    assert found is not None, path
    assert found[0] == "source.path"


def test_links_stay_in_the_jobs_folder(tmp_path: Path) -> None:
    """A folder that is the source, and a file said to lie within it."""
    home, scratch, store = tmp_path / "home", tmp_path / "scratch", tmp_path / "store"
    for folder in (home / "data", scratch, store):
        folder.mkdir(parents=True)
    (scratch / "data").symlink_to(home / "data")
    (home / "data/model.py").write_text("x")
    plan = Plan.from_json(make_plan().to_json() | {"model": files._sha(home / "data/model.py")})
    plan.config["inference"] = {**CONFIG["inference"], "model": "data/model.py", "weights": None}
    with pytest.raises(QueueError, match="relative to the run's folder"):
        files.provide(plan, open_store(f"file://{store}"), scratch, [home], tmp_path)
    plan.config["inference"]["model"] = "../home/data/model.py"
    with pytest.raises(QueueError, match="relative to the run's folder"):
        files.provide(plan, open_store(f"file://{store}"), scratch, [scratch], tmp_path)


def test_such_a_config_is_not_put_in(here: Path) -> None:
    with pytest.raises(QueueError, match=r"source.path '../raw.h5', which climbs out .* write its full path"):
        make_task("a", plan=make_plan(source={**CONFIG["source"], "path": "../raw.h5"}))
