"""Label the connected components, or the basins of a watershed with their region graph, within one block."""

import numpy as np

from connectomake.agglomeration import graph_tables
from connectomake.components import (
    WatershedRule,
    high_boxes,
    interior_of_block,
    label_block,
    order_warning,
    watershed_block,
    write_block_tables,
)
from connectomake.jobs import Job, run
from connectomake.layers import read_box, write_block
from connectomake.sources import filled_fact, probabilities
from connectomake.sources.witness import Witness

MIDDLE = 32


def warn_of_order(affinity: np.ndarray) -> None:
    """Write to the log if the channels of the block's middle seem to be in the wrong order."""
    middle = [slice(max(n // 2 - MIDDLE, 0), n // 2 + MIDDLE) for n in affinity.shape[1:]]
    warning = order_warning(affinity[:, *middle])
    if warning:
        print(f"warning: {warning}")


def main(job: Job) -> None:
    plan, block = job.plan, job.block()
    box, options = plan.grid.box(block), plan.config["segmentation"]
    source = job.open_source() if plan.probability is None else None
    if source is not None:
        read = Witness(source.read)
        noted = {"read": {"source": read.lines}}
    else:
        noted = job.read_by(job.input.probability)
        shards = dict(zip([block, *job.targets.high_blocks(block)], job.input.probability, strict=True))
        read = lambda part: read_box(shards, plan.layers[plan.probability], part)  # noqa: E731
    if plan.inference is None:
        read = probabilities(read, plan.segmented_channels, plan.source.path)
    more = {}
    if plan.watershed:
        channels, rule = options["affinity_channels"], WatershedRule(options["t_low"], options["t_high"])
        high = tuple(
            None if plane is None else np.squeeze(read(plane)[channel], axis)
            for axis, (channel, plane) in enumerate(zip(channels, high_boxes(box, plan.roi), strict=True))
        )
        affinity = read(box)[channels]
        result = watershed_block(affinity, high, rule, box, plan.roi)
        labels = result.labels
        warn_of_order(affinity)
        more = graph_tables(labels, affinity, box, plan.roi)
        if plan.t_boundary:
            left = interior_of_block(result, affinity, high, plan.t_boundary, box, plan.roi)
            labels = left.labels
            more |= left.table.arrays("interior")
    else:
        values = np.ascontiguousarray(read(box)[options["channel"]])
        result = label_block(values, options["threshold"], options["connectivity"], box, plan.roi)
        labels = result.labels
    filled = {} if source is None else filled_fact(source, box)
    record = job.stages.record("components", **noted, **filled)
    write_block_tables(job.output.tables, result, record, more)
    write_block(job.output.shard, plan.layers["components"], block, labels, record)


run(snakemake, main)
