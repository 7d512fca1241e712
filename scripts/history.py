"""Write the table of all merges."""

from connectomake.agglomeration import write_history
from connectomake.jobs import Job, run


def main(job: Job) -> None:
    write_history(
        job.output.table, job.all_of(job.targets.all_closed(job.at), job.input), job.stages.record(f"agglomeration{job.at}")
    )


run(snakemake, main)
