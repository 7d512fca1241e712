"""The pod of a job: the stock plugin's specification, taken out of the Job that it would make."""

import base64
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

_DEPLOY = re.compile(r"(\S+) -m snakemake --deploy-sources (s3://\S+) ([0-9a-f]{64})[^&;|]*(?<! )")
RUN_LABEL, RULE_LABEL = "connectomake/run", "connectomake/rule"
GRACE_SECONDS = 2  # an output is whole or absent, so there is nothing to put in order


def with_quick_sources(command: str) -> str:
    """Fetch the workflow's sources with a small program of the library, and start Snakemake for it only if that fails."""
    return _DEPLOY.sub(r"{ \1 -m connectomake.source_archive \2 \3 || \g<0>; }", command)


class _Job:
    """A job as the stock plugin shall see it: with memory for Snakemake itself, and a GPU only where one is asked for."""

    def __init__(self, job: Any, overhead: int):
        self._job = job
        self.resources = dict(job.resources)
        if "mem_mb" in self.resources:
            self.resources["mem_mb"] = int(self.resources["mem_mb"]) + overhead
        if not self.resources.get("gpu"):
            self.resources.pop("gpu", None)
        else:
            self.resources.setdefault("gpu_manufacturer", "nvidia")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)


def make_pod(executor: Any, job: Any, secret: str | None, names: Mapping[str, str], run: str) -> Any:
    """Return the body of the pod for a job.

    Parameters
    ----------
    executor
        Whose settings, image and command count.
    job
        Snakemake's job.
    secret, names
        The secret with environment variables, or None; key in it and name of each variable.
    run
        The run's label.
    """
    import kubernetes
    from snakemake_executor_plugin_kubernetes import Executor as Stock

    bodies: list[Any] = []
    maker = SimpleNamespace(
        format_job_exec=lambda _: executor.format_job_exec(job),
        logger=executor.logger,
        run_namespace=secret or run,
        secret_envvars=dict(names),
        container_image=executor.workflow.remote_execution_settings.container_image,
        k8s_cpu_scalar=executor.workflow.executor_settings.cpu_scalar,
        k8s_service_account_name=executor.workflow.executor_settings.service_account_name or None,
        persistent_volumes=executor.persistent_volumes,
        privileged=False,
        workflow=executor.workflow,
        namespace=executor.workflow.executor_settings.namespace,
        batchapi=SimpleNamespace(create_namespaced_job=lambda _, body: bodies.append(body)),
        _kubernetes_retry=lambda function: function(),
        report_job_submission=lambda _: None,
    )
    maker.logger = SimpleNamespace(debug=lambda *_: None, info=lambda *_: None, error=executor.logger.error)
    Stock.run_job(maker, _Job(job, executor.workflow.executor_settings.memory_overhead))
    spec = bodies[0].spec.template.spec
    spec.automount_service_account_token = bool(maker.k8s_service_account_name)
    spec.termination_grace_period_seconds = GRACE_SECONDS
    if minutes := job.resources.get("runtime"):
        spec.active_deadline_seconds = 60 * int(minutes)
    labels = {"app": "snakemake", RUN_LABEL: run, RULE_LABEL: _label(job.name)}
    metadata = kubernetes.client.V1ObjectMeta(name=pod_name(run, job), labels=labels)
    return kubernetes.client.V1Pod(api_version="v1", kind="Pod", metadata=metadata, spec=spec)


def pod_name(run: str, job: Any) -> str:
    """Return the name of a job's pod: rule, run, job and attempt, so that no two attempts share one."""
    rule = re.sub(r"[^a-z0-9]+", "-", str(job.name).lower()).strip("-")[:30] or "job"
    return f"{rule}-{run}-{str(job.jobid)[:12]}-{job.attempt}"


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)[:60].strip("-_.") or "job"


def make_secret(name: str, run: str, variables: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
    """Return the body of a secret with environment variables, and each variable's name by its key there."""
    import kubernetes

    names = {name.lower(): name for name in variables}
    data = {name.lower(): base64.b64encode(value.encode()).decode() for name, value in variables.items()}
    metadata = kubernetes.client.V1ObjectMeta(name=name, labels={"app": "snakemake", RUN_LABEL: run})
    body = kubernetes.client.V1Secret(metadata=metadata, type="Opaque", data=data)
    return body, names
