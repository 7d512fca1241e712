"""Given labels: their ids stay, or their connected components get new ones."""

from typing import TYPE_CHECKING

from connectomake.geometry import Box
from connectomake.pipeline.base import block_voxels
from connectomake.pipeline.methods.base import Labelled, Labelling, Read

if TYPE_CHECKING:
    from connectomake.octree import EdgeRule

NUMBER_BYTES = 24
"""Per voxel beside the labels that are read: their copy, numbers, and what numbers them."""
JOINED_BYTES, PART_BYTES = 20, 40 << 20
"""Per voxel, where a table joins labels: their numbers and their segments; and a part of the table, while it is read."""


class Labels(Labelling):
    """The source's labels."""

    def label(self, box: Box, read: Read) -> Labelled:
        """Number the labels; where ids stay, the block's file has them and the sums of each as the segmentation needs them."""
        from connectomake.components import number_block

        plan = self.plan
        values = read(box)[plan.config["segmentation"]["channel"]]
        found = number_block(values, box, plan.roi, None if plan.keeps_ids else plan.connectivity)
        more = {}
        if plan.keeps_ids:
            (block,) = plan.grid.ids_meeting(box)
            more = {f"ids/{plan.grid.name(block)}": found.ids, **found.result.table.arrays("interior")}
        return Labelled(found.result, found.result.labels, more)

    def rule(self) -> "EdgeRule":
        from connectomake.octree import EqualLabels

        return EqualLabels(self.plan.connectivity)

    def bytes_per_voxel(self, itemsize: int, channels: int) -> float:
        joined = 0.0 if self.plan.table is None else JOINED_BYTES + PART_BYTES / block_voxels(self.plan)
        return NUMBER_BYTES + channels * itemsize + joined


LABELLING = Labels
