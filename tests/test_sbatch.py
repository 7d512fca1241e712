"""The executor for Slurm with a Slurm of dictionaries: what sbatch refuses, what becomes of jobs, the end of a run."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectomake_heads import Note, read_notes
from snakemake_executor_plugin_sbatch.leftovers import Left, clean_leftovers
from snakemake_executor_plugin_sbatch.refusal import refusal_of
from snakemake_executor_plugin_sbatch.request import BadRequestError, options_of
from snakemake_executor_plugin_sbatch.run import Run
from snakemake_executor_plugin_sbatch.script import batch_script
from snakemake_executor_plugin_sbatch.slurm import Record, Slurm, SlurmError, clean_environment
from snakemake_executor_plugin_sbatch.task import Task
from snakemake_executor_plugin_sbatch.verdict import judge, why_failed

AWAY = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
LIMIT = (
    "QOSMaxSubmitJobPerUserLimit; Batch job submission failed: "
    "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)
NO_NODE = "Batch job submission failed: Requested node configuration is not available"
ACCOUNT = "Batch job submission failed: Invalid account or account/partition combination specified"


class FakeSlurm:
    """Slurm, its controller, and its accounting, in dictionaries. `refusals` are raised by the next calls of sbatch."""

    def __init__(self) -> None:
        self.counts: Any
        self.scripts: list[Any]
        self.submitted: list[Any]
        self.refusals: list[Any]
        self.records: dict[Any, Any]
        self.counts, self.records, self.refusals, self.submitted, self.scripts = Counter(), {}, [], [], []
        self.away = self.database_away = self.sticky = False
        self.accounted: dict[Any, Any]
        self.accounted, self.limit, self.free, self.lose_answer = {}, 1000, 10**6, False

    def _called(self, name: str) -> None:
        self.counts[name] += 1
        if self.away:
            raise SlurmError("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")

    def submit(self, options: list[str], script: str) -> str:
        self._called("sbatch")
        self.submitted.append(list(options))
        if self.refusals and (text := self.refusals.pop(0)):
            raise SlurmError(text)
        values: dict[str, Any] = dict(option.partition("=")[::2] for option in options)
        count = int(values.get("--array", "1-1").partition("-")[2])
        if count > self.free:
            raise SlurmError(LIMIT)
        self.free -= count
        base = str(100 + len(self.scripts))
        self.scripts.append(script)
        for number in range(1, count + 1):
            name = f"{base}_{number}" if "--array" in values else base
            self.records[name] = Record(name, "PENDING", "Priority", "", values["--comment"])
        if self.lose_answer:
            self.lose_answer = False
            raise SlurmError("Batch job submission failed: Socket timed out on send/recv operation")
        return base

    def jobs(self, name: str) -> list[Record]:
        self._called("squeue")
        return list(self.records.values())

    def past(self, ids: list[str]) -> list[Record]:
        self.counts["sacct"] += bool(ids)
        if self.database_away and ids:
            raise SlurmError("Unable to connect to database")
        return [self.accounted[name] for name in ids if name in self.accounted]

    def cancel(self, *ids: str) -> None:
        self._called("scancel")
        for name in [name for name in self.records if name in ids or name.partition("_")[0] in ids]:
            self.set(name, "CANCELLED")

    def cancel_all(self, name: str) -> None:
        self._called("scancel")
        if not self.sticky:
            self.records.clear()

    def left(self, name: str) -> list[str]:
        self._called("squeue")
        return [f"{r.id} {r.state}" for r in self.records.values() if r.state in {"PENDING", "RUNNING", "COMPLETING"}]

    def array_limit(self) -> int:
        self.counts["scontrol"] += 1
        return self.limit

    def set(self, name: str, state: str, reason: str = "", nodes: str = "") -> None:
        self.records[name] = replace(self.records[name], state=state, reason=reason, nodes=nodes)


class Lines(list[Any]):
    """A logger that remembers."""

    def warning(self, text: str) -> None:
        self.append(text)

    info = error = debug = warning

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def slurm() -> Any:
    return FakeSlurm()


@pytest.fixture
def run(slurm: Any, tmp_path: Path) -> Iterator[Run]:
    """A run whose clock moves only when told to."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    made = Run(
        slurm, "r1", tmp_path / "runs", tmp_path / "logs", str(tmp_path), Lines(), 10.0, clock=lambda: now[0], sleep=sleep
    )
    made.open()
    yield made
    made.ended = True


