"""Ingest one block of a ground truth that is not precomputed."""

from connectomake.jobs import Job, run
from connectomake.layers import ShardWriter
from connectomake.sources.witness import Witness


def main(job: Job) -> None:
    spec, block = job.plan.layers["ground_truth"], job.block("ground_truth")
    read = Witness(job.open_truth().read)
    record = job.stages.record("ground_truth", read={"truth": read.lines})
    with ShardWriter(job.output.shard, spec, block, record) as writer:
        for slab in spec.slabs(block):
            writer.write(slab, read(slab))


run(snakemake, main)
