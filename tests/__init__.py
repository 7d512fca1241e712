"""Tests. `make test` runs all; `make test-fast` those that are neither marked `slow` nor `cluster`, in less than three minutes.

A test is fast if it stays in its process and takes less than a second of CPU time; `slow` are those that start other programs,
train, run whole workflows, go through many random examples of large volumes, or wait for time to pass. Mark the test, or with
`pytestmark` the whole file: such files are run first. What takes seconds without the mark is named at the end of a run as SLOW.

Where a test lies: what one package of `src` does (or a module beside the packages) is tested in `test_NAME.py` or
`test_NAME_WHAT.py`: `test_layers_codec.py`; `test_skeletons_flow.py`, its stage in a whole run. A file of another name is in
one of the two tables below: in PACKAGES, if it is about one package, else in THEMES. A new package needs a file of its own, or
a line in PACKAGES; `test_where_tests_lie.py` says what is missing. Clusters: `tests/cluster`. What tests share is in files
without `test_` in their names.
"""

PACKAGES = {  # what else is about a package: files, or how their names begin, without `test_` and `.py`
    "atomic": "os_errors",
    "bounded_text": "hostile",
    "cli": "early export export_exact export_whole",
    "compiled": "private_folder warm_up",
    "components": "watershed",
    "config": "bad_input docs places",
    "connectomake_heads": "heads",
    "connectomake_snakemake": "own_jobs replaced start_job tuning tuning_parts",
    "errors": "os_errors",
    "evaluation": "overlap",
    "forking": "last_file prefork",
    "inference": "check_network device models network_files network_repeats network_values precision",
    "jobs": "bad_jobs last_file",
    "lock": "starts",
    "networks": "models precision",
    "pipeline": "demands_measured pins versions",
    "preload": "prefork",
    "planning": "choose",
    "proofreading": "doubts proofread",
    "queueing": "queue queue_bad_messages queue_files queue_runs",
    "reporting": "contrast report",
    "run": "opening",
    "segmentation": "components_remap",
    "snakemake_executor_plugin_pods": "early pods",
    "snakemake_executor_plugin_sbatch": "sbatch",
    "source_archive": "pods remote",
    "sources": "hdf5_reach identity mask missing_chunks peer_files source_again",
    "stale_files": "starts",
    "storage": "object_storage remote",
    "tables": "bounded_tables",
    "train_from_config": "training",
    "verify": "bad_results damaged_files repair siblings",
    "viewing": "browser",
}

THEMES = {  # what several packages do together
    "whole runs": "affinity_order given_labels mask queue_runs workflow workflow_watershed",
    "files of other programs": "operators peer_files",
    "damage": "bad_results damage damaged_files repair siblings",
    "what users get wrong": "bad_input bad_jobs hostile places",
    "what the code may look like": "docs imports marks sizes where_tests_lie",
    "what must not change": "pins versions",
    "what CONTRIBUTING.md tells how to add": "new_filter new_format new_method new_stage",
}
