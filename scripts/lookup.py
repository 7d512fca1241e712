"""Hand the final ids down from an octree node to its children."""

from connectomake.jobs import Job, run
from connectomake.octree import down_node


def main(job: Job) -> None:
    parent = job.input.get("parent")
    down_node(job.output.down, job.plan.octree, *job.node(), job.input.own, parent, job.stages.record("merge"))


run(snakemake, main)
