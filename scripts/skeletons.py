"""Write one file of skeletons, and their lengths."""

from connectomake.jobs import Job, run
from connectomake.planning.skeletons import Skeletons
from connectomake.skeletons.shards import skeleton_shard


def main(job: Job) -> None:
    spec, number, record = Skeletons(job.plan).spec, int(job.wildcards.number, 16), job.stages.record("skeletons")
    skeleton_shard(job.output.shard, job.output.lengths, spec, number, list(job.input.traces), record)


run(snakemake, main)
