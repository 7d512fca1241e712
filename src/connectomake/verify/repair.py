"""From what verification found to a whole run in one round: what is damaged goes, then one command makes it and what follows.

Only files that this config makes, in the places where it makes them, are removed, and of these only what cannot be used. What
was made with other settings may be somebody's result: the command makes it anew, nothing is removed here. What was made from a
removed file need not go: Snakemake makes it anew since its input is newer, with all intermediates that were deleted meanwhile.
"""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from connectomake.pipeline.expected import Expected, expected
from connectomake.pipeline.targets import Targets
from connectomake.planning.dates import modified
from connectomake.planning.plan import Plan
from connectomake.stale_files import move_aside
from connectomake.verify.faults import VerifyReport

_STEP_SECONDS = 1e-3


@dataclass(frozen=True)
class Repair:
    """Preparations before the command.

    Parameters
    ----------
    remove
        Files that cannot be used, or were made from other voxels than the source holds today, links that lead nowhere, and
        folders where files should be: those with something in them are moved aside.
    date
        Files that are dated in the future, oldest first.
    left
        Files that could not be read because of the machine or its file server; they may or may not be damaged.
    targets
        Targets of the command.
    """

    remove: tuple[str, ...]
    date: tuple[str, ...]
    left: tuple[str, ...]
    targets: str


def plan_repair(plan: Plan, report: VerifyReport) -> Repair:
    """Return what to remove, what to date anew, and what to ask Snakemake for, given what verification found.

    Parameters
    ----------
    plan
        The run.
    report
        Faults of its files.
    """
    files = {file.path: file for file in expected(plan)}
    kinds: dict[str, set[str]] = {}
    for fault in report.faults:
        kinds.setdefault(fault.kind, set()).update((fault.path, *fault.also))
    others = kinds.get("settings", set())
    links = {path for path in kinds.get("missing", set()) if Path(path).is_symlink()}
    gone = kinds.get("damaged", set()) | kinds.get("source", set()) | links
    damaged = [path for path in files if path in gone]
    remove = tuple(path for path in damaged if not _is_of_others(files[path], others))
    date = tuple(sorted(kinds.get("future", set()) - set(remove), key=modified))
    asked = _is_asked_for(Targets(plan), [fault.path for fault in report.faults])
    return Repair(remove, date, tuple(sorted(kinds.get("refused", set()))), " ".join(("kept", *asked)))


def _is_of_others(file: Expected, others: Collection[str]) -> bool:
    """Whether a file, or the one whose record tells of it, was made with other settings."""
    return file.path in others or file.beside in others


def _is_asked_for(targets: Targets, faulty: Collection[str]) -> Iterator[str]:
    """Yield the further target of reports that were asked for by name."""
    if not targets.wanted_reports() and set(targets.reports.values()) & set(faulty):
        yield "reports"


def carry_out(repair: Repair) -> Iterator[str]:
    """Remove and date anew, and yield a line for each file once it is done.

    Raises
    ------
    OSError
        If the system does not permit it.
    """
    for path in repair.remove:
        yield _remove(path)
    now = time.time()
    for i, path in enumerate(repair.date):  # in the order that they had
        when = now - _STEP_SECONDS * (len(repair.date) - i)
        os.utime(path, (when, when))
        yield f"dated anew: {path}"


def _remove(path: str) -> str:
    place = Path(path)
    if place.is_dir() and not place.is_symlink():
        aside = move_aside(path)
        return f"removed: {path}, an empty folder" if aside is None else f"moved aside: {path}, to {aside}"
    place.unlink(missing_ok=True)
    return f"removed: {path}"
