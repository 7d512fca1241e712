# Requires: the HDF5 files of components (tables, region graphs, faces) and the merge's look-up tables. Makes:
# <outdir>/agglomeration/LEVEL/NODE.up.h5, what an octree node leaves open of the region graph; NODE.down.h5, the look-up tables of
# segments; merges.parquet, the history of all merges. The same in <outdir>/agglomeration_0.35 for a further threshold 0.35.
if plan.agglomerates:

    rule agglomerate:
        """Merge the segments of an octree node that no node above can change."""
        input:
            unpack(agglomerate_inputs),
        output:
            up=f"{plan.outdir}/agglomeration{{at}}/{{level}}/{{node}}.up.h5",
        log:
            f"{plan.outdir}/logs/agglomerate/{{level}}.{{node}}{{at}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/agglomerate/{{level}}.{{node}}{{at}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory_of_tables("agglomeration"),
            runtime=minutes_of_tables("agglomeration"),
        params:
            stage=depends_on_at("agglomeration"),
        script:
            "../../scripts/agglomerate.py"

    rule assign:
        """Hand the ids of segments down from an octree node to its children."""
        input:
            unpack(assign_inputs),
        output:
            down=f"{plan.outdir}/agglomeration{{at}}/{{level}}/{{node}}.down.h5",
        log:
            f"{plan.outdir}/logs/assign/{{level}}.{{node}}{{at}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory_of_tables("lookup"),
            runtime=minutes_of_tables("lookup"),
        params:
            stage=depends_on_at("agglomeration"),
        script:
            "../../scripts/assign.py"

    rule history:
        """Collect the merges of all octree nodes in one table."""
        input:
            history_inputs,
        output:
            table=f"{plan.outdir}/agglomeration{{at}}/merges.parquet",
        log:
            f"{plan.outdir}/logs/history{{at}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory_of_tables("history"),
            runtime=minutes_of_tables("history"),
            disk_mb=disk_of_tables("history"),
        params:
            stage=depends_on_at("agglomeration"),
        script:
            "../../scripts/history.py"
