"""Score the segmentation from the tallies of all nodes."""

from connectomake.evaluation.files import sum_contingencies, write_result
from connectomake.jobs import Job, run


def main(job: Job) -> None:
    plan, names = job.plan, ("table", "scores", "worst")
    output = {name: getattr(job.output, name) for name in names}
    overlap = sum_contingencies(job.all_of(job.targets.contingencies(), job.input.tables))
    write_result(output, overlap, plan.evaluation_box, plan.config["evaluation"], job.stages.record("evaluation"))


run(snakemake, main)
