# Requires: shards of a layer that stays (image, affinity, segmentation, ground_truth). Makes: the shards of its coarser scales,
# <outdir>/LAYER/SCALE/ID.shard, each from those of the scale below, and LAYER/thumbnail.png.
if scales.layers:

    rule pyramid:
        """Make one block of a scale from the shards of the scale below."""
        input:
            inputs_of("pyramid"),
        output:
            shard=f"{plan.outdir}/{{layer}}/{{scale}}/{{block}}.shard",
        log:
            f"{plan.outdir}/logs/pyramid/{{layer}}.{{scale}}.{{block}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/pyramid/{{layer}}.{{scale}}.{{block}}.tsv"
        wildcard_constraints:
            layer=one_of(scales.layers),
            scale=one_of(scales.keys),
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("pyramid"),
            runtime=minutes("pyramid"),
            disk_mb=disk("pyramid"),
        params:
            stage=depends_on("pyramid"),
        script:
            "../../scripts/job.py"

    rule thumbnail:
        """Draw the middle section of a layer at a coarse scale."""
        input:
            inputs_of("thumbnail"),
        output:
            picture=report(
                f"{plan.outdir}/{{layer}}/thumbnail.png",
                caption="../report/thumbnail.rst",
                category="Layers",
                labels={"layer": "{layer}"},
            ),
        log:
            f"{plan.outdir}/logs/thumbnail/{{layer}}.log",
        wildcard_constraints:
            layer=one_of(scales.layers),
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("thumbnail"),
            runtime=minutes("thumbnail"),
            disk_mb=disk("thumbnail"),
        params:
            stage=depends_on("thumbnail"),
        script:
            "../../scripts/job.py"
