# What the rules stand on: how scripts are started, the config and its plan, the input functions,
# what is done before the first job and after the last.
from connectomake_snakemake.scripts import fork_scripts

fork_scripts(workflow, logger)


include: "tuning.smk"
include: "common.smk"
include: "inputs.smk"
include: "reporting.smk"
include: "slurm.smk"
include: "start.smk"
