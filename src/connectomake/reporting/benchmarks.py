"""What Snakemake measured of each job: the TSV files of its ``benchmark:`` directive."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


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
    memory = [m for _, _, m in rows if m is not None]
    return Measured(len(rows), sum(s for _, s, _ in rows), max(memory, default=None))


def job_memory(outdir: str, stage: str) -> list[tuple[str, float]]:
    """Return the name of each measured job of a stage, as its file is named, and the largest memory that it took, in MiB."""
    return [(name, m) for name, _, m in _rows(Path(outdir) / "benchmarks" / stage) if m is not None]


def _rows(folder: Path) -> Iterator[tuple[str, float, float | None]]:
    for path in sorted(folder.glob("**/*.tsv")):
        for row in _read(path):
            seconds = _number(row.get("s"))
            if seconds is not None:
                yield path.stem, seconds, _number(row.get("max_rss"))


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
