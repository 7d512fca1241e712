"""What a look at a Slurm says: from what real commands printed (Slurm 22.05, tests/slurm_answers), and with values changed."""

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from connectomake.cli import main
from connectomake.cli.check_slurm import asks_of
from connectomake.errors import ConfigError, RunError
from connectomake.preflight.disks import look_at_disks, mount_of, time_files
from connectomake.preflight.probe import _clock, probe
from connectomake.preflight.profile import Site, read_profile
from connectomake.preflight.slurm_answers import Answers, ask_slurm, minutes_of, read_nodes, read_partitions, read_settings
from connectomake.preflight.slurm_findings import look_at_settings
from connectomake.preflight.slurm_fit import Ask, look_at_fit
from connectomake.preflight.slurm_look import look_at_slurm
from tests.flow import ROOT, Flow

RECORDED = Path(__file__).parent / "slurm_answers"
SCRIPT = """#!/bin/sh
case "$*" in
*"show config"*) cat '{folder}/config.txt' ;;
*"show partition"*) cat '{folder}/partitions.txt' ;;
*"%P %D"*) printf 'main* 2\\nurgent 2\\n' ;;
*--exact*) cat '{folder}/nodes.txt' ;;
*"show associations"*format=account) printf 'default\\nroot\\n' ;;
*"show associations"*) cat '{folder}/associations.txt' ;;
*"show qos name=short"*) grep '^short' '{folder}/qos.txt' ;;
*"show qos"*) grep '^normal' '{folder}/qos.txt' ;;
*jobid*) echo 1 ;;
*) echo "not recorded: $0 $*" >&2; exit 1 ;;
esac
"""
SITE = Site(executor="slurm", account="default", partition="main", jobs=500, retries=2, latency_wait=60)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recorded answers that commands on the PATH print; a test may change them."""
    shutil.copytree(RECORDED, tmp_path / "answers")
    (tmp_path / "bin").mkdir()
    for name in ("scontrol", "sinfo", "sacctmgr", "sacct", "squeue", "scancel", "sbatch"):
        (tmp_path / "bin" / name).write_text(SCRIPT.format(folder=tmp_path / "answers"))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "answers"


def change(folder: Path, file: str, **values: Any) -> None:
    """Replace values of settings, as the administrators of another site would."""
    path = folder / file
    text = path.read_text()
    for name, value in values.items():
        pattern = rf"^({name}\s*= ).*$" if file == "config.txt" else rf"(\b{name}=)\S*"
        text, count = re.subn(pattern, rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert count, name
    path.write_text(text)


def told(site: Site = SITE) -> list[str]:
    """What the settings mean, by line: good ones begin with a +."""
    found = look_at_settings(site, ask_slurm(20, site.qos))
    return [("+ " if finding.good else "- ") + finding.text for finding in found]


def line(words: str, site: Site = SITE) -> str:
    """The one line with some words in it."""
    lines = [text for text in told(site) if words in text]
    assert len(lines) == 1, told(site)
    return lines[0]


def test_the_site_of_the_tests(folder: Path) -> None:
    assert told() == [
        "+ Slurm 22.05.8: sbatch, squeue and scancel are here",
        "+ memory is enforced (control groups): a job that takes more than it asked for is killed",
        "+ jobs may be preempted in partition main by jobs of urgent (PreemptMode REQUEUE): such a job is submitted again, no "
        "attempt lost",
        "+ arrays of up to 1,000 jobs are taken (MaxArraySize 1,001)",
        "+ ended jobs are remembered for 300 s (MinJobAge)",
        "+ accounting answers (sacct)",
        "+ account default may ask for 1,440 min a job (MaxWall)",
        "- account default may have 100 job(s) in the queue, and the profile wants 500: set jobs: 100 there (or fewer)",
    ]


def test_a_quality_of_service_has_limits_of_its_own(folder: Path) -> None:
    site = Site(executor="slurm", account="default", partition="main", qos="short", jobs=50)
    assert "- QOS short may have 40 job(s) in the queue, and the profile wants 50: set jobs: 40 there (or fewer)" in told(site)
    assert "+ account default may have 100 job(s) in the queue" in told(site)
    assert "+ QOS short may ask for 240 min a job (MaxWall)" in told(site)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"SelectTypeParameters": "CR_CORE"}, "- this Slurm does not count memory (SelectTypeParameters CR_CORE)"),
        ({"ConstrainRAMSpace": "no"}, "- memory is counted but not enforced: a job that takes more than it asked for goes on"),
        ({"TaskPlugin": "task/affinity"}, "- memory is counted but not enforced"),
        (
            {"TaskPlugin": "task/none", "JobAcctGatherParams": "OverMemoryKill"},
            "+ memory is enforced (OverMemoryKill, looked at",
        ),
        ({"TaskPlugin": "task/none", "JobAcctGatherParams": "UsePss,OverMemoryKill"}, "every 1 s): a job that takes more"),
        ({"TaskPlugin": "task/affinity,task/cgroup"}, "+ memory is enforced (control groups)"),
    ],
)
def test_who_enforces_memory(folder: Path, values: dict[str, str], words: str) -> None:
    change(folder, "config.txt", **values)
    assert words in line("memory")


def test_control_groups_of_which_nothing_is_told(folder: Path) -> None:
    text = (folder / "config.txt").read_text()
    (folder / "config.txt").write_text(text[: text.index("Cgroup Support")])
    assert line("memory") == "+ control groups are used; whether they enforce memory depends on the nodes' cgroup.conf"


@pytest.mark.parametrize(
    ("values", "mode", "words"),
    [
        ({"PreemptType": "preempt/none"}, "OFF", "+ no job is preempted here"),
        ({}, "OFF", "+ no job is preempted in partition main"),
        ({}, "CANCEL", "(PreemptMode CANCEL): such a job is submitted again, no attempt lost"),
        ({}, "GANG,SUSPEND", "they are suspended while their time limit runs on"),
        ({"PreemptType": "preempt/qos"}, "CANCEL", "+ jobs may be preempted in partition main (PreemptMode CANCEL)"),
    ],
)
def test_preemption(folder: Path, values: dict[str, str], mode: str, words: str) -> None:
    change(folder, "config.txt", **values)
    change(folder, "partitions.txt", PreemptMode=mode)
    assert words in line("preempted")


def test_a_partition_that_none_stands_above_is_not_preempted(folder: Path) -> None:
    change(folder, "partitions.txt", PriorityTier="5")
    assert line("preempted") == "+ no job is preempted in partition main"


@pytest.mark.parametrize(
    ("values", "words", "expected"),
    [
        (
            {"MaxArraySize": "1"},
            "MaxArraySize",
            "+ this Slurm accepts no arrays (MaxArraySize 1): each job is submitted on its own",
        ),
        (
            {"MaxArraySize": "0"},
            "MaxArraySize",
            "+ this Slurm accepts no arrays (MaxArraySize 0): each job is submitted on its own",
        ),
        ({"MinJobAge": "0 sec"}, "MinJobAge", "+ ended jobs are remembered for ever (MinJobAge)"),
        ({"MinJobAge": "60 sec"}, "MinJobAge", "what it misses it looks up in accounting"),
        ({"AccountingStorageType": "(null)"}, "keeps no accounting", "+ this Slurm keeps no accounting records"),
        ({"SchedulerParameters": "defer,max_script_size=65536"}, "max_script_size", "- batch scripts may be 65,536 bytes long"),
    ],
)
def test_other_settings(folder: Path, values: dict[str, str], words: str, expected: str) -> None:
    change(folder, "config.txt", **values)
    assert expected in line(words)


def test_accounting_that_is_away(folder: Path) -> None:
    script = folder.parent / "bin/sacct"
    script.write_text("#!/bin/sh\necho 'sacct: error: Problem talking to the database: Connection refused' >&2\nexit 1\n")
    assert line("accounting").startswith("- accounting does not answer (sacct: error: Problem talking to the database")
    change(folder, "config.txt", MinJobAge="10 sec")
    assert line("MinJobAge").endswith("only its end note says how a job ended; ask the administrators for MinJobAge=300")


def test_a_slurm_that_says_nothing_of_itself(folder: Path) -> None:
    for name in ("scontrol", "sacctmgr"):
        (folder.parent / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
    assert told() == ["- scontrol show config says nothing: memory, preemption and arrays of this Slurm are not known"]
    assert look_at_fit([Ask("image", (1,), (1,), partition="main")], ask_slurm(20)) == []


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("2-00:00:00", 2880), ("1:00:00", 60), ("30:00", 30), ("45", 45), ("1-12", 2160), ("1-12:30", 2190),
        ("UNLIMITED", None), ("infinite", None), ("", None), ("(null)", None), ("tomorrow", None), ("1:2:3:4", None),
    ],
)  # fmt: skip
def test_time_limits(text: str, minutes: int | None) -> None:
    assert minutes_of(text) == minutes


# ---- whether jobs fit --------------------------------------------------------------------------------------------------------


def answers(
    nodes: str = "main|4|16|64000|gpu:a100:4(S:0-1)|mixed",
    partition: str = "PartitionName=main MaxTime=1-00:00:00 State=UP",
    config: str = "",
) -> Answers:
    return Answers(
        read_settings(config.splitlines()),
        read_partitions(partition.splitlines()),
        read_nodes(nodes.splitlines()),
        {},
        None,
        (),
    )


def misfits(asks: list[Ask], found: Answers) -> list[str]:
    return [finding.text for finding in look_at_fit(asks, found) if not finding.good]


def test_jobs_that_fit() -> None:
    asks = [Ask("image", (500, 1000), (10, 20), partition="main"), Ask("affinity", (8000, 16000), (60, 120), 4, True, "main")]
    (found,) = look_at_fit(asks, answers())
    assert found.good
    assert "8,000 MB (affinity) of 64,000, 60 min (affinity), 4 of 16 core(s), each with 2 attempt(s); 4 node(s)" in found.text


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            Ask("merge", (65000,), (10,), partition="main"),
            "merge asks for 65,000 MB, and partition main gives a job 64,000 MB at most",
        ),
        (
            Ask("merge", (40000, 80000), (10, 20), partition="main"),
            "attempt 2 of merge would ask for 80,000 MB, and partition main",
        ),
        (
            Ask("merge", (10,), (2000,), partition="main"),
            "merge asks for 2,000 min, and partition main ends jobs after 1,440 min",
        ),
        (Ask("merge", (10,) * 3, (500, 1000, 2000), partition="main"), "attempt 3 of merge would ask for 2,000 min"),
        (
            Ask("affinity", (10,), (10,), 32, partition="main"),
            "affinity asks for 32 core(s) with 10 MB, and no node of partition",
        ),
    ],
)
def test_jobs_that_do_not_fit(ask: Ask, words: str) -> None:
    (text,) = misfits([ask, Ask("image", (10,), (10,), partition="main")], answers())
    assert words in text


def test_cores_and_memory_on_different_nodes() -> None:
    nodes = "main|4|64|8000|(null)|idle\nmain|1|4|64000|(null)|idle"
    (text,) = misfits([Ask("affinity", (32000,), (10,), 16, partition="main")], answers(nodes))
    assert text.startswith("affinity asks for 16 core(s) with 32,000 MB, and no node of partition main has both")


def test_the_sites_own_limit_of_memory() -> None:
    ask = Ask("merge", (40000,), (10,), partition="main")
    assert "32,000 MB at most" in misfits([ask], answers(partition="PartitionName=main MaxMemPerNode=32000"))[0]
    assert "16,000 MB at most" in misfits([ask], answers(config="MaxMemPerNode           = 16000"))[0]
    assert misfits([ask], answers(config="MaxMemPerNode           = UNLIMITED")) == []


def test_a_partition_without_gpus_and_nodes_that_are_down() -> None:
    ask = Ask("affinity", (10,), (10,), 1, True, "main")
    (text,) = misfits([ask], answers("main|4|16|64000|(null)|idle"))
    assert text.startswith("affinity asks for a GPU, and no node of partition main has one")
    (text,) = misfits([ask], answers("main|4|16|64000|(null)|down*\nmain|1|16|64000|(null)|drained"))
    assert text.startswith("no node of partition main can take a job now")
    assert "partition main is INACTIVE" in misfits([ask], answers(partition="PartitionName=main State=INACTIVE"))[0]


def test_each_rule_is_held_against_its_own_partition() -> None:
    nodes = "main|4|16|64000|(null)|idle\ngpu|1|16|16000|gpu:1|idle"
    found = answers(nodes, "PartitionName=main Default=YES\nPartitionName=gpu")
    asks = [Ask("image", (32000,), (10,)), Ask("affinity", (8000,), (10,), 1, True, "gpu")]
    assert [finding.good for finding in look_at_fit(asks, found)] == [True, True]
    assert "affinity asks for a GPU" in misfits([asks[0], Ask("affinity", (8000,), (10,), 1, True)], found)[0]
    assert misfits([Ask("image", (32000,), (10,), partition="gpu,main")], found) == [], "of several the one where it fits"


def test_accounts_that_a_partition_does_not_take(folder: Path, tmp_path: Path) -> None:
    change(folder, "partitions.txt", AllowAccounts="lab,other")
    found = [finding.text for finding in look_at_slurm(SITE, [], {}, str(tmp_path))]
    assert "partition main takes no jobs of account default (AllowAccounts lab,other)" in found


# ---- the profile -------------------------------------------------------------------------------------------------------------


def test_what_a_profile_sets(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "executor: slurm\njobs: 40\nretries: 1\nlatency-wait: 90\nseconds-between-status-checks: 5\n"
        "default-resources: {slurm_partition: \"'main'\", qos: \"'short'\"}\n"
        "set-resources: {affinity: {slurm_partition: \"'gpu,gpu2'\", mem_mb: 9000}, image: {runtime: 5}}\n"
    )
    site = read_profile(tmp_path)
    assert (site.jobs, site.retries, site.latency_wait, site.status_seconds, site.qos) == (40, 1, 90, 5, "short")
    assert site.partitions == ("main", "gpu", "gpu2")
    assert (site.partition_of("affinity"), site.partition_of("merge")) == ("gpu,gpu2", "main")
    (tmp_path / "config.yaml").write_text("set-resources: ['affinity:mem_mb=9000', 'affinity:runtime=5']\njobs: unlimited\n")
    site = read_profile(tmp_path)
    assert (site.resource("affinity", "mem_mb"), site.resource("affinity", "runtime"), site.jobs) == ("9000", "5", None)


def test_what_jobs_ask_for_is_what_the_rules_ask_for(tmp_path: Path) -> None:
    """Of the plan, with Snakemake around the script and doubled at each retry, as workflow/rules/common.smk computes it."""
    plan = Flow(tmp_path / "run").make().plan()
    asks = {ask.rule: ask for ask in asks_of(plan, SITE)}
    first, second, third = asks["affinity"].memory
    assert (second, third) == (2 * first, 4 * first)
    assert asks["affinity"].minutes[2] == 4 * asks["affinity"].minutes[0]
    assert asks["affinity"].partition == "main"
    own = Site(executor="slurm", retries=1, of_rules={"affinity": {"mem_mb": "9000", "slurm_partition": "gpu"}})
    fixed = {ask.rule: ask for ask in asks_of(plan, own)}["affinity"]
    assert (fixed.memory, fixed.partition) == ((9000, 9000), "gpu")


# ---- file systems ------------------------------------------------------------------------------------------------------------

MOUNTS = """22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /tmp rw,nosuid - tmpfs tmpfs rw
31 22 0:26 / /home rw,relatime shared:9 - nfs4 store:/home rw,vers=4.2,acdirmax=30
32 22 0:27 / /work rw,relatime - lustre mds@tcp:/work rw,flock
33 22 0:28 / /data rw - nfs store:/data rw,noac
34 22 0:29 / /mnt/with\\040space rw - fuse.unheard box rw
35 22 0:30 / /far rw - nfs4 store:/far rw
"""


@pytest.mark.parametrize(
    ("path", "good", "words"),
    [
        ("/tmp/x", False, "the folder lies on /tmp (tmpfs), in this machine's memory: no node sees it"),
        ("/opt/x", False, "on / (ext4), a disk of this machine: do the nodes see it"),
        ("/home/x/y", True, "a new file may be seen up to 30 s late (acdirmax), and latency-wait is 45 s"),
        ("/far/x", False, "up to 60 s late (acdirmax): set latency-wait: 60 in the profile, it is 45"),
        ("/data", True, "up to 0 s late"),
        ("/work/x", True, "on /work (lustre), which machines share"),
        ("/workshop", False, "on / (ext4)"),
        ("/mnt/with space/x", False, "(fuse.unheard), a kind unknown here"),
    ],
)
def test_kinds_of_file_systems(path: str, good: bool, words: str) -> None:
    (found,) = look_at_disks({"the folder": path}, 45, MOUNTS)
    assert found.good is good
    assert words in found.text


def test_what_lies_on_one_disk_is_one_line() -> None:
    found = look_at_disks({"a": "/work/a", "b": "/work/b", "c": "/work/c", "d": "/tmp"}, 60, MOUNTS)
    assert [finding.text.split(" (")[0] for finding in found] == ["a, b and c lie on /work", "d lies on /tmp"]
    assert mount_of(ROOT) is not None


def test_files_are_timed_and_removed(tmp_path: Path) -> None:
    assert time_files(tmp_path).text.startswith("a file takes ")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    found = time_files(tmp_path / "file")
    assert not found.good
    assert "no file can be made in" in found.text


# ---- the command, the probe --------------------------------------------------------------------------------------------------


def test_check_prints_a_line_for_each(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.write()
    monkeypatch.chdir(flow.folder)
    (tmp_path / "config.yaml").write_text(
        "executor: slurm\njobs: 500\ndefault-resources: {slurm_account: default, slurm_partition: main}\n"
    )
    with contextlib.suppress(SystemExit):
        main(["check", "config.yaml", "--fast", "--profile", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert "✓ Slurm answers: partition main with 2 node(s), account default" in lines
    assert (
        "! account default may have 100 job(s) in the queue, and the profile wants 500: set jobs: 100 there (or fewer)" in lines
    )
    assert any(line.startswith("✓ the largest jobs fit partition main: ") for line in lines)
    assert lines[-1].startswith("✓ model.py loads")


def test_a_probe_without_slurm_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(tmp_path).make()
    flow.write()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["check", "config.yaml", "--fast", "--probe"])
    assert "error: --probe runs a job on Slurm, and no profile of Slurm is named" in capsys.readouterr().err


def test_a_probe_that_is_refused_says_why(folder: Path, tmp_path: Path) -> None:
    script = folder.parent / "bin/sbatch"
    script.write_text("#!/bin/sh\necho 'sbatch: error: Batch job submission failed: Invalid qos specification' >&2\nexit 1\n")
    with pytest.raises(RunError, match=r"does not accept a small job .*Invalid qos specification.; correct account"):
        probe(SITE, tmp_path)
    assert not list(tmp_path.glob(".connectomake-probe-*"))


@pytest.mark.slow
def test_a_node_that_sees_another_folder(folder: Path, tmp_path: Path) -> None:
    """The job ends and nothing that it wrote is here."""
    (folder.parent / "bin/sbatch").write_text("#!/bin/sh\ncat > /dev/null; echo 7\n")
    (folder.parent / "bin/squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
    (found,) = probe(Site(executor="slurm", latency_wait=1), tmp_path)
    assert not found.good
    assert "of the file that it wrote in" in found.text
    assert "start in a folder that all nodes see under the same path" in found.text


def test_a_job_that_never_runs_is_cancelled(folder: Path, tmp_path: Path) -> None:
    (folder.parent / "bin/sbatch").write_text("#!/bin/sh\ncat > /dev/null; echo 7\n")
    (folder.parent / "bin/squeue").write_text("#!/bin/sh\necho 'PENDING Priority'\n")
    (folder.parent / "bin/scancel").write_text(f"#!/bin/sh\necho $1 > '{tmp_path}/cancelled'\n")
    (found,) = probe(SITE, tmp_path, queue_seconds=0)
    assert found.text == "the probe (job 7) did not run within 0 s (PENDING Priority); it is cancelled"
    assert (tmp_path / "cancelled").read_text() == "7\n"


@pytest.mark.parametrize(("since", "words"), [(0.3, ""), (1.4, ""), (30.0, "30 s ahead of"), (-20.0, "20 s behind")])
def test_clocks(since: float, words: str) -> None:
    found = _clock("n1", since, 0.5)
    assert bool(found) == bool(words)
    assert all(words in finding.text for finding in found)


def test_wrong_partition_of_a_single_rule_is_named(folder: Path, tmp_path: Path) -> None:
    site = Site(executor="slurm", account="default", partition="main", of_rules={"affinity": {"slurm_partition": "gpu"}})
    with pytest.raises(
        ConfigError, match="there is no partition 'gpu'; set slurm_partition in the profile to one of main, urgent"
    ):
        list(look_at_slurm(site, [], {}, str(tmp_path)))
