"""How many of each stage's files are there, when they were made, and how many bytes they take: from folder listings alone."""

import itertools
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

from connectomake.pipeline.registry import RULES, Stages
from connectomake.planning.freshness import is_stale
from connectomake.planning.plan import Plan

RECENT_FILES = 64
FILES_OPENED = 20_000
PAUSE_SECONDS = 120.0
PAUSE_FACTOR = 20


@dataclass(frozen=True, slots=True)
class StageFiles:
    """One stage: its files, those that are there, those of them that were made with other settings, bytes and times.

    `temporary` says whether the stage's files are deleted once used.
    """

    stage: str
    total: int
    there: int
    stale: int
    bytes: int
    times: tuple[float, ...]
    temporary: bool

    @property
    def done(self) -> bool:
        """Whether all files are there, made with the settings of today."""
        return self.there == self.total


class Freshness:
    """Which files were made with the settings of today; a file is opened once, and again when it has changed.

    Parameters
    ----------
    plan
        The plan.
    limit
        With more files than this nothing is opened, and all count as fresh.
    """

    def __init__(self, plan: Plan, limit: int = FILES_OPENED) -> None:
        self._stages = Stages(plan)
        self._limit = limit
        self._known: dict[str, tuple[int, bool]] = {}

    def is_fresh(self, stage: str, path: str, stat: os.stat_result, files: int) -> bool:
        """Tell whether a file of a stage, one of `files`, was made with the settings of today."""
        if files > self._limit:
            return True
        seen = self._known.get(path)
        if seen is None or seen[0] != stat.st_mtime_ns:
            seen = self._known[path] = stat.st_mtime_ns, not is_stale(path, self._stages.fingerprint(stage))
        return seen[1]


def stage_files(plan: Plan) -> dict[str, dict[str, str]]:
    """Return one file per job of each rule, with its stage, in the order in which rules are run."""
    files: dict[str, dict[str, str]] = {}
    for rule in Stages(plan).rules():
        if rule.stage.listed:
            found = {next(iter(rule.outputs(item).values())): rule.stage.name for item in rule.items()}
            files.setdefault(rule.name, {}).update(found)
    return {rule: found for rule, found in files.items() if found}


def users_of_temporary(plan: Plan) -> dict[str, str]:
    """Return for each rule whose files are deleted once used the last rule of the first stage that uses them."""
    stages = Stages(plan)
    users: dict[str, str] = {}
    for user in stages.enabled:
        for used in user.upstream():
            for rule in used.rules:
                if rule.keep is not None and user.listed:
                    users.setdefault(rule.name, user.rules[-1].name)
    return users


def stages_of_files(plan: Plan, files: dict[str, dict[str, str]], freshness: Freshness | None = None) -> list[StageFiles]:
    """Count the files of each stage that are there, and, with `freshness`, that were made with the settings of today."""
    there = _listing(name for names in files.values() for name in names)
    return [_tally(plan, rule, names, there, freshness) for rule, names in files.items()]


def _listing(names: Iterable[str]) -> dict[str, os.stat_result]:
    """Return what lies in the folders of the files, by path; one listing per folder."""
    found: dict[str, os.stat_result] = {}
    for folder in {name.rpartition("/")[0] for name in names}:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file():  # not a link to nowhere, or a folder in a file's place
                        found[f"{folder}/{entry.name}"] = entry.stat()
        except OSError:
            continue
    return found


def _tally(
    plan: Plan, rule: str, names: dict[str, str], there: dict[str, os.stat_result], freshness: Freshness | None
) -> StageFiles:
    present = [name for name in names if name in there]
    fresh = [n for n in present if freshness is None or freshness.is_fresh(names[n], n, there[n], len(there))]
    stats = [there[name] for name in fresh]
    keep = RULES[rule][1].keep
    temporary = keep is not None and not plan.keeps(keep)
    times = tuple(sorted(s.st_mtime for s in stats))
    return StageFiles(rule, len(names), len(stats), len(present) - len(fresh), sum(s.st_size for s in stats), times, temporary)


def rate(times: tuple[float, ...]) -> float | None:
    """Return the files per second of a stage from when its latest files were made, pauses left out; None if unknown."""
    recent = times[-RECENT_FILES:]
    gaps = [b - a for a, b in itertools.pairwise(recent)]
    if not gaps:
        return None
    longest = max(PAUSE_SECONDS, PAUSE_FACTOR * statistics.median(gaps))
    working = [gap for gap in gaps if gap <= longest]
    return len(working) / sum(working) if working and sum(working) > 0 else None


def is_active(times: tuple[float, ...], speed: float | None) -> bool:
    """Whether a file was made so recently that the stage seems to be running."""
    if not times:
        return False
    return time.time() - times[-1] < max(PAUSE_SECONDS, 5 / speed if speed else 0)
