"""List all objects, as a table and for Neuroglancer."""

from connectomake.jobs import Job, run
from connectomake.objects import collect, write_parquet, write_segment_properties


def main(job: Job) -> None:
    table = collect(job.input)
    write_parquet(job.output.table, table, job.plan.roi, job.plan.source.voxel_size, job.stages.record("objects"))
    write_segment_properties(job.output.properties, table, job.plan.config["objects"]["properties_limit"])


run(snakemake, main)
