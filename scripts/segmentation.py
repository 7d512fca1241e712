"""Turn the local labels of one block into final ids."""

from connectomake.jobs import Job, run
from connectomake.layers import ShardReader, ShardWriter, write_tables
from connectomake.octree import read_ids
from connectomake.segmentation import interior_of_objects, remap_chunks


def main(job: Job) -> None:
    plan, block = job.plan, job.block()
    layer = f"segmentation{job.at}"
    spec, record = plan.layers[layer], job.stages.record(layer)
    labels = ShardReader(job.input.components, plan.layers["components"], block)
    ids = read_ids(job.input.lookup, plan.grid.name(block))
    with ShardWriter(job.output.shard, spec, block, record) as writer:
        halo = remap_chunks(labels, writer, spec, block, ids)
    interior = {}
    if plan.t_boundary:
        interior = interior_of_objects(job.input.interior, ids)
    write_tables(job.output.halo, {**halo, **interior}, record)


run(snakemake, main)
