"""Join what the children of an octree node have in common across their faces."""

from connectomake.jobs import Job, run
from connectomake.octree import Adjacency, KeptEdges, up_blocks, up_nodes


def main(job: Job) -> None:
    octree, (level, node) = job.plan.octree, job.node()
    min_size = job.plan.merge_min_size
    record = job.stages.record("merge")
    children = octree.children(level, node)
    if level == 1:
        files = dict(zip([*children, *job.targets.lower_blocks(node)], job.input.children, strict=True))
        rule = KeptEdges() if job.plan.watershed else Adjacency(job.plan.connectivity)
        up_blocks(job.output.up, octree, node, files, rule, min_size, record)
    else:
        files = dict(zip(children, job.input.children, strict=True))
        up_nodes(job.output.up, octree, level, node, files, min_size, record)


run(snakemake, main)
