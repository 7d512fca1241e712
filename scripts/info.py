"""Write the info of a layer."""

from connectomake.atomic import write_text
from connectomake.jobs import Job, run
from connectomake.planning.infos import info_text


def main(job: Job) -> None:
    write_text(job.output.info, info_text(job.plan, job.wildcards.layer))


run(snakemake, main)
