"""Run the network over one block."""

from connectomake.inference.engine import infer_block
from connectomake.inference.models import load_network, reloading
from connectomake.jobs import Job, progress, run
from connectomake.layers import ShardWriter, read_box
from connectomake.planning.resolve import check_models
from connectomake.sources import filled_fact
from connectomake.sources.witness import Witness


def main(job: Job) -> None:
    plan, block = job.plan, job.block()
    inference, spec = plan.inference, plan.layers["affinity"]
    model = plan.config["inference"]
    check_models(plan)
    files = model["model"], model["weights"]
    network = load_network(*files, inference)
    if inference.void:
        print(inference.void_note)
    source = job.open_source() if plan.source.in_place else None
    if source is not None:
        read = Witness(source.read)
        noted = {"read": {"source": read.lines}}
    else:
        noted = job.read_by(job.input.image)
        shards = dict(zip(job.targets.image_blocks(block), job.input.image, strict=True))
        read = lambda box: read_box(shards, plan.layers["image"], box)  # noqa: E731
    record = job.stages.record("affinity", network=network.record(), **noted)
    with ShardWriter(job.output.shard, spec, block, record) as writer:
        stats = infer_block(
            read=read,
            bounds=plan.source.bounds,
            network=network,
            spec=inference,
            lattice=inference.lattice(plan.roi),
            box=spec.grid.box(block),
            write=writer.write,
            slab=spec.chunk[0],
            progress=progress("patches"),
            again=reloading(*files, inference),
            probabilities=plan.probability_channels,
        )
        if source is not None:
            writer.note(**filled_fact(source, spec.grid.box(block)))
    print(stats)


run(snakemake, main)
