"""What a run does before its first job: it locks the results, clears what killed jobs left, names what is of the future."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from connectomake import lock, stale_files
from connectomake.atomic import atomic_path, final_path, temporary_name, write_text
from connectomake.errors import RunError
from connectomake.forking import processes
from connectomake.lock import Holder
from connectomake.planning.dates import future_text, in_future
from connectomake.stale_files import remove_abandoned
from tests.flow import CONFIG, Flow

OTHER = "0123abcd"
SMALL: dict[str, Any] = {
    **{key: CONFIG[key] for key in ("outdir", "source", "pyramid")},
    "block": [16, 16, 16],
    "chunk": [8, 8, 8],
    "segmentation": {"threshold": 0.6, "min_size": 10},
    "inference": None,
    "meshes": {"cell": [8, 8, 8]},
    "keep": ["image", "fragments"],
}


def ended_process() -> Any:
    """The number of a process that has ended and was waited for."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def part(folder: Any, process: Any, token: Any, age: float = 0.0, name: str = "0.shard") -> Any:
    path = folder / f".{name}.{process}.{token}.part"
    path.write_bytes(b"half")
    when = time.time() - age
    os.utime(path, (when, when))
    return path


def token(machine: Any = None, boot: Any = None) -> str:
    return f"{machine or processes.machine()}{boot or processes.boot()}{secrets.token_hex(4)}"


def test_names_tell_who_writes(tmp_path: Path) -> None:
    path = temporary_name(tmp_path / "0.up.h5")
    named = stale_files.PART.fullmatch(path.name)
    assert named is not None
    assert (named["name"], int(named["process"])) == ("0.up.h5", os.getpid())
    assert named["token"].startswith(processes.machine() + processes.boot())
    assert final_path(path) == tmp_path / "0.up.h5"


@pytest.mark.slow
def test_only_what_nobody_writes_is_removed(tmp_path: Path) -> None:
    folder, gone, alive = tmp_path / "merge" / "1", ended_process(), os.getpid()
    folder.mkdir(parents=True)
    long_ago = 3 * 86400.0
    left = [
        part(folder, gone, token()),
        part(folder, gone, token(), name="a.b.h5"),
        part(folder, alive, token(boot=OTHER)),
        part(folder, alive, token(), age=long_ago),
        part(folder, 1, token(machine=OTHER), age=long_ago),
        part(folder, 1, "0a1b2c3d", age=long_ago),
        folder / f".0.shard.{gone}.{token()}.part.unordered.part",
    ]
    left[-1].write_bytes(b"half")
    stay = [
        part(folder, alive, token()),
        part(folder, 1, token(machine=OTHER)),
        part(folder, 1, "0a1b2c3e"),
        folder / "0.part",
        folder / ".part",
        folder / f"0.shard.{gone}.{token()}.part",
    ]
    for path in stay[3:]:
        path.write_bytes(b"of somebody")
    (folder / ".d.1.0a1b2c3d.part").mkdir()
    (folder / f".l.{gone}.{token()}.part").symlink_to(stay[0])
    removed = remove_abandoned(tmp_path, tmp_path / "none")
    assert (removed.files, removed.bytes) == (len(left), 4 * len(left))
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in stay)
    assert (folder / ".d.1.0a1b2c3d.part").is_dir()


