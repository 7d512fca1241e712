"""Verification: a whole run has no problem; each kind of damage is one sentence that names the file and the way out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from connectomake.cli import main
from connectomake.layers import read_block, read_record, read_tables, write_block, write_tables
from connectomake.layers.records import append_record
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.verify import expected, verify
from connectomake.verify.deep import Sizes
from tests.tiny_run import CONFIG, NETWORK


@pytest.fixture
def run(copied_run: Plan) -> Plan:
    return copied_run


def test_a_whole_run_has_no_problem(run: Plan) -> None:
    for deep in (False, True):
        report = verify(run, every_chunk=deep)
        assert (report.problems, report.notes) == ([], [])
        assert report.checked == len(set(Targets(run).kept()) | set(Targets(run).final()))


def test_expected_files_are_those_of_the_targets(run: Plan) -> None:
    files = list(expected(run))
    paths = [f.path for f in files]
    assert len(paths) == len(set(paths))
    wanted = set(Targets(run).kept()) | set(Targets(run).final())
    assert {f.path for f in files if f.needed} == wanted
    assert set(paths) - wanted == set(Targets(run).reports.values())
    assert {f.stage for f in files} == set(Stages(run).names) | {"info", "report"}


def test_missing_file(run: Plan) -> None:
    path = Targets(run).shard("affinity", 3)
    Path(path).unlink()
    Path(Targets(run).objects).unlink()
    kept, final = verify(run).problems
    assert kept == f"{path} is missing; `snakemake --profile profiles/local kept` makes it"
    assert final == f"{Targets(run).objects} is missing; `snakemake --profile profiles/local` makes it"


def test_a_stage_without_files_is_one_problem(run: Plan) -> None:
    shutil.rmtree("out/affinity/10_10_20")
    (problem,) = verify(run).problems
    assert f"all {run.grid.count} files of the stage affinity are missing" in problem
    assert problem.endswith("run `snakemake --profile profiles/local kept`")


RECORDED = ["image", "affinity", "components", "segmentation"]


@pytest.mark.parametrize("layer", RECORDED)
def test_truncated_shard(run: Plan, layer: str) -> None:
    path = Path(Targets(run).shard(layer, 1))
    path.write_bytes(path.read_bytes()[:-40])
    (problem,) = verify(run).problems
    assert str(path) in problem
    assert "delete it and rerun" in problem


@pytest.mark.parametrize("kept", [0, 1, 15])
def test_shard_of_a_few_bytes(run: Plan, kept: int) -> None:
    path = Path(Targets(run).shard("affinity", 1))
    path.write_bytes(path.read_bytes()[:kept])
    (problem,) = verify(run).problems
    assert str(path) in problem
    assert "rerun" in problem


def test_garbage_with_a_record_is_no_shard(run: Plan) -> None:
    path = Targets(run).shard("segmentation", 0)
    Path(path).write_bytes(b"garbage" * 3)
    append_record(Path(path), Stages(run).record("segmentation"))
    (problem,) = verify(run).problems
    assert path in problem
    assert "rerun" in problem


def flip(path: str, place: int) -> None:
    data = bytearray(Path(path).read_bytes())
    data[place] ^= 0xFF
    Path(path).write_bytes(data)


def test_flipped_bit_in_the_middle_is_found_deep(run: Plan) -> None:
    path = Targets(run).shard("affinity", 0)
    flip(path, Path(path).stat().st_size // 2)
    assert any(path in p and "corrupted" in p for p in verify(run, every_chunk=True).problems)


@pytest.mark.parametrize("name", ["components", "segmentation"])
def test_damaged_tables(run: Plan, name: str) -> None:
    path = Targets(run).tables(name, 2)
    data = Path(path).read_bytes()
    Path(path).write_bytes(bytes(2000) + data[2000:])
    (problem,) = verify(run, stages={name}).problems
    assert path in problem
    assert "delete it and rerun" in problem


def test_halo_of_another_block(run: Plan) -> None:
    """Also where its record does not tell, as in files of former versions."""
    first, last = (Targets(run).tables("segmentation", b) for b in (0, run.grid.ids[-1]))
    write_tables(first, read_tables(last), Stages(run).record("segmentation") | {"within": "elsewhere"})
    assert "file" not in read_record(first)
    assert any("of another block" in p for p in verify(run).problems)


def test_halo_that_differs_is_found_deep(run: Plan) -> None:
    path = Targets(run).tables("segmentation", 1)
    planes = read_tables(path)
    planes["halo/y"] = planes["halo/y"] + np.uint64(1)
    write_tables(path, planes, read_record(path))
    assert verify(run).problems == []
    (problem,) = verify(run, every_chunk=True).problems
    assert path in problem
    assert "plane y differs" in problem


@pytest.mark.parametrize("change", ["lost", "moved"])
def test_objects_that_differ_are_found_deep(run: Plan, change: str) -> None:
    path = Targets(run).shard("segmentation", 0)
    spec = run.layers["segmentation"]
    array = read_block(path, spec, 0).copy()
    ids = np.unique(array[array > 0])
    inside = array[:, 1:, 1:, 1:]
    inside[inside == ids[-1]] = 10**6 if change == "lost" else ids[0]
    write_block(path, spec, 0, array, read_record(path))
    assert verify(run).problems == []
    problems = verify(run, every_chunk=True).problems
    assert any(Targets(run).objects in p and "object(s)" in p for p in problems)


def test_other_settings(run: Plan) -> None:
    changed = resolve({**CONFIG, "segmentation": {"threshold": 0.6, "min_size": 5}})
    problems = verify(changed).problems
    assert problems
    assert all("other settings" in p for p in problems)
    assert not any("/affinity/" in p or "/image/" in p for p in problems)


def test_info_of_another_layer(run: Plan) -> None:
    path = Path(Targets(run).info("segmentation"))
    value = json.loads(path.read_text())
    value["scales"][0]["resolution"] = [1, 2, 3]
    path.write_text(json.dumps(value))
    (problem,) = verify(run).problems
    assert f"{path} describes another layer" in problem
    path.write_text("{")
    assert "is not JSON" in verify(run).problems[0]


@pytest.mark.parametrize("file", ["objects", "properties"])
def test_damaged_object_files(run: Plan, file: str) -> None:
    path = Path(getattr(Targets(run), file))
    path.write_bytes(path.read_bytes()[:-30])
    (problem,) = verify(run, stages={"objects"}).problems
    assert str(path) in problem
    assert "rerun" in problem


def test_damaged_meshes(run: Plan) -> None:
    targets = Targets(run)
    pack, shard = targets.pack(0, 0), targets.mesh_shard(0)
    for path, stage in ((pack, "fragments"), (shard, "meshes")):
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: len(data) // 2])
        (problem,) = verify(run, stages={stage}).problems
        assert path in problem
        assert "rerun" in problem
        append_record(Path(path), Stages(run).record(stage))
        (problem,) = verify(run, stages={stage}).problems
        assert path in problem
        assert "rerun" in problem


def test_flipped_bit_in_a_pack_is_found_deep(run: Plan) -> None:
    pack = max((Targets(run).pack(0, p) for p in run.mesh_tree.nodes(0)), key=lambda p: Path(p).stat().st_size)
    length = len(json.dumps(read_record(pack)))
    flip(pack, Path(pack).stat().st_size - length - 300)
    assert any(pack in p and "corrupted" in p for p in verify(run, stages={"fragments"}, every_chunk=True).problems)


def test_mixture_of_machines_is_a_note(run: Plan) -> None:
    for block, extra in ((0, {"isa": "AVX512"}), (1, {"torch": "2.12.0"}), (2, {"train_mode": True})):
        path = Targets(run).shard("affinity", block)
        array = read_block(path, run.layers["affinity"], block)
        record = Stages(run).record("affinity", network=NETWORK | extra)
        write_block(path, run.layers["affinity"], block, array, record)
    report = verify(run)
    assert report.problems == []
    torch, isa, void = report.notes
    assert "versions of torch: 2.13.0" in torch
    assert "2.12.0 (1 blocks)" in torch
    assert "AVX512 (1 blocks)" in isa
    assert "void" in void


def test_leftovers_are_notes(run: Plan) -> None:
    shard = Path(Targets(run).shard("affinity", 0))
    part = shard.with_name(".00.shard.77.abcd.part")
    part.write_bytes(b"half")
    shard.with_name("7f.shard").write_bytes(b"of another grid")
    Path("out/merge/1/77.up.h5").write_bytes(b"")
    report = verify(run)
    assert report.problems == []
    temporary, strays = report.notes
    assert str(part) in temporary
    assert "2 file(s) belong to no block" in strays


def test_stray_files_without_kept_layers(run: Plan) -> None:
    plan = resolve({**CONFIG, "keep": []})
    assert verify(plan).notes == []


def test_progress_counts_every_file(run: Plan) -> None:
    seen = []
    report = verify(run, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (report.checked, report.checked)
    assert len(seen) == report.checked


def test_sizes_add_up_over_many_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectomake.verify.deep._ROWS_KEPT", 8)
    arrays = np.random.default_rng(0).integers(0, 20, (30, 50)).astype(np.uint64)
    sizes = Sizes()
    for array in arrays:
        sizes.add(array)
    ids, counts = np.unique(arrays[arrays > 0], return_counts=True)
    found = sizes.totals()
    assert np.array_equal(found[0], ids)
    assert np.array_equal(found[1], counts)


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = 0
    try:
        main(list(args))
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def test_command(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "verify")
    assert (code, err) == (0, "")
    assert out.startswith("✓")
    code, out, err = call(capsys, "verify", "--deep")
    assert (code, err) == (0, "")
    assert "every storage chunk decoded" in out
    for block in run.grid.ids[:5]:
        Path(Targets(run).shard("affinity", block)).unlink()
    code, out, err = call(capsys, "verify", "--limit", "2")
    lines = out.splitlines()
    assert code == 1
    assert len(lines) == 4
    assert "and 3 more" in lines[2]
    assert lines[3].startswith("✗ 5 problem(s)")
    assert call(capsys, "verify", "--stage", "merge", "--stage", "objects")[0] == 0
    code, out, err = call(capsys, "verify", "--stage", "merg")
    assert code == 1
    assert err.startswith("error: there is no stage 'merg'")
    assert err.count("\n") == 1


def test_command_names_the_config_to_use(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").rename("other.yaml")
    Path(Targets(run).objects).unlink()
    Path(Targets(run).shard("affinity", 0)).unlink()
    out = call(capsys, "verify", "other.yaml")[1]
    assert "snakemake --profile profiles/local --configfile other.yaml` makes it" in out
    assert "snakemake --profile profiles/local kept --configfile other.yaml` makes it" in out
