# Requires: the HDF5 files of components. Makes: <outdir>/merge/LEVEL/NODE.up.h5, what an octree node passes to its parent, and
# NODE.down.h5, the look-up tables that it passes to its children.


rule merge:
    """Join what the children of an octree node have in common across their faces."""
    input:
        inputs_of("merge"),
    output:
        up=f"{plan.outdir}/merge/{{level}}/{{node}}.up.h5",
    log:
        f"{plan.outdir}/logs/merge/{{level}}.{{node}}.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("merge"),
        runtime=minutes("merge"),
    params:
        stage=depends_on("merge"),
    script:
        "../../scripts/job.py"


rule lookup:
    """Hand the final ids down from an octree node to its children."""
    input:
        inputs_of("lookup"),
    output:
        down=f"{plan.outdir}/merge/{{level}}/{{node}}.down.h5",
    log:
        f"{plan.outdir}/logs/lookup/{{level}}.{{node}}.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("lookup"),
        runtime=minutes("lookup"),
    params:
        stage=depends_on("lookup"),
    script:
        "../../scripts/job.py"
