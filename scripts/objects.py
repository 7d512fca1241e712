"""List all objects, as a table and for Neuroglancer."""

from connectomake.jobs import Job, run
from connectomake.layers.beside import beside
from connectomake.objects import (
    collect,
    collect_interiors,
    collect_lengths,
    collect_measures,
    sizes,
    write_parquet,
    write_segment_properties,
)
from connectomake.planning.skeletons import Skeletons


def main(job: Job) -> None:
    plan, voxel_size = job.plan, job.plan.source.voxel_size
    table, first = collect(job.input.merges), None
    if plan.t_boundary:
        table, first = collect_interiors(job.input.interiors, table)
    measures = collect_measures(job.input.measures, table) if plan.measured else None
    skeletons = Skeletons(plan)
    lengths = collect_lengths(job.input.lengths, table, skeletons.config["ids"]) if skeletons.enabled else None
    limit = plan.config["objects"]["properties_limit"]
    write_segment_properties(job.output.properties, table, limit, sizes(table, voxel_size, measures, lengths))
    record = job.stages.record("objects", **beside(job.output.table, job.output.properties))
    write_parquet(job.output.table, table, plan.roi, voxel_size, record, measures, lengths, first)


run(snakemake, main)
