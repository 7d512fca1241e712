# Requires: image shards around the block (or the source in place), the model. Makes: <outdir>/affinity, one shard per block.
if plan.inference is not None:

    rule affinity:
        """Run the network over one block: all lattice patches that meet it, blended."""
        input:
            inputs_of("affinity"),
        output:
            shard=intermediate(
                "affinity",
                f"{plan.outdir}/affinity/{SEGMENTATION_SCALE}/{{block}}.shard",
            ),
        log:
            f"{plan.outdir}/logs/affinity/{{block}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/affinity/{{block}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        threads: plan.inference.threads
        resources:
            mem_mb=memory("affinity"),
            runtime=minutes("affinity"),
            disk_mb=disk("affinity"),
            gpu=1 if plan.inference.device.startswith("cuda") else 0,
        params:
            stage=depends_on("affinity"),
        script:
            "../../scripts/job.py"
