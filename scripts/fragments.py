"""Cut out and simplify the surfaces in all cells of a group of blocks."""

from connectomake.jobs import Job, run
from connectomake.meshes import mesh_fragments
from connectomake.objects import select_from


def main(job: Job) -> None:
    plan, tree = job.plan, job.plan.mesh_tree
    group = tree.parse(0, job.wildcards.node)
    shards = dict(zip(tree.members(0, group), job.input.shards, strict=True))
    halos = dict(zip(tree.neighbours(group), job.input.halos, strict=True))
    keep = select_from(job.input.objects, plan.config["meshes"]["select"]) if plan.meshes_selected else None
    record = job.stages.record("fragments")
    mesh_fragments(job.output.pack, plan.layers["segmentation"], plan.mesh_spec, shards, halos, keep, record)


run(snakemake, main)