def tasks_of(
    run: Run, count: int, rule: str = "affinity", options: tuple[str, ...] = ("--account=lab", "--mem=100M")
) -> list[Task]:
    tasks = [Task(SimpleNamespace(external_jobid=None), rule, options, f"snakemake {rule} {i}") for i in range(count)]
    for task in tasks:
        run.hand_over(task)
    return tasks


def started(run: Run, count: int = 1, **more: Any) -> list[Task]:
    tasks = tasks_of(run, count, **more)
    run.round()
    return tasks


def look(run: Run, seconds: float = 61.0) -> None:
    """Let time go by until Slurm is asked again."""
    run.sleep(seconds)
    run.round()


def note(run: Run, task: Task, code: int) -> None:
    (run.notes / f"{task.note}.exit").write_text(f"{code}\n")


def verdicts(tasks: list[Task]) -> list[str | None]:
    return [None if task.verdict is None else task.verdict.kind for task in tasks]


def message(task: Task) -> str:
    assert task.verdict is not None
    return task.verdict.message


def ids(tasks: list[Task]) -> list[str]:
    return [task.id for task in tasks]


# ---- what is asked of sbatch -------------------------------------------------------------------------------------------------


def asked(threads: int = 1, **resources: Any) -> tuple[str, ...]:
    return options_of(SimpleNamespace(resources=resources, threads=threads))


@pytest.mark.parametrize(
    ("resources", "options"),
    [
        ({}, ["--nodes=1", "--ntasks=1", "--cpus-per-task=1"]),
        ({"slurm_account": "a, b", "slurm_partition": "main"}, ["--account=a", "--partition=main"]),
        ({"runtime": 1.2, "mem_mb": 300}, ["--time=2", "--mem=300M"]),
        ({"mem_mb": 300, "mem_mb_per_cpu": 100}, ["--mem-per-cpu=100M"]),
        ({"qos": "short", "constraint": "a&b", "reservation": "x"}, ["--reservation=x", "--qos=short", "--constraint=a&b"]),
        ({"nodes": 2, "tasks": 4, "cpus_per_task": 3}, ["--nodes=2", "--ntasks=4", "--cpus-per-task=3"]),
        ({"gpu": 2}, ["--gpus=2", "--cpus-per-task=1"]),
        ({"gpu_model": "a100"}, ["--gpus=a100:1"]),
        (
            {"gpu": 2, "gpu_model": "a100", "cpus_per_gpu": 4, "tasks": 2},
            ["--gpus=a100:2", "--cpus-per-gpu=4", "--ntasks-per-gpu=2"],
        ),
        ({"gres": "gpu:a100:2"}, ["--gres=gpu:a100:2"]),
        ({"slurm_extra": "--mail-type=END --nice=5 '--comment-x=a b'"}, ["--mail-type=END", "--nice=5", "--comment-x=a b"]),
    ],
)
def test_resources_become_options(resources: dict[str, Any], options: list[str]) -> None:
    assert set(options) <= set(asked(**resources))


def test_resources_that_ask_for_nothing() -> None:
    assert asked(cpus_per_task=-1, gpu=0) == ("--nodes=1", "--ntasks=1")
    assert "--ntasks=1" not in asked(gpu=1), "a job on GPUs names no tasks"
    assert "--nodes=1" not in asked(mpi="mpirun", tasks=8)
    assert "--cpus-per-task=7" in asked(threads=7)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cluster": "other"}, "cluster=other is not supported"),
        ({"clusters": "a,b"}, "clusters=a,b is not supported"),
        ({"slurm_extra": "--array=1-5"}, "'--array=1-5', which the run itself sets"),
        ({"slurm_extra": "-Jname"}, "'-Jname', which the run itself sets"),
        ({"slurm_extra": "--x='a"}, "cannot be read"),
        ({"gres": "gpu 2"}, "not a generic resource"),
        ({"runtime": "long"}, "runtime='long' is not a number"),
        ({"nodes": 0}, "nodes=0 must be a whole number"),
        ({"gpu": 1.5}, "gpu=1.5 must be a whole number"),
    ],
)
def test_resources_that_cannot_be_asked_for(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequestError, match=words.replace("(", r"\(")):
        asked(**resources)


