# What the rules stand on: how scripts are started, the config and its plan, the input functions, the kinds of cluster.
include: "prefork.smk"
include: "tuning.smk"
include: "common.smk"
include: "inputs.smk"
include: "cluster.smk"
