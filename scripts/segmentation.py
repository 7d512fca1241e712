"""Turn the local labels of one block into final ids."""

from connectomake.jobs import Job, run
from connectomake.layers import read_block, write_block, write_tables
from connectomake.octree import read_ids
from connectomake.segmentation import halo_planes, remap


def main(job: Job) -> None:
    plan, block = job.plan, job.block()
    labels = read_block(job.input.components, plan.layers["components"], block)[0]
    segmentation = remap(labels, read_ids(job.input.lookup, plan.grid.name(block)))
    record = job.stages.record("segmentation")
    write_tables(job.output.halo, halo_planes(segmentation), record)
    write_block(job.output.shard, plan.layers["segmentation"], block, segmentation, record)


run(snakemake, main)
