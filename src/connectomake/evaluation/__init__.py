"""How well a segmentation fits a ground truth: sparse contingency tables, summed exactly, and the scores from them."""

from connectomake.evaluation.common import overlap_columns
from connectomake.evaluation.contingency import Contingency, Overlap
from connectomake.evaluation.curve import (
    Point,
    csv_text,
    curve_of,
    curve_rows,
    point_of,
    relabelled,
    thresholds_of,
    write_picture,
)
from connectomake.evaluation.report import WORST_COLUMNS, result_of, worst_rows
from connectomake.evaluation.scores import Scores, both_scores, coverage_of, scores_of
from connectomake.evaluation.stream import overlap_of, pairs_of
from connectomake.evaluation.tiles import blocks_of, tile_of_chunks, tiles_of

__all__ = [
    "WORST_COLUMNS",
    "Contingency",
    "Overlap",
    "Point",
    "Scores",
    "blocks_of",
    "both_scores",
    "coverage_of",
    "csv_text",
    "curve_of",
    "curve_rows",
    "overlap_columns",
    "overlap_of",
    "pairs_of",
    "point_of",
    "relabelled",
    "result_of",
    "scores_of",
    "thresholds_of",
    "tile_of_chunks",
    "tiles_of",
    "worst_rows",
    "write_picture",
]  # fmt: skip
