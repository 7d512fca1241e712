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
    from connectomake.sites import check_slurm  # only here: what else looks at sites takes long to import

    jobs = {job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local}
    places = {(job.resources.get("slurm_account"), job.resources.get("slurm_partition")) for job in jobs.values()}
    checked: set[str | None] = set()  # each account once: to ask for them loads the site's database
    for accounts, partition in places:
        account = next(iter(str(accounts or "").replace(",", " ").split()), None)
        new = None if account in checked else account
        checked.add(account)
        try:
            check_slurm(new, None if partition is None else str(partition))
        except ConnectomakeError as error:
            raise WorkflowError(str(error)) from None


def start_light(workflow: Any) -> None:
    """Let a job on Slurm start Snakemake without plugins that it does not need (docs/decisions/0023)."""
    if workflow.is_main_process and SBATCH in sys.modules:
        rules = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
        sys.modules[SBATCH].Executor.starter = shlex.quote(str(rules.parent / "start_job.py"))
