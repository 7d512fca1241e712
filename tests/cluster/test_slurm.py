"""The workflow on a real Slurm, through profiles/slurm: the same bits as here; what a wrong site says.

Nothing is faked: munge, accounting, controller, two nodes, sbatch. What happens while a run goes on: test_slurm_events.py.
"""

import os
import time
from collections import Counter
from typing import Any

import pytest

from tests.cluster.heads import Head
from tests.cluster.slurm_events import ended_jobs, submitted
from tests.flow import Flow

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PROFILE = "profiles/slurm"
SOON = ("--seconds-between-status-checks", "2")
"""A small run does not wait for the status as long as one of hours."""
LONG = float(os.environ.get("CONNECTOMAKE_CLUSTER_SECONDS", "900"))
"""Bound of one run; a quiet machine needs a tenth."""
BLOCKS: dict[str, Any] = {
    "block": [32, 32, 64],
    "chunk": [16, 16, 32],
    "meshes__cell": [16, 16, 16],
    "meshes__voxels_per_job": 70000,
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project folder that nothing has run in."""
    flow = Flow(tmp_path_factory.mktemp("start") / "run").make()
    flow.config = flow.with_values(**BLOCKS)
    flow.write()
    return flow


def test_the_same_bits_on_two_nodes(slurm: Any, flow: Flow, expected: Any) -> None:
    """Memory is enforced: no job takes more than it has asked for. Slurm is asked seldom."""
    text = Head(flow, PROFILE, slurm.env, *SOON).run(LONG)
    assert flow.digests() == expected
    assert "Trying to restart" not in text
    rows = ended_jobs(slurm, "jobid,state,nodelist", count=submitted(text))
    assert {row[1] for row in rows} == {"COMPLETED"}
    assert {row[2] for row in rows} == set(slurm.nodes), "both nodes have worked"
    assert len(rows) == submitted(text)
    calls = Counter(call.name for call in slurm.calls())
    print(f"{len(rows)} jobs; calls of Slurm's commands: {calls}")
    assert calls["sbatch"] < len(rows), "jobs of a rule that are ready together are one array"
    assert calls.total() - calls["squeue"] <= 1.2 * len(rows)
    assert "Nothing to be done" in Head(flow, PROFILE, slurm.env).run(LONG)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (["slurm_account=nobody", "slurm_partition=main"], "root has no account 'nobody'; set slurm_account in the profile"),
        (["slurm_account=default", "slurm_partition=gone"], "there is no partition 'gone'; set slurm_partition in the profile"),
    ],
)
def test_wrong_site(slurm: Any, flow: Flow, resources: list[str], message: str) -> None:
    started = time.monotonic()
    with Head(flow, PROFILE, slurm.env, "--default-resources", *resources) as head:
        assert head.wait(240)
    assert message in " ".join(head.text.split())
    assert "submitted" not in head.text
    assert time.monotonic() - started < 60 + load_allowance()


def test_no_controller(slurm: Any, flow: Flow) -> None:
    slurm.daemons.kill("slurmctld")
    try:
        started = time.monotonic()
        with Head(flow, PROFILE, slurm.env) as head:
            assert head.wait(240)
        assert "Slurm's controller does not answer" in " ".join(head.text.split())
        assert time.monotonic() - started < 60 + load_allowance()
    finally:
        slurm.start_controller()


def load_allowance() -> Any:
    """Seconds more on a machine that has other work to do."""
    return 30 * os.getloadavg()[0] / (os.cpu_count() or 1)
