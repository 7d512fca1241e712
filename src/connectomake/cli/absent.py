"""Storage chunks that a source lacks, before a run (``check``) and after it (``summary``)."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from connectomake.errors import LayerError, SourceError

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.planning.plan import Plan
    from connectomake.sources import Source
    from connectomake.sources.chunks import Absence

_FILLED = re.compile(r"^filled: (\d+) voxels of this block", re.MULTILINE)


def absent_sentence(source: "Source", box: "Box", key: str) -> tuple[bool, str]:
    """Look for the storage chunks of a box.

    Parameters
    ----------
    source
        The source.
    box
        What is used of it, in its coordinates.
    key
        Of the config that says what a missing chunk is.

    Returns
    -------
    tuple[bool, str]
        Whether all that were looked for are there, and what to say; "" where the format has no chunks.

    Raises
    ------
    SourceError
        If some are not there and the config does not fill them.
    """
    if source.chunks is None:
        return True, ""
    found = source.chunks.absent(box)
    if found.total == 1 and not found.absent:
        return True, ""
    if not found.absent:
        what = "all" if found.looked == found.total else f"{found.looked:,} looked at, spread over all"
        return True, f"the {found.total:,} storage chunks of {source.path} are there ({what})"
    text = _said(found, source.path)
    if source.chunks.options.missing == "fill":
        return False, f"{text}; they are read as {source.chunks.array.fill} ({key}: fill)"
    raise SourceError(f"{text}; copy them again, or set {key}: fill if they were left out because they are background")


def _said(found: "Absence", path: str) -> str:
    names = ", ".join(found.names) + (", …" if found.absent > len(found.names) else "")
    seen = "" if found.looked == found.total else f"{found.looked:,} looked at, spread over the "
    count = f"{found.absent:,} of {seen or 'the '}{found.total:,}"
    verb = "is" if found.absent == 1 else "are"
    return f"{count} storage chunks of {path} that the region needs {verb} not there ({names})"


def filled_rows(plan: "Plan") -> list[tuple[str, str]]:
    """Return rows of ``summary`` on voxels that were filled because the source lacks them; none if nothing was filled."""
    rows = []
    stage = "image" if "image" in plan.layers else "affinity" if plan.inference is not None else "components"
    if plan.source.options.missing == "fill" and (filled := [n for n in _counts(plan, stage) if n]):
        rows.append(("filled", f"{_chunks_text(filled)} of the source are not there and were filled (source.missing: fill)"))
    truth = plan.truth is not None and "ground_truth" in plan.layers and plan.truth.options.missing == "fill"
    if truth and (filled := [n for n in _counts(plan, "ground_truth") if n]):
        rows.append(
            ("filled", f"{_chunks_text(filled)} of the ground truth are not there and were filled (evaluation.missing: fill)")
        )
    return rows


def _chunks_text(filled: list[int]) -> str:
    return f"{sum(filled):,} voxels in {len(filled):,} {'block' if len(filled) == 1 else 'blocks'}"


def _counts(plan: "Plan", stage: str) -> list[int]:
    """Return how many voxels each block of a stage filled: from its file's record, or from the job's log where that is gone."""
    from connectomake.layers.records import read_record
    from connectomake.pipeline.targets import Targets

    counts = []
    grid = plan.layers[stage].grid
    for block in grid.ids:
        try:
            counts.append(int(read_record(Targets(plan).shard(stage, block)).get("filled", {}).get("voxels", 0)))
        except (LayerError, OSError, ValueError, TypeError):
            counts.append(_logged(Path(plan.outdir, "logs", stage, f"{grid.name(block)}.log")))
    return counts


def _logged(log: Path) -> int:
    try:
        found = _FILLED.findall(log.read_text(errors="replace"))
    except OSError:
        return 0
    return int(found[-1]) if found else 0
