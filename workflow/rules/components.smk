# Requires: the block's affinity (or probability) shard. Makes: <outdir>/components, per block a shard of local labels and one
# HDF5 file with their table and face planes.
def components_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale("components", targets.shard("components", block), targets.tables("components", block))
    return targets.components_inputs(block)


rule components:
    """Label the connected components within one block."""
    input:
        probability=components_inputs,
    output:
        shard=f"{plan.outdir}/components/{SEGMENTATION_SCALE}/{{block}}.shard",
        tables=f"{plan.outdir}/components/{SEGMENTATION_SCALE}/{{block}}.h5",
    log:
        f"{plan.outdir}/logs/components/{{block}}.log",
    benchmark:
        f"{plan.outdir}/benchmarks/components/{{block}}.tsv"
    params:
        stage=depends_on("components"),
    resources:
        mem_mb=memory("components"),
        runtime=minutes("components"),
    script:
        "../../scripts/components.py"
