"""Failed jobs, listed at the end of a run: rules, wildcards, logs, and the error in each log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectomake.forking.logs import last_error

MOST = 50  # rows


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed for good.

    Parameters
    ----------
    rule, wildcards
        Of the job.
    log
        Path of its log, if it has one.
    why
        What the cluster said of its end, if anything.
    """

    rule: str
    wildcards: str
    log: str | None
    why: str | None = None

    @classmethod
    def of(cls, rule: str, wildcards: Mapping[str, str], log: str | None, why: str | None = None) -> "Failure":
        """Make one of a job's wildcards by name."""
        return cls(rule, " ".join(f"{name}={value}" for name, value in wildcards.items() if value), log, why)

    @property
    def sentence(self) -> str:
        """The last error in its log, else what the cluster said."""
        return (last_error(self.log) if self.log else None) or self.why or "its log names no error"


def table_of(failures: Iterable[Failure], held_up: int) -> str:
    """Return the table.

    Parameters
    ----------
    held_up
        Number of jobs that did not run, mostly for want of what these should have made.

    Examples
    --------
    >>> print(table_of([Failure("merge", "level=1", None, "Slurm job 7 was cancelled")], 2))
    1 job failed, 2 more did not run:
    rule   wildcards  log  why
    merge  level=1    -    Slurm job 7 was cancelled
    """
    rows = sorted((f.rule, f.wildcards or "-", f.log or "-", f.sentence) for f in failures)
    count = "1 job" if len(rows) == 1 else f"{len(rows):,} jobs"
    waiting = f", {held_up:,} more did not run" if held_up else ""
    shown = [("rule", "wildcards", "log", "why"), *rows[:MOST]]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = ["  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in shown]
    more = [f"… and {len(rows) - MOST:,} more"] if len(rows) > MOST else []
    return "\n".join([f"{count} failed{waiting}:", *lines, *more])
