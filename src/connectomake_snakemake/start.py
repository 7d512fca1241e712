"""Actions before the first job and after the last; a dry run does none of them.

Before: the results are locked against a run from another working directory; temporary files of killed jobs go; folders that lie
where files should be are moved aside; files that are dated in the future are named.
"""

import atexit
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from connectomake.errors import ConnectomakeError
from connectomake.failures import Failure, table_of
from connectomake.lock import release, take
from connectomake.planning.dates import future_text, in_future
from connectomake.stale_files import move_aside, remove_abandoned
from connectomake_snakemake.cluster import check_cluster


def before_jobs(workflow: Any, outdir: str, plans: str | Path, logger: Any) -> None:
    """Do what is to be done before the first job of a run.

    Parameters
    ----------
    workflow
        Snakemake's.
    outdir
        Folder of the results.
    plans
        Folder of the plans.
    logger
        Snakemake's.

    Raises
    ------
    WorkflowError
        If the run cannot begin.
    """
    check_cluster(workflow)
    if not _is_here(workflow):
        return
    try:
        _lock(workflow, outdir)
    except (ConnectomakeError, OSError) as error:
        raise WorkflowError(str(error)) from None
    jobs = list(workflow.dag.needrun_jobs())
    _remove_remains(outdir, plans, logger)
    _move_folders_aside(jobs, logger)
    _check_dates(jobs)


def _is_here(workflow: Any) -> bool:
    """Whether this is the head of a run whose results lie on a disk."""
    return workflow.is_main_process and not workflow.storage_settings.default_storage_provider


def _lock(workflow: Any, outdir: str) -> None:
    """Refuse a run from another working directory on the same results; jobs on other machines are of this run."""
    if not workflow.execution_settings.lock:  # --nolock
        return
    folder = str(Path(outdir).absolute())
    if take(folder):
        atexit.register(release, folder)


def _remove_remains(outdir: str, plans: str | Path, logger: Any) -> None:
    """Remove temporary files that no job writes to any more."""
    removed = remove_abandoned(outdir, plans)
    if removed.files:
        logger.info(f"Removed {removed.files:,} temporary file(s) of killed jobs, {removed.bytes / 1e6:.1f} MB.")


def _move_folders_aside(jobs: Iterable[Any], logger: Any) -> None:
    """Move folders with something in them away from where a job is to write a file."""
    for path in {str(path) for job in jobs for path in job.output}:
        place = Path(path)
        if place.is_dir() and not place.is_symlink() and (aside := move_aside(path)):
            logger.warning(f"{path} is a folder where a file should be: it is {aside} now.")


def _check_dates(jobs: Iterable[Any]) -> None:
    """Name what jobs would read that is dated in the future: each of them would fail, today and on every rerun."""
    made = {str(path) for job in jobs for path in job.output}
    dated = in_future({str(path) for job in jobs for path in job.input} - made)
    if dated:
        raise WorkflowError(future_text(dated))


def tell_failed(workflow: Any, logger: Any) -> None:
    """At a bad end, list what has failed for good, and why."""
    scheduler = workflow.scheduler
    groups = [job.jobs if job.is_group() else [job] for job in scheduler.failed]
    failures = [_failure_of(job) for jobs in groups for job in jobs]
    if failures:
        logger.error(table_of(failures, len(scheduler.remaining_jobs)))


def _failure_of(job: Any) -> Failure:
    log = str(job.log[0]) if job.log else None
    why = getattr(job, "why_failed", None)  # of the executors for clusters
    return Failure.of(job.rule.name, job.wildcards_dict, log, why)


def after_jobs(workflow: Any, outdir: str) -> None:
    """Whatever the end: give the results free, and do not wait for timers."""
    if _is_here(workflow):
        release(str(Path(outdir).absolute()))
    _end_without_waiting()


def _end_without_waiting() -> None:
    """Cancel the scheduler's timers, which would hold an ended run for a second."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
