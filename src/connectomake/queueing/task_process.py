"""The process that makes one task: files in, the rule's script with a stand-in for Snakemake's object, files out."""

import mmap
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from connectomake.errors import ConnectomakeError
from connectomake.forking import fork
from connectomake.forking.fork import end_with
from connectomake.queueing.task import Named, Task
from connectomake.queueing.task_files import TaskFiles


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


def start(task: Task, files: TaskFiles, folder: Path, page: mmap.mmap) -> tuple[int, int]:
    """Fork the process; return its id, and a descriptor that reads as closed once it has ended (page: see `last_file`)."""
    reads, writes = os.pipe()
    parent = os.getpid()

    def body() -> int:
        os.setpgid(0, 0)
        end_with(parent)
        return _make(task, files, folder)

    pid = fork.start(body, page, (reads,), _HANDLERS)
    os.close(writes)
    return pid, reads


def _stopped(number: int, frame: Any) -> NoReturn:  # noqa: ARG001
    raise SystemExit(128 + number)


_HANDLERS: fork.Handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: _stopped}
"""Ctrl-C is for the worker; when that asks its job to end, temporary files go first."""


def _make(task: Task, files: TaskFiles, folder: Path) -> int:
    streams = os.dup(1), os.dup(2)
    try:
        files.prepare(task, folder)
        fork.run_script(files.workflow / "scripts" / task.script, folder, snakemake=stand_in(task))
        _restore(*streams)
        files.publish(task, folder)
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
