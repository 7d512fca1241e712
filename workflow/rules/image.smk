# Requires: the source, unless it is precomputed and read in place. Makes: <outdir>/image, one shard per block.
if "image" in plan.layers:

    rule image:
        """Ingest one block of a source that is not precomputed."""
        input:
            inputs_of("image"),
        output:
            shard=intermediate(
                "image", f"{plan.outdir}/image/{SEGMENTATION_SCALE}/{{block}}.shard"
            ),
        log:
            f"{plan.outdir}/logs/image/{{block}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/image/{{block}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("image"),
            runtime=minutes("image"),
            disk_mb=disk("image"),
        params:
            stage=depends_on("image"),
        script:
            "../../scripts/job.py"
