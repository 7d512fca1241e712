"""The workflow on a real Slurm, through profiles/slurm: the same bits as here; faults; what a wrong site says.

Nothing is faked: munge, accounting, controller, two nodes, sbatch and srun.
"""

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from tests.cluster.daemons import wait
from tests.cluster.heads import Head, times_of
from tests.cluster.slurm import SlurmCluster
from tests.flow import Flow

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PROFILE = "profiles/slurm"
SOON = ("--seconds-between-status-checks", "2")
"""A small run does not wait for the status as long as one of hours."""
LONG = float(os.environ.get("CONNECTOMAKE_CLUSTER_SECONDS", "900"))
"""Bound of one run; a quiet machine needs a tenth."""
BLOCKS = {"block": [32, 32, 64], "chunk": [16, 16, 32], "meshes__cell": [16, 16, 16], "meshes__voxels_per_job": 70000}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A project folder that nothing has run in."""
    flow = Flow(tmp_path_factory.mktemp("start") / "run").make()
    flow.config = flow.with_values(**BLOCKS)
    flow.write()
    return flow


@pytest.fixture(scope="module")
def expected(start, tmp_path_factory):
    """SHA-256 of every layer of the run on this machine, without a cluster."""
    local = copied(start, tmp_path_factory.mktemp("local") / "run")
    local.run()
    return local.digests()


def copied(flow, folder):
    shutil.copytree(flow.folder, folder)
    return Flow(folder, flow.shape, flow.config)


@pytest.fixture
def flow(start, tmp_path):
    return copied(start, tmp_path / "run")


def test_the_same_bits_on_two_nodes(slurm, flow, expected):
    text = Head(flow, PROFILE, slurm.env, *SOON).run(LONG)
    assert flow.digests() == expected
    assert "Trying to restart" not in text
    rows = [
        line.split("|") for line in slurm.call("sacct", "-X", "-n", "-P", "-o", "jobid,state,nodelist,comment").splitlines()
    ]
    assert {row[1] for row in rows} == {"COMPLETED"}
    assert {row[2] for row in rows} == {"n1", "n2"}, "both nodes have worked"
    assert len(rows) == sum(map(int, re.findall(r"Submitted (\d+) job\(s\)", text)))
    assert "Nothing to be done" in Head(flow, PROFILE, slurm.env).run(LONG)


def cancel_one(slurm):
    """Cancel a job, if there is one now."""
    jobs = slurm.jobs()
    for job in jobs[:1]:
        slurm.scancel(job)
    return bool(jobs)


def kill_step(slurm):
    """Kill the daemon of a step, if there is one now."""
    for pid in reversed(slurm.steps()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_faults(slurm, flow, expected):
    """Cancelled jobs, killed steps, a node that dies and comes back, the head killed: the same bits, nothing done twice."""
    faults = []
    with Head(flow, PROFILE, slurm.env, *SOON) as head:
        for _ in range(2):
            assert wait(lambda: cancel_one(slurm), LONG / 3), head.text[-3000:]
            faults.append("scancel")
        for _ in range(2):
            assert wait(lambda: kill_step(slurm), LONG / 3), head.text[-3000:]
            faults.append("kill -9 of a step")
        assert wait(lambda: times_of(flow.folder / "out"), LONG / 2), head.text[-3000:]
        assert wait(lambda: slurm.steps("n2"), LONG / 3)
        slurm.fail_node("n2")
        faults.append("a node down")
        assert wait(lambda: not slurm.node_state("n2").startswith(("alloc", "mix", "idle")), 120), slurm.call("sinfo")
        slurm.start_node("n2")
        assert wait(lambda: slurm.node_state("n2").startswith(("alloc", "mix", "idle")), 120), slurm.call("sinfo")
        assert wait(lambda: len(times_of(flow.folder / "out")) >= 8, LONG), head.text[-3000:]
        assert head.process.poll() is None, head.text[-3000:]
        head.kill()
        faults.append("kill -9 of the head")
    end_jobs(slurm)
    before, open_ends = times_of(flow.folder / "out"), unfinished(flow)
    finished = before.keys() - open_ends
    assert len(finished) >= 4
    subprocess.run([*head.command, "--unlock"], cwd=flow.folder, env=slurm.env, check=True, timeout=300, capture_output=True)
    with Head(flow, PROFILE, slurm.env, *SOON) as again:
        assert again.wait(LONG) == 0, again.text[-6000:]
    assert flow.digests() == expected
    after = times_of(flow.folder / "out")
    assert {name: after[name] for name in finished} == {name: before[name] for name in finished}, "made again"
    retries = head.retries + again.retries
    print(f"{len(faults)} faults: {', '.join(faults)}; {retries} retries; {len(finished)} finished files kept")


def end_jobs(slurm):
    """Cancel what a killed head left in the queue, as its user would."""
    slurm.call("scancel", "--user", "root")
    assert wait(lambda: not slurm.jobs("RUNNING,PENDING,COMPLETING"), 60)


def unfinished(flow):
    """Files of jobs whose end a killed head has not seen, by Snakemake's own notes."""
    notes = (flow.folder / ".snakemake/incomplete").rglob("*")
    return {base64.b64decode(note.name).decode().removeprefix("out/") for note in notes if note.is_file()}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (["slurm_account=nobody", "slurm_partition=main"], "root has no account 'nobody'; set slurm_account in the profile"),
        (["slurm_account=default", "slurm_partition=gone"], "there is no partition 'gone'; set slurm_partition in the profile"),
    ],
)
def test_wrong_site(slurm, flow, resources, message):
    started = time.monotonic()
    with Head(flow, PROFILE, slurm.env, "--default-resources", *resources) as head:
        assert head.wait(240)
    assert message in " ".join(head.text.split())
    assert "submitted" not in head.text
    assert time.monotonic() - started < 60 + load_allowance()


def test_no_controller(slurm, flow):
    slurm.daemons.kill("slurmctld")
    try:
        started = time.monotonic()
        with Head(flow, PROFILE, slurm.env) as head:
            assert head.wait(240)
        assert "Slurm's controller does not answer" in " ".join(head.text.split())
        assert time.monotonic() - started < 60 + load_allowance()
    finally:
        slurm.start_controller()


def load_allowance():
    """Seconds more on a machine that has other work to do."""
    return 30 * os.getloadavg()[0] / (os.cpu_count() or 1)
