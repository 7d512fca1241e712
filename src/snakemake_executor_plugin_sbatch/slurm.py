"""The few commands of Slurm that the executor calls, each bounded in time and counted."""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SECONDS = 60.0  # how long one command may take
FIELDS = "%F|%K|%T|%r|%N|%k"
_ID = re.compile(r"(\d+)(?:;.*)?")
_AT_ONCE = 400  # jobs in one call of sacct
DEFAULT_ARRAY = 1001  # Slurm's own MaxArraySize


class SlurmError(Exception):
    """A command failed, or did not answer in time; the message is its last line of errors."""


@dataclass(frozen=True, slots=True)
class Record:
    """Slurm's record of one job.

    Parameters
    ----------
    id
        ``12``, or ``12_3`` of an array.
    state
        One word: ``RUNNING``.
    reason
        Why it waits, or why it ended; ``None`` and empty say nothing.
    nodes
        Where it runs or ran.
    comment
        What was given to ``sbatch``.
    """

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    comment: str = ""

    @property
    def base(self) -> str:
        """The id without the number within the array."""
        return self.id.partition("_")[0]


def clean_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for Slurm's commands: of a job that the head itself may run in, nothing must be inherited."""
    if "SLURM_JOB_ID" not in values:
        return dict(values)
    return {name: value for name, value in values.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"}


@dataclass
class Slurm:
    """Slurm's commands, for the jobs of one user.

    Parameters
    ----------
    counts
        How often each command was called.
    accounting
        Whether past jobs are recorded; known after the first question.
    """

    counts: Counter[str] = field(default_factory=Counter)
    accounting: bool = True

    def call(self, *command: str, text: str | None = None) -> str:
        """Run a command and return what it printed.

        Raises
        ------
        SlurmError
            If it fails, is not there, or does not end in time.
        """
        self.counts[command[0]] += 1
        try:
            done = subprocess.run(
                command,
                input=text if text is not None else "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                env=clean_environment(os.environ),
                check=False,
                start_new_session=True,  # Ctrl-C is for the head alone: a submission must not be cut in two
            )
        except subprocess.TimeoutExpired as error:
            said = _sentence(_decoded(error.stderr))
            raise SlurmError(f"{command[0]} timed out after {SECONDS:.0f} s{f': {said}' if said else ''}") from None
        except OSError as error:
            raise SlurmError(f"{command[0]} cannot be started ({error.strerror}); start on a machine that has Slurm") from error
        if done.returncode:
            raise SlurmError(_sentence(done.stderr) or _sentence(done.stdout) or f"{command[0]}: exit code {done.returncode}")
        return done.stdout

    def submit(self, options: Sequence[str], script: str) -> str | None:
        """Submit a batch script; return the job's id, None if Slurm took it but printed none."""
        lines = self.call("sbatch", "--parsable", *options, text=script).splitlines()
        found = [match[1] for line in lines if (match := _ID.fullmatch(line.strip()))]
        return found[-1] if found else None

    def jobs(self, name: str) -> list[Record]:
        """Return all jobs of a name that the controller knows, ended ones too: one request, whatever their number."""
        options = ("--noheader", "--array", "--states=all", f"--user={os.getuid()}", f"--name={name}", f"--format={FIELDS}")
        return [_record(line) for line in self.call("squeue", *options).splitlines() if line.count("|") >= FIELDS.count("|")]

    def past(self, ids: Iterable[str]) -> list[Record]:
        """Return what accounting has of jobs; nothing, for ever, where there is no accounting."""
        bases, found = sorted({name.partition("_")[0] for name in ids}), []
        for start in range(0, len(bases) if self.accounting else 0, _AT_ONCE):
            chosen = ",".join(bases[start : start + _AT_ONCE])
            try:
                text = self.call("sacct", "-X", "-n", "-P", "--format=jobid,state,nodelist", f"--jobs={chosen}")
            except SlurmError as error:
                if "disabled" not in str(error) and "cannot be started" not in str(error):
                    raise
                self.accounting = False
                return []
            found += [_past(line) for line in text.splitlines() if line.count("|") >= 2]
        return found

    def cancel(self, *ids: str) -> None:
        """Cancel jobs."""
        self.call("scancel", *ids)

    def cancel_all(self, name: str) -> None:
        """Cancel all jobs of a name."""
        self.call("scancel", f"--user={os.getuid()}", f"--name={name}")

    def left(self, name: str) -> list[str]:
        """Return the ids of the jobs of a name that have not ended."""
        return self.call("squeue", "--noheader", f"--user={os.getuid()}", f"--name={name}", "--format=%i %T").splitlines()

    def array_limit(self) -> int:
        """Return how many jobs an array may have."""
        try:
            match = re.search(r"^MaxArraySize\s*=\s*(\d+)", self.call("scontrol", "show", "config"), re.MULTILINE)
        except SlurmError:
            match = None
        return int(match[1] if match else DEFAULT_ARRAY) - 1


def _record(line: str) -> Record:
    base, index, state, reason, nodes, comment = line.strip().split("|", 5)
    return Record(base if not index.isdigit() else f"{base}_{index}", state, reason, nodes, comment)


def _past(line: str) -> Record:
    name, state, nodes = line.strip().split("|", 2)
    return Record(name, (state.split() or [""])[0].rstrip("+"), "", "" if nodes == "None assigned" else nodes)


def _decoded(text: bytes | str | None) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text or ""


def _sentence(text: str) -> str:
    """Return what a command said, without its own name, in one line."""
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line.strip()) for line in text.splitlines()]
    return "; ".join(line for line in lines if line)[-600:]
