"""List all objects, as a table and for Neuroglancer."""

from connectomake.jobs import Job, run
from connectomake.layers.beside import beside
from connectomake.objects import ObjectFiles, write_objects
from connectomake.planning.skeletons import Skeletons


def main(job: Job) -> None:
    plan, skeletons, output = job.plan, Skeletons(job.plan), job.output
    found = {name: job.all_of(names, getattr(job.input, name)) for name, names in job.targets.objects_inputs().items()}
    files = ObjectFiles(
        found["merges"],
        found["interiors"] if plan.t_boundary else None,
        found["measures"] if plan.measured else None,
        found["lengths"] if skeletons.enabled else None,
        skeletons.config["ids"] if skeletons.enabled else None,
    )
    limit = plan.config["objects"]["properties_limit"]

    def record() -> dict[str, object]:
        return job.stages.record("objects", **beside(output.table, output.properties))

    write_objects(output.table, output.properties, files, plan.roi, plan.source.voxel_size, limit, record)


run(snakemake, main)
