"""Draw the thumbnail of a layer."""

from connectomake.jobs import Job, run
from connectomake.planning.scales import Scales
from connectomake.pyramid import write_thumbnail


def main(job: Job) -> None:
    scales, layer = Scales(job.plan), job.wildcards.layer
    scale, blocks = scales.thumbnail_blocks(layer)
    shards = dict(zip(blocks, job.input, strict=True))
    write_thumbnail(job.output.picture, scales.specs(layer)[scale], shards, job.stages.record(f"pyramid_{layer}"))


run(snakemake, main)
