# Requires: common.smk. Makes: before `snakemake --report`, a check that what it shows is there, and no password in it.
from connectomake_snakemake.report import before_report

if HEAD:
    # Snakemake looks for the workflow where its function is called
    before_report(targets, lambda path: exists(path))
