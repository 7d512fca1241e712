"""Trace the skeletons in all cells of a group of blocks."""

import numpy as np

from connectomake.jobs import Job, run
from connectomake.planning.skeletons import Skeletons
from connectomake.skeletons import trace_blocks


def main(job: Job) -> None:
    skeletons = Skeletons(job.plan)
    group = skeletons.tree.parse(0, job.wildcards.node)
    shards = dict(zip(skeletons.blocks(group), job.input.shards, strict=True))
    ids = skeletons.config["ids"]
    keep = None if ids is None else np.array(sorted(set(ids)), np.uint64)
    box, layer = skeletons.tree.box(0, group), job.plan.layers["segmentation"]
    trace_blocks(job.output.traces, layer, skeletons.spec, box, shards, keep, job.stages.record("traces"))


run(snakemake, main)
