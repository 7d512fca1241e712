# Requires: the source, unless it is precomputed and read in place. Makes: <outdir>/image, one shard per block.
if "image" in plan.layers:

    def image_inputs(wildcards):
        block = block_of(wildcards, "image")
        remake_if_stale("image", targets.shard("image", block))
        return []

    rule image:
        """Ingest one block of a source that is not precomputed."""
        input:
            image_inputs,
        output:
            shard=intermediate("image", f"{plan.outdir}/image/{SEGMENTATION_SCALE}/{{block}}.shard"),
        log:
            f"{plan.outdir}/logs/image/{{block}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/image/{{block}}.tsv"
        params:
            stage=depends_on("image"),
        resources:
            mem_mb=memory("image"),
            runtime=minutes("image"),
        script:
            "../../scripts/image.py"
