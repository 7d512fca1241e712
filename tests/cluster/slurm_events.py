"""What happens to runs on a site's Slurm, made to happen on that of the tests. Each function returns when it has happened."""

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.daemons import descendants, wait
from tests.cluster.heads import Head
from tests.cluster.slurm import SlurmCluster

SOON = 120
"""Seconds that anything of Slurm's own may take; it takes one or two."""
LONG = float(os.environ.get("CONNECTOMAKE_CLUSTER_SECONDS", "900"))
"""Bound of one run; a quiet machine needs a tenth."""


@dataclass(frozen=True)
class Job:
    """A job: its id (``7_2`` of an array), the number that it has for itself, its node and state."""

    id: str
    number: str
    node: str
    state: str


def ended_jobs(cluster: SlurmCluster, columns: str, *options: str, count: int = 1) -> list[list[str]]:
    """Return what accounting says of all jobs, at least `count`, the state in the second column: it may hear of them late."""
    rows: list[list[str]] = []

    def all_ended() -> bool:
        rows[:] = [line.split("|") for line in cluster.call("sacct", "-X", "-n", "-P", *options, "-o", columns).splitlines()]
        return len(rows) >= count and not {row[1] for row in rows} & {"PENDING", "RUNNING", "COMPLETING"}

    if not wait(all_ended, SOON):
        raise AssertionError(rows)
    return rows


def submitted(text: str) -> int:
    """Return how many jobs a head says that it has handed over."""
    return sum(map(int, re.findall(r"Submitted (\d+) job\(s\)", text)))


def jobs_in(cluster: SlurmCluster, state: str) -> list[Job]:
    """Return the jobs of the partition `main` in a state, or in ``all``."""
    rows = cluster.call("squeue", "-h", "-r", "-p", "main", "-t", state, "-o", "%i|%A|%N|%T", check=False).splitlines()
    return [Job(*row.split("|")) for row in rows]


class Gate:
    """Holds every job that starts, in the state of running, until it is let go; use as a context manager.

    Parameters
    ----------
    cluster
        The cluster.
    head
        Whose jobs they are.
    """

    def __init__(self, cluster: SlurmCluster, head: Head) -> None:
        self.cluster, self.head, self.folder = cluster, head, cluster.folder / "gate"

    def __enter__(self) -> "Gate":
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def open(self) -> None:
        """Hold none any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def held(self) -> list[Job]:
        """Return the jobs that wait now."""
        return [job for job in jobs_in(self.cluster, "RUNNING") if not (self.folder / job.number).exists()]

    def wait(self, count: int = 1) -> list[Job]:
        """Wait until some jobs are held; return them."""
        self.until(lambda: len(self.held()) >= count)
        return self.held()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that happens while the head runs."""
        met = wait(lambda: condition() or self.head.process.poll() is not None, LONG)
        assert met, f"{self.cluster.call('squeue', check=False)}{self.head.text[-3000:]}"
        assert self.head.process.poll() is None, self.head.text[-3000:]

    def let_go(self, jobs: Iterable[Job] | None = None) -> None:
        """Let jobs do their work, or all that are held now."""
        for job in self.held() if jobs is None else jobs:
            (self.folder / job.number).touch()


def state_of(cluster: SlurmCluster, job: Job) -> str:
    """Return the state of a job, running or ended."""
    return next((found.state for found in jobs_in(cluster, "all") if found.number == job.number), "")


def cancel(cluster: SlurmCluster, job: Job) -> None:
    """Cancel a job, as its user or an administrator does."""
    cluster.call("scancel", job.id)
    assert wait(lambda: state_of(cluster, job).startswith("CANCELLED"), SOON), cluster.call("squeue")


def kill_task(cluster: SlurmCluster, job: Job) -> None:
    """Kill all processes of a job, as a kernel without memory may; Slurm's daemon of the step stays."""
    below = [pid for step in steps_of(cluster, job) for pid in descendants(step)]
    assert below, f"{job} has no process"
    for pid in below:
        kill(pid)
    assert wait(lambda: state_of(cluster, job) not in {"RUNNING", "COMPLETING"}, SOON), cluster.call("squeue")


def steps_of(cluster: SlurmCluster, job: Job) -> list[int]:
    """Return the process ids of the daemons that watch a job's steps."""
    return [pid for pid in cluster.steps() if f"[{job.number}." in title_of(pid)]


def title_of(pid: int) -> str:
    """Return what a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def kill(pid: int) -> None:
    """Kill a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_in_time(cluster: SlurmCluster, job: Job) -> None:
    """Let the time limit of a job be over: Slurm ends it as it does after all of its minutes."""
    cluster.call("scontrol", "update", f"jobid={job.id}", "endtime=now+1")
    assert wait(lambda: state_of(cluster, job) == "TIMEOUT", SOON), cluster.call("squeue", "-t", "all")