# ---- the script --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "commands",
    [
        ["""printf '%s|' a "b  'c'" "d$HOME" """],
        ["printf '%s|' 'a b' 1", "printf '%s|' 'a  b' 1", "printf '%s|' \"a'\" 1"],
        ["true && printf x", "true && printf x"],
        ["printf ab", "printf a"],
        ["exit 3", "exit 4; printf no"],
    ],
)
def test_each_command_runs_as_it_is(commands: Any, tmp_path: Path) -> None:
    script = batch_script(commands, tmp_path / "7", "a test\nexit 9")
    for number, command in enumerate(commands, 1):
        alone = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        environment = os.environ | ({"SLURM_ARRAY_TASK_ID": str(number)} if len(commands) > 1 else {})
        done = subprocess.run(["sh"], input=script.encode(), env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (alone.returncode, alone.stdout, alone.stderr)
        assert (tmp_path / f"7.{number}.exit").read_text() == f"{alone.returncode}\n"
    assert not list(tmp_path.glob("*.part"))


def test_what_commands_share_stands_once() -> None:
    commands = [f"snakemake --target 'affinity:block={i:03x}' {'x' * 3000}" for i in range(1000)]
    assert len(batch_script(commands, Path("/n"), "")) < 40_000


# ---- what sentences and states mean ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (AWAY, "away"),
        ("Batch job submission failed: Socket timed out on send/recv operation", "away"),
        ("Batch job submission failed: Zero Bytes were transmitted or received", "away"),
        ("sbatch timed out after 60 s: Slurm job queue full, sleeping and retrying", "full"),
        ("Unable to allocate resources: Slurm backup controller in standby mode", "away"),
        ("Batch job submission failed: Invalid authentication credential", "away"),
        (LIMIT, "full"),
        (
            "AssocMaxSubmitJobLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit, …)",
            "full",
        ),
        (
            "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, size and/or time limits)",
            "full",
        ),
        ("Slurm temporarily unable to accept job, sleeping and retrying", "full"),
        (
            "QOSMaxWallDurationPerJobLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit)",
            "size",
        ),
        ("QOSMaxCpuPerJobLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit)", "size"),
        (ACCOUNT, "place"),
        ("invalid partition specified: gone; Batch job submission failed: Invalid partition name specified", "place"),
        ("Batch job submission failed: Invalid qos specification", "place"),
        ("Batch job submission failed: User's group not permitted to use this partition", "place"),
        (NO_NODE, "size"),
        ("Memory specification can not be satisfied; Batch job submission failed: Requested node configuration …", "size"),
        ("Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", "size"),
        ("Batch job submission failed: Memory required by task is not available", "size"),
        ("Batch job submission failed: Invalid generic resource (gres) specification", "options"),
        ("unrecognized option '--nope'; Try \"sbatch --help\" for more information", "options"),
        ("Batch job submission failed: Invalid feature specification", "options"),
        ("sbatch cannot be started (No such file or directory); start on a machine that has Slurm", "options"),
        ("Batch job submission failed: Required partition not available (inactive or drain)", "later"),
        ("Batch job submission failed: Unable to create job record, try again", "later"),
        ("Batch job submission failed: Job creation temporarily disabled", "later"),
        ("Batch job submission failed: Unspecified error", "unknown"),
        ("Please ask the help desk for a project", "unknown"),
    ],
)
def test_what_a_refusal_means(text: str, kind: str) -> None:
    assert refusal_of(text) == kind


@pytest.mark.parametrize(
    ("state", "reason", "kind"),
    [
        ("PENDING", "Priority", "wait"),
        ("PENDING", "Resources", "wait"),
        ("PENDING", "QOSMaxJobsPerUserLimit", "wait"),
        ("PENDING", "AssocGrpCpuLimit", "wait"),
        ("PENDING", "BadConstraints", "never"),
        ("PENDING", "DependencyNeverSatisfied", "never"),
        ("PENDING", "PartitionTimeLimit", "never"),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", "never"),
        ("PENDING", "AssocMaxMemPerJob", "never"),
        ("PENDING", "InvalidAccount", "never"),
        ("PENDING", "JobHeldAdmin", "held"),
        ("PENDING", "JobHeldUser", "held"),
        ("REQUEUE_HOLD", "", "held"),
        ("PENDING", "launch failed requeued held", "again"),
        ("PENDING", "ReqNodeNotAvail, UnavailableNodes:n2", "elsewhere"),
        ("PENDING", "PartitionDown", "elsewhere"),
        ("RUNNING", "None", "wait"),
        ("COMPLETING", "", "wait"),
        ("SUSPENDED", "", "wait"),
        ("TOMORROWS", "", "wait"),
        ("COMPLETED", "", "done"),
        ("PREEMPTED", "", "again"),
        ("NODE_FAIL", "NodeFail", "again"),
        ("BOOT_FAIL", "", "again"),
        ("REVOKED", "", "again"),
        ("FAILED", "RaisedSignal:53(Real-time_signal_19)", "again"),
        ("FAILED", "JobLaunchFailure", "again"),
        ("FAILED", "NonZeroExitCode", "failed"),
        ("OUT_OF_MEMORY", "OutOfMemory", "failed"),
        ("TIMEOUT", "TimeLimit", "failed"),
        ("CANCELLED", "", "failed"),
        ("DEADLINE", "DeadLine", "failed"),
    ],
)
def test_what_a_state_means(state: str, reason: str, kind: str) -> None:
    assert judge(Record("1", state, reason, "n1")).kind == kind


