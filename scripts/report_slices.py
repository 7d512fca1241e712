"""Draw sections: image, objects, blocks."""

from connectomake.jobs import Job, run
from connectomake.reporting.colours import save
from connectomake.reporting.pictures import section_blocks, sections, seen_from


def main(job: Job) -> None:
    count = job.plan.config["report"]["slices"]
    first = job.targets.shard("segmentation", section_blocks(job.plan, count)[0])
    save(sections(seen_from(job.plan, first, job.input[0]), count), job.output.picture, job.stages.record("report"))


run(snakemake, main)
