"""Scores over a list of thresholds, from one table of supervoxels: no voxel is read again."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import RunError
from connectomake.evaluation.contingency import Contingency
from connectomake.evaluation.scores import Scores, both_scores, coverage_of
from connectomake.layers.records import append_record

PathLike = str | os.PathLike[str]
Mappings = Iterable[tuple[float, np.ndarray, np.ndarray]]
STEPS = 20
HIGHEST = 0.99
KINDS = ("all_voxels", "where_segmented")
LINES = {
    "voi": ("VOI", "#22223b"), "voi_split": ("split: H(seg | gt)", "#3a86ff"), "voi_merge": ("merge: H(gt | seg)", "#e36414"),
    "adapted_rand_error": ("adapted Rand error", "#2a9d8f"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """The scores at one threshold, with both treatments of segmentation 0, and the share of voxels with a segment."""

    threshold: float
    coverage: float | None
    all_voxels: Scores
    where_segmented: Scores


def relabelled(pairs: Contingency, supervoxels: np.ndarray, segments: np.ndarray) -> Contingency:
    """Return the table of segments from that of supervoxels.

    Parameters
    ----------
    pairs
        Voxels per (true object, supervoxel).
    supervoxels, segments
        (n,) uint64: the segment of each supervoxel; supervoxels in any order, each once. Those not named, and 0, stay.

    Raises
    ------
    RunError
        If the two are not of one length.
    """
    if len(supervoxels) != len(segments):
        raise RunError(f"{len(supervoxels)} supervoxels cannot have {len(segments)} segments; run agglomeration again")
    order = np.argsort(supervoxels)
    known, new = np.asarray(supervoxels, np.uint64)[order], np.asarray(segments, np.uint64)[order]
    keys = pairs.keys.copy()
    place = np.searchsorted(known, keys[:, 1])
    place[place == len(known)] = 0
    named = known[place] == keys[:, 1] if len(known) else np.zeros(len(keys), bool)
    keys[named, 1] = new[place[named]]
    return Contingency.summed([Contingency(keys, pairs.count, pairs.first)], 2)


def curve_of(pairs: Contingency, mappings: Mappings) -> list[Point]:
    """Return the scores at each threshold.

    Parameters
    ----------
    pairs
        Voxels per (true object, supervoxel).
    mappings
        Per threshold: the threshold, supervoxels (n,) uint64 and their segments (n,) uint64; see `relabelled`.
    """
    points = []
    for threshold, supervoxels, segments in mappings:
        points.append(point_of(relabelled(pairs, supervoxels, segments), threshold))
    return points


def thresholds_of(lowest: float, chosen: float) -> list[float]:
    """Return the thresholds of a curve, ascending.

    Parameters
    ----------
    lowest
        Where the curve begins: `STEPS` values, evenly spaced from here to `HIGHEST`.
    chosen
        The threshold of the run, added to them.
    """
    evenly = [round(lowest + i * max(HIGHEST - lowest, 0) / (STEPS - 1), 4) for i in range(1, STEPS)]
    return sorted({lowest, chosen, *evenly})


def point_of(pairs: Contingency, threshold: float) -> Point:
    """Return the scores of a table of segments."""
    return Point(float(threshold), coverage_of(pairs), **both_scores(pairs))


def curve_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the curve as flat rows, with names such as ``threshold`` and ``all_voxels.voi``."""
    rows = []
    for p in points:
        flat = {f"{kind}.{k}": v for kind in KINDS for k, v in asdict(getattr(p, kind)).items()}
        rows.append({"threshold": p.threshold, "coverage": p.coverage, **flat})
    return rows


def csv_text(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Return rows as CSV with a header line; numbers in full precision.

    Parameters
    ----------
    rows
        Values by column name.
    columns
        Names in order; default those of the first row.
    """
    names = list(columns or (rows[0] if rows else ["threshold", "coverage"]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_picture(
    path: PathLike, points: Sequence[Point], chosen: Point | None = None, record: dict[str, Any] | None = None
) -> None:
    """Draw the curve as a PNG, the same bytes for the same points: scores over the threshold, lower is better.

    Parameters
    ----------
    path
        The picture.
    points
        The curve, ascending.
    chosen
        The run's own segmentation, which is marked.
    record
        What to note behind the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, kind in zip(panels, KINDS, strict=True):
        _draw(panel, points, chosen, kind)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
        if record is not None:
            append_record(temporary, record, temporary.stat().st_size)


def _draw(panel: Any, points: Sequence[Point], chosen: Point | None, kind: str) -> None:
    errors = panel.twinx()
    for name, (text, colour) in LINES.items():
        side = errors if name == "adapted_rand_error" else panel
        values = [_value(p, kind, name) for p in points]
        side.plot([p.threshold for p in points], values, "--" if side is errors else "-", color=colour, label=text)
        if chosen is not None:
            side.plot([chosen.threshold], [_value(chosen, kind, name)], "o", color=colour)
    if chosen is not None:
        panel.axvline(chosen.threshold, color="0.6", lw=1, zorder=0)
    panel.set(title=kind.replace("_", " "), xlabel="threshold of mean affinity", ylabel="bits", ylim=(0, None))
    errors.set(ylabel="adapted Rand error", ylim=(0, None))
    panel.grid(alpha=0.3)
    handles = [*panel.get_legend_handles_labels()[0], *errors.get_legend_handles_labels()[0]]
    panel.legend(handles=handles, fontsize=8, loc="center right")


def _value(point: Point, kind: str, name: str) -> float:
    value = getattr(getattr(point, kind), name)
    return float("nan") if value is None else value
