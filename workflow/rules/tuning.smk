# Requires: nothing. Makes: with_signature, same_for_all, same_at_first, known_folders. What Snakemake works out anew for every job, here
# once: half the time of a dry run of many blocks.
from connectomake_snakemake.tuning.resources import same_at_first, same_for_all
from connectomake_snakemake.tuning.tune import with_signature, tune

known_folders = tune(workflow)
