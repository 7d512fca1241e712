"""A job on a cluster looks for no job but its own, whatever the size of the volume."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.starts import jobs, prepare, start

from connectomake.pipeline.job import Job, all_of, first_only
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake_snakemake.tuning.own_jobs import own_only, targets_of
from tests.rule_jobs import named
from tests.s3_server import S3Server

ROOT = Path(__file__).parents[1]
BLOCKS = (9, 8, 8)


class Rule:
    """Of a path such as merge/LEVEL/NODE."""

    name = "merge"

    def get_wildcards(self, path: str) -> dict[str, str]:
        return dict(zip(("level", "node"), path.split("/")[1:], strict=True))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    folder = tmp_path_factory.mktemp("starts")
    return folder, prepare(folder, BLOCKS)


def spec(level: int | str, node: str, rule: str = "merge") -> SimpleNamespace:
    return SimpleNamespace(rulename=rule, wildcards_dict={"level": level, "node": node})


def test_only_the_given_jobs_make_files() -> None:
    rule = Rule()
    match = own_only(lambda index, path: {rule}, lambda: [spec("2", "0"), spec(1, "3")])
    assert [match(None, path) for path in ("merge/2/0", "merge/1/3")] == [{rule}] * 2
    assert [match(None, path) for path in ("merge/1/0", "merge/2/3", "merge/1/2")] == [set()] * 3, "no mixture of two jobs"


def test_without_given_jobs_all_make_files_and_other_rules_none() -> None:
    rule = Rule()
    assert own_only(lambda index, path: {rule}, list)(None, "merge/1/0") == {rule}
    assert own_only(lambda index, path: {rule}, lambda: [spec("1", "0", "lookup")])(None, "merge/1/0") == set()
    assert targets_of([]) == frozenset()


def counted(folder: Any, *targets: Any, options: tuple[()] | list[str] = ()) -> dict[str, Any]:
    """Jobs by rule that a process started for these targets would run."""
    rules = sorted({target.split(":")[0] for target in targets})
    plan = next((folder / ".connectomake").glob("plan-*.json"))
    words = [sys.executable, ROOT / "workflow/start_job.py", "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores", "1", "-n"]
    words += ["--force", "--nolock", "--mode", "remote", "--target-jobs", *targets, "--allowed-rules", *rules]
    words += ["--configfiles", "config.yaml", plan, "--quiet", "rules", *options]
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        list(map(str, words)), cwd=folder, capture_output=True, text=True, check=False, env=os.environ | path
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    return {name: int(count) for name, count in (line.split() for line in lines)}


@pytest.mark.slow
def test_the_job_of_a_high_node_is_alone(volume: tuple[Path, Plan]) -> None:
    folder, plan = volume
    top = plan.octree.levels
    assert top > 1
    assert counted(folder, f"merge:level={top},node={plan.octree.name(top, 0)}") == {"merge": 1, "total": 1}
    wildcards = next(wildcards for rule, wildcards in jobs(plan) if rule == "pyramid")
    assert counted(folder, f"pyramid:{','.join(f'{k}={v}' for k, v in wildcards.items())}") == {"pyramid": 1, "total": 1}


@pytest.mark.slow
def test_a_job_asks_a_bucket_for_its_own_files_only(volume: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, plan = volume
    top = plan.octree.levels
    merge = Stages(plan).rule("merge")
    inputs = all_of(merge.inputs((top, 0)))["children"]
    assert merge.count() > len(inputs) + 10
    with S3Server() as server:
        client = server.client()
        client.create_bucket(Bucket="lab")
        for name in inputs:
            client.put_object(Bucket="lab", Key=f"run/{name}", Body=b"")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.requests.clear()
        storage = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://lab/run"]
        options = [*storage, "--storage-s3-endpoint-url", server.url, "--shared-fs-usage", "none", "--max-inventory-time", "0"]
        assert counted(folder, f"merge:level={top},node={plan.octree.name(top, 0)}", options=options)["merge"] == 1
        assert server.requests.total() <= len(inputs) + 10, server.requests


@pytest.mark.slow
def test_a_group_holds_its_own_jobs_in_their_order(volume: tuple[Path, Plan]) -> None:
    folder, plan = volume
    top, name = plan.octree.levels, plan.octree.name
    targets = [f"{rule}:level={n},node={name(n, 0)}" for rule, n in (("merge", top - 1), ("merge", top), ("lookup", top))]
    assert counted(folder, *targets) == {"lookup": 1, "merge": 2, "total": 3}


def test_every_rule_has_a_job_to_start(volume: tuple[Path, Plan]) -> None:
    _, plan = volume
    rules = {rule for rule, _ in jobs(plan)}
    shipped = {
        line.split()[1].rstrip(":")
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if line.strip().startswith("rule ")
    }
    assert shipped - rules == {"info", "reports", "segment_table"}, "two that the head runs itself, one for given labels"


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["history", "report_run"])
def test_a_start_is_light(volume: tuple[Path, Plan], rule: str) -> None:
    folder, plan = volume
    wildcards = next(wildcards for name, wildcards in jobs(plan) if name == rule)
    assert start(folder, rule, wildcards)["peak_mb"] < 150


@pytest.mark.parametrize(
    "values", [{}, {"objects": {"measure": False}}, {"skeletons": {"enabled": True}}, {"agglomeration": None}]
)
def test_the_first_inputs_of_a_whole_run_are_known_without_the_others(
    volume: tuple[Path, Plan], values: dict[str, Any]
) -> None:
    _, plan = volume
    config = {key: section | values[key] if values.get(key) else section for key, section in plan.config.items()}
    if "agglomeration" in values:
        config |= {"agglomeration": None, "segmentation": config["segmentation"] | {"min_supervoxel": 0}}
    for t_boundary in (0, 0.1):
        config["segmentation"] = config["segmentation"] | {"t_boundary": t_boundary}
        whole = [rule for rule in Stages(replace(plan, config=config)).rules() if rule.reads_all]
        assert {"objects", "report_run"} <= {rule.name for rule in whole}
        for rule in whole:
            found = all_of(rule.inputs(None))
            assert first_only(rule.inputs(None)) == {name: paths[:1] for name, paths in found.items()}


@pytest.mark.parametrize("before", ["", ".snakemake/storage/s3/lab/run/"])
@pytest.mark.parametrize("given", [1, 0])
def test_a_job_finds_all_files_beside_the_first(volume: tuple[Path, Plan], before: str, given: int) -> None:
    _, plan = volume
    rule = Stages(plan).rule("history")
    names = all_of(rule.inputs(None))["closed"]
    some = named({"closed": [before + name for name in names[: given or None]]})
    found = Job(Stages(plan), rule, None, some, None).files("closed")
    assert list(found.values()) == [before + name for name in names]
    assert list(found) == list(Stages(plan).rule("agglomerate").items())
