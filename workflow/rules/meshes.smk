# Requires: segmentation shards and halos. Makes: <outdir>/fragments/LEVEL/NODE.pack, mesh pieces per (object, cell), gathered
# until no more packs than the fan-out are left; <outdir>/segmentation/mesh, files of meshes that Neuroglancer reads.
if plan.meshes_enabled:

    rule fragments:
        """Cut out and simplify the surfaces in all cells of a group of blocks."""
        input:
            inputs_of("fragments"),
        output:
            pack=intermediate("fragments", f"{plan.outdir}/fragments/0/{{node}}.pack"),
        log:
            f"{plan.outdir}/logs/fragments/{{node}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/fragments/{{node}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("fragments"),
            runtime=minutes("fragments"),
            disk_mb=disk("fragments"),
        params:
            stage=depends_on("fragments"),
        script:
            "../../scripts/job.py"

    rule gather:
        """Gather packs of mesh pieces into one."""
        input:
            inputs_of("gather"),
        output:
            pack=intermediate(
                "fragments",
                f"{plan.outdir}/fragments/{{level,[1-9][0-9]*}}/{{node}}.pack",
            ),
        log:
            f"{plan.outdir}/logs/gather/{{level}}.{{node}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("gather"),
            runtime=minutes("gather"),
        params:
            stage=depends_on("gather"),
        script:
            "../../scripts/job.py"

    rule meshes:
        """Write one file of meshes: manifests and fragments of the objects that belong to it."""
        input:
            inputs_of("meshes"),
        output:
            shard=f"{plan.outdir}/segmentation/mesh/{{number}}.shard",
        log:
            f"{plan.outdir}/logs/meshes/{{number}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("meshes"),
            runtime=minutes("meshes"),
        params:
            stage=depends_on("meshes"),
        script:
            "../../scripts/job.py"
