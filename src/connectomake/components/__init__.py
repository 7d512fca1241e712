"""Components of one block: local labels, their table and the block's face planes."""

from connectomake.components.block import BlockLabels, label_block
from connectomake.components.boundary import Interior, interior, interior_of_block
from connectomake.components.files import block_tables, write_block_tables
from connectomake.components.labels import NumberedLabels, check_labels, number_block
from connectomake.components.order import order_warning
from connectomake.components.threshold import Threshold, threshold_for
from connectomake.components.watershed import WatershedRule, high_boxes, watershed, watershed_block

__all__ = [
    "BlockLabels", "Interior", "NumberedLabels", "Threshold", "WatershedRule", "block_tables", "check_labels",
    "high_boxes", "interior", "interior_of_block",
    "label_block", "number_block", "order_warning", "threshold_for", "watershed", "watershed_block", "write_block_tables",
]  # fmt: skip
