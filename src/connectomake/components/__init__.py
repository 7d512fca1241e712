"""Components of one block: local labels, their table and the block's face planes."""

from connectomake.components.block import BlockLabels, label_block
from connectomake.components.files import block_tables, write_block_tables
from connectomake.components.threshold import Threshold, threshold_for

__all__ = ["BlockLabels", "Threshold", "block_tables", "label_block", "threshold_for", "write_block_tables"]
