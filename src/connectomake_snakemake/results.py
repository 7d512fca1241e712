"""One interface to the results of a run, on a disk or in a bucket (``default-storage-provider``)."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from snakemake.exceptions import WorkflowError

from connectomake.errors import ConnectomakeError
from connectomake.planning.freshness import is_stale, is_text_stale
from connectomake.planning.opening import NAME, leave_plan
from connectomake.planning.plan import Plan


class Folders(Protocol):
    """Lists which files exist."""

    def has(self, path: str) -> bool:
        """Return whether anything lies at a path."""


class Results:
    """The files of a run on a disk.

    Parameters
    ----------
    workflow
        Snakemake's.
    plan
        The run's.
    folders
        Which files are there.
    logger
        Snakemake's.
    """

    def __init__(self, workflow: Any, plan: Plan, folders: Folders, logger: Any) -> None:
        self.workflow, self.plan, self.head = workflow, plan, bool(workflow.is_main_process)
        self._folders, self._logger = folders, logger

    def name(self, path: str) -> str:
        """Return the name under which Snakemake knows a file of the run."""
        return path

    def is_made_otherwise(self, path: str, fingerprint: str, others: Sequence[str] = ()) -> bool:
        """Return whether a file is there but is damaged or was made with other settings."""
        return self._folders.has(path) and is_stale(path, fingerprint, others)

    def is_other_text(self, path: str, text: str) -> bool:
        """Return whether a file whose text follows from the plan is there but says something else."""
        return is_text_stale(path, text)

    def leave_plan_beside(self) -> None:
        """Leave the plan beside the results, so that a copy of them can be opened alone."""
        if not self.head:
            return
        try:
            self._leave_plan()
        except Exception as error:  # of the disk or a store's client: the results can be opened by their config
            self._logger.warning(f"{self.plan.outdir}/{NAME} could not be written ({error})")

    def _leave_plan(self) -> None:
        leave_plan(self.plan)

    def leave_records(self) -> None:
        """At a good end, leave what another head would have to read; on a disk nothing."""


def open_results(workflow: Any, plan: Plan, folders: Folders, logger: Any, unrecorded: Iterable[str]) -> Results:
    """Return the results of a run, wherever they lie; those in a bucket are listed, once, and its objects ask no more.

    Raises
    ------
    WorkflowError
        If the bucket cannot be listed.
    """
    if not workflow.storage_settings.default_storage_provider:
        return Results(workflow, plan, folders, logger)
    from connectomake.planning.bucket_records import unshipped
    from connectomake_snakemake.inventory import take_inventory
    from connectomake_snakemake.stored_results import StoredResults

    try:
        results = StoredResults(workflow, plan, folders, logger, unrecorded)
        for problem in unshipped(plan) if results.head else ():
            logger.warning(problem)
    except ConnectomakeError as error:
        raise WorkflowError(str(error)) from None
    take_inventory(results, logger.warning)
    return results
