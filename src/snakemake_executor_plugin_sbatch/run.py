"""One run on Slurm: its jobs, what becomes of each, and the end of it all."""

import atexit
import contextlib
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectomake_heads import Note
from snakemake_executor_plugin_sbatch.leftovers import cancel_and_wait, clean_leftovers, remove_folder
from snakemake_executor_plugin_sbatch.slurm import Slurm, SlurmError
from snakemake_executor_plugin_sbatch.submissions import Submissions
from snakemake_executor_plugin_sbatch.task import Task
from snakemake_executor_plugin_sbatch.watch import Watch

GONE_SECONDS = 60.0  # how long to wait until cancelled jobs are gone
END_SECONDS = 20.0  # how long jobs that are done may take to end
LONGEST_PAUSE = 60.0  # between questions
TELL_SECONDS = 60.0


@dataclass
class Run:
    """A run: what it knows of its jobs. One thread calls `round`; others hand tasks over, and end it.

    Parameters
    ----------
    slurm
        Slurm's commands.
    name
        Of the run: the name of all its jobs.
    folder
        Of the notes of all runs, and of this one's end notes.
    logs
        Where jobs print to.
    cwd
        Where they start.
    logger
        Of Snakemake.
    pause
        Seconds between questions, at first.
    array_size, keep_logs
        Settings.
    clock, sleep
        For tests.
    """

    slurm: Slurm
    name: str
    folder: Path
    logs: Path
    cwd: str
    logger: Any
    pause: float = 10.0
    array_size: int = 1000
    keep_logs: bool = False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    ended: bool = False
    new: deque[Task] = field(default_factory=deque)
    tasks: dict[Task, None] = field(default_factory=dict)
    jobs: int = 0
    _due: float = 0.0
    _wait: float = 0.0
    _answers: bool = True
    _said: dict[str, float] = field(default_factory=dict)
    _talking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.submissions = Submissions(
            self.slurm, self.name, self.notes, self.logs, self.cwd, self.array_size, self.warn, self.logger.info, self.clock
        )
        self.watch = Watch(self.slurm, self.submissions, self.notes, self.warn, self.logger.warning, self.clock)
        self._wait = self.pause

    @classmethod
    def start(cls, executor: Any) -> "Run":
        """Cancel what killed runs of this folder left, and note this one.

        Raises
        ------
        Left
            If jobs of a killed run do not go, or may belong to a run on another machine.
        """
        settings, base = executor.workflow.executor_settings, Path(executor.workflow.persistence.path).absolute()
        pause = float(executor.workflow.remote_execution_settings.seconds_between_status_checks)
        name, folder, keep = secrets.token_hex(4), base / "sbatch", settings.keep_logs == "all"
        logs, cwd = base / "log/sbatch" / name, executor.workflow.workdir_init
        run = cls(Slurm(), name, folder, logs, cwd, executor.logger, pause, settings.array_size, keep)
        clean_leftovers(run.slurm, folder, executor.logger, run)
        run.open()
        return run

    def open(self) -> None:
        """Note the run, and make its folders."""
        self.notes.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        Note.own(self.name, "").write(self.folder)
        atexit.register(self.end)

    @property
    def notes(self) -> Path:
        """The folder of end notes."""
        return self.folder / self.name

    def hand_over(self, *tasks: Task) -> None:
        """Take jobs; they are submitted in the next round."""
        self.jobs += len(tasks)
        self.new.extend(tasks)

    def round(self) -> None:
        """Submit what is new, read end notes, and ask Slurm if it is time to."""
        with self._talking:
            self._take_new()
            before = self._decided()
            self.submissions.offer(lambda: not self.ended)
            if self.ended:
                return
            if self.watch.read_notes(list(self.tasks)):
                self._soon(1.0)
            if self.submissions.unsure and self._answers:
                self._soon(self.pause)
            if self.clock() >= self._due and (self.tasks or self.watch.ending):
                self._look()
            if self._decided() > before:
                self.submissions.there_is_room()
            self._tell()

    def _take_new(self) -> None:
        fresh = [self.new.popleft() for _ in range(len(self.new))]
        if fresh and not self.tasks:
            self._due = self.clock() + self.pause
        if fresh:
            self._soon(self.pause)
        self.tasks.update(dict.fromkeys(fresh))
        self.submissions.add(fresh)

    def forget(self, task: Task) -> None:
        """Drop a task whose end was reported to Snakemake; its log is deleted if the job succeeded."""
        self.tasks.pop(task, None)
        self.watch.waiting.pop(task, None)
        done = task.verdict is not None and task.verdict.kind == "done"
        with contextlib.suppress(OSError):
            (self.notes / f"{task.note}.exit").unlink(missing_ok=True)
            if task.log and done and not self.keep_logs:
                Path(task.log).unlink(missing_ok=True)

    def _soon(self, seconds: float) -> None:
        """Ask Slurm again after some seconds at the latest."""
        self._due = min(self._due, self.clock() + seconds)

    def _look(self) -> None:
        """Ask for all jobs at once, and decide what becomes of each."""
        try:
            records = self.slurm.jobs(self.name)
        except SlurmError as error:
            self._wait = min(2 * self._wait, max(LONGEST_PAUSE, self.pause))
            text = f"Slurm does not answer ({error}); {len(self.tasks)} job(s) are being waited for"
            self.warn(f"{text}; asking again in {self._wait:.0f} s", "silence")
            self._answers = False
        else:
            self._answers = True
            before = self._decided()
            self.watch.look(list(self.tasks), records)
            changed = self._decided() > before
            self._wait = self.pause if changed else min(1.5 * self._wait, max(LONGEST_PAUSE, self.pause))
        self._due = self.clock() + self._wait

    def _decided(self) -> int:
        return sum(task.verdict is not None for task in self.tasks)

    # ---- words and end -----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Say now and then why jobs wait."""
        for text, count in sorted(Counter(self.watch.waiting.values()).items()):
            self.warn(f"{count} job(s) wait: {text}", text)

    def warn(self, text: str, about: str) -> None:
        """Say something, about the same thing at most once a minute."""
        now = self.clock()
        if now - self._said.get(about, -TELL_SECONDS) >= TELL_SECONDS:
            self._said[about] = now
            self.logger.warning(f"{text}.")

    def end(self) -> None:
        """Cancel all jobs, and take the note away once they are gone. May be called more than once."""
        if self.ended:
            return
        self.ended = True
        atexit.unregister(self.end)
        with self._talking:
            if not self._may_have_jobs():
                self._close()
                return
            open_tasks = [*self.new, *(task for task in self.tasks if task.verdict is None)]
            try:
                left = cancel_and_wait(self.slurm, self.name, GONE_SECONDS, 0 if open_tasks else END_SECONDS, self)
            except SlurmError as error:
                text = f"jobs of run {self.name} could not be cancelled ({error}); the next start will"
                self.logger.warning(f"{text}, or you: scancel --name={self.name}")
                return
        if left:
            self.logger.warning(f"{len(left)} job(s) of run {self.name} are still there; the next start waits for them.")
            return
        self._close()

    def _may_have_jobs(self) -> bool:
        """Whether Slurm may still have jobs of the run."""
        open_jobs = any(task.id and task.verdict is None for task in self.tasks)
        return open_jobs or bool(self.watch.ending) or self.submissions.unsure

    def _close(self) -> None:
        asked = ", ".join(f"{name} {count}" for name, count in sorted(self.slurm.counts.items()))
        if self.jobs:
            self.logger.info(f"Slurm was asked {self.slurm.counts.total()} times for {self.jobs} job(s): {asked}.")
        Note.own(self.name, "").remove(self.folder)
        remove_folder(self.notes)
        with contextlib.suppress(OSError):  # logs of failed jobs stay
            self.logs.rmdir()
