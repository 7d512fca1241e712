"""A job that a signal ends: the process above it says which signal, and which file the job read."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from connectomake.forking import last_file
from connectomake.forking.scripts import JobFailedError, forked
from connectomake.forking.server import Server
from connectomake.layers import write_tables
from connectomake.queueing import task_process

SCRIPT = """
import os, signal
from connectomake.jobs import logged
from connectomake.layers import read_tables

with logged("{log}"):
    read_tables("{path}")
    os.kill(os.getpid(), signal.{name})
"""


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that writes a script which reads a table and then ends by a signal."""
    monkeypatch.chdir(tmp_path)
    write_tables("tables.h5", {"a": np.array([1])})

    def write(name: str) -> str:
        (tmp_path / "tmp1.crash.py").write_text(SCRIPT.format(log="job.log", path="tables.h5", name=name))
        return str(tmp_path / "tmp1.crash.py")

    return write


def started_anew(script: SimpleNamespace, path: str, edit: bool = False) -> None:
    subprocess.run([sys.executable, path], check=True)


def started_by_a_shell(script: SimpleNamespace, path: str, edit: bool = False) -> None:
    code = subprocess.run(["bash", "-c", f"{sys.executable} {path}; exit $?"], check=False).returncode
    raise subprocess.CalledProcessError(code, path)


def never(*_: object) -> None:
    raise AssertionError("a script is forked, not started anew")


STARTS: dict[str, tuple[type[Server] | None, Any]] = {
    "a fork": (Server, None),
    "anew": (None, started_anew),
    "a shell": (None, started_by_a_shell),
}


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGKILL"])
def test_the_file_is_named(how: str, name: str, crashing: Callable[..., Any], tmp_path: Path) -> None:
    server, execute = STARTS[how]
    script = SimpleNamespace(log=["job.log"], conda_env=None, container_img=None, env_modules=None, bench_record=None)
    with pytest.raises(JobFailedError) as caught:
        forked(server() if server else None, execute, pytest.fail)(script, crashing(name))
    text = str(caught.value)
    said = "was killed (signal 9), most often for lack of memory" if name == "SIGKILL" else f"({name}); the last file"
    assert said in text
    assert "the last file it opened is tables.h5;" in text
    assert "rerun" in text
    assert (tmp_path / "job.log").read_text().splitlines()[-1] == "connectomake: error: " + text.removesuffix(" (log: job.log)")
    if name != "SIGKILL":
        assert "Current thread" in (tmp_path / "job.log").read_text()  # and the stack of the crash


def test_a_stopped_script_is_no_crash(crashing: Callable[..., Any], tmp_path: Path) -> None:
    script = SimpleNamespace(log=["job.log"], conda_env=None, container_img=None, env_modules=None, bench_record=None)
    with pytest.raises(JobFailedError, match="ended by SIGTERM"):
        forked(Server(), never, pytest.fail)(script, crashing("SIGTERM"))
    assert (tmp_path / "job.log").read_text() == ""


def test_the_queues_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(task: Any, place: Any, folder: Path) -> None:
        last_file.logging_to(tmp_path / "job.log")
        last_file.reading("merge/1/0.up.h5")
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(task_process, "_make", make)
    page = last_file.new_page()
    nothing: Any = None
    pid, alive = task_process.start(nothing, nothing, tmp_path, page)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(alive)
    text = last_file.report_signal(page, code)
    assert "signal 11 (SIGSEGV); the last file it opened is merge/1/0.up.h5;" in text
    assert (tmp_path / "job.log").read_text() == f"{text}\n"


@pytest.mark.parametrize("code", [0, 1, 3, 127, 128, 255, -15, -2, 143])
def test_other_ends_are_not_told(code: int) -> None:
    page = last_file.new_page()
    assert last_file.report_signal(page, code) == ""


def test_a_job_that_opened_nothing() -> None:
    assert "it had opened no file yet" in last_file.report_signal(last_file.new_page(), -11)


def test_long_and_strange_names_fit(tmp_path: Path) -> None:
    page = last_file.new_page()
    last_file.use(page)
    try:
        last_file.reading("x" * 9000)
        last_file.logging_to(tmp_path / "log")
        assert f"opened is {'x' * 4095};" in last_file.report_signal(page, -11)
        last_file.reading("kurz-ä\udcff")
        assert "opened is kurz-ä\udcff;" in last_file.report_signal(page, -11)
    finally:
        last_file.use(None)
    last_file.reading("nowhere")


def test_pages_are_gone_with_their_scripts() -> None:
    with last_file.shared_page("a/tmp2.x.py"):
        folder = Path(os.environ[last_file.FOLDER])
        assert [path.name for path in folder.iterdir()] == ["tmp2.x.py"]
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o77 == 0
