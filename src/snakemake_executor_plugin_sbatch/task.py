"""The state of one job, and of the jobs that are submitted together."""

from dataclasses import dataclass
from typing import Any

from snakemake_executor_plugin_sbatch.verdict import Verdict


@dataclass(eq=False)
class Task:
    """One try of a job of Snakemake; it may be submitted several times.

    Parameters
    ----------
    info
        Snakemake's record of it; its ``external_jobid`` is the id in Slurm, once there is one.
    rule
        Of the job; of a group its name.
    options, command
        What it asks of ``sbatch``, what it runs.
    avoid
        Nodes that failed it: of this job alone.
    again
        How often it was submitted again by no fault of its own.
    note
        Its end note's name without the end, ``BATCH.NUMBER``.
    code
        The exit code of its end note, if that is there.
    missing
        Since when, and how often, Slurm lists it no more.
    trouble
        Since when it waits for what cannot come, and for what.
    verdict
        How the attempt ended; it is reported to Snakemake and the task is dropped.
    """

    info: Any
    rule: str
    options: tuple[str, ...]
    command: str
    avoid: frozenset[str] = frozenset()
    again: int = 0
    id: str = ""
    note: str = ""
    log: str = ""
    code: int | None = None
    missing: tuple[float, int] | None = None
    trouble: tuple[float, str] | None = None
    verdict: Verdict | None = None

    @property
    def key(self) -> tuple[str, tuple[str, ...], frozenset[str]]:
        """Tasks with the same key may be submitted together."""
        return self.rule, self.options, self.avoid

    @property
    def asked(self) -> str:
        """The memory that it asks for, for people."""
        for option in self.options:
            name, _, value = option.partition("=")
            if name in {"--mem", "--mem-per-cpu"}:
                return value.replace("M", " MB") + (" a CPU" if name == "--mem-per-cpu" else "")
        return ""


@dataclass(eq=False)
class Batch:
    """Tasks that are submitted as one job, or as one array.

    Parameters
    ----------
    serial
        Number within the run.
    tasks
        All with the same key.
    not_before
        Time of the next offer.
    refused
        Since when it is refused, how often.
    unsure
        The last offer got no answer: Slurm may have the job.
    """

    serial: int
    tasks: list[Task]
    not_before: float = 0.0
    refused: tuple[float, int] | None = None
    unsure: bool = False

    @property
    def comment(self) -> str:
        """By which it is known in Slurm."""
        return f"{self.tasks[0].rule}/{self.serial}"
