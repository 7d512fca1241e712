"""Draw maps of the blocks: how far each is, how long it took."""

from connectomake.jobs import Job, run
from connectomake.reporting.blocks import block_map
from connectomake.reporting.colours import save
from connectomake.reporting.pictures import seen_from


def main(job: Job) -> None:
    plan = seen_from(job.plan, job.targets.infos()[0], job.input[0])
    save(block_map(plan), job.output.picture, job.stages.record("report"))


run(snakemake, main)
