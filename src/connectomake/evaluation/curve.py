"""Scores over a list of thresholds, from one table of supervoxels: no voxel is read again."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import RunError
from connectomake.evaluation.scores import Scores, both_scores, coverage_of
from connectomake.evaluation.tally import Tally


@dataclass(frozen=True, slots=True)
class Point:
    """The scores at one threshold, with both treatments of segmentation 0, and the share of voxels with a segment."""

    threshold: float
    coverage: float | None
    all_voxels: Scores
    where_segmented: Scores


def relabelled(pairs: Tally, supervoxels: np.ndarray, segments: np.ndarray) -> Tally:
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
    return Tally.summed([Tally(keys, pairs.count, pairs.first)], 2)


def curve_of(pairs: Tally, mappings: Iterable[tuple[float, np.ndarray, np.ndarray]]) -> list[Point]:
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
        table = relabelled(pairs, supervoxels, segments)
        points.append(Point(float(threshold), coverage_of(table), **both_scores(table)))
    return points


def curve_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the curve as flat rows, with names such as ``threshold`` and ``all_voxels.voi``."""
    rows = []
    for p in points:
        flat = {f"{kind}.{k}": v for kind in ("all_voxels", "where_segmented") for k, v in asdict(getattr(p, kind)).items()}
        rows.append({"threshold": p.threshold, "coverage": p.coverage, **flat})
    return rows


def csv_text(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Return rows as CSV with a line of names; numbers in full precision."""
    names = list(columns or (rows[0] if rows else ["threshold", "coverage"]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_picture(path: str, points: Sequence[Point]) -> None:
    """Draw the curve as a PNG, the same bytes for the same points: both scores over the threshold, lower is better."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, kind, title in zip(panels, ("all_voxels", "where_segmented"), ("all voxels", "where segmented"), strict=True):
        _draw(panel, [p.threshold for p in points], [getattr(p, kind) for p in points], title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw(panel: Any, thresholds: list[float], scores: list[Scores], title: str) -> None:
    lines = {"voi_split": "VOI split", "voi_merge": "VOI merge", "voi": "VOI", "adapted_rand_error": "adapted Rand error"}
    known = {f.name for f in fields(Scores)}
    for name, text in lines.items():
        values = [getattr(s, name) for s in scores] if name in known else []
        style = "--" if name == "adapted_rand_error" else "-"
        panel.plot(thresholds, [float("nan") if v is None else v for v in values], style, marker=".", label=text)
    panel.set(title=title, xlabel="threshold", ylim=(0, None))
    panel.set_ylabel("bits; error")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
