"""Before the first job is submitted, Slurm is asked whether it knows the jobs' accounts and partitions.

Otherwise each job and each retry would fail for itself, and without a controller each would wait for minutes.
"""

import shlex
import sys
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from connectomake.errors import ConnectomakeError

SBATCH = "snakemake_executor_plugin_sbatch"


def check_cluster(workflow: Any) -> None:
    """Raise an error, in one sentence, where no job could be submitted."""
    if getattr(workflow.executor_plugin, "name", None) not in ("sbatch", "slurm"):
        return
    from connectomake.preflight import check_slurm_places  # only here: what else looks at sites takes long to import

    jobs = {job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local}
    places = {_place_of(workflow, job.resources) for job in jobs.values()}
    try:
        check_slurm_places(sorted(places, key=str))
    except ConnectomakeError as error:
        raise WorkflowError(str(error)) from None


def _place_of(workflow: Any, resources: Any) -> tuple[str | None, str | None]:
    """Return account (the first, if there are several) and partition of a job."""
    if workflow.executor_plugin.name == "sbatch":
        _check_one_cluster(resources)
    accounts = str(resources.get("slurm_account") or "").replace(",", " ").split()
    partition = resources.get("slurm_partition")
    return accounts[0] if accounts else None, str(partition) if partition else None


def _check_one_cluster(resources: Any) -> None:
    """Raise an error where jobs ask for another Slurm cluster: once, instead of each."""
    plugin = sys.modules[SBATCH]  # in use, so it is there
    try:
        plugin.refuse_clusters(resources.get)
    except plugin.BadRequestError as error:
        raise WorkflowError(f"{error}.") from None


def start_light(workflow: Any) -> None:
    """Let a job on Slurm start Snakemake without plugins that it does not need (docs/decisions/0023)."""
    if workflow.is_main_process and SBATCH in sys.modules:
        rules = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
        sys.modules[SBATCH].Executor.starter = shlex.quote(str(rules.parent / "start_job.py"))
