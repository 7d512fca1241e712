# Requires: nothing. Makes: with_params, same_for_all, same_at_first, known_folders. What Snakemake works out anew for every job, here
# once: half the time of a dry run of many blocks.
from connectomake_snakemake.tuning.resources import same_at_first, same_for_all
from connectomake_snakemake.tuning.tune import with_params, tune

known_folders = tune(workflow)
