"""Write the table of all merges."""

from connectomake.agglomeration import collect_merges, write_merges
from connectomake.jobs import Job, run


def main(job: Job) -> None:
    write_merges(job.output.table, collect_merges(job.input), job.stages.record(f"agglomeration{job.at}"))


run(snakemake, main)
