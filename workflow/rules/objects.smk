# Requires: what all octree nodes passed up; segmentation shards and halos. Makes: <outdir>/objects/measures/NODE.h5, surface of the
# objects in a group of blocks; the object table as Parquet and as Neuroglancer's segment properties.
if plan.measured:

    rule measures:
        """Measure the surface of the objects in a group of blocks, and find a point deep inside."""
        input:
            inputs_of("measures"),
        output:
            tables=f"{plan.outdir}/objects/measures/{{node}}.h5",
        log:
            f"{plan.outdir}/logs/measures/{{node}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/measures/{{node}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("measures"),
            runtime=minutes("measures"),
            disk_mb=disk("measures"),
        params:
            stage=depends_on("measures"),
        script:
            "../../scripts/job.py"


rule objects:
    """List all objects: id, size, surface, box, centroid, a point inside."""
    input:
        inputs_of("objects"),
    output:
        table=targets.objects,
        properties=targets.properties,
    log:
        f"{plan.outdir}/logs/objects.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("objects"),
        runtime=minutes("objects"),
        disk_mb=disk("objects"),
    params:
        stage=depends_on("objects"),
    script:
        "../../scripts/job.py"