KILLED = "slurmstepd-n1: error: StepId=27.batch exceeded memory limit (485216256 > 209715200), being killed"


@pytest.mark.parametrize(
    ("record", "code", "log", "words"),
    [
        (Record("7", "FAILED", "JobLaunchFailure", "n1"), None, KILLED, "it asked for 200 MB, it used 463 MB"),
        (Record("7", "OUT_OF_MEMORY"), 137, "", "ran out of memory (it asked for 200 MB); each retry gets more"),
        (Record("7", "FAILED"), 1, "error: Detected 1 oom-kill event(s) in StepId=7.batch", "ran out of memory"),
        (Record("7", "TIMEOUT"), None, "", "ran longer than its runtime; each retry gets more"),
        (Record("7", "CANCELLED", "", "n1"), None, "", "on n1 was cancelled by someone"),
        (Record("7", "FAILED", "NonZeroExitCode"), 3, "", "ended with exit code 3"),
        (Record("7", "FAILED", "NonZeroExitCode"), 127, "", "does the environment's folder exist"),
        (Record("7", "FAILED", "NonZeroExitCode"), None, "", "ended: FAILED (NonZeroExitCode)"),
    ],
)  # fmt: skip
def test_why_a_try_has_failed(record: Record, code: int | None, log: str, words: str) -> None:
    assert words in why_failed(record, code, log, "200 MB")


def test_a_job_killed_for_memory_is_not_a_failed_launch() -> None:
    assert judge(Record("7", "FAILED", "JobLaunchFailure", "n1"), KILLED).kind == "failed"


