"""Score the segmentation over thresholds of agglomeration, from the history of merges."""

from connectomake.agglomeration import read_merges, segments_over
from connectomake.evaluation import thresholds_of
from connectomake.evaluation.files import read_contingency, write_curve
from connectomake.jobs import Job, run


def main(job: Job) -> None:
    plan, merges = job.plan, read_merges(job.input.history)
    chosen, lowest = plan.thresholds[""], plan.thresholds[plan.lowest]
    mappings = segments_over(merges, thresholds_of(lowest, chosen), plan.agglomeration().dtype)
    output = {name: getattr(job.output, name) for name in ("table", "picture")}
    overlap = read_contingency(job.input.tallies)
    write_curve(output, overlap, mappings, chosen, plan.config["evaluation"], job.stages.record("curve"))


run(snakemake, main)
