# Requires: what all octree nodes passed up. Makes: the object table as Parquet and as Neuroglancer's segment properties.
rule objects:
    """List all objects: id, voxels, box, centroid."""
    input:
        targets.all_merges(),
    output:
        table=targets.objects,
        properties=targets.properties,
    log:
        f"{plan.outdir}/logs/objects.log",
    params:
        stage=depends_on("objects"),
    resources:
        mem_mb=memory("objects"),
        runtime=minutes("objects"),
    script:
        "../../scripts/objects.py"
