"""Gather packs of mesh pieces into one."""

from connectomake.jobs import Job, run
from connectomake.meshes import merge_packs


def main(job: Job) -> None:
    spec, tree, level = job.plan.mesh_spec, job.plan.mesh_tree, int(job.wildcards.level)
    cells = spec.cells_of(tree.box(level, tree.parse(level, job.wildcards.node)))
    merge_packs(job.output.pack, spec, list(job.input.packs), cells, job.stages.record("fragments"))


run(snakemake, main)
