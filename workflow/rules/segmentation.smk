# Requires: the block's component shard and its node's look-up tables. Makes: <outdir>/segmentation, per block a shard of final
# ids and one HDF5 file with its low face planes, the halo.
def segmentation_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale("segmentation", targets.shard("segmentation", block), targets.tables("segmentation", block))
    return targets.segmentation_inputs(block)


rule segmentation:
    """Turn the local labels of one block into final ids."""
    input:
        unpack(segmentation_inputs),
    output:
        shard=f"{plan.outdir}/segmentation/{SEGMENTATION_SCALE}/{{block}}.shard",
        halo=f"{plan.outdir}/segmentation/{SEGMENTATION_SCALE}/{{block}}.h5",
    log:
        f"{plan.outdir}/logs/segmentation/{{block}}.log",
    benchmark:
        f"{plan.outdir}/benchmarks/segmentation/{{block}}.tsv"
    params:
        stage=depends_on("segmentation"),
    resources:
        mem_mb=memory("segmentation"),
        runtime=minutes("segmentation"),
    script:
        "../../scripts/segmentation.py"
