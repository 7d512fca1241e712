"""Draw the largest objects' meshes."""

from connectomake.jobs import Job, run
from connectomake.reporting.colours import save
from connectomake.reporting.pictures import largest, objects, seen_from


def main(job: Job) -> None:
    plan = seen_from(job.plan, job.targets.mesh_info, job.input[0])
    save(objects(plan, largest(plan, plan.config["report"]["objects"])), job.output.picture, job.stages.record("report"))


run(snakemake, main)
