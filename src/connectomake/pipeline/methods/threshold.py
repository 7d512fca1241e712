"""Components of the voxels above a threshold."""

from typing import TYPE_CHECKING

import numpy as np

from connectomake.geometry import Box
from connectomake.pipeline.methods.base import Labelled, Labelling, Read

if TYPE_CHECKING:
    from connectomake.octree import EdgeRule

LABEL_BYTES = 14
"""Per voxel: labels and their table."""


class Threshold(Labelling):
    """Components above a threshold."""

    def label(self, box: Box, read: Read) -> Labelled:
        from connectomake.components import label_block

        options = self.plan.config["segmentation"]
        values = np.ascontiguousarray(read(box)[options["channel"]])
        result = label_block(values, options["threshold"], options["connectivity"], box, self.plan.roi)
        return Labelled(result, result.labels)

    def rule(self) -> "EdgeRule":
        from connectomake.octree import Adjacency

        return Adjacency(self.plan.connectivity)

    def bytes_per_voxel(self, itemsize: int, channels: int) -> float:
        return LABEL_BYTES + channels * itemsize


LABELLING = Threshold
