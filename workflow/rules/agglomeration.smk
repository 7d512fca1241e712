# Requires: the HDF5 files of components (tables, region graphs, faces) and the merge's look-up tables. Makes:
# <outdir>/agglomeration/LEVEL/NODE.up.h5, what an octree node leaves open of the region graph; NODE.down.h5, the look-up tables of
# segments; merges.parquet, the history of all merges. The same in <outdir>/agglomeration_0.35 for a further threshold 0.35.
if plan.agglomerates:

    rule agglomerate:
        """Merge the segments of an octree node that no node above can change."""
        input:
            inputs_of("agglomerate"),
        output:
            up=f"{plan.outdir}/agglomeration{{at}}/{{level}}/{{node}}.up.h5",
        log:
            f"{plan.outdir}/logs/agglomerate/{{level}}.{{node}}{{at}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/agglomerate/{{level}}.{{node}}{{at}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("agglomerate"),
            runtime=minutes("agglomerate"),
        params:
            stage=depends_on("agglomerate"),
        script:
            "../../scripts/job.py"

    rule assign:
        """Hand the ids of segments down from an octree node to its children."""
        input:
            inputs_of("assign"),
        output:
            down=f"{plan.outdir}/agglomeration{{at}}/{{level}}/{{node}}.down.h5",
        log:
            f"{plan.outdir}/logs/assign/{{level}}.{{node}}{{at}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("assign"),
            runtime=minutes("assign"),
        params:
            stage=depends_on("assign"),
        script:
            "../../scripts/job.py"

    rule history:
        """Collect the merges of all octree nodes in one table."""
        input:
            inputs_of("history"),
        output:
            table=f"{plan.outdir}/agglomeration{{at}}/merges.parquet",
        log:
            f"{plan.outdir}/logs/history{{at}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("history"),
            runtime=minutes("history"),
            disk_mb=disk("history"),
        params:
            stage=depends_on("history"),
        script:
            "../../scripts/job.py"
