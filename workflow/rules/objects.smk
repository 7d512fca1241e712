# Requires: what all octree nodes passed up. Makes: the object table as Parquet and as Neuroglancer's segment properties.
rule objects:
    """List all objects: id, voxels, box, centroid."""
    input:
        objects_inputs,
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
    params:
        stage=depends_on("objects"),
    script:
        "../../scripts/objects.py"
