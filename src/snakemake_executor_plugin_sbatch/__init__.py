"""Snakemake executor plugin: jobs of Slurm, submitted together as arrays, watched by one question. ``executor: sbatch``.

Snakemake imports every plugin that is installed at each start, so nothing heavy is imported here.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from snakemake_executor_plugin_sbatch.leftovers import Left
from snakemake_executor_plugin_sbatch.request import BadRequestError, options_of, refuse_clusters
from snakemake_executor_plugin_sbatch.run import Run
from snakemake_executor_plugin_sbatch.task import Task

__all__ = ["BadRequestError", "Executor", "ExecutorSettings", "common_settings", "refuse_clusters"]

ROUND_SECONDS, GLANCE_SECONDS = 2.0, 0.1  # between looks at end notes, at new jobs


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]
    """Options: ``--sbatch-array-size`` and so on; in a profile ``sbatch-array-size``."""

    array_size: int = field(
        default=1000,
        metadata={"help": "Maximum number of jobs submitted together, as one array, within Slurm's own limit. 1: no arrays."},
    )
    keep_logs: str = field(
        default="failed", metadata={"help": "Whose output to keep in .snakemake/log/sbatch: failed jobs' or all jobs'."}
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Hands jobs to a run; a thread of Snakemake's submits them, and looks after them.

    Parameters
    ----------
    starter
        A program that starts Snakemake for one job, put before the command of each: set by the workflow.
    """

    starter: str | None = None
    run: Run | None = None

    def __post_init__(self) -> None:
        """Cancel what killed runs left, and note this one."""
        try:
            self.run = Run.start(self)
        except Left as error:
            raise WorkflowError(str(error)) from None
        self.logger.info(f"Slurm jobs of this run are named {self.run.name}: squeue --name={self.run.name}")

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Take all jobs that Snakemake hands over; they are submitted in the next round, alike ones as an array."""
        assert self.run is not None  # noqa: S101
        for job in jobs:
            self.run_job_pre(job)
        # at once, so that no round begins with a part of them
        self.run.hand_over(*filter(None, map(self._task_of, jobs)))

    def run_job(self, job: JobExecutorInterface) -> None:
        """Take one job."""
        self.run_jobs([job])

    def _task_of(self, job: JobExecutorInterface) -> Task | None:
        """Return a job as Slurm is asked for it; what it cannot be asked for is a failed try."""
        info = SubmittedJobInfo(job=job)
        try:
            name = re.sub(r"[^\w.-]+", "-", str(job.name))  # of a group it may be anything
            task = Task(info, name, options_of(job), self.format_job_exec(job))
        except BadRequestError as error:
            self._failed(info, str(error))
            return None
        info.aux = {"task": task}
        self.report_job_submission(info)
        return task

    def format_job_exec(self, job: JobExecutorInterface) -> str:
        """Return the command of a job."""
        command, python = str(super().format_job_exec(job)), self.get_python_executable()
        if self.starter is None:
            return command
        return command.replace(f"{python} -m snakemake", f"{python} {self.starter} -m snakemake", 1)

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Submit and look; report jobs that have ended, yield the others."""
        if self.run is None or self.run.ended:
            return
        if getattr(self.workflow.scheduler, "_user_kill", None):
            raise WorkflowError("Ended by SIGTERM: all jobs of the run are cancelled.")
        self.run.round()
        for info in active_jobs:
            task: Task = (info.aux or {})["task"]
            if task.verdict is None:
                yield info
                continue
            self.run.forget(task)
            self._report(info, task)

    def _report(self, info: SubmittedJobInfo, task: Task) -> None:
        """Report to Snakemake that a job has ended."""
        assert task.verdict is not None  # noqa: S101
        if task.verdict.kind == "done":
            self.report_job_success(info)
            return
        logs = [task.log] if task.log and Path(task.log).exists() else []
        self._failed(info, task.verdict.message, logs)

    def _failed(self, info: SubmittedJobInfo, why: str, logs: Sequence[str] = ()) -> None:
        info.job.why_failed = why
        if info.job.is_group():  # whose report leaves the message out
            self.logger.error(f"{why}.")
        self.report_job_error(info, msg=f"{why}. ", aux_logs=list(logs))

    async def sleep(self) -> None:
        """Wait for the next round; new jobs do not wait."""
        until = time.monotonic() + ROUND_SECONDS
        while self.wait and time.monotonic() < until and not (self.run and self.run.new):
            await asyncio.sleep(GLANCE_SECONDS)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:  # noqa: ARG002
        """Cancel all jobs of the run."""
        if self.run is not None:
            self.run.end()

    def shutdown(self) -> None:
        """Cancel what is left of the run: also after an error, Ctrl-C or SIGTERM."""
        if self.run is not None:
            self.run.end()
        super().shutdown()
