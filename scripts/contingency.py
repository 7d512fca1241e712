"""Tally ground truth and segmentation over the blocks of a node."""

from connectomake.evaluation.files import shards_reader, write_contingency
from connectomake.jobs import Job, run


def main(job: Job) -> None:
    plan, targets = job.plan, job.targets
    node = plan.octree.parse(1, job.wildcards.node)

    def reader(layer):
        shards = dict(zip(targets.contingency_blocks(layer, node), job.input[layer], strict=True))
        return shards_reader(shards, plan.layers[layer])

    read_gt = reader("ground_truth") if "ground_truth" in plan.layers else job.open_truth().read
    record, spec = job.stages.record("contingency"), plan.layers["segmentation"]
    boxes = targets.evaluated(node)
    write_contingency(job.output.table, read_gt, reader("segmentation"), boxes, spec, plan.evaluation_box, record)


run(snakemake, main)
