"""Measurements of each job: the TSV files of Snakemake's ``benchmark:`` directive."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMPORTS_MB = 45.0
"""What a job's own process holds once it has imported what it needs, mapped files left out: measured 21 to 42 MiB."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All measured jobs of a stage: their number, seconds together, and the largest memory of one in MB (None: unknown)."""

    jobs: int
    seconds: float
    memory_mb: float | None


def measured(outdir: str, stage: str) -> Measured | None:
    """Return what was measured of a stage's jobs; None if nothing was."""
    rows = list(_rows(Path(outdir) / "benchmarks" / stage))
    if not rows:
        return None
    memory = [row.memory_mb for row in rows if row.memory_mb is not None]
    return Measured(len(rows), sum(row.seconds for row in rows), max(memory, default=None))


def job_memory(outdir: str, stage: str) -> list[tuple[str, float]]:
    """Return the name of each measured job of a stage, as its file is named, and the largest memory that it took, in MiB.

    Here jobs are forked of a process that has imported what any of them needs; of that, what a process of their own would have
    imported is counted.
    """
    rows = _rows(Path(outdir) / "benchmarks" / stage)
    return [(row.name, row.alone_mb) for row in rows if row.alone_mb is not None]


@dataclass(frozen=True, slots=True)
class _Row:
    """One job: how long it took, its largest resident memory, and what of it is its own (None: unknown)."""

    name: str
    seconds: float
    memory_mb: float | None
    own_mb: float | None

    @property
    def alone_mb(self) -> float | None:
        """What it takes in a process of its own."""
        if self.memory_mb is None or self.own_mb is None:
            return self.memory_mb
        return min(self.memory_mb, self.own_mb + IMPORTS_MB)


def _rows(folder: Path) -> Iterator[_Row]:
    for path in sorted(folder.glob("**/*.tsv")):
        for row in _read(path):
            seconds = _number(row.get("s"))
            if seconds is not None:
                yield _Row(path.stem, seconds, _number(row.get("max_rss")), _number(row.get("max_uss")))


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file of measurements; none if it is damaged: it is no result."""
    try:
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except (ValueError, TypeError):  # a line with too many columns gives a list
        return None
