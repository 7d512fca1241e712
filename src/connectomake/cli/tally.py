"""How many of each stage's files are there, when they were made, and how many bytes they take: from folder listings alone."""

import itertools
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

from connectomake.planning.plan import Plan
from connectomake.planning.targets import Targets

RECENT_FILES = 64
PAUSE_SECONDS = 120.0
PAUSE_FACTOR = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """One stage: its files, those that are there, their bytes, when each was made, and whether they are deleted once used."""

    stage: str
    total: int
    there: int
    bytes: int
    times: tuple[float, ...]
    temporary: bool

    @property
    def done(self) -> bool:
        """Whether all files are there."""
        return self.there == self.total


def stage_files(plan: Plan) -> dict[str, list[str]]:
    """Return one file per job of each stage, in the order in which stages are run."""
    targets, blocks = Targets(plan), plan.grid.ids
    files: dict[str, list[str]] = {}
    if "image" in plan.layers:
        files["image"] = [targets.shard("image", b) for b in plan.layers["image"].grid.ids]
    if plan.inference is not None:
        files["affinity"] = [targets.shard("affinity", b) for b in blocks]
    files["components"] = [targets.shard("components", b) for b in blocks]
    files["merge"] = targets.all_merges()
    files["lookup"] = [targets.lookup(level, node) for level, node in targets.nodes()]
    files["segmentation"] = [targets.shard("segmentation", b) for b in blocks]
    files["objects"] = [targets.objects]
    if plan.meshes_enabled:
        tree = plan.mesh_tree
        files["fragments"] = [targets.pack(0, p) for p in tree.packs(0)]
        files["gather"] = [targets.pack(level, p) for level in range(1, tree.top + 1) for p in tree.packs(level)]
        files["meshes"] = targets.mesh_shards()
    return {stage: names for stage, names in files.items() if names}


def tallies(plan: Plan, files: dict[str, list[str]]) -> list[Tally]:
    """Count the files of each stage that are there."""
    there = _listing(name for names in files.values() for name in names)
    return [_tally(plan, stage, names, there) for stage, names in files.items()]


def _listing(names: Iterable[str]) -> dict[str, os.stat_result]:
    """Return what lies in the folders of the files, by path; one listing per folder."""
    found: dict[str, os.stat_result] = {}
    for folder in {name.rpartition("/")[0] for name in names}:
        try:
            with os.scandir(folder) as entries:
                found.update((f"{folder}/{entry.name}", entry.stat()) for entry in entries)
        except FileNotFoundError:
            continue
    return found


def _tally(plan: Plan, stage: str, names: list[str], there: dict[str, os.stat_result]) -> Tally:
    stats = [there[name] for name in names if name in there]
    layer = {"gather": "fragments"}.get(stage, stage)
    temporary = layer in ("image", "affinity", "fragments") and not plan.keeps(layer)
    times = tuple(sorted(s.st_mtime for s in stats))
    return Tally(stage, len(names), len(stats), sum(s.st_size for s in stats), times, temporary)


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
