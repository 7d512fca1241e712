# What the rules stand on: how scripts are started, the config and its plan, the input functions, the kinds of cluster,
# what is done before the first job and after the last.
include: "prefork.smk"
include: "tuning.smk"
include: "common.smk"
include: "inputs.smk"
include: "reporting.smk"
include: "cluster.smk"
include: "start.smk"
