"""The result of an evaluation as plain values, for JSON and CSV: the same bytes for the same voxels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from connectomake.errors import RunError
from connectomake.evaluation.contingency import Overlap
from connectomake.evaluation.scores import both_scores, coverage_of
from connectomake.evaluation.worst import Fault, Part, worst_mergers, worst_splits
from connectomake.geometry import Box
from connectomake.layers.precomputed import xyz

WORST_COLUMNS = ("fault", "rank", "id", "voi", "voxels", "parts", "part", "part_voxels", "touches", "z", "y", "x", "position")


def result_of(overlap: Overlap, bounds: Box, worst: int, ignored: Sequence[int] = ()) -> dict[str, Any]:
    """Return the scores, coverage, and the worst splits and mergers with their places.

    Parameters
    ----------
    overlap
        Of all voxels of `bounds`.
    bounds
        The box that is evaluated.
    worst
        How many splits and mergers to list.
    ignored
        True objects to take for unlabelled.

    Raises
    ------
    RunError
        If no voxel has a true label.
    """
    counted = overlap.without(ignored)
    if not len(counted.pairs):
        without = f" once the objects {sorted(ignored)} are ignored" if ignored and len(overlap.pairs) else ""
        raise RunError(f"the ground truth has no labelled voxel in {bounds}{without}; evaluate another box")
    return {
        "box": {"start": list(bounds.start), "stop": list(bounds.stop)},
        "voxels": bounds.volume,
        "ignored": sorted(ignored),
        "coverage": coverage_of(counted.pairs),
        **{name: asdict(scores) for name, scores in both_scores(counted.pairs).items()},
        "worst_splits": [_fault(f, bounds) for f in worst_splits(counted, worst)],
        "worst_mergers": [_fault(f, bounds) for f in worst_mergers(counted, worst)],
    }


def _fault(fault: Fault, bounds: Box) -> dict[str, Any]:
    return {
        "id": fault.label, "voi": fault.voi, "voxels": fault.voxels, "parts": fault.count,
        "largest": [_part(p, bounds) for p in fault.parts],
    }  # fmt: skip


def _part(part: Part, bounds: Box) -> dict[str, Any]:
    """`position` is what Neuroglancer takes: x, y, z, the middle of the voxel."""
    place = np.unravel_index(part.place, bounds.shape)
    voxel = [int(p) + s for p, s in zip(place, bounds.start, strict=True)]
    position = [v + 0.5 for v in xyz(voxel)]
    return {"id": part.label, "voxels": part.voxels, "touches": part.touches, "voxel": voxel, "position": position}


def worst_rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the worst splits and mergers as flat rows, one per part, with the columns `WORST_COLUMNS`."""
    for kind in ("split", "merger"):
        for rank, fault in enumerate(result[f"worst_{kind}s"], start=1):
            whole = {"fault": kind, "rank": rank, **{k: fault[k] for k in ("id", "voi", "voxels", "parts")}}
            for part in fault["largest"]:
                place = dict(zip("zyx", part["voxel"], strict=True))
                position = ", ".join(f"{p:g}" for p in part["position"])
                row = {"part": part["id"], "part_voxels": part["voxels"], "touches": part["touches"], "position": position}
                yield whole | row | place
