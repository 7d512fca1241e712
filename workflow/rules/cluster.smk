# Requires: common.smk. Makes: before the first job is submitted, Slurm is asked whether it knows the jobs' accounts and partitions;
# otherwise each job and each retry would fail for itself, and without a controller each would wait for minutes.
from connectomake.sites import check_slurm


def check_cluster():
    """Raise an error, in one sentence, where no job could be submitted."""
    if getattr(workflow.executor_plugin, "name", None) not in ("sbatch", "slurm"):
        return
    jobs = {
        job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local
    }
    places = {
        (job.resources.get("slurm_account"), job.resources.get("slurm_partition"))
        for job in jobs.values()
    }
    checked = set()  # each account once: to ask for them loads the site's database
    for accounts, partition in places:
        for account in str(accounts or "").replace(",", " ").split()[:1] or [None]:
            new = None if account in checked else account
            checked.add(account)
            try:
                check_slurm(new, None if partition is None else str(partition))
            except ConnectomakeError as error:
                raise WorkflowError(str(error)) from None


include: "slurm.smk"
