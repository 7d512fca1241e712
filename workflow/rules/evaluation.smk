# Requires: segmentation shards, the ground truth. Makes: <outdir>/ground_truth, unless it is precomputed and read in place;
# <outdir>/evaluation: contingency tables per node and of the whole, scores.json, worst.csv; after agglomeration curve.csv and curve.png.
if "ground_truth" in plan.layers:

    rule ground_truth:
        """Ingest one block of a ground truth that is not precomputed."""
        input:
            inputs_of("ground_truth"),
        output:
            shard=f"{plan.outdir}/ground_truth/{SEGMENTATION_SCALE}/{{block}}.shard",
        log:
            f"{plan.outdir}/logs/ground_truth/{{block}}.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("ground_truth"),
            runtime=minutes("ground_truth"),
            disk_mb=disk("ground_truth"),
        params:
            stage=depends_on("ground_truth"),
        script:
            "../../scripts/job.py"


if plan.truth is not None:

    rule contingency:
        """Tally ground truth and segmentation over the blocks of a node."""
        input:
            inputs_of("contingency"),
        output:
            table=f"{plan.outdir}/evaluation/contingency/{{node}}.h5",
        log:
            f"{plan.outdir}/logs/contingency/{{node}}.log",
        benchmark:
            f"{plan.outdir}/benchmarks/contingency/{{node}}.tsv"
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("contingency"),
            runtime=minutes("contingency"),
            disk_mb=disk("contingency"),
        params:
            stage=depends_on("contingency"),
        script:
            "../../scripts/job.py"

    rule evaluation:
        """Score the segmentation against the ground truth."""
        input:
            inputs_of("evaluation"),
        output:
            scores=targets.evaluation()["scores"],
            worst=report(
                targets.evaluation()["worst"],
                caption="../report/worst.rst",
                category="Evaluation",
            ),
            table=targets.evaluation()["table"],
        log:
            f"{plan.outdir}/logs/evaluation.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("evaluation"),
            runtime=minutes("evaluation"),
        params:
            stage=depends_on("evaluation"),
        script:
            "../../scripts/job.py"


if plan.curved:

    rule curve:
        """Score the segmentation over thresholds of agglomeration, from the history of merges."""
        input:
            inputs_of("curve"),
        output:
            table=targets.curve()["table"],
            picture=report(
                targets.curve()["picture"],
                caption="../report/curve.rst",
                category="Evaluation",
                labels={"what": "scores over thresholds"},
            ),
        log:
            f"{plan.outdir}/logs/curve.log",
        conda:
            "../../envs/connectomake.yaml"
        resources:
            mem_mb=memory("curve"),
            runtime=minutes("curve"),
        params:
            stage=depends_on("curve"),
        script:
            "../../scripts/job.py"
