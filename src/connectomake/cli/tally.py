"""How many of each stage's files are there, when they were made, and how many bytes they take: from folder listings alone."""

import itertools
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

from connectomake.planning.freshness import is_stale
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons
from connectomake.planning.stages import Stages
from connectomake.planning.targets import Targets

RECENT_FILES = 64
FILES_OPENED = 20_000
SAME_SETTINGS = {
    "lookup": "merge",
    "agglomerate": "agglomeration",
    "assign": "agglomeration",
    "history": "agglomeration",
    "gather": "fragments",
    "gather_traces": "traces",
}
PAUSE_SECONDS = 120.0
PAUSE_FACTOR = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """One stage: its files, those that are there, those of them that were made with other settings, bytes and times.

    `temporary` tells whether the stage's files are deleted once used.
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
        """Tell whether a file, one of `files`, was made with the settings of today."""
        if files > self._limit:
            return True
        seen = self._known.get(path)
        if seen is None or seen[0] != stat.st_mtime_ns:
            fingerprint = self._stages.fingerprint(self._settings(stage, path))
            seen = self._known[path] = stat.st_mtime_ns, not is_stale(path, fingerprint)
        return seen[1]

    def _settings(self, stage: str, path: str) -> str:
        """Return the stage whose settings a file has; folders tell a pyramid's layer and a further threshold."""
        plan = self._stages.plan
        folder = path.removeprefix(f"{plan.outdir}/").partition("/")[0]
        if stage in ("pyramid", "thumbnail"):
            return f"pyramid_{folder}"
        name = SAME_SETTINGS.get(stage, stage)
        suffix = folder.removeprefix(name)
        return f"{name}{suffix}" if suffix in plan.thresholds else name


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
    if plan.agglomerates:
        ats = plan.thresholds
        files["agglomerate"] = [name for at in ats for name in targets.all_closed(at)]
        files["assign"] = [targets.assign(level, node, at) for at in ats for level, node in targets.nodes()]
        files["history"] = [targets.history(at) for at in ats]
    files["segmentation"] = [targets.shard(layer, b) for layer in targets.segmentations() for b in blocks]
    if plan.measured:
        files["measures"] = targets.all_measures()
    skeletons = Skeletons(plan)
    if skeletons.enabled:
        tree = skeletons.tree
        files["traces"] = [skeletons.traces(0, p) for p in tree.packs(0)]
        files["gather_traces"] = [skeletons.traces(level, p) for level in range(1, tree.top + 1) for p in tree.packs(level)]
        files["skeletons"] = skeletons.shards()
    files["objects"] = [targets.objects]
    if plan.meshes_enabled:
        tree = plan.mesh_tree
        files["fragments"] = [targets.pack(0, p) for p in tree.packs(0)]
        files["gather"] = [targets.pack(level, p) for level in range(1, tree.top + 1) for p in tree.packs(level)]
        files["meshes"] = targets.mesh_shards()
    if plan.truth is not None:
        truth = plan.layers.get("ground_truth")
        files["ground_truth"] = [] if truth is None else [targets.shard("ground_truth", b) for b in truth.grid.ids]
        files["contingency"] = targets.contingencies()
        files["evaluation"] = [targets.evaluation()["table"]]
        files["curve"] = [targets.curve()["picture"]] if plan.curved else []
    scales = Scales(plan)
    files["pyramid"] = scales.shards()
    files["thumbnail"] = [scales.thumbnail(layer) for layer in scales.layers]
    return {stage: names for stage, names in files.items() if names}


def tallies(plan: Plan, files: dict[str, list[str]], freshness: Freshness | None = None) -> list[Tally]:
    """Count the files of each stage that are there, and, with `freshness`, that were made with the settings of today."""
    there = _listing(name for names in files.values() for name in names)
    return [_tally(plan, stage, names, there, freshness) for stage, names in files.items()]


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


def _tally(plan: Plan, stage: str, names: list[str], there: dict[str, os.stat_result], freshness: Freshness | None) -> Tally:
    present = [name for name in names if name in there]
    fresh = [n for n in present if freshness is None or freshness.is_fresh(stage, n, there[n], len(there))]
    stats = [there[name] for name in fresh]
    layer = SAME_SETTINGS.get(stage, stage)
    temporary = layer in ("image", "affinity", "fragments") and not plan.keeps(layer)
    times = tuple(sorted(s.st_mtime for s in stats))
    return Tally(stage, len(names), len(stats), len(present) - len(fresh), sum(s.st_size for s in stats), times, temporary)


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
