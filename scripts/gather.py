"""Gather packs of mesh pieces into one."""

from connectomake.jobs import Job, run
from connectomake.meshes import merge_packs


def main(job: Job) -> None:
    merge_packs(job.output.pack, job.plan.mesh_spec.sharding, list(job.input.packs), job.stages.record("fragments"))


run(snakemake, main)
