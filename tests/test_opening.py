"""A finished run is opened without its source, its model and its working directory; the page shows how."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import connectomake
from connectomake.cli import main
from connectomake.errors import ConfigError
from connectomake.layers import read_box
from connectomake.pipeline.targets import Targets
from connectomake.planning.opening import NAME, leave_plan, open_run
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import plan_path
from connectomake.run import Run
from tests.tiny_run import CONFIG

ROOT = Path(__file__).parent.parent
INPUTS = ("raw.h5", "truth.h5", "model.py")


@pytest.fixture
def alone(copied_run: Plan) -> Plan:
    """A finished run whose source, truth and model have moved; its plan as it was."""
    for name in INPUTS:
        Path(name).unlink()
    return copied_run


@pytest.fixture(scope="module")
def finished(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a run, for tests that only look."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(whole_run, folder)
    (path,) = folder.glob(".connectomake/plan-*.json")
    (folder / "out" / NAME).write_text(path.read_text())
    for name in INPUTS:
        (folder / name).unlink()
    return folder


def read_segmentation(plan: Run | Plan) -> np.ndarray:
    return read_box(Path(plan.outdir, "segmentation"), plan.layers["segmentation"], plan.roi)


def test_by_its_config(alone: Plan) -> None:
    plan = connectomake.open_run("config.yaml")
    assert plan == alone
    assert read_segmentation(plan).max() > 0


def test_by_its_results_alone(alone: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_plan(alone)
    there = tmp_path / "elsewhere" / "copied"
    shutil.copytree("out", there)
    labels = read_segmentation(alone)
    monkeypatch.chdir(tmp_path)
    plan = connectomake.open_run(there)
    assert plan.outdir == str(there)
    np.testing.assert_array_equal(read_segmentation(plan), labels)
    assert Path(Targets(plan).objects).exists()


def test_by_its_config_without_the_notes_of_the_working_directory(alone: Plan) -> None:
    leave_plan(alone)
    shutil.rmtree(".connectomake")
    assert open_run("config.yaml") == alone


def test_results_of_another_config_are_not_opened_as_its(alone: Plan) -> None:
    leave_plan(alone)
    shutil.rmtree(".connectomake")
    text = Path("config.yaml").read_text()
    Path("config.yaml").write_text(text.replace("threshold: 0.5", "threshold: 0.6"))
    with pytest.raises(ConfigError, match="the results in out are of another config; open the folder out"):
        open_run("config.yaml")
    assert open_run("out").config["segmentation"]["threshold"] == 0.5


def test_what_is_no_run_is_said(alone: Plan) -> None:
    shutil.rmtree(".connectomake")
    with pytest.raises(ConfigError, match=r"no run of this config here: neither .*plan-\w+.json nor out/plan.json exists"):
        open_run("config.yaml")
    with pytest.raises(ConfigError, match=r"the folder out has no plan.json"):
        open_run("out")
    for text in ("", "{}", "[]", '{"plan": 3}', '{"plan": {"format": 99}}', "\x00"):
        Path("out", NAME).write_text(text)
        with pytest.raises(ConfigError, match=r"damaged|format"):
            open_run("out")


def test_a_plan_of_a_version_with_fewer_keys(alone: Plan) -> None:
    value = copy.deepcopy({"plan": alone.to_json()})
    del value["plan"]["config"]["source"]["checksum_below"]
    del value["plan"]["source"]["sampled"]
    Path("out", NAME).write_text(json.dumps(value))
    shutil.rmtree(".connectomake")
    assert open_run("config.yaml") == alone
    assert open_run("out") == alone


@pytest.mark.parametrize("place", ["config.yaml", "out"])
@pytest.mark.parametrize("command", [
    ["summary"], ["where", "3", "3", "3"], ["block", "1"], ["verify"], ["verify", "--deep"], ["progress"],
    ["view", "--print-only"], ["snapshot", "--at", "3", "3", "3", "-o", "picture.png"],
    ["snapshot", "--blocks", "-o", "picture.png"],
])  # fmt: skip
def test_commands_of_a_finished_run_need_no_source(
    finished: Path, command: list[str], place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    name, *rest = command
    with pytest.raises(SystemExit) as end:
        main([name, *rest, place] if name in ("where", "block") else [name, place, *rest])
    err = capsys.readouterr().err
    assert (end.value.code or 0, "error" in err) == (0, False), err
    assert ("cannot be reached" in err or "cannot be read" in err) == (place == "config.yaml")


def test_commands_that_need_the_source_say_so(alone: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "config.yaml", "--fast"])
    assert re.search(r"error: .*(raw.h5|model.py).* (does not exist|cannot be read)", capsys.readouterr().err)


def example() -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/concepts.md").read_text(), re.DOTALL | re.MULTILINE)
    return str(code)


def test_the_example_of_the_page_runs_without_the_source(alone: Plan) -> None:
    """As it stands there, but for the box, which is that of the demo."""
    code = re.sub(r"Box\(.*\)", "plan.roi", example())
    names: dict[Any, Any] = {}
    exec(compile(code, "docs/concepts.md", "exec"), names)
    assert names["ids"].shape == (1, *alone.roi.shape)
    assert len(names["table"]["id"]) == len(np.unique(names["ids"])) - 1


def test_nothing_is_written_twice(alone: Plan) -> None:
    leave_plan(alone)
    before = Path("out", NAME).stat()
    leave_plan(alone)
    assert Path("out", NAME).stat() == before
    assert Path(plan_path(CONFIG)).exists()
