# Requires: the block's component shard and its node's look-up tables. Makes: <outdir>/segmentation, per block a shard of final
# ids and one HDF5 file with its low face planes, the halo. The same in <outdir>/segmentation_0.35 for a further threshold 0.35.


rule segmentation:
    """Turn the local labels of one block into final ids."""
    input:
        inputs_of("segmentation"),
    output:
        shard=f"{plan.outdir}/segmentation{{at}}/{SEGMENTATION_SCALE}/{{block}}.shard",
        halo=f"{plan.outdir}/segmentation{{at}}/{SEGMENTATION_SCALE}/{{block}}.h5",
    log:
        f"{plan.outdir}/logs/segmentation/{{block}}{{at}}.log",
    benchmark:
        f"{plan.outdir}/benchmarks/segmentation/{{block}}{{at}}.tsv"
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("segmentation"),
        runtime=minutes("segmentation"),
        disk_mb=disk("segmentation"),
    params:
        stage=depends_on("segmentation"),
    script:
        "../../scripts/job.py"
