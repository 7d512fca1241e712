"""Hand the ids of segments down from an octree node to its children."""

from connectomake.jobs import Job, run
from connectomake.octree import down_node


def main(job: Job) -> None:
    parent, record = job.input.get("parent"), job.stages.record(f"agglomeration{job.at}")
    down_node(job.output.down, job.plan.octree, *job.node(), job.input.own, parent, record)


run(snakemake, main)
