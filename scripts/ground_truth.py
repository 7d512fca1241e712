"""Ingest one block of a ground truth that is not precomputed."""

from connectomake.jobs import Job, run
from connectomake.layers import ShardWriter
from connectomake.sources import filled_fact
from connectomake.sources.witness import Witness


def main(job: Job) -> None:
    spec, block = job.plan.layers["ground_truth"], job.block("ground_truth")
    labels = job.open_truth()
    read = Witness(labels.read)
    record = job.stages.record("ground_truth", read={"truth": read.lines})
    with ShardWriter(job.output.shard, spec, block, record) as writer:
        for slab in spec.slabs(block):
            writer.write(slab, read(slab))
        writer.note(**filled_fact(labels, spec.grid.box(block)))


run(snakemake, main)