def test_what_is_written_now_stays(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_bytes(b"half")
        assert remove_abandoned(tmp_path).files == 0
    assert (tmp_path / "x").read_bytes() == b"half"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    return "out"


def hold(out: str, **values: Any) -> Holder:
    holder = replace(Holder.here(), **values)
    Path(out, lock.NAME).write_text(json.dumps(asdict(holder)))
    return holder


def test_taken_and_given_back(out: str) -> None:
    assert lock.take(out)
    held = lock.held(out)
    assert held is not None
    assert held == replace(Holder.here(), since=held.since)
    assert not lock.take(out), "a second run of this directory is Snakemake's to judge"
    lock.release(out)
    assert list(Path(out).iterdir()) == []


LIVE: dict[str, Any] = {
    "another directory": {"folder": "/elsewhere"},
    "another machine": {"machine": OTHER, "host": "node7"},
    "the same directory on another machine": {"machine": OTHER},
    "a process that nobody can date": {"folder": "/elsewhere", "ticks": None},
}
DEAD: dict[str, Any] = {
    "its process is gone": {"process": 0},
    "its number is another process's now": {"ticks": 1},
    "the machine was started anew": {"boot": OTHER},
}


@pytest.mark.parametrize("name", LIVE)
def test_a_live_run_is_named(out: str, name: str) -> None:
    holder = hold(out, **LIVE[name])
    with pytest.raises(RunError, match=rf"process {holder.process} on {holder.host} .*works on out: .*delete out/{lock.NAME}"):
        lock.take(out)
    lock.release(out)
    assert lock.held(out) == holder or holder.machine == processes.machine()


@pytest.mark.slow
@pytest.mark.parametrize("name", DEAD)
def test_the_lock_of_a_dead_run_is_taken_over(out: str, name: str) -> None:
    hold(out, folder="/elsewhere", **DEAD[name] | ({"process": ended_process()} if "gone" in name else {}))
    assert lock.take(out)
    held = lock.held(out)
    assert held is not None
    assert held.folder == str(Path.cwd())
    assert [path.name for path in Path(out).iterdir()] == [lock.NAME]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[1]", b'{"host": 1}'])
def test_a_damaged_lock_is_taken_over(out: str, text: bytes) -> None:
    Path(out, lock.NAME).write_bytes(text)
    assert lock.take(out)


@pytest.mark.slow
def test_one_of_many_gets_it(out: str) -> None:
    """Processes of as many directories take the lock at the same time: one gets it, the others are told."""
    code = """
import os, sys
from connectomake.lock import take
from connectomake.errors import RunError
sys.stdin.readline()
try:
    print("taken" if take(sys.argv[1]) else "shared", flush=True)
except RunError as error:
    print(error, flush=True)
sys.stdin.readline()
"""
    hold(out, folder="/elsewhere", process=ended_process())
    place, programs = str(Path(out).resolve()), []
    for i in range(6):
        folder = Path(f"d{i}")
        folder.mkdir()
        command = [sys.executable, "-c", code, place]
        programs.append(subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
    said = []
    for program in programs:
        assert program.stdout is not None
        said.append(program.stdout.readline().strip())
    for program in programs:
        program.communicate("\n")
    assert said.count("taken") == 1
    assert all(text == "taken" or re.search("another run, process|comes and goes", text) for text in said)


def test_dates(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "abc"]
    for path in paths[:2]:
        write_text(path, "x")
    os.utime(paths[1], (2e9, 2e9))
    assert in_future(paths) == {paths[1]: 2e9}
    assert re.search(r"1 file\(s\) are dated in the future, such as .*b \(2033-", future_text(in_future(paths)))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    flow = Flow(tmp_path_factory.mktemp("starts") / "run", (16, 16, 32), SMALL).make()
    flow.write()
    flow.run()
    return flow


@pytest.fixture
def copied(done: Any, tmp_path: Path) -> Any:
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    return Flow(tmp_path / "copy", done.shape, done.config)


@pytest.mark.slow
def test_a_run_clears_what_killed_jobs_left(copied: Any) -> None:
    out = copied.folder / "out"
    assert not (out / lock.NAME).exists(), "given back"
    left = part(out / "objects", ended_process(), token())
    mine = part(out / "objects", os.getpid(), token())
    assert "Nothing to be done" in copied.run("-n")
    assert left.exists(), "a dry run touches nothing"
    (out / "objects/objects.parquet").unlink()
    assert "Removed 1 temporary file(s) of killed jobs" in copied.run()
    assert mine.exists()
    assert not left.exists()


@pytest.mark.slow
def test_another_directory_is_refused(copied: Any, tmp_path: Path) -> None:
    """Both lead to the same results through a link; the same directory, and a dry run, are not refused."""
    other = Flow(tmp_path / "other", copied.shape, copied.config).make()
    other.write()
    (other.folder / "out").symlink_to(copied.folder / "out")
    table = copied.folder / "out/objects/objects.parquet"
    table.unlink()
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid = sleeper.pid
    hold(copied.folder / "out", process=pid, ticks=processes.ticks(pid), folder=str(copied.folder.resolve()))
    code, text = other.run(check=False)
    assert code == 1
    assert f"another run, process {pid} on {socket.gethostname()}" in text
    assert "Traceback" not in text
    assert not table.exists()
    assert "objects" in other.run("-n")
    copied.run()
    assert table.exists()
    table.unlink()
    sleeper.communicate(b"\n")
    other.run()
    assert table.exists()
    assert not (copied.folder / "out" / lock.NAME).exists()


@pytest.mark.slow
def test_a_killed_run_does_not_stand_in_the_way(copied: Any, tmp_path: Path) -> None:
    other = Flow(tmp_path / "other", copied.shape, copied.config).make()
    other.write()
    (other.folder / "out").symlink_to(copied.folder / "out")
    shutil.rmtree(copied.folder / "out/objects")
    started = subprocess.Popen(copied.command(), cwd=copied.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while lock.held(str(copied.folder / "out")) is None:
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    other.run()
    assert (copied.folder / "out/objects/objects.parquet").exists()


@pytest.mark.slow
def test_dates_in_the_future_are_named_before_the_first_job(copied: Any) -> None:
    targets = copied.targets()
    path, product = (copied.folder / name for name in (targets.pack(0, 0), targets.mesh_shard(0)))
    os.utime(path, (2e9, 2e9))
    product.unlink()
    code, text = copied.run(check=False)
    assert code == 1
    assert re.search(r"file\(s\) are dated in the future, such as .*connectomake verify --repair", text)
    assert not product.exists()
    os.utime(path)
    copied.run()
    assert product.exists()


@pytest.mark.slow
def test_folders_in_the_way_are_moved_aside(copied: Any) -> None:
    targets = copied.targets()
    table, mesh = (copied.folder / name for name in (targets.objects, targets.mesh_shard(0)))
    before = copied.digests()
    for path in (table, mesh):
        path.unlink()
        path.mkdir()
    (table / "note.txt").write_text("of somebody")
    text = copied.run()
    assert f"{targets.objects} is a folder where a file should be" in text
    assert copied.digests() == before
    assert (table.with_name("objects.parquet.aside") / "note.txt").read_text() == "of somebody"
