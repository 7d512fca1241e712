"""How well a segmentation fits a ground truth: sparse contingency tables, summed exactly, and the scores from them."""

from connectomake.evaluation.curve import Point, csv_text, curve_of, curve_rows, relabelled, write_picture
from connectomake.evaluation.report import WORST_COLUMNS, result_of, worst_rows
from connectomake.evaluation.scores import Scores, both_scores, coverage_of, scores_of
from connectomake.evaluation.tally import Overlap, Tally, overlap_of
from connectomake.evaluation.tiles import tiles_of

__all__ = [
    "WORST_COLUMNS", "Overlap", "Point", "Scores", "Tally",
    "both_scores", "coverage_of", "csv_text", "curve_of", "curve_rows", "overlap_of", "relabelled", "result_of", "scores_of",
    "tiles_of", "worst_rows", "write_picture",
]  # fmt: skip
