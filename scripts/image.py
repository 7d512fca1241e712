"""Ingest one block of a source that is not precomputed."""

from connectomake.jobs import Job, run
from connectomake.sources import ingest_block


def main(job: Job) -> None:
    plan, spec = job.plan, job.plan.layers["image"]
    probability = plan.segmented_channels if plan.inference is None else ()
    record = job.stages.record("image")
    ingest_block(job.open_source(), spec, job.block("image"), job.output.shard, record, probability, noted=True)


run(snakemake, main)
