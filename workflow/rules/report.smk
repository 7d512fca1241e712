# Requires: the final targets. Makes: <outdir>/report, pages and pictures that `snakemake --report` puts into its one file. Part
# of `all` if report.enabled; else ask for the target `reports`.


localrules:
    reports,


rule reports:
    """Pages and pictures for `snakemake --report`."""
    input:
        list(targets.reports.values()),


rule report_run:
    """Write what was run, with what and how fast."""
    input:
        inputs_of("report_run"),
    output:
        page=report(
            targets.reports["page"],
            caption="../report/run.rst",
            category="Run",
            labels={"what": "settings, versions, stages, slowest blocks"},
        ),
        table=report(
            targets.reports["table"],
            caption="../report/stages.rst",
            category="Run",
            labels={"what": "stages as a table"},
        ),
    log:
        f"{plan.outdir}/logs/report/run.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("report_run"),
    params:
        stage=depends_on("report_run"),
    script:
        "../../scripts/report_run.py"


rule report_blocks:
    """Draw maps of the blocks."""
    input:
        inputs_of("report_blocks"),
    output:
        picture=report(
            targets.reports["blocks"],
            caption="../report/blocks.rst",
            category="Run",
            labels={"what": "blocks by state and time"},
        ),
    log:
        f"{plan.outdir}/logs/report/blocks.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("report_blocks"),
    params:
        stage=depends_on("report_blocks"),
    script:
        "../../scripts/report_blocks.py"


rule report_slices:
    """Draw sections: image, objects, blocks."""
    input:
        inputs_of("report_slices"),
    output:
        picture=report(
            targets.reports["slices"],
            caption="../report/slices.rst",
            category="Result",
            labels={"what": "sections"},
        ),
    log:
        f"{plan.outdir}/logs/report/slices.log",
    conda:
        "../../envs/connectomake.yaml"
    resources:
        mem_mb=memory("report_slices"),
    params:
        stage=depends_on("report_slices"),
    script:
        "../../scripts/report_slices.py"


if plan.meshes_enabled:

    rule report_objects:
        """Draw the largest objects' meshes."""
        input:
            inputs_of("report_objects"),
        output:
            picture=report(
                targets.reports["objects"],
                caption="../report/objects.rst",
                category="Result",
                labels={"what": "largest objects"},
            ),
        log:
            f"{plan.outdir}/logs/report/objects.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("report_objects"),
        params:
            stage=depends_on("report_objects"),
        script:
            "../../scripts/report_objects.py"
