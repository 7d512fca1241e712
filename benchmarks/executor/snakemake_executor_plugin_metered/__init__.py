"""A cluster of one machine that measures: each job is the process tree that it would be on Slurm.

The command is that of a Slurm job (docs/decisions/0023-one-start.md). The memory of its processes is summed, as Slurm's
accounting does, some times a second. One line of JSON per job goes to the file that CONNECTOMAKE_METER names.
"""

import dataclasses
import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import psutil
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from connectomake.layers import table_bytes
from snakemake_executor_plugin_sbatch import common_settings as slurm

common_settings = dataclasses.replace(slurm, init_seconds_before_status_checks=0)
EVERY_SECONDS = 0.1
MB = 1 << 20
_STARTER = Path(__file__).resolve().parents[3] / "workflow/start_job.py"


class Metered(threading.Thread):
    """Runs a command and sums up the memory of all its processes."""

    def __init__(self, command: str) -> None:
        super().__init__(daemon=True)
        self.command, self.said = command, ""
        self.code: int | None = None
        self.peak = self.around = 0
        self.wall = self.cpu = 0.0
        self.start()

    def run(self) -> None:
        """Start the command, look until it ends."""
        started = time.perf_counter()
        pipe = subprocess.PIPE
        with subprocess.Popen(self.command, shell=True, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
            reader = threading.Thread(target=self._read, args=(process,), daemon=True)
            reader.start()
            root = psutil.Process(process.pid)
            while process.poll() is None:
                self._look(root)
                time.sleep(EVERY_SECONDS)
            reader.join()
        self.wall = time.perf_counter() - started
        self.code = process.returncode

    def _read(self, process: "subprocess.Popen[str]") -> None:
        self.said = process.stdout.read() if process.stdout else ""

    def _look(self, root: psutil.Process) -> None:
        rss, around, cpu = 0, 0, 0.0
        try:
            for process in (root, *root.children(recursive=True)):
                with process.oneshot():
                    held, times = process.memory_info().rss, process.cpu_times()
                    rss, cpu = rss + held, cpu + times.user + times.system
                    around += held if not _is_script(process) else 0
        except psutil.Error:
            return
        self.cpu = max(self.cpu, cpu)
        if rss > self.peak:
            self.peak, self.around = rss, around


def _is_script(process: psutil.Process) -> bool:
    return any("/.snakemake/scripts/" in word for word in process.cmdline()[1:2])


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Starts a job as a process of its own."""

    def __post_init__(self) -> None:
        """Begin without jobs."""
        self.running: dict[str, Metered] = {}

    def run_job(self, job: JobExecutorInterface) -> None:
        """Start a job."""
        python = self.get_python_executable()
        direct = f"{shlex.quote(python)} {shlex.quote(str(_STARTER))} -m snakemake"
        name = f"{job.name}.{job.jobid}"
        self.running[name] = Metered(self.format_job_exec(job).replace(f"{python} -m snakemake", direct, 1))
        self.report_job_submission(SubmittedJobInfo(job=job, external_jobid=name))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended, and note what they took."""
        for info in active_jobs:
            metered = self.running[str(info.external_jobid)]
            if metered.code is None:
                yield info
                continue
            _note(info.job, metered)
            if metered.code:
                self.report_job_error(info, msg=metered.said[-3000:])
            else:
                self.report_job_success(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Leave them to end by themselves."""


def _note(job: Any, metered: Metered) -> None:
    tables = [table_bytes(str(path)) for path in job.input]
    note = {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "asked_mb": job.resources.get("mem_mb"),
        "asked_minutes": job.resources.get("runtime"),
        "attempt": job.attempt,
        "used_mb": metered.peak / MB,
        "around_mb": metered.around / MB,
        "wall_s": metered.wall,
        "cpu_s": metered.cpu,
        "tables_mb": None if None in tables else sum(t for t in tables if t is not None) / MB,
        "code": metered.code,
    }
    with Path(os.environ["CONNECTOMAKE_METER"]).open("a") as stream:
        stream.write(json.dumps(note) + "\n")
