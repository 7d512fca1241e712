"""Files that do not belong: temporary ones of killed jobs, shards of another grid."""

import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from connectomake.pipeline.base import Rule
from connectomake.pipeline.pyramid import Pyramid
from connectomake.pipeline.registry import STAGES, Stages
from connectomake.planning.plan import Plan
from connectomake.stale_files import files_below

FOLDERS = tuple(kind.base for kind in STAGES)
"""What the folders of a run begin with in which no other file is expected."""


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
    own = {*known, *_temporary(plan)}
    for entry in files_below(plan.outdir):
        if entry.name.endswith(".part"):
            parts.append(entry.path)
            bytes_ += _size(entry.path)
        elif _is_stray(plan, entry.path, own):
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


def _temporary(plan: Plan) -> Iterator[str]:
    """Yield the files that are deleted once used, and may not be yet; with their coarser scales, if they were kept once."""
    stages = Stages(plan)
    scales = [s for s in stages.every.values() if isinstance(s, Pyramid) and s.variant in plan.layers and not s.enabled]
    rules: list[Rule[Any]] = [kind(stage) for stage in scales for kind in stage.rules]
    for rule in [*(r for r in stages.rules() if not r.kept), *rules]:
        yield from (path for item in rule.items() for path in rule.outputs(item).values())


def _is_stray(plan: Plan, path: str, own: Collection[str]) -> bool:
    if path in own or not path.endswith((".shard", ".h5", ".pack")):
        return False
    folder = Path(path).relative_to(plan.outdir).parts[0]
    return folder.startswith(FOLDERS)
