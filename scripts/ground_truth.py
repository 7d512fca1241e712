"""Ingest one block of a ground truth that is not precomputed."""

from connectomake.jobs import Job, run
from connectomake.layers import ShardWriter


def main(job: Job) -> None:
    spec, block = job.plan.layers["ground_truth"], job.block("ground_truth")
    labels = job.open_truth()
    with ShardWriter(job.output.shard, spec, block, job.stages.record("ground_truth")) as writer:
        for slab in spec.slabs(block):
            writer.write(slab, labels.read(slab))


run(snakemake, main)
