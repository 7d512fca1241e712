"""Label the connected components within one block."""

import numpy as np

from connectomake.components import label_block, write_block_tables
from connectomake.jobs import Job, run
from connectomake.layers import ShardReader, write_block


def main(job: Job) -> None:
    plan, block = job.plan, job.block()
    box, options = plan.grid.box(block), plan.config["segmentation"]
    if plan.probability is None:
        values = job.open_source().read(box)
    else:
        values = ShardReader(job.input.probability[0], plan.layers[plan.probability], block).read()
    channel = np.ascontiguousarray(values[options["channel"]])
    result = label_block(channel, options["threshold"], options["connectivity"], box, plan.roi)
    record = job.stages.record("components")
    write_block_tables(job.output.tables, result, record)
    write_block(job.output.shard, plan.layers["components"], block, result.labels, record)


run(snakemake, main)
