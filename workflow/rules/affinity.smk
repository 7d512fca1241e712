# Requires: image shards around the block (or the source in place), the model. Makes: <outdir>/affinity, one shard per block.
if plan.inference is not None:

    def affinity_inputs(wildcards):
        block = block_of(wildcards)
        remake_if_stale("affinity", targets.shard("affinity", block))
        return targets.affinity_inputs(block)

    rule affinity:
        """Run the network over one block: all lattice patches that meet it, blended."""
        input:
            image=affinity_inputs,
        output:
            shard=intermediate("affinity", f"{plan.outdir}/affinity/{SEGMENTATION_SCALE}/{{block}}.shard"),
        log:
            f"{plan.outdir}/logs/affinity/{{block}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/affinity/{{block}}.tsv"
        params:
            stage=depends_on("affinity"),
        threads: plan.inference.threads
        resources:
            mem_mb=memory("affinity"),
            runtime=minutes("affinity"),
            gpu=1 if plan.inference.device.startswith("cuda") else 0,
        script:
            "../../scripts/affinity.py"
