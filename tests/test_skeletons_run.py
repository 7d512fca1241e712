"""A run with skeletons, seen by the commands: verify, progress, plan, export, view."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.cli import main
from connectomake.errors import ConfigError
from connectomake.objects import read_parquet
from connectomake.pipeline.targets import Targets
from connectomake.planning.infos import info_text
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.skeletons import LAYER, Skeletons
from connectomake.verify import verify
from connectomake.viewing import viewer_state
from tests.tiny_run import CONFIG, make_run, write_inputs

HERE = CONFIG | {
    "skeletons": {"enabled": True, "cell": [9, 16, 13], "halo": 50, "const": 40, "min_voxels": 10, "voxels_per_job": 8192},
    "keep": [*CONFIG["keep"], "traces"],
    "evaluation": None,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skeletons")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder, HERE)
        make_run(HERE)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return resolve(copy.deepcopy(HERE))


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(args))
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_verify_finds_nothing(run: Plan) -> None:
    report = verify(run, every_chunk=True)
    assert report.problems == []
    assert report.notes == []


@pytest.mark.parametrize("name", ["shard", "lengths", "traces"])
def test_verify_finds_damage(run: Plan, name: str) -> None:
    skeletons = Skeletons(run)
    path = Path(skeletons.traces(0, 0) if name == "traces" else getattr(skeletons, name)(0))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[-300:])
    problems = verify(run, stages={"traces", "skeletons"}).problems
    assert any(str(path) in p and "rerun" in p for p in problems)
    path.unlink()
    assert any(str(path) in p and "missing" in p for p in verify(run, stages={"traces", "skeletons"}).problems)


def test_verify_compares_lengths(run: Plan) -> None:
    from connectomake.layers import read_tables, write_tables
    from connectomake.pipeline.registry import Stages

    path = Skeletons(run).lengths(0)
    found = read_tables(path)
    write_tables(path, found | {"nm": found["nm"] + 500}, Stages(run).record("skeletons"))
    (problem,) = verify(run, stages={"skeletons"}).problems
    assert "nm long, not" in problem


def test_infos(run: Plan) -> None:
    info = json.loads(info_text(run, "segmentation"))
    assert info["skeletons"] == "skeletons"
    found = json.loads(Path(Skeletons(run).info).read_text())
    assert found["@type"] == "neuroglancer_skeletons"
    assert found["vertex_attributes"][0]["id"] == "radius"


def test_every_object_reads_in_cloudvolume(run: Plan) -> None:
    from cloudvolume import CloudVolume

    table = read_parquet(Targets(run).objects)
    chosen = np.flatnonzero(table["voxels"] >= 10)
    assert len(chosen) >= 3
    seen = CloudVolume(f"file://{Path(run.outdir).resolve()}/segmentation", use_https=False, progress=False, fill_missing=True)
    for row in chosen.tolist():
        found = seen.skeleton.get(int(table["id"][row]))
        assert found.cable_length() / 1000 == pytest.approx(table["skeleton_um"][row], rel=1e-4)
    listed = json.loads(Path(Targets(run).properties).read_text())["inline"]["properties"]
    assert "skeleton_um" in [p["id"] for p in listed]


def test_commands_tell_of_them(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert "skeletons" in call(capsys, "plan")[1]
    rules = {r["rule"]: r["jobs"] for r in json.loads(call(capsys, "plan", "--json")[1])["rules"]}
    skeletons = Skeletons(run)
    assert rules["traces"] == len(skeletons.tree.nodes(0))
    assert rules["gather_traces"] == sum(skeletons.tree.counts()) - rules["traces"]
    assert rules["skeletons"] == 1
    out = call(capsys, "progress")[1]
    assert all(name in out for name in ("traces", "gather_traces", "skeletons"))
    assert "with meshes and skeletons" in " ".join(call(capsys, "summary")[1].split())
    assert "out/traces/0/0.h5" in call(capsys, "block", "0")[1]


def test_export_swc(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    table = read_parquet(Targets(run).objects)
    name = int(table["id"][table["voxels"].argmax()])
    code, out, _ = call(capsys, "export", "--id", str(name), "--format", "swc", "-o", "lines")
    assert code == 0
    assert "1 skeleton, 1 file in lines" in out
    text = Path(f"lines/{name}.swc").read_text()
    assert "micrometres" in text
    small = int(table["id"][table["voxels"].argmin()])
    code, _, err = call(capsys, "export", "--id", str(small), "--format", "swc", "-o", "lines")
    assert code == 1
    assert f"object {small} has no skeleton" in err
    code, _, err = call(capsys, "export", "--id", "999999999", "--format", "swc")
    assert code == 1
    assert "999999999" in err


def test_without_skeletons_there_is_nothing_to_export(run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml

    Path("config.yaml").write_text(yaml.safe_dump(HERE | {"skeletons": {"enabled": False}}))
    code, _, err = call(capsys, "export", "--id", "1", "--format", "swc")
    assert code == 1
    assert "skeletons.enabled: true" in err


@pytest.mark.slow
def test_an_empty_segmentation_has_no_skeletons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config: dict[str, Any] = HERE | {
        "segmentation": {"threshold": 0.5, "min_size": 10**6},
        "meshes": {"enabled": False},
        "pyramid": {"enabled": False},
    }
    write_inputs(tmp_path, config)
    plan = make_run(config)
    assert read_parquet(Targets(plan).objects)["skeleton_um"].tolist() == []
    assert verify(plan, every_chunk=True).problems == []
    capsys.readouterr()
    code, _, err = call(capsys, "export", "--id", "1", "--format", "swc")
    assert code == 1
    assert err.count("\n") == 1
    assert "object 1 " in err


def test_view_shows_lines(run: Plan) -> None:
    (layer,) = [x for x in viewer_state(run, "http://x", (1, 2, 3))["layers"] if x["name"] == "segmentation"]
    assert layer["skeletonRendering"]["mode3d"] == "lines_and_points"
    plain = resolve(copy.deepcopy(HERE | {"skeletons": {"enabled": False}}))
    (layer,) = [x for x in viewer_state(plain, "http://x", (1, 2, 3))["layers"] if x["name"] == "segmentation"]
    assert "skeletonRendering" not in layer


def test_names_of_files(run: Plan) -> None:
    skeletons = Skeletons(run)
    assert skeletons.parse("0") == 0
    assert skeletons.shard(0) == f"out/{LAYER}/0.shard"
    for name in ("1", "00", "x", "-1"):
        with pytest.raises(ConfigError, match="does not exist"):
            skeletons.parse(name)
