"""Watching jobs that Slurm has accepted: what it says of each, and the action taken."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_sbatch.script import read_code
from snakemake_executor_plugin_sbatch.slurm import Record, Slurm, SlurmError
from snakemake_executor_plugin_sbatch.submissions import Submissions
from snakemake_executor_plugin_sbatch.task import Task
from snakemake_executor_plugin_sbatch.verdict import GOES_ON, HELD, Verdict, judge, node_of, why_failed

MOST_AGAIN = 10  # how often one job is submitted again by no fault of its own
LONGEST_PAUSE = 60.0  # before that
PATIENCE_SECONDS = 30.0  # how long Slurm may say that a job can never run
LOST_SECONDS, LOST_ROUNDS = 120.0, 3  # how long a job may be nowhere
ENDING_SECONDS = 60.0  # how long Slurm may take a job for running that has left its end note
_LOG_BYTES = 1 << 16


@dataclass
class Watch:
    """Decides on jobs.

    Parameters
    ----------
    slurm
        Slurm's commands.
    submissions
        Takes jobs that are submitted again.
    notes
        The folder of end notes.
    warn, info
        Say a sentence: about the same thing once a minute, or always.
    clock
        For tests.
    waiting
        Why tasks wait, where there is something to say.
    ending
        Jobs that are done by their end notes, whose end Slurm has not said yet, and since when.
    """

    slurm: Slurm
    submissions: Submissions
    notes: Path
    warn: Callable[[str, str], None]
    info: Callable[[str], Any]
    clock: Callable[[], float]
    waiting: dict[Task, str] = field(default_factory=dict)
    ending: dict[str, float] = field(default_factory=dict)
    _back: dict[float, list[Task]] = field(default_factory=dict)

    def read_notes(self, tasks: Sequence[Task]) -> bool:
        """Take what jobs have left: 0 is done, whatever Slurm says. Return whether Slurm should be asked about another code."""
        try:
            left = {name.removesuffix(".exit") for name in os.listdir(self.notes) if name.endswith(".exit")}  # noqa: PTH208
        except OSError as error:  # of a file server, for a while; Slurm's word is enough
            self.warn(f"end notes in {self.notes} cannot be read now ({error.strerror})", "notes")
            return False
        fresh = [task for task in tasks if task.note in left and task.code is None and task.verdict is None and task.id]
        codes = {self._code(task) for task in fresh}
        return bool(codes - {0, None})

    def look(self, tasks: Sequence[Task], records: Sequence[Record]) -> None:
        """Decide on all tasks, given what Slurm lists."""
        self.cancel(*self.submissions.compare(records))
        listed, lost = {record.id: record for record in records}, []
        for task in tasks:
            if not task.id or task.verdict is not None:
                continue
            if task.id in listed:
                task.missing = None
                self._judge(task, listed[task.id])
            else:
                lost.append(task)
        self._find(lost)
        self._let_end(listed)
        for seconds, back in self._back.items():
            self.submissions.add(back, seconds)
        self._back.clear()

    def _code(self, task: Task) -> int | None:
        """Return the exit code in a task's end note, None if there is none; the task is done if it is 0."""
        if task.code is None:
            task.code = read_code(self.notes / f"{task.note}.exit")
        if task.code == 0 and task.verdict is None:
            task.verdict = Verdict("done")
            self.ending[task.id] = self.clock()
        return task.code

    def _judge(self, task: Task, record: Record) -> None:
        log = "" if record.state in GOES_ON or record.state == "COMPLETED" else _end_of(task.log)
        verdict = judge(record, log)
        self.waiting.pop(task, None)
        if verdict.kind in {"never", "elsewhere"}:
            self._troubled(task, verdict)
            return
        if record.state == "COMPLETING":
            self._lingers(task, record)
            return
        task.trouble = None
        if verdict.kind == "done":
            task.verdict = verdict
        elif verdict.kind == "failed":
            self._failed(task, record, log)
        elif verdict.kind == "again":
            self._again(task, record, verdict.message)
        elif verdict.message:
            self.waiting[task] = verdict.message

    def _failed(self, task: Task, record: Record, log: str) -> None:
        code = self._code(task)
        if task.verdict is None:
            task.verdict = Verdict("failed", why_failed(record, code, log, task.asked))

    def _again(self, task: Task, record: Record, why: str) -> None:
        """Submit a job again that ended by no fault of its own: the same try, not on the node that failed it."""
        if self._code(task) == 0 or (record.state in {"PENDING", *HELD} and not self.cancel(task.id)):
            return
        if record.state not in {"PREEMPTED", "REVOKED"} and (node := node_of(record)):
            task.avoid |= {node}
        task.again += 1
        if task.again > MOST_AGAIN:
            text = f"Slurm job {task.id} was submitted {task.again} times and never ended by itself (the last time: {why})"
            task.verdict = Verdict("failed", f"{text}; ask the cluster's administrators")
            return
        but = f", not on {', '.join(sorted(task.avoid))}" if task.avoid else ""
        self.info(f"Slurm job {task.id} of {task.rule}: {why}; it is submitted again ({task.again} of {MOST_AGAIN}){but}.")
        self._put_back(task, 0.0 if record.state == "PREEMPTED" else min(2.0**task.again, LONGEST_PAUSE))

    def _put_back(self, task: Task, seconds: float) -> None:
        task.id, task.code, task.trouble, task.missing = "", None, None, None
        self._back.setdefault(seconds, []).append(task)

    def _lingers(self, task: Task, record: Record) -> None:
        """Name a job that has ended but whose node has not finished with it: Slurm reports how it ended only afterwards."""
        if task.trouble is None or task.trouble[1] != record.state:
            task.trouble = self.clock(), record.state
        if self.clock() - task.trouble[0] >= PATIENCE_SECONDS:
            self.waiting[task] = f"{record.nodes or 'their node'} does not finish with them (COMPLETING)"

    def _troubled(self, task: Task, verdict: Verdict) -> None:
        """Give what cannot run a moment; then it may run on any node, or its try has failed."""
        if task.trouble is None or task.trouble[1] != verdict.message:
            task.trouble = self.clock(), verdict.message
        self.waiting[task] = verdict.message
        patient = self.clock() - task.trouble[0] < PATIENCE_SECONDS
        if patient or not (task.avoid or verdict.kind == "never") or not self.cancel(task.id):
            return
        if task.avoid:
            task.avoid = frozenset()
            self._put_back(task, 0.0)
            return
        text = f"Slurm job {task.id} can never run ({verdict.message})"
        way = "ask for less, or correct slurm_account, slurm_partition, qos and constraint in the profile"
        task.verdict = Verdict("failed", f"{text}; {way}")

    # ---- jobs that Slurm does not list -------------------------------------------------------------------------------------

    def _find(self, lost: list[Task]) -> None:
        """Ask accounting and end notes for jobs that the controller lists no more."""
        past: dict[str, Record] | None = None
        try:
            past = {record.id: record for record in self.slurm.past([task.id for task in lost])}
        except SlurmError as error:
            self.warn(
                f"Slurm's accounting does not answer ({error}); {len(lost)} ended job(s) are being waited for", "accounting"
            )
        for task in lost:
            self._decide_lost(task, past)

    def _decide_lost(self, task: Task, past: dict[str, Record] | None) -> None:
        record, code = (past or {}).get(task.id), self._code(task)
        self.waiting.pop(task, None)
        if code == 0:
            return
        if record is not None and record.state not in GOES_ON:
            self._judge(task, record)
        elif code is not None:
            self._failed(task, Record(task.id, ""), _end_of(task.log))
        elif past is not None:
            self._nowhere(task)

    def _nowhere(self, task: Task) -> None:
        """Nobody knows of a job: its try has failed if that stays so."""
        since, rounds = task.missing or (self.clock(), 0)
        task.missing = since, rounds + 1
        self.waiting[task] = "Slurm lists them no more, and they left no end note yet"
        if rounds + 1 >= LOST_ROUNDS and self.clock() - since >= LOST_SECONDS:
            text = f"Slurm has no record of job {task.id} any more, and it left no end note"
            task.verdict = Verdict("failed", f"{text}; see its log, or ask the cluster's administrators")

    def _let_end(self, listed: dict[str, Record]) -> None:
        """Cancel jobs that are done, by their end notes, but that Slurm takes for running: their daemon is dead."""
        for name, since in list(self.ending.items()):
            ended = name not in listed or listed[name].state != "RUNNING"
            if ended or (self.clock() - since > ENDING_SECONDS and self.cancel(name)):
                del self.ending[name]

    def cancel(self, *ids: str) -> bool:
        """Cancel jobs; return whether Slurm has taken it, else it is tried again in the next round."""
        try:
            if ids:
                self.slurm.cancel(*ids)
        except SlurmError as error:
            self.warn(f"job(s) {', '.join(ids)} could not be cancelled yet ({error})", "cancel")
            return False
        return True


def _end_of(log: str) -> str:
    """Return the end of what a job printed; empty if that cannot be read."""
    try:
        with Path(log).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _LOG_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