def is_up(cluster: SlurmCluster, node: str) -> bool:
    """Whether a node takes jobs."""
    return re.fullmatch(r"(idle|allocated|mixed)(\+completing)?", cluster.node_state(node)) is not None


def fail_node(cluster: SlurmCluster, node: str) -> None:
    """Let a node die at once, with all that runs on it."""
    cluster.daemons.kill(f"slurmd.{node}")
    for step in cluster.steps(node):
        for pid in (step, *descendants(step)):
            kill(pid)
    cluster.call("scontrol", "update", f"nodename={node}", "state=down", "reason=dead")  # as it does by itself, later
    assert wait(lambda: "down" in cluster.node_state(node), SOON), cluster.call("sinfo")


def restore_node(cluster: SlurmCluster, node: str) -> None:
    """Let a node come back."""
    cluster.start_node(node)
    cluster.call("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    assert wait(lambda: is_up(cluster, node), SOON), cluster.call("sinfo")


def preempt(cluster: SlurmCluster, mode: str, job: Job) -> None:
    """Let a job of a higher priority take a node from those that run there.

    Parameters
    ----------
    cluster
        The cluster.
    mode
        ``CANCEL`` or ``REQUEUE``, Slurm's `PreemptMode`.
    job
        A job that is held.
    """
    cluster.call("scontrol", "update", "partition=main", f"preemptmode={mode}")
    wanted = (
        "--partition=urgent",
        f"--nodelist={job.node}",
        "--exclusive",
        "--mem=0",
        "--wrap=sleep 600",
        "--output=/dev/null",
    )
    urgent = cluster.call("sbatch", "--parsable", *wanted).strip()
    assert wait(lambda: urgent in cluster.jobs(partition="urgent"), SOON), cluster.call("squeue")
    assert state_of(cluster, job) not in {"RUNNING", "COMPLETING"}, cluster.call("squeue")
    cluster.call("scancel", urgent)
    assert wait(lambda: not cluster.jobs("RUNNING,COMPLETING", "urgent"), SOON)
    cluster.call("scontrol", "update", "partition=main", "preemptmode=CANCEL")


@contextlib.contextmanager
def configured(cluster: SlurmCluster, **values: Any) -> Iterator[None]:
    """All daemons are started anew with other values of the cluster meanwhile: ``max_array``, ``enforced``."""
    before = {name: getattr(cluster, name) for name in values}
    restart(cluster, values)
    try:
        yield
    finally:
        restart(cluster, before)


def restart(cluster: SlurmCluster, values: dict[str, Any]) -> None:
    """End controller and nodes in order, and start them with some values changed."""
    for name, value in values.items():
        setattr(cluster, name, value)
    cluster.configure()
    for daemon in ("slurmctld", *(f"slurmd.{node}" for node in cluster.nodes)):
        cluster.daemons.kill(daemon, signal.SIGTERM)
    cluster.start_controller()
    for node in cluster.nodes:
        cluster.start_node(node)
    assert wait(lambda: all(is_up(cluster, node) for node in cluster.nodes), SOON), cluster.call("sinfo")


@contextlib.contextmanager
def away(cluster: SlurmCluster) -> Iterator[None]:
    """Controller and database are stopped meanwhile, as for an upgrade; what jobs do goes on."""
    cluster.daemons.kill("slurmctld", signal.SIGTERM)  # killed, it forgets what it was told last, and numbers jobs anew
    cluster.daemons.kill("slurmdbd", signal.SIGTERM)
    try:
        yield
    finally:
        cluster.start_database()
        cluster.start_controller()


@contextlib.contextmanager
def refusing(cluster: SlurmCluster, reason: str) -> Iterator[None]:
    """Let Slurm accept no job meanwhile: ``partition``, which is inactive, or ``limit``, the association's of jobs."""
    commands = {
        "partition": (
            ("scontrol", "update", "partition=main", "state=inactive"),
            ("scontrol", "update", "partition=main", "state=up"),
        ),
        "limit": tuple(
            ("sacctmgr", "-i", "modify", "user", "root", "where", "account=default", "set", f"maxsubmitjobs={count}")
            for count in (0, -1)
        ),
    }
    begin, end = commands[reason]
    cluster.call(*begin)
    try:
        yield
    finally:
        cluster.call(*end)


def refused(cluster: SlurmCluster) -> int:
    """Return how many submissions were refused so far."""
    return sum(call.name == "sbatch" and call.code != 0 for call in cluster.calls())


def failed_questions(cluster: SlurmCluster) -> int:
    """Return how many questions about jobs had no answer so far."""
    return sum(call.name in {"squeue", "sacct"} and call.code != 0 for call in cluster.calls())


def are_idle(cluster: SlurmCluster, jobs: Iterable[Job]) -> bool:
    """Whether nothing of some jobs runs any more: what remains of their steps waits for the controller."""
    return not any(descendants(pid) for job in jobs for pid in steps_of(cluster, job))
