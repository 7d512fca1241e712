"""Ingest one block of a source that is not precomputed."""

from connectomake.jobs import Job, run
from connectomake.sources import ingest_block


def main(job: Job) -> None:
    spec = job.plan.layers["image"]
    ingest_block(job.open_source(), spec, job.block("image"), job.output.shard, job.stages.record("image"))


run(snakemake, main)
