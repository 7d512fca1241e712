# Requires: nothing of the run. Makes: <outdir>/segment_table/table.h5, the table that joins given labels, in the order of its
# supervoxels.
if plan.table is not None:

    rule segment_table:
        """Sort the table that joins given labels, and check that it is one."""
        input:
            inputs_of("segment_table"),
        output:
            table=f"{plan.outdir}/segment_table/table.h5",
        log:
            f"{plan.outdir}/logs/segment_table.log",
        benchmark:
            f"{plan.outdir}/benchmarks/segment_table.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("segment_table"),
            runtime=minutes("segment_table"),
        params:
            stage=depends_on("segment_table"),
        script:
            "../../scripts/job.py"
