# Requires: segmentation shards. Makes: <outdir>/traces/LEVEL/NODE.h5, skeletons per (object, cell), gathered until no more files
# than the fan-out are left; <outdir>/segmentation/skeletons, which Neuroglancer reads; <outdir>/objects/skeletons, their lengths.
if skeletons.enabled:

    rule traces:
        """Trace the skeletons in all cells of a group of blocks."""
        input:
            inputs_of("traces"),
        output:
            traces=intermediate("traces", f"{plan.outdir}/traces/0/{{node}}.h5"),
        log:
            f"{plan.outdir}/logs/traces/{{node}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/traces/{{node}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("traces"),
            runtime=minutes("traces"),
            disk_mb=disk("traces"),
        params:
            stage=depends_on("traces"),
        script:
            "../../scripts/job.py"

    rule gather_traces:
        """Gather traces of skeletons into one file."""
        input:
            inputs_of("gather_traces"),
        output:
            traces=intermediate(
                "traces", f"{plan.outdir}/traces/{{level,[1-9][0-9]*}}/{{node}}.h5"
            ),
        log:
            f"{plan.outdir}/logs/gather_traces/{{level}}.{{node}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("gather_traces"),
            runtime=minutes("gather_traces"),
        params:
            stage=depends_on("gather_traces"),
        script:
            "../../scripts/job.py"

    rule skeletons:
        """Join the traces of the objects that belong to one file into whole skeletons, and measure their lengths."""
        input:
            inputs_of("skeletons"),
        output:
            shard=f"{plan.outdir}/segmentation/skeletons/{{number}}.shard",
            lengths=f"{plan.outdir}/objects/skeletons/{{number}}.h5",
        log:
            f"{plan.outdir}/logs/skeletons/{{number}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/skeletons/{{number}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("skeletons"),
            runtime=minutes("skeletons"),
        params:
            stage=depends_on("skeletons"),
        script:
            "../../scripts/job.py"
