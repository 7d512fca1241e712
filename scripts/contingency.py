"""Tally ground truth and segmentation over the blocks of a node."""

from connectomake.evaluation.files import named_reader, shards_reader, write_contingency
from connectomake.jobs import Job, run
from connectomake.octree import read_ids
from connectomake.sources.witness import Witness


def main(job: Job) -> None:
    plan, targets = job.plan, job.targets
    node = plan.octree.parse(1, job.wildcards.node)

    def reader(layer):
        shards = dict(zip(targets.contingency_blocks(layer, node), job.input[layer], strict=True))
        return shards_reader(shards, plan.layers[layer])

    def supervoxels():
        names = dict(zip(targets.contingency_lookups(node), job.input.lookups, strict=True))
        shards = dict(zip(targets.contingency_blocks("segmentation", node), job.input.components, strict=True))
        ids = lambda block: read_ids(names[plan.octree.parent(0, block)], plan.grid.name(block))  # noqa: E731
        return named_reader(shards, plan.layers["components"], ids)

    record, spec = job.stages.record("contingency"), plan.layers["segmentation"]
    if "ground_truth" in plan.layers:
        read_gt = reader("ground_truth")
    else:
        read_gt = Witness(job.open_truth().read)
        record["read"] = {"truth": read_gt.lines}
    boxes = targets.evaluated(node)
    fine = supervoxels() if plan.curved else None
    write_contingency(job.output.table, read_gt, reader("segmentation"), boxes, spec, plan.evaluation_box, record, fine)


run(snakemake, main)
