"""Write one file of meshes."""

from connectomake.jobs import Job, run
from connectomake.meshes import mesh_shard


def main(job: Job) -> None:
    number = int(job.wildcards.number, 16)
    mesh_shard(job.output.shard, job.plan.mesh_spec, number, list(job.input.packs), job.stages.record("meshes"))


run(snakemake, main)
