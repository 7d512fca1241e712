"""Write what was run, with what and how fast, as a page and as a table."""

from connectomake.atomic import write_text
from connectomake.jobs import Job, run
from connectomake.layers.beside import beside
from connectomake.layers.records import named
from connectomake.reporting.facts import page, stages_csv
from connectomake.reporting.pictures import seen_from


def main(job: Job) -> None:
    plan = seen_from(job.plan, job.targets.infos()[0], job.input[0])
    write_text(job.output.table, stages_csv(plan))
    record = job.stages.record("report", **beside(job.output.page, job.output.table))
    write_text(job.output.page, page(plan, named(record, job.output.page)))


run(snakemake, main)
