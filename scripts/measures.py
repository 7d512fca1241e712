"""Measure the objects in a group of blocks."""

from connectomake.jobs import Job, run
from connectomake.measures import measure_blocks


def main(job: Job) -> None:
    plan, tree = job.plan, job.plan.measure_tree
    group = tree.parse(0, job.wildcards.node)
    shards = dict(zip(tree.members(0, group), job.input.shards, strict=True))
    halos = dict(zip(tree.neighbours(group), job.input.halos, strict=True))
    record = job.stages.record("measures")
    measure_blocks(job.output.tables, plan.layers["segmentation"], plan.measured_cell, shards, halos, record)


run(snakemake, main)
