# Requires: nothing. Makes: a job on Slurm starts Snakemake without plugins that it does not need (docs/decisions/0023-one-start.md).
from connectomake_snakemake.cluster import start_light

start_light(workflow)
