"""Make one block of a scale from the shards of the scale below."""

from connectomake.jobs import Job, run
from connectomake.planning.scales import Scales
from connectomake.pyramid import write_parent


def main(job: Job) -> None:
    scales, layer = Scales(job.plan), job.wildcards.layer
    scale, block = scales.parse(layer, job.wildcards.scale, job.wildcards.block)
    child, parent = scales.specs(layer)[scale - 1 : scale + 1]
    shards = dict(zip(scales.children(layer, scale, block), job.input, strict=True))
    record = job.stages.record(f"pyramid_{layer}")
    write_parent(job.output.shard, child, parent, block, shards, scales.how(layer), record)


run(snakemake, main)
