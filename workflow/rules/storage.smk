# Requires: plan, targets, known_folders. Makes: the same questions about the results of runs on a disk and of runs in a bucket
# (default-storage-provider), which is listed once.
from connectomake_snakemake.results import open_results

PROVIDER = workflow.storage_settings.default_storage_provider
run_files = open_results(
    workflow, plan, known_folders, logger, targets.reports.values()
)
stored_name = run_files.name
is_made_otherwise = run_files.is_made_otherwise
is_other_text = run_files.is_other_text
