# Requires: common.smk, cluster.smk. Makes: what is done before the first job and after the last. Before: the results are locked
# against a run from another working directory; temporary files of killed jobs go; folders that lie where files should be are moved
# aside; files that are dated in the future are named. A dry run does nothing of it.
import atexit
from pathlib import Path

from connectomake.failures import Failure, table_of
from connectomake.lock import release, take
from connectomake.planning.dates import future_text, in_future
from connectomake.remains import move_aside, remove_left


def lock_results():
    """Refuse a run from another working directory on the same results; jobs on other machines are of this run."""
    if not workflow.execution_settings.lock:  # --nolock
        return
    folder = str(Path(plan.outdir).absolute())
    if take(folder):
        atexit.register(release, folder)


def remove_remains():
    """Remove temporary files that no job writes to any more."""
    removed = remove_left(plan.outdir, Path(PLAN).parent)
    if removed.files:
        logger.info(
            f"Removed {removed.files:,} temporary file(s) of killed jobs, {removed.bytes / 1e6:.1f} MB."
        )


def move_folders_aside(jobs):
    """Move folders with something in them away from where a job is to write a file."""
    for path in {str(path) for job in jobs for path in job.output}:
        place = Path(path)
        if place.is_dir() and not place.is_symlink() and (aside := move_aside(path)):
            logger.warning(
                f"{path} is a folder where a file should be: it is {aside} now."
            )


def check_dates(jobs):
    """Name what jobs would read that is dated in the future: each of them would fail, today and on every rerun."""
    made = {str(path) for job in jobs for path in job.output}
    dated = in_future({str(path) for job in jobs for path in job.input} - made)
    if dated:
        raise WorkflowError(future_text(dated))


def before_jobs():
    check_cluster()
    if not HEAD or PROVIDER:
        return
    try:
        lock_results()
    except (ConnectomakeError, OSError) as error:
        raise WorkflowError(str(error)) from None
    jobs = list(workflow.dag.needrun_jobs())
    remove_remains()
    move_folders_aside(jobs)
    check_dates(jobs)


def failure_of(job):
    log = str(job.log[0]) if job.log else None
    why = getattr(job, "why_failed", None)  # of the executors for clusters
    return Failure.of(job.rule.name, job.wildcards_dict, log, why)


def tell_failed():
    """At a bad end, list what has failed for good, and why."""
    scheduler = workflow.scheduler
    groups = [job.jobs if job.is_group() else [job] for job in scheduler.failed]
    failures = [failure_of(job) for jobs in groups for job in jobs]
    if failures:
        logger.error(table_of(failures, len(scheduler.remaining_jobs)))


def after_jobs():
    """Whatever the end: give the results free, and do not wait for timers."""
    if HEAD and not PROVIDER:
        release(str(Path(plan.outdir).absolute()))
    end_without_waiting()


onstart:
    before_jobs()
    leave_plan_beside()


onsuccess:
    leave_records()
    after_jobs()


onerror:
    tell_failed()
    after_jobs()
