"""A worker: draws tasks and makes them, one after the other, until the queue is empty."""

import contextlib
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from connectomake.atomic import write_text
from connectomake.errors import QueueError, StorageError
from connectomake.forking import last_file
from connectomake.forking.fork import ExitStatus
from connectomake.queueing import task_process
from connectomake.queueing.admission import Admission, WorkerOptions
from connectomake.queueing.lease import Stop, watch
from connectomake.queueing.messages import Drawn, OthersTaskError
from connectomake.queueing.queues import Queue
from connectomake.queueing.task import Task
from connectomake.queueing.task_files import TaskFiles
from connectomake.shell import command

UNFIT_AFTER = 3
"""So many tasks failing in a row say that this machine is at fault, not the tasks."""
_HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@dataclass(slots=True)
class WorkerStats:
    """Counts of a worker: tasks done, found done already, given up, failed since the last success; refused, put aside."""

    made: int = 0
    found: int = 0
    refused: int = 0
    aside: int = 0
    given_up: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)


class Worker:
    """Draws tasks and makes them.

    Parameters
    ----------
    queue
        Where from.
    options
        How.
    say
        Prints a line.
    """

    def __init__(self, queue: Queue, options: WorkerOptions, say: Callable[[str], None]) -> None:
        self._queue, self._options, self._say = queue, options, say
        self._stop = Stop()
        self._stats = WorkerStats()
        self._admission = Admission(options)
        self._started = time.monotonic()
        self._first: int | None = None
        self._said: set[str] = set()

    def run(self) -> int:
        """Work until the queue is empty or a signal comes.

        Returns
        -------
        int
            0 if all went well, 1 if a task was given up, 128 + its number after a signal.

        Raises
        ------
        QueueError, StorageError
            If this worker cannot go on; its task was released.
        """
        self._stop.watch()
        with tempfile.TemporaryDirectory(prefix="connectomake-worker-") as scratch:
            self._work(Path(scratch))
        stats = self._stats
        others = ((stats.found, "were made already"), (stats.refused, "refused"), (stats.aside, "put aside"))
        more = "".join(f", {number} {what}" for number, what in others if number)
        self._say(f"ended: {stats.made} made{more}, {len(stats.given_up)} given up")
        return 128 + self._stop.number if self._stop.number else int(bool(stats.given_up or stats.refused or stats.aside))

    def _work(self, scratch: Path) -> None:
        wait, last, said = 1, time.monotonic(), False
        while not self._stop.number:
            drawn = self._queue.draw(self._options.lease, wait if self._queue.waits else 0)
            if drawn is not None and drawn.key not in self._queue.refused:
                self._handle(drawn, scratch)
                wait, last, said = 1, time.monotonic(), False
                continue
            if drawn is not None:
                self._queue.renew(drawn, self._options.retry)
            if self._is_over(time.monotonic() - last):
                return
            if not said:
                self._say("no task can be drawn now; waiting")
            wait, said = min(wait + 1, 10), True
            self._stop.sleep(0.2 if self._queue.waits else random.uniform(0.2, wait))  # noqa: S311

    def _is_over(self, idle: float) -> bool:
        if self._options.forever:
            return False
        if self._options.idle is not None:
            return idle >= self._options.idle
        return sum(self._queue.counts()) == 0

    def _handle(self, drawn: Drawn, scratch: Path) -> None:
        """Make what was drawn; what this worker cannot make is left to others, what nobody can is put aside."""
        try:
            task, files = self._admission.take(drawn, scratch)
            done = files.is_done(task)
        except (OthersTaskError, StorageError) as error:
            self._refuse(drawn, str(error))
        except QueueError as error:
            self._set_aside(drawn, str(error))
        except BaseException:
            with contextlib.suppress(QueueError):
                self._queue.renew(drawn, 0)
            raise
        else:
            if not done:
                self._make(drawn, task, files)
                return
            self._queue.finish(drawn)
            self._stats.found += 1
            self._say(f"{task.name}: made already")

    def _refuse(self, drawn: Drawn, reason: str) -> None:
        self._queue.refuse(drawn, reason)
        self._stats.refused += 1
        self._say_once(f"a task was REFUSED and left to other workers: {reason}")

    def _set_aside(self, drawn: Drawn, reason: str) -> None:
        self._stats.aside += 1
        try:
            self._queue.set_aside(drawn, reason)
        except QueueError as error:
            self._say(f"warning: {error}")
        else:
            shown = command("connectomake", "queue", "status", self._queue.url)
            self._say_once(f"a message was PUT ASIDE: {reason}; see `{shown}`")

    def _say_once(self, text: str) -> None:
        """Print a line, unless the same was said of another message."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _make(self, drawn: Drawn, task: Task, files: TaskFiles) -> None:
        folder = files.folder(str(self._stats.made + len(self._stats.failing)))
        page = last_file.new_page()
        pid, alive = task_process.start(task, files, folder, page)
        try:
            ended, lease_error = watch(pid, alive, self._queue, drawn, self._options.lease, self._stop)
            if ended.code < 0 and not self._stop.number:
                last_file.report_signal(page, ended.code)
            self._conclude(drawn, task, files, folder, ended, lease_error)
        finally:
            files.tidy(task, folder, pid)

    def _conclude(
        self, drawn: Drawn, task: Task, files: TaskFiles, folder: Path, ended: ExitStatus, lease_error: str | None
    ) -> None:
        if lease_error:
            self._say(f"{task.name}: its lease could not be renewed: {lease_error}")
        if ended.code == 0:
            self._note(task, folder, ended)
            with _warning(self._say):
                files.publish_notes(task, folder)
            self._queue.finish(drawn)
            self._stats.made += 1
            self._stats.failing.clear()
            self._say(f"{task.name}: made in {ended.seconds:.1f} s{self._outlook()}")
        elif self._stop.number:
            self._queue.renew(drawn, 0)
            self._say(f"{task.name}: stopped by a signal; its lease is released")
        else:
            self._failed(drawn, task, files, folder, ended)

    def _failed(self, drawn: Drawn, task: Task, files: TaskFiles, folder: Path, ended: ExitStatus) -> None:
        how = f"exit code {ended.code}" if ended.code >= 0 else f"signal {-ended.code}{_hint(-ended.code)}"
        self._say(f"{task.name}: FAILED, {how}, draw {drawn.draws} of {self._options.tries}{_last_line(folder, task)}")
        with _warning(self._say):
            files.publish_notes(task, folder)
        if drawn.draws >= self._options.tries:
            self._queue.finish(drawn)
            self._stats.given_up.append(task.name)
            self._say(f"{task.name}: GIVEN UP after {drawn.draws} draws; its files are still missing, its log is {_log(task)}")
        else:
            self._queue.renew(drawn, self._options.retry)
        self._stats.failing.add(task.name)
        if len(self._stats.failing) >= UNFIT_AFTER:
            raise QueueError(
                f"{UNFIT_AFTER} tasks failed in a row ({', '.join(sorted(self._stats.failing))}); is something wrong with this "
                "machine? They were returned to the queue"
            )

    def _note(self, task: Task, folder: Path, ended: ExitStatus) -> None:
        """Note time and memory as Snakemake does."""
        if task.benchmark is None:
            return
        clock = time.strftime("%H:%M:%S", time.gmtime(ended.seconds)).lstrip("0")
        load = 100 * ended.cpu_s / max(ended.seconds, 1e-3)
        row = [f"{ended.seconds:.4f}", clock, f"{ended.rss_mb:.2f}", *["NA"] * 5, f"{load:.2f}", f"{ended.cpu_s:.2f}"]
        write_text(folder / task.benchmark, _HEADER + "\t".join(row) + "\n")

    def _outlook(self) -> str:
        """Return what is left, and when all of it will be made at the pace of all workers since this one began."""
        with contextlib.suppress(QueueError):
            left = sum(self._queue.counts())
            if self._first is None:
                self._first, self._started = left, time.monotonic()
                return f"; {left} left"
            gone = self._first - left
            if gone > 0:
                seconds = left * (time.monotonic() - self._started) / gone
                return f"; {left} left, about {_duration(seconds)}"
            return f"; {left} left"
        return ""


@contextlib.contextmanager
def _warning(say: Callable[[str], None]):  # type: ignore[no-untyped-def]
    try:
        yield
    except StorageError as error:
        say(f"warning: {error}")


def _hint(number: int) -> str:
    return " (killed; out of memory?)" if number == 9 else ""


def _log(task: Task) -> str:
    return task.log[0] if task.log else "this output"


def _last_line(folder: Path, task: Task) -> str:
    """Return the end of a job's log, for the worker's own."""
    try:
        lines = (folder / task.log[0]).read_text(errors="replace").splitlines()
    except (OSError, IndexError):
        return ""
    return f": {lines[-1]}" if lines else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
