"""Snakemake executor plugin: every job one bare Kubernetes pod. Use it with ``executor: pods``.

Snakemake looks for plugins among all installed packages and imports them at every start, so nothing heavy is imported here:
the Kubernetes client and the stock plugin, whose pod specification is reused, come in when a run begins.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from snakemake_executor_plugin_pods.early import replace
from snakemake_executor_plugin_pods.run import Fatal, Run
from snakemake_executor_plugin_pods.spec import with_quick_sources
from snakemake_executor_plugin_pods.verdict import Verdict

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

GLANCE_SECONDS = 0.1  # between looks at new jobs

replace()


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]
    """Options: ``--pods-namespace`` and so on; in a profile ``pods-namespace``."""

    namespace: str = field(default="default", metadata={"help": "Namespace in which pods are made."})
    service_account_name: str = field(
        default="", metadata={"help": "Service account of the pods, if the cloud provides credentials through it."}
    )
    persistent_volumes: str = field(
        default="", metadata={"help": "Persistent volume claims to mount: CLAIM:PATH, more after commas."}
    )
    cpu_scalar: float = field(
        default=0.95, metadata={"help": "Share of each CPU that a pod requests: nodes keep a little for themselves."}
    )
    memory_overhead: int = field(
        default=0,
        metadata={"help": "MB that a pod requests in addition to its job's mem_mb, for Snakemake itself."},
    )
    autoscaling: bool = field(
        default=False,
        metadata={"help": "The cluster adds nodes on demand: wait for pods that fit on none of the current ones."},
    )
    keep_logs: str = field(
        default="all", metadata={"help": "Whose output to keep in .snakemake/log/pods: all pods' or failed ones'."}
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,  # plugins are in the image: no pip at a pod's start
    init_seconds_before_status_checks=1,
)


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Makes a pod per job and watches all of them with one request a round."""

    def __post_init__(self) -> None:
        """Reach the cluster, clean up after killed runs, make the secret with the environment."""
        self.run: Run | None = None
        try:
            self.run = Run.start(self)
        except Fatal as error:
            raise WorkflowError(str(error)) from None
        except ModuleNotFoundError as error:
            raise WorkflowError(
                f"the package {error.name} is not in this environment; install what Kubernetes needs: make cluster "
                "(or pip install --no-deps -r requirements-cluster.lock)"
            ) from None
        image = self.workflow.remote_execution_settings.container_image
        self.logger.info(f"Pods of run {self.run.name} in namespace {self.run.api.namespace}, image {image}.")

    def run_job(self, job: JobExecutorInterface) -> None:
        """Take a job; the thread that watches pods makes its pod."""
        assert self.run is not None  # noqa: S101
        self.report_job_submission(SubmittedJobInfo(job=job, external_jobid=self.run.submit(job)))

    def format_job_exec(self, job: JobExecutorInterface) -> str:
        """Return the command that a pod runs."""
        return with_quick_sources(super().format_job_exec(job))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Ask for all pods at once; report the jobs whose pods have ended, yield the others."""
        if not active_jobs or self.run is None or self.run.ended:
            return
        async with self.status_rate_limiter:
            pods = self._or_stop(self.run.look)
        self.next_seconds_between_status_checks = self.run.wait_seconds
        for info in active_jobs:
            verdict = self._or_stop(partial(self.run.decide, str(info.external_jobid), pods))
            if verdict.state == "wait":
                yield info
                continue
            self._report(info, verdict, self.run.finish(info, verdict))
        self.run.tell_waiting()

    async def sleep(self) -> None:
        """Wait for the next round; new jobs do not wait."""
        until = time.monotonic() + (self.next_seconds_between_status_checks or 0.0)
        while self.wait and time.monotonic() < until:
            await asyncio.sleep(GLANCE_SECONDS)
            if self.run is not None:
                self.run.offer()

    def _report(self, info: SubmittedJobInfo, verdict: Verdict, log: str | None) -> None:
        """Report to Snakemake that a pod has ended."""
        if verdict.state == "done":
            self.report_job_success(info)
            return
        info.job.why_failed = verdict.message
        if info.job.is_group():  # whose report leaves the message out
            self.logger.error(f"{verdict.message}.")
        self.report_job_error(info, msg=f"{verdict.message}. ", aux_logs=[log] if log else [])

    def _or_stop(self, ask: Callable[[], Any]) -> Any:
        """Ask something about pods; what no pod can get over ends the run."""
        try:
            return ask()
        except Fatal as error:
            raise WorkflowError(str(error)) from None

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:  # noqa: ARG002
        """Delete the pods of all jobs."""
        if self.run is not None:
            self.run.end()

    def shutdown(self) -> None:
        """Delete what is left of pods and the secret: also after an error, Ctrl-C or SIGTERM."""
        if self.run is not None:
            self.run.end()
        super().shutdown()

    @property
    def persistent_volumes(self) -> list[Any]:
        """The volumes as the stock plugin wants them."""
        from snakemake_executor_plugin_kubernetes import PersistentVolume

        volumes = self.workflow.executor_settings.persistent_volumes
        return [PersistentVolume.parse(text.strip()) for text in volumes.split(",") if text.strip()]
