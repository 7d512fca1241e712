"""Merge the segments of an octree node that no node above can change; pass up the others."""

from connectomake.agglomeration import FileGraph, up_blocks, up_nodes
from connectomake.jobs import Job, run
from connectomake.octree import read_ids


def main(job: Job) -> None:
    plan, octree, (level, node) = job.plan, job.plan.octree, job.node()
    min_size, record = plan.config["segmentation"]["min_size"], job.stages.record(f"agglomeration{job.at}")
    children, rule = octree.children(level, node), plan.agglomeration(job.at)
    if level == 1:
        files = dict(zip([*children, *job.targets.lower_blocks(node)], job.input.tables, strict=True))
        lookups = dict(zip(job.targets.lookup_nodes(node), job.input.lookups, strict=True))
        blocks = FileGraph(files, lambda b: read_ids(lookups[octree.parent(0, b)], plan.grid.name(b)))
        up_blocks(job.output.up, octree, node, blocks, rule, min_size, record)
    else:
        files = dict(zip(children, job.input.children, strict=True))
        up_nodes(job.output.up, octree, level, node, files, rule, min_size, record)


run(snakemake, main)
