# Requires: common.smk. Makes: what is done before the first job and after the last (connectomake_snakemake.start).
import os

from connectomake_snakemake.start import after_jobs, before_jobs, tell_failed


onstart:
    before_jobs(workflow, plan.outdir, os.path.dirname(PLAN), logger)
    run_files.leave_plan_beside()


onsuccess:
    run_files.leave_records()
    after_jobs(workflow, plan.outdir)


onerror:
    tell_failed(workflow, logger)
    after_jobs(workflow, plan.outdir)