def test_within_a_job_only_the_way_to_slurm_is_inherited() -> None:
    values: dict[str, Any] = {"SLURM_CONF": "/s", "SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "5", "HOME": "/h"}
    assert clean_environment(values) == {"SLURM_CONF": "/s", "HOME": "/h"}
    del values["SLURM_JOB_ID"]
    assert clean_environment(values) == values


# ---- submission --------------------------------------------------------------------------------------------------------------


def test_alike_jobs_go_out_at_once_as_one_array(run: Run, slurm: Any) -> None:
    tasks = started(run, 5)
    others = started(run, 2, rule="merge")
    assert [t.id for t in tasks] == [f"100_{i}" for i in range(1, 6)]
    assert [t.id for t in others] == ["101_1", "101_2"]
    assert (slurm.counts["sbatch"], slurm.counts["scontrol"]) == (2, 1)
    assert all("--no-requeue" in options and "--job-name=r1" in options for options in slurm.submitted)


def test_different_demands_are_different_arrays(run: Run, slurm: Any) -> None:
    tasks_of(run, 2)
    tasks_of(run, 2, options=("--mem=200M",))
    run.round()
    assert slurm.counts["sbatch"] == 2


@pytest.mark.parametrize(("size", "limit", "calls"), [(1000, 4, 3), (3, 1000, 4), (1, 1000, 10)])
def test_arrays_are_bounded(run: Run, slurm: Any, size: int, limit: int, calls: int) -> None:
    run.submissions.array_size, slurm.limit = size, limit
    tasks = started(run, 10)
    assert slurm.counts["sbatch"] == calls
    assert len({task.id for task in tasks}) == 10
    assert ("--array" in " ".join(slurm.submitted[0])) == (size > 1)


def test_a_script_stays_below_slurms_limit(run: Run, slurm: Any) -> None:
    tasks = [Task(SimpleNamespace(external_jobid=None), "a", (), f"{i} {os.urandom(50_000).hex()}") for i in range(40)]
    for task in tasks:
        run.hand_over(task)
    run.round()
    assert max(map(len, slurm.scripts)) < 1_000_000
    assert all(task.id for task in tasks)


@pytest.mark.parametrize("text", ["Batch job submission failed: Unspecified error", "Unable to create job record, try again"])
def test_a_refusal_that_passes_burns_no_try(run: Run, slurm: Any, text: str) -> None:
    slurm.refusals = [text] * 4
    [task] = started(run)
    assert ids([task]) == [""]
    assert text in run.logger.text
    for _ in range(20):
        look(run, 5)
    assert task.id == "100"
    assert task.verdict is None


def test_an_unknown_refusal_is_given_ten_minutes(run: Run, slurm: Any) -> None:
    slurm.refusals = ["Please ask the help desk"] * 100
    [task] = started(run)
    for _ in range(9):
        look(run)
    assert task.verdict is None
    for _ in range(3):
        look(run)
    assert "Please ask the help desk" in message(task)
    assert slurm.counts["sbatch"] < 20


def test_a_site_that_dislikes_arrays_gets_single_jobs(run: Run, slurm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(options: list[str], script: str, take: Callable[..., Any] = slurm.submit) -> str:
        if any(option.startswith("--array") for option in options):
            slurm.refusals = ["We do not like arrays here"]
        return str(take(options, script))

    monkeypatch.setattr(slurm, "submit", submit)
    tasks = started(run, 4)
    for _ in range(8):
        look(run)
    assert all(task.id for task in tasks)
    assert verdicts(tasks) == [None] * 4


def test_a_controller_that_is_away_is_waited_for(run: Run, slurm: Any) -> None:
    slurm.away = True
    [task] = started(run)
    for _ in range(120):
        look(run)
    assert task.verdict is None
    assert "1 job(s) are not submitted yet, for Slurm does not answer" in run.logger.text
    slurm.away = False
    look(run)
    look(run)
    assert task.id == "100"
    assert len(slurm.scripts) == 1


def test_a_lost_answer_does_not_submit_twice(run: Run, slurm: Any) -> None:
    slurm.lose_answer = True
    tasks = started(run, 3)
    assert not tasks[0].id
    look(run)
    look(run)
    assert [t.id for t in tasks] == ["100_1", "100_2", "100_3"]
    assert len(slurm.scripts) == 1


def test_a_job_that_nobody_waits_for_is_cancelled(run: Run, slurm: Any) -> None:
    started(run)
    slurm.records["77"] = Record("77", "RUNNING", "None", "n1", "(null)")
    look(run)
    assert slurm.records["77"].state == "CANCELLED"
    assert slurm.records["100"].state == "PENDING"


def test_a_submit_limit_takes_what_fits_and_waits_with_the_rest(run: Run, slurm: Any) -> None:
    slurm.free = 20
    tasks = started(run, 64)
    assert sum(bool(task.id) for task in tasks) == 20
    assert "takes no more now" in run.logger.text
    calls = slurm.counts["sbatch"]
    look(run, 1)
    assert slurm.counts["sbatch"] == calls, "Slurm is left alone for a while"
    slurm.free = 5
    note(run, tasks[0], 0)
    for _ in range(2):
        look(run, 0.2)
    assert sum(bool(task.id) for task in tasks) == 25, "a job has ended, so there is room"
    slurm.free = 100
    for _ in range(3):
        look(run)
    assert all(task.id for task in tasks)


@pytest.mark.parametrize(
    ("text", "words"),
    [(ACCOUNT, "correct slurm_account"), (NO_NODE, "ask for less"), ("unrecognized option '--nope'", "slurm_extra")],
)
def test_what_cannot_pass_ends_the_try(run: Run, slurm: Any, text: str, words: str) -> None:
    slurm.refusals = [text]
    tasks = started(run, 2)
    assert verdicts(tasks) == ["failed", "failed"]
    assert words in message(tasks[0])
    assert slurm.counts["sbatch"] == 1


def test_what_was_taken_before_may_be_taken_again(run: Run, slurm: Any) -> None:
    """A controller that was started without its database knows no accounts for a while."""
    started(run)
    slurm.refusals = [ACCOUNT]
    [task] = started(run, options=("--account=lab", "--mem=500M"))
    assert task.verdict is None
    look(run)
    assert task.id


# ---- what becomes of jobs ----------------------------------------------------------------------------------------------------


def test_done_by_slurm_or_by_end_note(run: Run, slurm: Any) -> None:
    tasks = started(run, 2)
    slurm.set("100_1", "COMPLETED")
    look(run)
    note(run, tasks[1], 0)
    run.round()
    assert verdicts(tasks) == ["done", "done"]


def test_an_end_note_counts_while_slurm_is_away(run: Run, slurm: Any) -> None:
    tasks = started(run, 2)
    slurm.away = True
    note(run, tasks[0], 0)
    note(run, tasks[1], 1)
    for _ in range(20):
        look(run)
    assert verdicts(tasks) == ["done", None], "why a job failed is Slurm's to say"
    assert "Slurm does not answer" in run.logger.text
    slurm.away = False
    slurm.set("100_2", "PREEMPTED")
    look(run)
    assert verdicts(tasks) == ["done", None]
    assert tasks[1].again == 1


def test_no_job_is_forgotten_while_all_are_away(run: Run, slurm: Any) -> None:
    tasks = started(run, 3)
    slurm.away = slurm.database_away = True
    for _ in range(60):
        look(run)
    assert verdicts(tasks) == [None] * 3
    slurm.away = slurm.database_away = False
    for task in tasks:
        slurm.set(task.id, "COMPLETED")
    look(run)
    assert verdicts(tasks) == ["done"] * 3


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_what_is_not_its_fault_is_submitted_again(run: Run, slurm: Any, state: str) -> None:
    tasks = started(run, 3)
    slurm.set("100_1", state, "", "n1")
    slurm.set("100_2", state, "", "n1")
    for _ in range(3):
        look(run)
    assert [t.id for t in tasks] == ["101_1", "101_2", "100_3"]
    assert verdicts(tasks) == [None] * 3
    assert ("--exclude=n1" in slurm.submitted[1]) == (state != "PREEMPTED")
    started(run, 1, rule="merge")
    assert "--exclude" not in " ".join(slurm.submitted[2]), "a node is avoided by the job that it failed, by no other"


def test_without_a_node_list_no_node_is_avoided(run: Run, slurm: Any) -> None:
    started(run)
    slurm.set("100", "NODE_FAIL", "", "None assigned")
    look(run)
    look(run)
    assert len(slurm.submitted) == 2
    assert "--exclude" not in " ".join(slurm.submitted[1])


def test_the_last_node_is_good_enough(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "NODE_FAIL", "", "n1")
    slurm.refusals = [NO_NODE]
    look(run)
    look(run)
    assert task.id == "101"
    assert "--exclude" not in " ".join(slurm.submitted[-1])


def test_an_avoided_node_is_taken_if_the_others_do_not_come(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "NODE_FAIL", "", "n1")
    look(run)
    look(run)
    slurm.set("101", "PENDING", "ReqNodeNotAvail, UnavailableNodes:n2")
    for _ in range(4):
        look(run)
    assert task.id == "102"
    assert "--exclude" not in " ".join(slurm.submitted[-1])
    assert slurm.records["101"].state == "CANCELLED"


def test_ten_times_are_enough(run: Run, slurm: Any) -> None:
    [task] = started(run)
    for _ in range(40):
        if task.id and task.verdict is None:
            slurm.set(task.id, "PREEMPTED")
        look(run)
    assert verdicts([task]) == ["failed"]
    assert len(slurm.scripts) == 11
    assert "PREEMPTED" in message(task)


@pytest.mark.parametrize("state", ["FAILED", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE", "CANCELLED"])
def test_a_failed_try_is_snakemakes(run: Run, slurm: Any, state: str) -> None:
    tasks = started(run, 2)
    slurm.set("100_1", state, "", "n1")
    look(run)
    assert verdicts(tasks) == ["failed", None]
    assert "100_1 on n1" in message(tasks[0])
    assert len(slurm.scripts) == 1


def test_a_held_job_is_named(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "PENDING", "JobHeldAdmin")
    for _ in range(10):
        look(run)
    assert task.verdict is None
    assert "1 job(s) wait: held (JobHeldAdmin): `scontrol release 100`" in run.logger.text
    assert sum("held" in line for line in run.logger) <= 11


def test_a_node_that_does_not_finish_is_named(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "COMPLETING", "", "n1")
    look(run, 11)
    assert "COMPLETING" not in run.logger.text
    look(run)
    look(run)
    assert "1 job(s) wait: n1 does not finish with them (COMPLETING)" in run.logger.text
    slurm.set("100", "FAILED", "NonZeroExitCode", "n1")
    look(run)
    assert verdicts([task]) == ["failed"]


def test_a_suspended_job_is_named(run: Run, slurm: Any) -> None:
    started(run)
    slurm.set("100", "SUSPENDED")
    look(run)
    assert "1 job(s) wait: SUSPENDED by Slurm" in run.logger.text


def test_a_failed_launch_is_not_left_held(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "PENDING", "launch failed requeued held")
    for _ in range(3):
        look(run)
    assert slurm.records["100"].state == "CANCELLED"
    assert task.id == "101"


def test_what_can_never_run_fails(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "PENDING", "PartitionTimeLimit")
    look(run, 11)
    assert task.verdict is None
    look(run)
    look(run)
    assert "can never run (PartitionTimeLimit)" in message(task)
    assert slurm.records["100"].state == "CANCELLED"


# ---- jobs that Slurm lists no more -------------------------------------------------------------------------------------------


def test_accounting_knows_what_the_controller_has_forgotten(run: Run, slurm: Any) -> None:
    tasks = started(run, 3)
    slurm.records.clear()
    slurm.accounted = {
        "100_1": Record("100_1", "COMPLETED"),
        "100_2": Record("100_2", "TIMEOUT"),
        "100_3": Record("100_3", "NODE_FAIL", "", "n1"),
    }
    look(run)
    assert verdicts(tasks) == ["done", "failed", None]
    assert slurm.counts["sacct"] == 1
    look(run)
    assert tasks[2].id == "101"


def test_end_notes_know_where_there_is_no_accounting(run: Run, slurm: Any) -> None:
    tasks = started(run, 2)
    slurm.records.clear()
    note(run, tasks[0], 0)
    note(run, tasks[1], 5)
    look(run)
    assert verdicts(tasks) == ["done", "failed"]
    assert "exit code 5" in message(tasks[1])


def test_a_database_that_is_away_is_waited_for(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.records.clear()
    slurm.database_away = True
    for _ in range(30):
        look(run)
    assert task.verdict is None
    assert "accounting does not answer" in run.logger.text
    slurm.database_away, slurm.accounted = False, {"100": Record("100", "COMPLETED")}
    look(run)
    assert verdicts([task]) == ["done"]


def test_a_job_that_is_nowhere_has_failed(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.records.clear()
    look(run)
    assert task.verdict is None
    for _ in range(5):
        look(run)
    assert "no record of job 100" in message(task)


def test_a_job_that_comes_back_goes_on(run: Run, slurm: Any) -> None:
    [task] = started(run)
    kept = dict(slurm.records)
    slurm.records.clear()
    look(run)
    slurm.records |= kept
    look(run)
    slurm.records.clear()
    look(run)
    assert task.verdict is None


def test_a_job_whose_daemon_died_gives_its_place_free(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "RUNNING", "", "n1")
    note(run, task, 0)
    run.round()
    assert verdicts([task]) == ["done"]
    run.forget(task)
    for _ in range(3):
        look(run)
    assert slurm.records["100"].state == "CANCELLED"


# ---- how often Slurm is asked ------------------------------------------------------------------------------------------------


def test_controller_calls_per_job(run: Run, slurm: Any) -> None:
    waiting = tasks_of(run, 512)
    for _ in range(600):
        run.sleep(2.0)
        run.round()
        for name in [name for name, record in slurm.records.items() if record.state == "PENDING"][:4]:
            slurm.set(name, "COMPLETED")
            [task] = [t for t in waiting if t.id == name]
            note(run, task, 0)
    assert set(verdicts(waiting)) == {"done"}
    assert slurm.counts.total() / 512 < 1.2


def test_folders_that_were_tidied_away_are_made_again(run: Run, slurm: Any) -> None:
    shutil.rmtree(run.notes)
    shutil.rmtree(run.logs)
    [task] = started(run)
    assert run.notes.is_dir()
    assert run.logs.is_dir()
    shutil.rmtree(run.notes)
    look(run)
    assert "cannot be read now" in run.logger.text
    slurm.set("100", "COMPLETED")
    look(run)
    assert verdicts([task]) == ["done"]


def test_questions_get_rarer_while_nothing_ends(run: Run, slurm: Any) -> None:
    started(run)
    for _ in range(900):
        run.sleep(2.0)
        run.round()
    assert 25 < slurm.counts["squeue"] < 45


# ---- the end -----------------------------------------------------------------------------------------------------------------


def test_the_end_cancels_all(run: Run, slurm: Any) -> None:
    started(run, 4)
    run.end()
    run.end()
    assert slurm.records == {}
    assert list(read_notes(run.folder)) == []
    assert not run.notes.exists()
    assert "Slurm was asked" in run.logger.text
    run.hand_over(Task(SimpleNamespace(external_jobid=None), "a", (), ""))
    run.round()
    assert slurm.counts["sbatch"] == 1, "nothing is submitted after the end"


def test_a_good_end_cancels_nothing(run: Run, slurm: Any) -> None:
    [task] = started(run)
    slurm.set("100", "COMPLETED")
    look(run)
    run.forget(task)
    run.end()
    assert slurm.counts["scancel"] == 0


def test_a_run_without_jobs_asks_nothing(run: Run, slurm: Any) -> None:
    slurm.away = True
    run.end()
    assert slurm.counts.total() == 0


@pytest.mark.parametrize("fault", ["away", "sticky"])
def test_what_does_not_go_is_left_to_the_next_start(run: Run, slurm: Any, fault: str) -> None:
    started(run)
    setattr(slurm, fault, True)
    run.end()
    assert [note.run for note in read_notes(run.folder)] == ["r1"]
    assert "next start" in run.logger.text


def left_behind(run: Run, **changes: Any) -> None:
    """The note of a run whose process is dead."""
    values: dict[str, Any] = {"run": "dead", "place": "", "host": Note.own("x", "").host, "pid": 1, "born": "boot 12"}
    Note(**values | changes).write(run.folder)
    (run.folder / "dead").mkdir()
    (run.folder / "dead/1.1.exit").write_text("0\n")


def test_the_next_start_cancels_what_a_killed_run_left(run: Run, slurm: Any) -> None:
    left_behind(run)
    slurm.records["5"] = Record("5", "RUNNING")
    clean_leftovers(slurm, run.folder, run.logger, run)
    assert slurm.records == {}
    assert not (run.folder / "dead").exists()
    assert [note.run for note in read_notes(run.folder)] == ["r1"], "this run lives"


@pytest.mark.parametrize(
    ("changes", "fault", "words"),
    [
        ({}, "sticky", "are still there"),
        ({}, "away", "Slurm does not answer"),
        ({"host": "login2"}, "", "started on login2, has 1 job"),
    ],
)
def test_no_job_runs_twice(run: Run, slurm: Any, changes: dict[str, str], fault: str, words: str) -> None:
    left_behind(run, **changes)
    slurm.records["5"] = Record("5", "RUNNING")
    if fault:
        setattr(slurm, fault, True)
    with pytest.raises(Left, match=words):
        clean_leftovers(slurm, run.folder, run.logger, run)
    assert "5" in slurm.records


# ---- Slurm's commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Programs with the names of Slurm's."""

    def make(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return make


def test_sbatch_prints_an_id(commands: Any) -> None:
    commands("sbatch", "echo 'Welcome to the cluster'; cat > /dev/null; echo '42;test'")
    assert Slurm().submit([], "x") == "42"
    commands(
        "sbatch", "echo 'sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: no' >&2; exit 1"
    )
    with pytest.raises(SlurmError, match=r"^AssocMaxSubmitJobLimit; Batch job submission failed: no$"):
        Slurm().submit([], "x")


def test_squeue_lists_jobs(commands: Any) -> None:
    commands("squeue", "printf '7|N/A|RUNNING|None|n1|merge/3\\n8|2|PENDING|Resources||a/4|b\\ngarbage\\n'")
    assert Slurm().jobs("r") == [
        Record("7", "RUNNING", "None", "n1", "merge/3"),
        Record("8_2", "PENDING", "Resources", "", "a/4|b"),
    ]


def test_accounting_that_is_not_there_is_asked_once(commands: Any) -> None:
    commands("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    slurm = Slurm()
    assert slurm.past(["1", "2_1"]) == []
    assert slurm.past(["1"]) == []
    assert slurm.counts["sacct"] == 1
    commands("sacct", "echo 'sacct: error: slurm_persist_conn_open: failed' >&2; exit 1")
    with pytest.raises(SlurmError):
        Slurm().past(["1"])
    commands("sacct", "printf '1|CANCELLED by 0|n1\\n2_1|COMPLETED|None assigned\\n'")
    assert Slurm().past(["1", "2_1"]) == [Record("1", "CANCELLED", "", "n1"), Record("2_1", "COMPLETED")]


def test_the_limit_of_arrays(commands: Any) -> None:
    commands("scontrol", "echo 'MaxArraySize            = 21'")
    assert Slurm().array_limit() == 20
    commands("scontrol", "exit 1")
    assert Slurm().array_limit() == 1000


@pytest.mark.slow
def test_snakemake_finds_the_plugin_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, snakemake_executor_plugin_sbatch as p;"
        "assert not {'connectomake', 'numpy', 'pandas'} & set(sys.modules);"
        "from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry;"
        "assert ExecutorPluginRegistry().get_plugin('sbatch').executor is p.Executor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
