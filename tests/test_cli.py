"""The command line: what each command prints, and errors in one sentence."""

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.budget.forecast import dag_cost
from connectomake.cli import common, estimates, main
from connectomake.cli.proposals import proposals
from connectomake.config import check_config, normalise
from connectomake.geometry import Box
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.source_info import SourceInfo
from connectomake.reporting.benchmarks import measured
from connectomake.reporting.stage_files import rate, stage_files
from connectomake.reporting.texts import bytes_text, counted, seconds_text, shape_text, voxels_text
from tests.tiny_run import CONFIG, SHAPE, write_inputs


@pytest.fixture
def here(whole_run: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(whole_run)
    return resolve(CONFIG)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the inputs of a run that has not begun."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(args))
    out, err = capsys.readouterr()
    code = end.value.code or 0
    assert isinstance(code, int)
    return code, out, err


def change(**sections: Any) -> None:
    config = copy.deepcopy(CONFIG)
    for name, value in sections.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    Path("config.yaml").write_text(yaml.safe_dump(config))


def make_plan(
    shape: tuple[int, int, int],
    block: tuple[int, int, int],
    chunk: list[int] | None = None,
    start: tuple[int, int, int] = (0, 0, 0),
    patch: tuple[int, int, int] = (20, 40, 40),
    overlap: tuple[int, int, int] = (4, 8, 8),
    fan_out: int = 64,
    per_job: int = 1,
) -> Plan:
    """A plan without any file."""
    inference = {"model": "m.py", "patch": list(patch), "overlap": list(overlap)}
    config = normalise({
        "outdir": "out", "source": {"path": "s"}, "block": list(block), "chunk": chunk, "inference": inference,
        "meshes": {"cell": list(block), "voxels_per_job": per_job}, "merge": {"fan_out": fan_out},
    })  # fmt: skip
    check_config(config)
    facts = SourceInfo("s", None, 0, "hdf5", Box.of_shape(shape, start), 1, "uint8", (40.0, 4.0, 4.0), "x")
    return Plan(config, facts)


# plan


def test_plan_shows_what_a_config_means(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "plan")
    assert (code, err) == (0, "")
    for text in (
        "raw.h5 [raw], hdf5, uint8",
        "2 x 2 x 3 = 12 blocks of 16 x 16 x 16",
        "recompute factor",
        "segmentation",
        "octree",
    ):
        assert text in out


def test_plan_as_json(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "plan", "--json")
    value = json.loads(out)
    assert code == 0
    assert value["roi"] == {"start": [0, 0, 0], "stop": list(SHAPE), "voxels": 20 * 24 * 40}
    rules = {rule["rule"]: rule["jobs"] for rule in value["rules"]}
    files = stage_files(here)
    assert {name: len(files.get(name, ())) for name in rules if name != "info"} == {
        n: c for n, c in rules.items() if n != "info"
    }
    assert rules["info"] == sum(path.endswith("info") and "properties" not in path for path in Targets(here).final())
    assert value["patches"]["forward_passes"] >= value["patches"]["patches"]
    layers = {layer["name"]: layer for layer in value["layers"]}
    assert layers["segmentation"]["bytes"] == 8 * 20 * 24 * 40
    assert [layers[n]["shards"] for n in ("image", "segmentation")] == [12, 12]


@settings(max_examples=60)
@given(
    st.tuples(*[st.integers(1, 60)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from([2, 4, 8, 64]),
    st.integers(1, 3000),
)  # fmt: skip
def test_nodes_and_packs_are_counted_without_listing_them(
    shape: tuple[int, int, int], block: tuple[int, int, int], fan_out: int, per_job: int
) -> None:
    plan = make_plan(shape, block, fan_out=fan_out, per_job=per_job)
    octree, tree = plan.octree, plan.mesh_tree
    assert octree.counts() == [len(octree.nodes(level)) for level in range(1, octree.levels + 1)]
    assert tree.counts() == [len(tree.nodes(level)) for level in range(tree.top + 1)]
    for rule in Stages(plan).rules():
        assert rule.count() == len(list(rule.items())), rule.name


def recompute_factor(plan: Plan) -> float:
    """How often the network computes a voxel of the plan."""
    passes = estimates.passes(plan)
    assert passes is not None
    return passes.recompute_factor


def test_a_plan_of_very_many_blocks_is_quick() -> None:
    started = time.process_time()
    plan = make_plan((14000, 200_000, 200_000), (128, 2048, 2048), patch=(64, 256, 256), overlap=(16, 64, 64))
    assert plan.grid.count > 1_000_000
    jobs = sum(c.jobs for c in estimates.rule_costs(plan))
    assert jobs > 3_000_000
    assert 1.6 < recompute_factor(plan) < 1.7
    assert any("needs about" in w for w in estimates.warnings(plan))
    estimates.layer_costs(plan), proposals(plan), estimates.summary_values(plan)
    assert time.process_time() - started < 10


def test_the_head_takes_what_was_measured() -> None:
    found = json.loads(Path("benchmarks/results.json").read_text())["dryrun"]
    values = [row["value"] for row in found["rows"]]
    assert len(values) == 4 * len(found["jobs"]), "time and memory, before a run and after it"
    for jobs, took in zip(found["jobs"].values(), zip(*[iter(values)] * 4, strict=True), strict=True):
        seconds, memory = dag_cost(sum(jobs.values()))
        for cpu, peak_mb in (took[:2], took[2:]):
            assert seconds == pytest.approx(cpu, rel=0.2)
            assert memory / 2**20 == pytest.approx(peak_mb, rel=0.2)


@pytest.mark.parametrize("chunk", [None, [16, 32, 32]])
def test_better_blocks_are_legal_and_recompute_less(chunk: list[int] | None) -> None:
    plan = make_plan((512, 2048, 2048), (32, 64, 64), chunk)
    before = recompute_factor(plan)
    assert before > 2
    found = proposals(plan)
    assert found
    for proposal in found:
        config = {**plan.config, "block": list(proposal.block), "chunk": list(proposal.chunk)}
        check_config(config)
        assert recompute_factor(Plan(config, plan.source)) == pytest.approx(proposal.recompute_factor)
        assert proposal.recompute_factor < before
        assert proposal.blocks == Plan(config, plan.source).grid.count
    assert min(p.recompute_factor for p in found) <= 1.5
    (warning,) = (w for w in estimates.warnings(plan) if "computed" in w)
    assert ("chunk:" in warning) == (chunk is not None)
    assert str(list(found[0].block)) in warning


def test_no_better_block_than_the_whole() -> None:
    plan = make_plan((30, 60, 60), (32, 64, 64))
    assert recompute_factor(plan) == 1
    assert proposals(plan) == []
    assert estimates.warnings(plan) == []


def test_warnings_do_not_fail(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(block=[4, 4, 4], chunk=[2, 2, 2], meshes={"cell": [4, 4, 4]}, inference={"patch": [24, 8, 8]})
    code, out, _ = call(capsys, "plan")
    text = " ".join(out.split())
    assert code == 0
    for part in (
        "larger blocks recompute less",
        "are small for a viewer",
        "thinner than the output patch along z (20 < 24)",
        "mesh cells",
    ):
        assert part in text


# where, block


def test_where(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "where", "17", "3", "39")
    block = here.grid.id_of_voxel((17, 3, 39))
    assert (code, err) == (0, "")
    for text in (
        here.grid.name(block),
        "z 16:20, y 0:16, x 32:40",
        Targets(here).shard("segmentation", block),
        "raw.h5 [raw]",
        "node, level 2",
    ):
        assert text in out


def test_where_below_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A precomputed source with a negative offset, read in place."""
    from connectomake.layers import LayerSpec, write_block

    monkeypatch.chdir(tmp_path)
    spec = LayerSpec("vol", "uint8", 1, Box((-20, -5, 3), (-4, 11, 19)), (16, 16, 16), (8, 8, 8), (20.0, 10.0, 10.0))
    write_block(f"vol/{spec.shard_name(0)}", spec, 0, np.zeros((16, 16, 16), np.uint8))
    Path("vol/info").write_text(json.dumps(spec.info()))
    Path("c.yaml").write_text(
        yaml.safe_dump({"outdir": "out", "source": {"path": "vol"}, "block": [8, 8, 8], "meshes": {"enabled": False}})
    )
    code, out, _ = call(capsys, "where", "-20", "-1", "12", "c.yaml")
    assert code == 0
    assert "z -20:-12, y -5:3, x 11:19" in out
    code, _, err = call(capsys, "where", "-21", "0", "12", "c.yaml")
    assert (code, err) == (
        1,
        "error: voxel (-21, 0, 12) (z, y, x) is outside the region of interest, z -20:-4, y -5:11, x 3:19\n",
    )


def test_where_without_the_source(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(whole_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Path("raw.h5").unlink()
    code, out, err = call(capsys, "where", "0", "0", "0")
    assert code == 0
    assert "out/segmentation" in out
    assert err.startswith("note: the source cannot be reached")
    assert call(capsys, "plan")[0] == 1


@pytest.mark.parametrize("name", ["01", "1", "0x1", "0X001"])
def test_block(here: Plan, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, "block", name)
    assert code == 0
    for text in (f"{here.grid.name(1)}, grid position (0, 0, 1) of 2 x 2 x 3", "16 x 16 x 16 voxels", "x - 0", "kB)"):
        assert text in out


@pytest.mark.parametrize("name", ["ff", "zz", "1234", "-1"])
def test_no_such_block(here: Plan, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, _, err = call(capsys, "block", "--", name)
    assert code == 1
    assert err.startswith("error: block '")
    assert err.count("\n") == 1


# check


def test_check(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "check")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert len(lines) == 7
    assert all(line.startswith("✓ ") for line in lines)
    assert len(call(capsys, "check", "--fast")[1].splitlines()) == 5
    assert not Path("out").exists()


@pytest.mark.slow
def test_check_needs_no_torch_without_a_network(fresh: Path) -> None:
    change(inference=None, segmentation={"threshold": 0.5})
    code = "import sys; from connectomake.cli import main\ntry: main(['check'])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"✓ {common.NO_NETWORK}\n" in done.stdout


def test_a_plan_without_a_network_says_so(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(inference=None)
    assert "no network (inference is null): the source is taken as the probability" in call(capsys, "plan")[1]


def test_a_config_may_be_three_keys(fresh: Path) -> None:
    source: dict[str, Any] = {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]}
    assert resolve({"outdir": "out", "source": source, "block": [128, 64, 192]}).cells.cell == (64, 64, 64)


MODELS = {
    "import torch\nInstantiatedModel = torch.nn.Conv3d(1, 3, 1)\n": "channel",
    "raise ValueError('no such layer')\n": "no such layer",
    "x = (\n": "line 1",
    "import torch\nInstantiatedModel = torch.nn.Conv3d(2, 1, 1)\n": "model.py",
}


@pytest.mark.parametrize("model", MODELS)
def test_check_of_bad_models(fresh: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    Path("model.py").write_text(model)
    code, out, err = call(capsys, "check")
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert MODELS[model] in err
    assert "Traceback" not in out + err
    assert out.startswith("✓ config.yaml is valid")


def test_check_of_a_region_that_cannot_be_written(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("a file")
    code, _, err = call(capsys, "check")
    assert code == 1
    assert "not a writable folder" in err


def test_space_that_lacks_is_a_warning(
    fresh: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    code, out, _ = call(capsys, "check", "--fast")
    assert code == 0
    assert "! 1.0 kB free" in out


# errors


@pytest.mark.parametrize("command", ["plan", "check", "verify", "progress", "summary", "view"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, "cannot be read"),
        ("block: [", "is not YAML"),
        ("outdir: x\n", "is missing in config"),
        ("a: 1\n", "unknown key 'a'"),
    ],
)
def test_bad_configs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    text: str | None,
    wanted: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("config.yaml").write_text(text)
    code, out, err = call(capsys, command)
    assert code == 1
    assert out == ""
    assert wanted in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_unknown_options(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "where", "1", "2", "3", "--nothing")
    assert (code, err) == (1, "error: there is no option --nothing; see --help\n")
    assert call(capsys, "plan", "--nothing")[0] == 2
    assert call(capsys, "where", "1", "2")[0] == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert call(capsys, "--version") == (0, f"connectomake {version('connectomake')}\n", "")


def test_programs_are_named_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setenv("PATH", "")
    assert common.program("connectomake") == "connectomake"
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/connectomake").touch(mode=0o755)
    assert common.program("connectomake") == ".venv/bin/connectomake"
    monkeypatch.chdir(tmp_path / ".venv/bin")
    assert common.program("connectomake") == "connectomake"
    Path(tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert common.program("connectomake") == str(tmp_path / ".venv/bin/connectomake")
    monkeypatch.setenv("PATH", str(tmp_path / ".venv/bin"))
    assert common.program("connectomake") == "connectomake"


def imports_of(args: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, which prints its modules to stderr."""
    call = f"from connectomake.cli import main\ntry: main({args})"
    code = f"import sys\n{call}\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_help_is_quick_and_names_all_commands() -> None:
    done = imports_of(["--help"])
    for name in ("plan", "check", "where", "block", "progress", "summary", "verify", "view", "phantom"):
        assert name in done.stdout
    for heavy in ("'torch'", "'cloudvolume'", "'numba'", "'tensorstore'", "'h5py'", "'pyarrow'", "'numpy'"):
        assert heavy not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "args", [["plan"], ["where", "1", "2", "3"], ["progress"], ["verify"], ["summary"], ["view", "--print-only"]]
)
def test_neither_torch_nor_cloudvolume_is_imported(here: Plan, args: list[str]) -> None:
    done = imports_of(args)
    assert "'torch'" not in done.stderr
    assert "'cloudvolume'" not in done.stderr


# progress


def test_progress_of_a_whole_run(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "progress")
    rows = [line.split() for line in out.splitlines() if "█" in line]
    assert code == 0
    assert [row[0] for row in rows] == list(stage_files(here))
    assert all(row[-1] == "done" and row[2] == row[3] and row[4] == "100" for row in rows)


def test_progress_before_the_first_file(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = call(capsys, "progress")[1]
    assert out.count("not begun") == len(stage_files(resolve(CONFIG)))


def test_progress_while_running(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(whole_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    plan = resolve(CONFIG)
    targets, now = Targets(plan), time.time()
    for i, block in enumerate(plan.grid.ids):
        path = targets.shard("affinity", block)
        os.utime(path, (now - 100 + 10 * i,) * 2)
        if i >= 6:
            Path(path).unlink()
    (row,) = (line.split() for line in call(capsys, "progress")[1].splitlines() if line.strip().startswith("affinity"))
    assert row[2:7] == ["6", "12", "50", "360/h", "60"]
    os.utime(targets.shard("affinity", 0), (now - 9000,) * 2)


def test_watching_a_finished_run_ends(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "progress", "--watch")
    assert code == 0
    assert "done" in out


def test_files_of_other_settings_do_not_count(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(whole_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    change(segmentation={"threshold": 0.61})
    _, out, err = call(capsys, "progress")
    rows = {line.split()[0]: line.split()[2:4] for line in out.splitlines() if "█" in line or "░" in line}
    assert (rows["affinity"], rows["components"], rows["objects"]) == (["12", "12"], ["0", "12"], ["0", "1"])
    assert "made with other settings" in err
    assert "out of date" in call(capsys, "summary")[1]


def test_temporary_files_count_once_used(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(whole_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    change(keep=[])
    shutil.rmtree("out/affinity")
    shutil.rmtree("out/image")
    shutil.rmtree("out/fragments")
    code, out, _ = call(capsys, "progress", "--watch")
    assert code == 0
    assert all(line.split()[-1] == "done" for line in out.splitlines() if "█" in line)


def test_rate_leaves_out_pauses() -> None:
    assert rate(()) is None
    assert rate((5.0,)) is None
    assert rate((0.0, 2.0, 4.0)) == 0.5
    assert rate((0.0, 2.0, 4.0, 90_000.0, 90_002.0)) == 0.5
    assert rate((1.0, 1.0)) is None


# summary


def test_summary(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    from connectomake.objects import read_parquet

    folder = Path("out/benchmarks/affinity")
    folder.mkdir(parents=True, exist_ok=True)
    for block in here.grid.ids:
        (folder / f"{here.grid.name(block)}.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n0.1600\t0:00:00\t120.5\tNA\n")
    (folder / "broken.tsv").write_text("s\tmax_rss\nNA\t-\n")
    found = measured("out", "affinity")
    assert found is not None
    assert (found.jobs, found.memory_mb) == (12, 120.5)
    assert found.seconds == pytest.approx(1.92)
    assert measured("out", "merge") is None
    code, out, err = call(capsys, "summary")
    count = len(read_parquet(Targets(here).objects)["id"])
    assert (code, err) == (0, "")
    for text in (
        f"{count:,}, ",
        "all 12 segmented",
        "10.0 kvox/s",
        "126 MB",
        "connectomake view",
        "out/objects/objects.parquet",
    ):
        assert text in out
    assert "not finished" not in out
    (together,) = (line for line in out.splitlines() if "together" in line)
    assert together.rstrip().endswith("1.9 s"), "the time of all jobs that were measured, and no speed"


def test_summary_warns_of_jobs_that_took_more_memory_than_they_ask_for(here: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("out/benchmarks/segmentation")
    folder.mkdir(parents=True, exist_ok=True)
    names = [here.grid.name(block) for block in here.grid.ids]
    for i, name in enumerate(names):
        (folder / f"{name}.tsv").write_text(f"s\tmax_rss\n0.2\t{9000 + i if i < 2 else 50}\n")
    said = call(capsys, "summary")[2]
    assert f"2 jobs of segmentation took more memory than asked for, {names[1]} most: 9.4 GB of " in said
    assert f"--set-resources segmentation:mem_mb={int(1.2 * 9001) + 1}" in said


def test_summary_leaves_out_memory_of_the_process_that_jobs_are_forked_of(
    here: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("out/benchmarks/segmentation")
    folder.mkdir(parents=True, exist_ok=True)
    for own, warned in ((60, False), (8000, True)):
        for block in here.grid.ids:
            (folder / f"{here.grid.name(block)}.tsv").write_text(f"s\tmax_rss\tmax_uss\n0.2\t9000\t{own}\n")
        assert ("took more memory than asked for" in call(capsys, "summary")[2]) == warned


def test_summary_of_an_unfinished_run(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "summary")
    assert code == 0
    assert "not yet counted" in out
    assert "not finished" in out


# numbers


def test_numbers_are_readable() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 999_960, 2.5e9)] == ["0 B", "999 B", "1.0 kB", "1.0 MB", "2.5 GB"]
    assert voxels_text(27e6) == "27.0 Mvox"
    assert [seconds_text(s) for s in (0.4, 45, 720, 9000, 500_000)] == ["0.4 s", "45 s", "12 min", "2.5 h", "5.8 days"]
    assert [seconds_text(s) for s in (0, 0.002, 0.099, 0.1)] == ["0.0 s", "< 0.1 s", "< 0.1 s", "0.1 s"]
    assert shape_text((1, 2, 3)) == "1 x 2 x 3"
    assert shape_text((40.0, 4.5, 4.5)) == "40 x 4.5 x 4.5"
    assert (counted(1, "block"), counted(1200, "block")) == ("1 block", "1,200 blocks")


@pytest.mark.slow
def test_phantom(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import h5py

    code, out, _ = call(capsys, "phantom", "p/phantom.h5", "--shape", "24", "28", "32", "--seed", "3")
    assert code == 0
    assert "24 x 28 x 32" in out
    with h5py.File("p/phantom.h5") as file:
        assert file["raw"].shape == (24, 28, 32)


def test_summary_counts_a_block_once_whatever_the_thresholds(here: Plan) -> None:
    from connectomake.cli.summary import _rows
    from connectomake.reporting.stage_files import stages_of_files

    section = {"agglomeration": {"threshold": 0.3, "thresholds": [0.5, 0.6]}, "segmentation": {"method": "watershed"}}
    plan = resolve({**CONFIG, **section, "inference": {**CONFIG["inference"], "channels": 3}})
    facts = dict(_rows(plan, stages_of_files(plan, stage_files(plan))))
    assert f"of {plan.grid.count:,} segmented" in facts["blocks"]
