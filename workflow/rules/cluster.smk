# Requires: common.smk. Makes: before the first job is submitted, Slurm is asked whether it knows the jobs' accounts and partitions;
# otherwise each job and each retry would fail for itself, and without a controller each would wait for minutes. And a Slurm job
# starts Snakemake once, without plugins that it does not need, where the stock plugin starts it twice with all of them.
import shlex
import sys

from connectomake.sites import check_slurm


def check_cluster():
    """Raise an error, in one sentence, where no job could be submitted."""
    if getattr(workflow.executor_plugin, "name", None) != "slurm":
        return
    jobs = {
        job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local
    }
    places = {
        (job.resources.get("slurm_account"), job.resources.get("slurm_partition"))
        for job in jobs.values()
    }
    for accounts, partition in places:
        for account in str(accounts or "").replace(",", " ").split() or [None]:
            try:
                check_slurm(account, None if partition is None else str(partition))
            except ConnectomakeError as error:
                raise WorkflowError(str(error)) from None


onstart:
    check_cluster()


def submit_directly(executor):
    """Let the batch script of a job `srun` the job itself, not a Snakemake that does so; arrays need it and stay as they are."""
    arguments, command_of = executor.additional_general_args, executor.format_job_exec
    starter = shlex.quote(f"{workflow.basedir}/workflow/start_job.py")

    def format_job_exec(self, job):
        command = command_of(self, job)
        if self.array_jobs:
            return command
        python = self.get_python_executable()
        direct = f"{step_of(job)} {python} {starter} -m snakemake"
        return command.replace(f"{python} -m snakemake", direct, 1)

    executor.format_job_exec = format_job_exec
    executor.additional_general_args = lambda self: (
        arguments(self) if self.array_jobs else ""
    )


def step_of(job):
    """The job step that the stock plugin's inner Snakemake would start."""
    from snakemake_executor_plugin_slurm_jobstep import (
        get_cpu_setting,
        get_gpu_setting,
        get_node_setting,
    )

    settings = get_cpu_setting(job, False), get_gpu_setting(job), get_node_setting(job)
    return " ".join(("srun -n1 --cpu-bind=q", *filter(None, settings)))


if HEAD and "snakemake_executor_plugin_slurm" in sys.modules:
    submit_directly(sys.modules["snakemake_executor_plugin_slurm"].Executor)
