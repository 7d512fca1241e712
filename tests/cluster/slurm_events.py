"""What happens to runs on a site's Slurm, made to happen on that of the tests. Each function returns when it has happened."""

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.cluster.daemons import descendants, wait
from tests.cluster.slurm import SlurmCluster

SOON = 120
"""Seconds that anything of Slurm's own may take; it takes one or two."""
UP = ("idle", "alloc", "mix")


@contextlib.contextmanager
def held(cluster: SlurmCluster) -> Iterator[None]:
    """Let no task begin its work meanwhile: jobs that start now run until this ends, whatever they do."""
    gate = cluster.folder / "hold"
    gate.touch()
    try:
        yield
    finally:
        gate.unlink(missing_ok=True)


def some_running(cluster: SlurmCluster, count: int = 1, seconds: float = SOON) -> list[str]:
    """Wait until some jobs run; return them."""
    assert wait(lambda: len(cluster.jobs()) >= count, seconds), cluster.call("squeue", check=False)
    return cluster.jobs()


def cancel(cluster: SlurmCluster, job: str) -> None:
    """Cancel a job, as its user or an administrator does."""
    cluster.call("scancel", job)
    assert wait(lambda: cluster.ended().get(job, "").startswith("CANCELLED"), SOON), cluster.ended()


def kill_step(cluster: SlurmCluster) -> None:
    """Kill the daemon of a job's step with what runs below it, as a kernel without memory does."""
    steps = cluster.steps()
    assert steps
    kill_tree(steps[-1])


def kill_tree(pid: int) -> None:
    """Kill a process and all below it."""
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def fail_node(cluster: SlurmCluster, node: str) -> None:
    """Let a node die at once, with all that runs on it."""
    cluster.daemons.kill(f"slurmd.{node}")
    for pid in cluster.steps(node):
        kill_tree(pid)
    cluster.call("scontrol", "update", f"nodename={node}", "state=down", "reason=dead")  # as it does by itself, later
    assert wait(lambda: not cluster.node_state(node).startswith(UP), SOON), cluster.call("sinfo")


def restore_node(cluster: SlurmCluster, node: str) -> None:
    """Let a node come back."""
    cluster.start_node(node)
    cluster.call("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    assert wait(lambda: cluster.node_state(node).startswith(UP), SOON), cluster.call("sinfo")


def preempt(cluster: SlurmCluster, mode: str, node: str) -> list[str]:
    """Let jobs of a higher priority take a node from those that run there; return which were preempted.

    Parameters
    ----------
    cluster
        The cluster.
    mode
        ``CANCEL`` or ``REQUEUE``, Slurm's `PreemptMode`.
    node
        A node on which jobs of the partition `main` run and go on running.
    """
    cluster.call("scontrol", "update", "partition=main", f"preemptmode={mode}")
    victims = cluster.call("squeue", "-h", "-r", "-p", "main", "-w", node, "-t", "RUNNING", "-o", "%i").split()
    assert victims
    wanted = ("--partition=urgent", f"--nodelist={node}", "--exclusive", "--mem=0", "--wrap=sleep 600", "--output=/dev/null")
    urgent = cluster.call("sbatch", "--parsable", *wanted).strip()
    assert wait(lambda: urgent in cluster.jobs(partition="urgent"), SOON), cluster.call("squeue")
    cluster.call("scancel", urgent)
    assert wait(lambda: not cluster.jobs("RUNNING,COMPLETING", "urgent"), SOON)
    return victims


def restart_controller(cluster: SlurmCluster) -> None:
    """End the controller in order, and start it with the configuration as it is written now."""
    cluster.daemons.kill("slurmctld", signal.SIGTERM)
    cluster.start_controller()


@contextlib.contextmanager
def away(cluster: SlurmCluster) -> Iterator[None]:
    """Controller and database are dead meanwhile."""
    cluster.daemons.kill("slurmctld")
    cluster.daemons.kill("slurmdbd")
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
