"""Basins of a watershed, with their region graph."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from connectomake.geometry import Box, Vec
from connectomake.pipeline.methods.base import Labelled, Labelling, Read

if TYPE_CHECKING:
    from connectomake.octree import EdgeRule

LABEL_BYTES = 10
"""Per voxel: labels, their table and graph; all channels are there, and the three affinities once more."""
BOUNDARY_BYTES = 6
"""Per voxel, where boundaries are left out: strongest edges and a copy of the labels."""
NOISE_BYTES, LAST_ATTEMPT = 280, 3
"""Per voxel, the region graph of pure noise while it is made, a basin in every fourth voxel: measured 275. Nobody knows before
the job whether a network is that weak, so the last attempt of the cluster profiles asks for it."""
_MIDDLE = 32


class Watershed(Labelling):
    """Basins of affinities; edges across high faces are among the affinities of the blocks there."""

    process_mb = 300
    around: ClassVar[tuple[Vec, ...]] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

    def label(self, box: Box, read: Read) -> Labelled:
        """Label the basins; voxels of boundaries, where these are left out, are 0 in what is written."""
        from connectomake.agglomeration import graph_tables
        from connectomake.components import WatershedRule, high_boxes, interior_of_block, watershed_block

        plan, options = self.plan, self.plan.config["segmentation"]
        channels, rule = options["affinity_channels"], WatershedRule(options["t_low"], options["t_high"])
        high = tuple(
            None if plane is None else np.squeeze(read(plane)[channel], axis)
            for axis, (channel, plane) in enumerate(zip(channels, high_boxes(box, plan.roi), strict=True))
        )
        affinity = read(box)[channels]
        result = watershed_block(affinity, high, rule, box, plan.roi)
        _warn_of_order(affinity)
        more = graph_tables(result.labels, affinity, box, plan.roi)
        if not plan.t_boundary:
            return Labelled(result, result.labels, more)
        left = interior_of_block(result, affinity, high, plan.t_boundary, box, plan.roi)
        return Labelled(result, left.labels, more | left.table.arrays("interior"))

    def rule(self) -> "EdgeRule":
        from connectomake.octree import KeptEdges

        return KeptEdges()

    def bytes_per_voxel(self, itemsize: int, channels: int) -> float:
        boundary = BOUNDARY_BYTES + itemsize if self.plan.t_boundary else 0
        return LABEL_BYTES + (channels + 3) * itemsize + boundary

    def least_bytes_per_voxel(self, attempt: int) -> float:
        return NOISE_BYTES if attempt >= LAST_ATTEMPT else 0.0


def _warn_of_order(affinity: np.ndarray) -> None:
    """Write to the log if the channels of the block's middle seem to be in the wrong order."""
    from connectomake.components import order_warning

    middle = [slice(max(n // 2 - _MIDDLE, 0), n // 2 + _MIDDLE) for n in affinity.shape[1:]]
    warning = order_warning(affinity[:, *middle])
    if warning:
        print(f"warning: {warning}")


LABELLING = Watershed
