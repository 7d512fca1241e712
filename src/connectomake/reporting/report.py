"""The jobs of a report: each draws or writes what lies in the run's folder."""

from connectomake.atomic import write_text
from connectomake.layers.companions import companion_checksums
from connectomake.layers.records import named
from connectomake.pipeline.job import Job
from connectomake.planning.plan import Plan
from connectomake.reporting.blocks import block_map
from connectomake.reporting.colours import save
from connectomake.reporting.pictures import largest, objects, relocated, sections
from connectomake.reporting.run_page import page, stages_csv


def run_page(job: Job) -> None:
    """Write what was run, with what and how fast, as a page and as a table."""
    plan, output = _plan_seen_by(job, "final"), job.output("page")
    write_text(job.output("table"), stages_csv(plan))
    record = job.record(**companion_checksums(output, job.output("table")))
    write_text(output, page(plan, named(record, output)))


def blocks_picture(job: Job) -> None:
    """Draw maps of the blocks."""
    save(block_map(_plan_seen_by(job, "final")), job.output("picture"), job.record())


def slices_picture(job: Job) -> None:
    """Draw sections."""
    plan = _plan_seen_by(job, "shards")
    save(sections(plan, plan.config["report"]["slices"]), job.output("picture"), job.record())


def objects_picture(job: Job) -> None:
    """Draw the largest objects' meshes."""
    plan = _plan_seen_by(job, "meshes")
    save(objects(plan, largest(plan, plan.config["report"]["objects"])), job.output("picture"), job.record())


def _plan_seen_by(job: Job, name: str) -> Plan:
    """Return the plan with its folder where the job finds it, derived from the first input under a name."""
    first = next(path for _, path in iter(job.rule.inputs(job.item)[name]))
    return relocated(job.plan, first, str(job.input[0]))
