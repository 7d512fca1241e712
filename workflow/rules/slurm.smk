# Requires: nothing. Makes: a Slurm job starts Snakemake once, without plugins that it does not need, where the stock plugin starts
# it twice with all of them (docs/decisions/0023-one-start.md).
import shlex
import sys
from pathlib import Path


def submit_directly(executor):
    """Let the batch script of a job `srun` the job itself, not a Snakemake that does so; arrays need it and stay as they are."""
    arguments, command_of = executor.additional_general_args, executor.format_job_exec
    here = workflow.current_basedir.get_path_or_uri(secret_free=True)
    starter = shlex.quote(str(Path(here).parent / "start_job.py"))

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


if workflow.is_main_process and "snakemake_executor_plugin_slurm" in sys.modules:
    submit_directly(sys.modules["snakemake_executor_plugin_slurm"].Executor)
