# Requires: the block's affinity (or probability) shard. Makes: <outdir>/components, per block a shard of local labels and one
# HDF5 file with their table and face planes.


rule components:
    """Label the connected components within one block."""
    input:
        inputs_of("components"),
    output:
        shard=f"{plan.outdir}/components/{SEGMENTATION_SCALE}/{{block}}.shard",
        tables=f"{plan.outdir}/components/{SEGMENTATION_SCALE}/{{block}}.h5",
    log:
        f"{plan.outdir}/logs/components/{{block}}.log",
    benchmark:
        f"{plan.outdir}/benchmarks/components/{{block}}.tsv"
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("components"),
        runtime=minutes("components"),
        disk_mb=disk("components"),
    params:
        stage=depends_on("components"),
    script:
        "../../scripts/job.py"
