"""What happens on the Slurm of a site while a run goes on: it ends by itself, with the same bits, and nothing is made twice.

Memory and time are enforced, jobs are preempted, controller and database go away and come back, submissions are refused, a node
dies, the head is killed. Several events happen in one run, each to jobs that are held until it is over: nothing here waits for
seconds. All is real (tests/cluster/slurm.py).
"""

import base64
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectomake.pipeline.demands import REMOTE_MB, Demands
from tests.cluster import slurm_events as events
from tests.cluster.heads import Head, times_of
from tests.cluster.slurm import KERNEL, POLLED
from tests.cluster.slurm_events import LONG, Gate
from tests.flow import MODEL, ROOT, Flow

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PROFILE = "profiles/slurm"
SOON = ("--seconds-between-status-checks", "2")
"""A small run does not wait for the status as long as one of hours."""
SMALL: dict[str, Any] = {
    "block": [32, 32, 64],
    "chunk": [16, 16, 32],
    "meshes__enabled": False,
    "keep": ["image", "components"],
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project folder that nothing has run in: four blocks, without network and meshes, whose jobs take longest."""
    flow = Flow(tmp_path_factory.mktemp("start") / "run").make()
    flow.config = flow.with_values(**SMALL)
    del flow.config["inference"]
    flow.write()
    return flow


class Witness:
    """Sees which files are finished, and that none of them is made again.

    Parameters
    ----------
    flow
        The run's folder.
    """

    def __init__(self, flow: Any) -> None:
        self.seen: dict[Any, Any]
        self.flow, self.seen = flow, {}

    def look(self) -> None:
        """Note the files of jobs whose end the head has seen."""
        before = times_of(self.flow.folder / "out")
        finished = before.keys() - self.unfinished()
        self.seen |= {name: before[name] for name in finished if name not in self.seen}

    def unfinished(self) -> Any:
        """Files of jobs whose end a head has not seen, by Snakemake's own notes."""
        notes = (self.flow.folder / ".snakemake/incomplete").rglob("*")
        return {base64.b64decode(note.name).decode().removeprefix("out/") for note in notes if note.is_file()}

    def assert_nothing_was_made_again(self) -> None:
        after = times_of(self.flow.folder / "out")
        assert {name: after.get(name) for name in self.seen} == self.seen


def assert_done(flow: Flow, slurm: Any) -> None:
    text = Head(flow, PROFILE, slurm.env, "-n").run(LONG)
    assert "Nothing to be done" in text, text[-3000:]


def test_a_run_outlives_what_happens_on_a_site(slurm: Any, flow: Any, expected: Any) -> None:
    """A job cancelled, a step killed, controller and database away, preemption, refusals, a node dead, the head killed."""
    witness = Witness(flow)
    with Head(flow, PROFILE, slurm.env, *SOON) as head, Gate(slurm, head) as gate:
        cancelled, killed, *others = gate.wait(4)
        events.cancel(slurm, cancelled)
        events.kill_task(slurm, killed)
        gate.let_go(others)

        jobs = gate.wait()
        with events.away(slurm):
            gate.let_go(jobs)
            asked = events.failed_questions(slurm)
            gate.until(lambda: events.are_idle(slurm, jobs))  # jobs end while nobody can be asked
            gate.until(lambda: events.failed_questions(slurm) >= asked + 2)
        witness.look()

        def let_go_until_refused(count: int) -> bool:
            gate.let_go()
            return events.refused(slurm) >= count

        gate.wait()
        for reason in ("partition", "limit"):
            with events.refusing(slurm, reason):
                enough = events.refused(slurm) + 2
                gate.until(partial(let_go_until_refused, enough))
            gate.wait()
        for mode in ("CANCEL", "REQUEUE"):
            events.preempt(slurm, mode, gate.wait()[0])
        node = gate.wait()[0].node
        events.fail_node(slurm, node)
        gate.let_go(gate.wait())
        gate.wait()
        events.restore_node(slurm, node)

        gate.wait()
        witness.look()
        assert head.process.poll() is None, head.text[-3000:]
        head.kill()
    assert head.retries <= 2, "no others than the cancelled job and the one that was killed have taken an attempt"
    assert len(witness.seen) >= 8, witness.seen
    subprocess.run([*head.command, "--unlock"], cwd=flow.folder, env=slurm.env, check=True, timeout=300, capture_output=True)
    Head(flow, PROFILE, slurm.env, *SOON).run(LONG)
    witness.assert_nothing_was_made_again()
    assert flow.digests() == expected
    assert_done(flow, slurm)


WIDE = """
import numpy
ballast = numpy.ones(MEGABYTES << 17)  # a network that takes more than is usual, beside what any takes
"""


@pytest.fixture
def wide(tmp_path: Path) -> Any:
    """A run of one block whose network takes more memory than is asked for it, and less than double."""
    flow: Any = Flow(tmp_path / "run").make()
    flow.config = flow.with_values(block=[64, 64, 64])
    flow.asked = Demands(flow.plan(flow.config)).memory("affinity") + REMOTE_MB
    (flow.folder / "model.py").write_text(WIDE.replace("MEGABYTES", str(flow.asked // 2)) + MODEL)
    flow.write()
    return flow


def test_more_memory_and_more_time_at_the_second_attempt(slurm: Any, wide: Any) -> None:
    """A job beyond its time limit, and one beyond its memory: each ends well with double of it."""
    with Head(wide, PROFILE, slurm.env, *SOON, "--until", "affinity") as head:
        with Gate(slurm, head) as gate:
            (job,) = gate.wait()
            events.end_in_time(slurm, job)
            gate.wait()
        assert head.wait(LONG) == 0, head.text[-6000:]
    rows = jobs_of(slurm, head.text)
    assert [row["state"] for row in rows] == ["TIMEOUT", "COMPLETED", killed_by(slurm), "COMPLETED"]
    minutes = Demands(wide.plan(wide.config)).minutes
    assert [row["minutes"] for row in rows[1:3]] == [str(minutes("image", 2)), str(minutes("affinity"))]
    assert "ran longer than its runtime" in " ".join(head.text.split())
    assert_memory_doubled(head, rows[2:], wide)


def test_memory_that_slurm_itself_looks_at(slurm: Any, wide: Any) -> None:
    """The same where no control groups are: Slurm says FAILED of such a job, as of one that could not be started."""
    if slurm.enforced == POLLED:
        pytest.skip("the Slurm of all tests here does so: the test before this has seen it")
    with events.configured(slurm, enforced=POLLED), Head(wide, PROFILE, slurm.env, *SOON, "--until", "affinity") as head:
        assert head.wait(LONG) == 0, head.text[-6000:]
        rows = jobs_of(slurm, head.text)
        assert [row["state"] for row in rows] == ["COMPLETED", killed_by(slurm), "COMPLETED"]
    assert_memory_doubled(head, rows[1:], wide)


def killed_by(slurm: Any) -> Any:
    """The state of a job that was killed for its memory: by the kernel, or by Slurm."""
    return "OUT_OF_MEMORY" if slurm.enforced == KERNEL else "FAILED"


def assert_memory_doubled(head: Any, rows: Any, flow: Any) -> None:
    assert [row["memory"] for row in rows] == [f"{flow.asked}M", f"{2 * flow.asked}M"]
    assert re.search(r"ran out of memory \(it asked for [\d,]+ MB.*; each retry gets more", " ".join(head.text.split()))


def jobs_of(slurm: Any, text: Any) -> list[Any]:
    """What every job of a head's run asked for, and how it ended, in the order in which they were submitted."""
    run = re.search(r"Slurm jobs of this run are named (\w+)", text)
    assert run is not None, text
    names = ("id", "state", "memory", "minutes")
    options = f"--name={run[1]}", "--noconvert"
    rows = events.ended_jobs(slurm, "jobid,state,reqmem,timelimitraw", *options, count=events.submitted(text))
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_check_looks_at_the_site(slurm: Any, flow: Flow) -> None:
    """What `connectomake check --profile slurm --probe` says of a Slurm that is real."""
    command = [sys.executable, "-c", "from connectomake.cli import main; main()", "check", "config.yaml", "--fast", "--probe"]
    done = subprocess.run(
        [*command, "--profile", str(ROOT / PROFILE)],
        cwd=flow.folder,
        env=slurm.env,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "✓ Slurm answers: partition main with 2 node(s), account default" in lines
    assert any(re.match(r"✓ the largest jobs fit partition main: [\d,]+ MB \(\w+\) of 8,000, ", line) for line in lines), lines
    assert any(line.startswith("✓ memory is enforced (") for line in lines)
    assert any("jobs may be preempted in partition main by jobs of urgent (PreemptMode CANCEL)" in line for line in lines)
    assert "✓ arrays of up to 1,000 jobs are taken (MaxArraySize 1,001)" in lines
    assert "✓ accounting answers (sacct)" in lines
    assert any(
        re.match(r"✓ a probe ran on n\d+ after \d+ s; a file went there and its answer came back", line) for line in lines
    )
    assert any(re.match(r"✓ n\d+ has this environment: Python 3", line) for line in lines), lines
    assert not list(flow.folder.glob(".connectomake-*"))


def test_arrays_small_and_none(slurm: Any, flow: Flow, expected: Any) -> None:
    """Where Slurm takes arrays of three only, and without arrays: the same bits, and few calls of Slurm's commands."""
    with events.configured(slurm, max_array=4):
        text = Head(flow, PROFILE, slurm.env, *SOON, "--until", "components").run(LONG)
        small = [row["id"] for row in jobs_of(slurm, text)]
    numbers = [name.partition("_")[2] for name in small]
    assert sorted(numbers[:4]) == ["", "1", "2", "3"], "of the four jobs that are ready at first"
    assert {*numbers} <= {"", "1", "2", "3"}
    calls = len(slurm.calls())
    text = Head(flow, PROFILE, slurm.env, *SOON, "--sbatch-array-size", "1").run(LONG)
    single = [row["id"] for row in jobs_of(slurm, text)]
    assert not any("_" in name for name in single)
    assert "Trying to restart" not in text
    made = Counter(call.name for call in slurm.calls()[calls:])
    assert made["sbatch"] == len(single), made
    assert made.keys() <= {"sbatch", "squeue", "sinfo", "sacctmgr", "sacct", "scontrol"}
    assert made.total() - made["sbatch"] - made["squeue"] <= 6, "nothing but these is asked for each job"
    assert flow.digests() == expected
