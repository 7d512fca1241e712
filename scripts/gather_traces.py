"""Gather traces of skeletons into one file."""

from connectomake.jobs import Job, run
from connectomake.skeletons import gather_traces


def main(job: Job) -> None:
    gather_traces(job.output.traces, list(job.input.traces), job.stages.record("traces"))


run(snakemake, main)
