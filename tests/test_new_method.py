"""A new method of segmentation, as CONTRIBUTING.md adds one, is eight files at most; no method is taken for another."""

import ast
import copy
import importlib.util
import re
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cc3d
import h5py
import numpy as np
import pytest
import yaml

from connectomake.config import METHODS, Method, method_of, normalise, schema
from connectomake.config.load import RUN
from connectomake.errors import ConfigError
from connectomake.layers import read_box
from connectomake.pipeline.methods import Labelling, labelling_of
from connectomake.pipeline.modules import modules_of
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import prepare_plan, resolve
from tests.flow import ROOT, smooth_noise
from tests.rule_jobs import do_all
from tests.test_components import first_voxels
from tests.tiny_run import CONFIG

MOST_FILES = 8
DECLARATION = "src/connectomake/pipeline/methods/band.py"
KEYS, NAMES = "src/connectomake/config/schema.yaml", "src/connectomake/config/methods.py"
TOUCHED = {DECLARATION, KEYS, NAMES}
"""Files whose text the recipe gives, and the test puts in their places."""
BESIDE = {"docs/config.md", "config.yaml", "CHANGELOG.md", "tests/test_band.py", "src/connectomake/components/band.py"}
"""What the recipe asks for beside; the last for a method of more than a few lines."""


def recipe() -> Any:
    """The text under "A segmentation method", and the blocks in it: declaration, description and keys."""
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## A segmentation method\n")[2].partition("\n## ")[0]
    return page, [textwrap.dedent(text) for text in re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL)]


@pytest.fixture
def band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The method of the recipe, in the three places that it names and nowhere else."""
    declaration, description, keys = recipe()[1]
    (tmp_path / "band.py").write_text(declaration)
    spec = importlib.util.spec_from_file_location("connectomake.pipeline.methods.band", tmp_path / "band.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, spec.name, module)
    method = eval(description, {"Method": Method})
    monkeypatch.setitem(METHODS, method.name, method)
    properties = schema(RUN)["properties"]["segmentation"]["properties"]
    monkeypatch.setitem(properties["method"], "enum", [*properties["method"]["enum"], method.name])
    for name, key in yaml.safe_load(keys).items():
        monkeypatch.setitem(properties, name, key)
    return method


def run(block: tuple[int, int, int] | list[int]) -> Any:
    """Segment the volume in the working directory."""
    config = copy.deepcopy(CONFIG) | {"inference": None, "evaluation": None, "block": block, "chunk": None}
    config |= {"outdir": f"out{block[0]}", "meshes": {"enabled": False}, "keep": []}
    config["segmentation"] = {"method": "band", "threshold": 0.4, "upper": 0.55, "connectivity": 18}
    prepare_plan(copy.deepcopy(config))
    plan = resolve(config)
    for name in ("image", "components", "merge", "lookup", "segmentation"):
        do_all(plan, Stages(plan).rule(name))
    return plan


def test_few_files_are_touched() -> None:
    page = recipe()[0]
    for name in (*TOUCHED, "docs/config.md", "config.yaml", "CHANGELOG.md"):
        assert name in page
    assert len(TOUCHED | BESIDE) <= MOST_FILES


def test_it_segments_the_same_for_any_blocks(band: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = smooth_noise((20, 16, 24)).astype(np.float32) / 255
    with h5py.File("raw.h5", "w") as file:
        file["raw"] = values
    want = first_voxels(cc3d.connected_components((values > 0.4) & (values < 0.55), connectivity=18))
    assert len(np.unique(want)) > 4
    for block in ([16, 16, 16], [32, 8, 16]):
        plan = run(block)
        np.testing.assert_array_equal(read_box(f"{plan.outdir}/segmentation", plan.layers["segmentation"], plan.roi)[0], want)


def test_its_keys_and_only_these_change_what_is_made(band: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("raw.h5", "w") as file:
        file["raw"] = np.zeros((8, 8, 8), np.float32)

    def param(**changed: Any) -> Any:
        section = {"method": "band", "threshold": 0.4, "upper": 0.5} | changed
        config = copy.deepcopy(CONFIG) | {"inference": None, "evaluation": None, "segmentation": section}
        return Stages(resolve(config)).param("components")

    assert '"upper":0.5' in param().replace(" ", "")
    assert param(upper=0.7) != param()
    assert param(t_low=0.3) == param()


def test_each_method_of_the_schema_is_described_and_has_a_labelling() -> None:
    assert schema()["properties"]["segmentation"]["properties"]["method"]["enum"] == list(METHODS)
    keys = schema()["properties"]["segmentation"]["properties"].keys()
    for name, method in METHODS.items():
        assert name == method.name
        assert {*method.keys, method.channels, *filter(None, (method.lowest, method.highest))} <= keys
        plan: Any = SimpleNamespace(method=method)
        assert isinstance(labelling_of(plan), Labelling)


@pytest.mark.parametrize("name", ["treshold", "Watershed", "", "none"])
def test_an_unknown_method_is_an_error_that_names_the_others(name: str) -> None:
    with pytest.raises(ConfigError, match=r"segmentation\.method.*threshold.*watershed"):
        method_of({"method": name})
    with pytest.raises(ConfigError, match=r"segmentation\.method.*threshold.*watershed"):
        normalise(CONFIG | {"segmentation": {"method": name}})


def test_no_code_but_the_registry_knows_methods_by_name() -> None:
    """A comparison with a method's name elsewhere would treat a new method as one of the others without a word."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        if path.relative_to(ROOT).as_posix() == NAMES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            named = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
            if "method" in ast.unparse(node):
                assert not named & METHODS.keys(), f"{path}:{node.lineno}"


def test_what_methods_import_is_imported_before_a_fork() -> None:
    assert {"connectomake.components", "connectomake.agglomeration"} <= set(modules_of("components"))
    assert "connectomake.octree" in modules_of("merge")
