"""The process that makes one task: files in, the rule's script with a stand-in for Snakemake's object, files out."""

import ctypes
import mmap
import os
import runpy
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from connectomake import slate
from connectomake.credentials import redacted
from connectomake.errors import ConnectomakeError
from connectomake.queueing.place import Place
from connectomake.queueing.task import Named, Task

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class StandIn:
    """What a script reads of Snakemake's object.

    Parameters
    ----------
    rule, config, input, output, wildcards, log, threads, benchmark
        As in Snakemake.
    """

    rule: str
    config: dict[str, Any]
    input: Named
    output: Named
    wildcards: Named
    log: Named
    threads: int
    benchmark: str | None

    @property
    def resources(self) -> SimpleNamespace:
        """Nothing: a queue does not know the worker's machine."""
        return SimpleNamespace()


def stand_in(task: Task) -> StandIn:
    """Return what the script of a task gets."""
    wildcards = Named(list(task.wildcards.values()), {name: [i, None] for i, name in enumerate(task.wildcards)})
    return StandIn(
        task.rule, {"plan": task.plan}, Named(**task.input), Named(**task.output), wildcards, Named(task.log, {}),
        task.threads, task.benchmark,
    )  # fmt: skip


def start(task: Task, place: Place, folder: Path, page: mmap.mmap) -> tuple[int, int]:
    """Fork the process; return its id, and a descriptor that reads as closed once it has ended; see `slate` for the page."""
    reads, writes = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reads)
        slate.use(page)
        _become(task, place, folder, parent)
    os.close(writes)
    return pid, reads


def _become(task: Task, place: Place, folder: Path, parent: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        _die_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _ended)
        code = _make(task, place, folder)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        print(redacted(traceback.format_exc()), file=sys.stderr)  # noqa: T201
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """End this process when the worker ends, even by ``kill -9`` (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _ended(number: int, frame: Any) -> NoReturn:  # noqa: ARG001
    raise SystemExit(128 + number)


def _make(task: Task, place: Place, folder: Path) -> int:
    streams = os.dup(1), os.dup(2)
    try:
        place.prepare(task, folder)
        os.chdir(folder)
        sys.argv = [task.script]
        runpy.run_path(
            str(place.workflow / "scripts" / task.script), init_globals={"snakemake": stand_in(task)}, run_name="__main__"
        )
        _restore(*streams)
        place.publish(task, folder)
    except ConnectomakeError as error:
        _restore(*streams)
        return _failed(str(error))
    except OSError as error:
        _restore(*streams)
        return _failed(f"{error.filename or 'a file'}: {error.strerror or error}")
    return 0


def _failed(message: str) -> int:
    print(f"connectomake: error: {message}", file=sys.stderr)  # noqa: T201
    return 1


def _restore(stdout: int, stderr: int) -> None:
    """Undo that the script sends its output to the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
