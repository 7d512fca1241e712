"""Files that do not belong: temporary ones of killed jobs, shards of another grid."""

import shlex
from collections.abc import Collection
from pathlib import Path

from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.remains import files_below

LAYERS = ("image", "affinity", "components", "segmentation", "ground_truth")
AT_THRESHOLDS = ("agglomeration_", "segmentation_")
OTHER_FOLDERS = ("merge", "agglomeration", "fragments", "traces")
TEMPORARY = ("fragments", "traces")


def leftovers(plan: Plan, known: Collection[str]) -> list[str]:
    """Return sentences on files under the run's folder that no job of this plan makes.

    Parameters
    ----------
    plan
        The plan.
    known
        Files that belong to the run.
    """
    parts, strays, bytes_ = [], [], 0
    for entry in files_below(plan.outdir):
        if entry.name.endswith(".part"):
            parts.append(entry.path)
            bytes_ += _size(entry.path)
        elif _is_stray(plan, entry.path, known):
            strays.append(entry.path)
    notes = []
    if parts:
        notes.append(
            f"{len(parts):,} temporary file(s) of killed or running jobs, {bytes_ / 1e6:.1f} MB, such as {min(parts)}; the "
            "next run removes those whose jobs have surely ended; all of them, if no job runs: "
            f"find {shlex.quote(plan.outdir)} -name '.*.part' -delete"
        )
    if strays:
        notes.append(f"{len(strays):,} file(s) belong to no block of this plan, such as {min(strays)}; they may be deleted")
    return notes


def _size(path: str) -> int:
    try:
        return Path(path).lstat().st_size
    except OSError:
        return 0


def _is_stray(plan: Plan, path: str, known: Collection[str]) -> bool:
    if path in known or not path.endswith((".shard", ".h5", ".pack")):
        return False
    relative = Path(path).relative_to(plan.outdir)
    if relative.parts[0].startswith(AT_THRESHOLDS) and relative.parts[0] not in plan.layers:
        return True
    if relative.parts[0] in OTHER_FOLDERS:
        return relative.parts[0] not in TEMPORARY or plan.keeps(relative.parts[0])
    layer = relative.parts[0]
    if layer not in plan.layers:
        return layer in LAYERS
    folder, stem = relative.parent.name, relative.stem
    return not any(folder == spec.scale_key and _has(spec.grid, stem) for spec in Scales(plan).specs(layer))


def _has(grid, name: str) -> bool:  # type: ignore[no-untyped-def]
    try:
        number = int(name, 16)
    except ValueError:
        return False
    return bool(grid.has_id(number) and grid.name(number) == name)
