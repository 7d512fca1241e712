# Training as a workflow of its own: a network is made once, then many runs read its weights.
#
#   snakemake -s workflow/training.smk --profile profiles/local --config training=configs/training/fib25.yaml
#
# Requires: the annotated volumes. Makes: <outdir>/weights.pt. A job that is killed goes on from <outdir>/checkpoint.pt.
from pathlib import Path
from snakemake.utils import min_version

from connectomake.atomic import canonical_json
from connectomake.errors import ConnectomakeError
from connectomake.planning.training_inputs import changed_inputs
from connectomake.stale_files import remove_abandoned
from connectomake.train_from_config import load_training

min_version("9.0")

if "training" not in config:
    raise WorkflowError(
        "name a training config: --config training=configs/training/fib25.yaml"
    )

try:
    training = load_training(config["training"])
except ConnectomakeError as error:
    raise WorkflowError(str(error)) from None

OUTDIR = training["outdir"]
CHANGED = changed_inputs(training)  # nothing, unless volumes were edited in place
for name in CHANGED:
    logger.warning(f"{name} has changed since it was first learned from")
ARRAYS = [v[part]["path"] for v in training["volumes"] for part in ("image", "labels")]


onstart:
    if workflow.is_main_process:
        remove_abandoned(OUTDIR)  # temporary files of killed jobs


localrules:
    all,


rule all:
    """The trained weights."""
    input:
        f"{OUTDIR}/weights.pt",


rule train:
    """Train a network, from its last checkpoint on."""
    input:
        [path for path in ARRAYS if Path(path).is_file()],
    output:
        f"{OUTDIR}/weights.pt",
    log:
        f"{OUTDIR}/train.txt",
    benchmark:
        f"{OUTDIR}/benchmark.tsv"
    conda:
        "../envs/connectomake.yaml"
    threads: training["threads"]
    resources:
        mem_mb=16000,
        runtime=2880,
        gpu=1 if training["device"] == "cuda" else 0,
    params:
        config=config["training"],
        settings=canonical_json(
            {key: value for key, value in training.items() if key != "every"}
            | ({"changed": CHANGED} if CHANGED else {})
        ),
    script:
        "../scripts/train.py"
