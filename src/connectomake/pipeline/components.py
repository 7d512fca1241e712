"""Components above a threshold, or basins of a watershed: local labels of each block with their tables and faces."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from connectomake.geometry import Vec
from connectomake.pipeline import checks
from connectomake.pipeline.affinity import Affinity
from connectomake.pipeline.base import Inputs, Stage, block_voxels, each
from connectomake.pipeline.image import Image, source_values
from connectomake.pipeline.kinds import BlockRule

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.pipeline.job import Job
    from connectomake.planning.plan import Plan

METHOD_KEYS = {
    "threshold": ("channel", "threshold", "connectivity"),
    "watershed": ("affinity_channels", "t_low", "t_high"),
}
"""What is read of the config's section `segmentation`."""
HIGH_FACES: list[Vec] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
COMPONENTS_BYTES, WATERSHED_BYTES = 14, 10
"""Per voxel: labels, their table and graph; the three affinities are there twice while they are read."""
BOUNDARY_BYTES = 6
"""Per voxel, where boundaries are left out: strongest edges and a copy of the labels."""
NOISE_BYTES, LAST_ATTEMPT = 280, 3
"""Per voxel, the region graph of pure noise while it is made, a basin in every fourth voxel: measured 275. Nobody knows before
the job whether a network is that weak, so the last attempt of the cluster profiles asks for it."""
_MIDDLE = 32


class ComponentsRule(BlockRule):
    """Label the connected components, or the basins of a watershed with their region graph, within one block."""

    name = "components"
    seconds_per_megavoxel = 0.2
    shown: ClassVar = {"shard": "components", "tables": "their tables"}

    def inputs(self, item: int) -> Inputs:
        """Return the shard of affinity or image, of a watershed also those across high faces; none of a source in place."""
        layer = self.plan.probability
        if layer is None:
            return {"probability": ()}
        blocks = [item, *high_blocks(self.plan, item)]
        return {"probability": each(blocks, lambda block: self.paths.shard(layer, block))}

    def outputs(self, item: int) -> dict[str, str]:
        return super().outputs(item) | {"tables": self.paths.tables("components", item)}

    def look(self, name: str, item: int) -> Callable[[str], Any]:
        return partial(checks.components, self.plan, item) if name == "tables" else super().look(name, item)

    def process(self) -> int:
        return 300 if self.plan.watershed else 220

    def held(self, item: int | None = None) -> float:
        plan = self.plan
        dtype = plan.source.dtype if plan.probability is None else plan.layers[plan.probability].dtype
        itemsize = np.dtype(dtype).itemsize
        boundary = BOUNDARY_BYTES + itemsize if plan.t_boundary else 0
        each = WATERSHED_BYTES + 6 * itemsize + boundary if plan.watershed else COMPONENTS_BYTES + itemsize
        filters = plan.source.filter_bytes(plan.block) if plan.probability is None else 0
        return block_voxels(plan) * each + filters

    def least(self, attempt: int) -> float:
        return NOISE_BYTES * block_voxels(self.plan) if self.plan.watershed and attempt >= LAST_ATTEMPT else 0.0

    def work(self, job: "Job", item: int) -> None:
        from connectomake.components import write_block_tables
        from connectomake.layers import write_block
        from connectomake.sources import filled_fact, probabilities

        plan, box = self.plan, self.plan.grid.box(item)
        image = job.image(None if plan.probability is None else job.files("probability"), plan.probability)
        read = image.read
        if plan.inference is None:
            read = probabilities(read, plan.segmented_channels, plan.source.path)
        result, labels, more = (basins if plan.watershed else above_threshold)(plan, box, read)
        filled = {} if image.source is None else filled_fact(image.source, box)
        record = job.record(**image.noted, **filled)
        write_block_tables(job.output("tables"), result, record, more)
        write_block(job.output("shard"), self.layer, item, labels, record)


class Components(Stage):
    """Labels within blocks."""

    base, version, rules = "components", 1, (ComponentsRule,)

    def upstream(self) -> list[Stage]:
        if self.plan.inference is not None:
            return [Affinity(self.plan)]
        return [] if self.plan.source.in_place else [Image(self.plan)]

    def reads(self) -> dict[str, Any]:
        options = self.plan.config["segmentation"]
        read = {k: options[k] for k in ("method", *METHOD_KEYS[options["method"]])}
        read |= {"t_boundary": self.plan.t_boundary} if self.plan.t_boundary else {}
        values = {"layer": asdict(self.plan.layers["components"]), "segmentation": read}
        return values | ({"source": source_values(self.plan)} if self.plan.probability is None else {})


def high_blocks(plan: "Plan", block: int) -> list[int]:
    """Return the blocks across the high z, y and x face of a block whose affinity its watershed reads."""
    return plan.grid.neighbours(block, HIGH_FACES) if plan.watershed else []


def above_threshold(plan: "Plan", box: "Box", read: "Callable[[Box], np.ndarray]") -> tuple[Any, np.ndarray, dict[str, Any]]:
    """Label the components above the threshold; return result, labels and no further tables."""
    from connectomake.components import label_block

    options = plan.config["segmentation"]
    values = np.ascontiguousarray(read(box)[options["channel"]])
    result = label_block(values, options["threshold"], options["connectivity"], box, plan.roi)
    return result, result.labels, {}


def basins(plan: "Plan", box: "Box", read: "Callable[[Box], np.ndarray]") -> tuple[Any, np.ndarray, dict[str, Any]]:
    """Label the basins; return result, labels without boundaries, and the region graph."""
    import numpy as np

    from connectomake.agglomeration import graph_tables
    from connectomake.components import WatershedRule, high_boxes, interior_of_block, watershed_block

    options = plan.config["segmentation"]
    channels, rule = options["affinity_channels"], WatershedRule(options["t_low"], options["t_high"])
    high = tuple(
        None if plane is None else np.squeeze(read(plane)[channel], axis)
        for axis, (channel, plane) in enumerate(zip(channels, high_boxes(box, plan.roi), strict=True))
    )
    affinity = read(box)[channels]
    result = watershed_block(affinity, high, rule, box, plan.roi)
    labels = result.labels
    _warn_of_order(affinity)
    more = graph_tables(labels, affinity, box, plan.roi)
    if plan.t_boundary:
        left = interior_of_block(result, affinity, high, plan.t_boundary, box, plan.roi)
        labels = left.labels
        more |= left.table.arrays("interior")
    return result, labels, more


def _warn_of_order(affinity: np.ndarray) -> None:
    """Write to the log if the channels of the block's middle seem to be in the wrong order."""
    from connectomake.components import order_warning

    middle = [slice(max(n // 2 - _MIDDLE, 0), n // 2 + _MIDDLE) for n in affinity.shape[1:]]
    warning = order_warning(affinity[:, *middle])
    if warning:
        print(f"warning: {warning}")
