# Requires: the HDF5 files of components. Makes: <outdir>/merge/LEVEL/NODE.up.h5, what an octree node passes to its parent, and
# NODE.down.h5, the look-up tables that it passes to its children.


rule merge:
    """Join what the children of an octree node have in common across their faces."""
    input:
        children=merge_inputs,
    output:
        up=f"{plan.outdir}/merge/{{level}}/{{node}}.up.h5",
    log:
        f"{plan.outdir}/logs/merge/{{level}}.{{node}}.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory_of_tables("merge"),
        runtime=minutes_of_tables("merge"),
    params:
        stage=depends_on("merge"),
    script:
        "../../scripts/merge.py"


rule lookup:
    """Hand the final ids down from an octree node to its children."""
    input:
        unpack(lookup_inputs),
    output:
        down=f"{plan.outdir}/merge/{{level}}/{{node}}.down.h5",
    log:
        f"{plan.outdir}/logs/lookup/{{level}}.{{node}}.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory_of_tables("lookup"),
        runtime=minutes_of_tables("lookup"),
    params:
        stage=depends_on("merge"),
    script:
        "../../scripts/lookup.py"
