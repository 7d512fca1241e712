"""The jobs that Slurm has not taken yet: put together to arrays, offered, refused, offered again."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_executor_plugin_sbatch.refusal import CANNOT_PASS, Refusal, refusal_of, way_out
from snakemake_executor_plugin_sbatch.script import SCRIPT_BYTES, batch_script
from snakemake_executor_plugin_sbatch.slurm import Record, Slurm, SlurmError
from snakemake_executor_plugin_sbatch.task import Batch, Task
from snakemake_executor_plugin_sbatch.verdict import GOES_ON, Verdict

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # between offers
UNKNOWN_SECONDS = 600.0  # how long an unknown refusal is treated as temporary
AT_A_TIME_SECONDS = 5.0  # of offers, before jobs in the queue are looked after
_PLACES = ("--account=", "--partition=", "--qos=", "--reservation=")


@dataclass
class Submissions:
    """The submissions of a run.

    Parameters
    ----------
    slurm
        Takes it.
    name
        Of the run: the name of all its jobs.
    notes, logs
        Folders for end notes and for what the jobs print.
    cwd
        Where jobs start.
    array_size
        Most jobs in one array; 1: no arrays.
    warn
        Says a sentence, about the same thing once a minute.
    clock
        For tests.
    waiting
        Batches that Slurm has not taken.
    bases
        Ids of all jobs that it has taken, without numbers within arrays.
    """

    slurm: Slurm
    name: str
    notes: Path
    logs: Path
    cwd: str
    array_size: int
    warn: Callable[[str, str], None]
    info: Callable[[str], object]
    clock: Callable[[], float]
    waiting: list[Batch] = field(default_factory=list)
    bases: set[str] = field(default_factory=set)
    _limit: int | None = None
    _serial: int = 0
    _paused_until: float = 0.0
    _pause: float = FIRST_PAUSE
    _full: bool = False
    _taken: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, tasks: Iterable[Task], seconds: float = 0.0) -> None:
        """Put tasks together and offer them soon, or after some seconds."""
        alike: dict[object, list[Task]] = {}
        for task in tasks:
            alike.setdefault(task.key, []).append(task)
        for group in alike.values():
            for start in range(0, len(group), most := self._most(len(group))):
                self.waiting.append(self._batch(group[start : start + most], self.clock() + seconds))

    def there_is_room(self) -> None:
        """Offer at once what was refused for a limit of jobs: one has ended."""
        if self._full:
            self._full, self._paused_until, self._pause = False, 0.0, FIRST_PAUSE

    def _most(self, count: int) -> int:
        """Return how many jobs may go into one array; Slurm is asked for its limit once, when the first array is made."""
        if count == 1 or self.array_size <= 1:
            return 1
        if self._limit is None:
            self._limit = self.slurm.array_limit()
        return max(1, min(self.array_size, self._limit))

    def _batch(self, tasks: list[Task], not_before: float, refused: tuple[float, int] | None = None) -> Batch:
        self._serial += 1
        for number, task in enumerate(tasks, 1):
            task.note = f"{self._serial}.{number}"
        return Batch(self._serial, tasks, not_before, refused)

    def offer(self, goes_on: Callable[[], bool]) -> None:
        """Offer what is due, for some seconds; Slurm is left alone for a while after it was away or full."""
        until = self.clock() + AT_A_TIME_SECONDS
        while goes_on() and self._paused_until <= self.clock() < until:
            batch = next((b for b in self.waiting if b.not_before <= self.clock() and not b.unsure), None)
            if batch is None:
                return
            self._offer(batch)

    def _offer(self, batch: Batch) -> None:
        what = f"run {self.name}, {len(batch.tasks)} job(s) of {batch.tasks[0].rule}"
        script = batch_script([task.command for task in batch.tasks], self.notes / str(batch.serial), what)
        if len(script) > SCRIPT_BYTES and len(batch.tasks) > 1:
            self._halve(batch)
            return
        with contextlib.suppress(OSError):  # somebody may have tidied up
            self.notes.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(parents=True, exist_ok=True)
        try:
            base = self.slurm.submit(self._options(batch), script)
        except SlurmError as error:
            self._refused(batch, str(error))
            return
        if base is None:
            self._away(batch, "sbatch printed no job id")
            return
        self._accepted(batch, base)

    def _options(self, batch: Batch) -> list[str]:
        log = str(self.logs / batch.tasks[0].rule).replace("%", "%%")
        many = len(batch.tasks) > 1
        return [
            f"--job-name={self.name}", f"--comment={batch.comment}", f"--output={log}-{'%A_%a' if many else '%j'}.log",
            f"--chdir={self.cwd}", "--export=ALL", "--no-requeue", *batch.tasks[0].options,
            *([f"--exclude={','.join(sorted(batch.tasks[0].avoid))}"] if batch.tasks[0].avoid else []),
            *([f"--array=1-{len(batch.tasks)}"] if many else []),
        ]  # fmt: skip

    def _accepted(self, batch: Batch, base: str) -> None:
        """Note the ids of a batch that Slurm has taken."""
        self.waiting.remove(batch)
        self.bases.add(base)
        self._pause = FIRST_PAUSE
        self._taken |= {batch.tasks[0].options, _place(batch.tasks[0].options)}
        many = len(batch.tasks) > 1
        for number, task in enumerate(batch.tasks, 1):
            task.id = task.info.external_jobid = f"{base}_{number}" if many else base
            task.log = str(self.logs / f"{task.rule}-{task.id}.log")
            task.missing = task.trouble = task.code = None
        logs = f"{self.logs}/{batch.tasks[0].rule}-{base}{'_*' if many else ''}.log"
        self.info(f"Submitted {len(batch.tasks)} job(s) of {batch.tasks[0].rule} as Slurm job {base} (log: {logs}).")

    # ---- refusals ----------------------------------------------------------------------------------------------------------

    def _refused(self, batch: Batch, text: str) -> None:
        kind = refusal_of(text)
        if kind in CANNOT_PASS and batch.tasks[0].avoid:
            for task in batch.tasks:  # no other node is left: then the one that failed it is good enough
                task.avoid = frozenset()
        elif kind in CANNOT_PASS and not self._took_before(kind, batch):
            self._end(batch, f"sbatch refuses the job ({text}); {way_out(kind)}")
        elif kind == "full" and len(batch.tasks) > 1:
            self._halve(batch)
        elif kind == "away":
            self._away(batch, text)
        elif kind == "full":
            self._pause_all()
            self._full = True
            self.warn(
                f"{self._count()} job(s) are not submitted yet, for Slurm takes no more now ({text}); offering them again", kind
            )
        else:
            self._later(batch, text, kind)

    def _took_before(self, kind: Refusal, batch: Batch) -> bool:
        """Whether Slurm has taken the same in this run: then it may again, as after a restart without its database."""
        options = batch.tasks[0].options
        return options in self._taken or (kind == "place" and _place(options) in self._taken)

    def _halve(self, batch: Batch) -> None:
        at, middle = self.waiting.index(batch), len(batch.tasks) // 2
        halves = batch.tasks[:middle], batch.tasks[middle:]
        self.waiting[at : at + 1] = [self._batch(half, batch.not_before, batch.refused) for half in halves]

    def _away(self, batch: Batch, text: str) -> None:
        """No answer: Slurm may have taken the jobs. They are offered again only after it was asked whether it has."""
        batch.unsure = True
        self._pause_all()
        self.warn(f"{self._count()} job(s) are not submitted yet, for Slurm does not answer ({text}); asking again", "away")

    def _later(self, batch: Batch, text: str, kind: Refusal) -> None:
        since, times = batch.refused or (self.clock(), 0)
        batch.refused = since, times + 1
        if kind != "later" and self.clock() - since > UNKNOWN_SECONDS:
            self._end(batch, f"sbatch refuses the job for {UNKNOWN_SECONDS / 60:.0f} minutes now ({text}); {way_out(kind)}")
            return
        pause = min(FIRST_PAUSE * 2**times, LONGEST_PAUSE)
        batch.not_before = self.clock() + pause
        rule = batch.tasks[0].rule
        self.warn(f"sbatch refuses {len(batch.tasks)} job(s) of {rule} now ({text}); offered again in {pause:.0f} s", text)
        if kind == "unknown" and times and len(batch.tasks) > 1:
            self._halve(batch)  # a site may dislike arrays, or large ones

    def _pause_all(self) -> None:
        self._paused_until = self.clock() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _end(self, batch: Batch, message: str) -> None:
        self.waiting.remove(batch)
        for task in batch.tasks:
            task.verdict = Verdict("failed", message)

    def _count(self) -> int:
        return sum(len(batch.tasks) for batch in self.waiting)

    # ---- what Slurm has ----------------------------------------------------------------------------------------------------

    @property
    def unsure(self) -> bool:
        """Whether Slurm must be asked what it has before more can be done."""
        return any(batch.unsure for batch in self.waiting)

    def compare(self, records: Sequence[Record]) -> list[str]:
        """Find batches that Slurm has taken without an answer; return ids of jobs of the run that nobody waits for."""
        found = {r.comment.strip(): r.base for r in records if r.state != "FAILED"}  # as refused ones are recorded
        for batch in [batch for batch in self.waiting if batch.unsure]:
            batch.unsure = False
            if batch.comment in found:
                self._accepted(batch, found[batch.comment])
        return sorted({r.base for r in records if r.state in GOES_ON and r.base not in self.bases})


def _place(options: tuple[str, ...]) -> tuple[str, ...]:
    return ("place", *(option for option in options if option.startswith(_PLACES)))
