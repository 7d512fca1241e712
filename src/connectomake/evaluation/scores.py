"""Scores of a segmentation from its contingency table: variation of information and adapted Rand error.

Everything is computed from integer counts, sums of floats with `math.fsum`, whose result does not depend on the order; so the
scores are the same, to the last bit, however the volume was cut.

Sources: Meilă, "Comparing clusterings: an information based distance", Journal of Multivariate Analysis 98, 2007 (variation of
information); Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers
in Neuroanatomy 9, 2015 (split and merge terms of both).
"""

import math
from dataclasses import dataclass

import numpy as np

from connectomake.evaluation.contingency import Contingency


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores over one set of voxels; None where there is no voxel.

    Parameters
    ----------
    voxels, objects, segments
        How many voxels, true objects and segments were compared.
    voi_split, voi_merge, voi
        Variation of information in bits: H(segmentation | ground truth), H(ground truth | segmentation) and their sum.
    rand_split, rand_merge
        Of the pairs of voxels in one true object, the share that are in one segment; and the other way round. Without any
        pair, 1.
    adapted_rand_error
        1 - F, the harmonic mean of the two.
    """

    voxels: int
    objects: int
    segments: int
    voi_split: float | None
    voi_merge: float | None
    voi: float | None
    rand_split: float | None
    rand_merge: float | None
    adapted_rand_error: float | None


def scores_of(pairs: Contingency) -> Scores:
    """Return the scores of a table of voxels per (true object, segment); no label has a special meaning here."""
    total = int(pairs.count.sum())
    truth, found = (sums_by(pairs, column) for column in (0, 1))
    if not total:
        return Scores(0, 0, 0, None, None, None, None, None, None)
    joint = _entropy_sum(pairs.count)
    split, merge = (max(_entropy_sum(sums) - joint, 0.0) / total for sums in (truth, found))
    both, in_truth, in_found = (_pairs_within(c) for c in (pairs.count, truth, found))
    error = 1 - 2 * both / (in_truth + in_found) if in_truth + in_found else 0.0
    rand_split, rand_merge = (both / n if n else 1.0 for n in (in_truth, in_found))
    return Scores(total, len(truth), len(found), split, merge, split + merge, rand_split, rand_merge, error)


def both_scores(pairs: Contingency) -> dict[str, Scores]:
    """Return the scores with the two treatments of voxels that the segmentation leaves 0.

    Returns
    -------
    dict
        ``all_voxels``: all voxels with ground truth, those with segmentation 0 as one segment of their own.
        ``where_segmented``: only voxels with ground truth and a segment.
    """
    return {"all_voxels": scores_of(pairs), "where_segmented": scores_of(pairs.take(pairs.keys[:, 1] != 0))}


def coverage_of(pairs: Contingency) -> float | None:
    """Return the share of the voxels with ground truth that have a segment."""
    total = int(pairs.count.sum())
    return int(pairs.count[pairs.keys[:, 1] != 0].sum()) / total if total else None


def sums_by(pairs: Contingency, column: int) -> np.ndarray:
    """Return the voxels per label of a column, ascending by label."""
    _, row = np.unique(pairs.keys[:, column], return_inverse=True)
    sums = np.zeros(int(row.max()) + 1 if len(row) else 0, np.int64)
    np.add.at(sums, row, pairs.count)
    return sums


def _entropy_sum(counts: np.ndarray) -> float:
    """Return the sum of n log2 n, in any order the same."""
    values, repeats = np.unique(counts, return_counts=True)
    return math.fsum(r * (v * math.log2(v)) for v, r in zip(values.tolist(), repeats.tolist(), strict=True))


def _pairs_within(counts: np.ndarray) -> int:
    """Return the number of ordered pairs of voxels within the same set, exactly."""
    values, repeats = np.unique(counts, return_counts=True)
    return sum(r * v * (v - 1) for v, r in zip(values.tolist(), repeats.tolist(), strict=True))
