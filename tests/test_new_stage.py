"""A new stage, as CONTRIBUTING.md adds one, is nine files at most; all else of it is derived."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.layers import read_box, read_record, read_tables
from tests.flow import ROOT, Flow

MOST_FILES = 9
BESIDE = {"docs/config.md", "CHANGELOG.md", "tests/test_peaks.py"}
"""What the recipe asks for beside what runs here."""


def recipe() -> dict[str, str]:
    """The blocks of text under "A new stage", by the file that they are for."""
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## A new stage\n")[2].partition("\n## ")[0]
    declaration, rule, keys = (textwrap.dedent(text) for text in re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL))
    return {
        "src/connectomake/pipeline/peaks.py": declaration,
        "workflow/rules/peaks.smk": rule,
        "src/connectomake/config/schema.yaml": keys,
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A copy of the repository with the stage, and the files of it that were touched."""
    place = tmp_path_factory.mktemp("new") / "repository"
    for name in ("src", "workflow", "scripts", "profiles", "envs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", place)
    texts, touched = recipe(), set()

    def edit(name: str, change: Callable[..., Any]) -> None:
        path = place / name
        before = path.read_text() if path.exists() else ""
        path.write_text(change(before))
        assert path.read_text() != before
        touched.add(name)

    edit("src/connectomake/pipeline/peaks.py", lambda _: texts["src/connectomake/pipeline/peaks.py"])
    edit("workflow/rules/peaks.smk", lambda _: texts["workflow/rules/peaks.smk"])
    edit("Snakefile", lambda text: text + 'include: "workflow/rules/peaks.smk"\n')
    pyramid, image = "from connectomake.pipeline.pyramid", "    Image, Affinity, "
    added = {pyramid: f"from connectomake.pipeline.peaks import Peaks\n{pyramid}", image: f"{image}Peaks, "}
    for old, new in added.items():
        edit("src/connectomake/pipeline/registry.py", lambda text, old=old, new=new: text.replace(old, new))
    schema = textwrap.indent(texts["src/connectomake/config/schema.yaml"], "  ")
    edit("src/connectomake/config/schema.yaml", lambda text: text.replace("\n  keep:\n", f"\n{schema}  keep:\n"))
    return place, touched


@pytest.fixture(scope="module")
def done(copy: tuple[Path, set[str]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with the stage."""
    flow = Flow(tmp_path_factory.mktemp("new") / "run").make()
    flow.config = flow.with_values(peaks__enabled=True, meshes__enabled=False)
    flow.write()
    call(
        copy[0],
        flow,
        "snakemake",
        "-s",
        copy[0] / "Snakefile",
        "--profile",
        copy[0] / "profiles/local",
        "--configfile",
        "config.yaml",
    )
    return flow


def make(place: Any, flow: Flow) -> Any:
    """Run the workflow of the copy."""
    return call(place, flow, "snakemake", "-s", place / "Snakefile", "--cores", "2", "--configfile", "config.yaml")


def call(place: Any, flow: Flow, module: Any, *words: Any, check: bool = True) -> Any:
    """Run a program with the copy of the library."""
    start = ["-m", "snakemake"] if module == "snakemake" else ["-c", "from connectomake.cli import main; main()"]
    env = os.environ | {"PYTHONPATH": str(place / "src")}
    ended = subprocess.run(
        [sys.executable, *start, *map(str, words)], cwd=flow.folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert not check or ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_few_files_are_touched(copy: tuple[Path, set[str]]) -> None:
    assert len(copy[1] | BESIDE) <= MOST_FILES, copy[1]


@pytest.mark.slow
def test_it_makes_its_files(copy: tuple[Path, set[str]], done: Flow) -> None:
    spec = done.plan({key: value for key, value in done.config.items() if key != "peaks"}).layers["affinity"]
    for block in spec.grid.ids:
        path = done.folder / f"out/peaks/{spec.grid.name(block)}.h5"
        values = read_box(done.folder / "out/affinity", spec, spec.grid.box(block))
        np.testing.assert_array_equal(read_tables(path)["peak"], values.reshape(len(values), -1).max(1))
        assert read_record(path)["stage"] == "peaks"


@pytest.mark.slow
def test_all_else_follows(copy: tuple[Path, set[str]], done: Flow) -> None:
    place = copy[0]
    count = len(list((done.folder / "out/peaks").glob("*.h5")))
    assert "Nothing to be done" in call(
        place, done, "snakemake", "-s", place / "Snakefile", "-c1", "--configfile", "config.yaml"
    )
    assert re.search(rf"peaks .*\b{count}\b", call(place, done, "cli", "progress"))
    rules = {rule["rule"]: rule for rule in json.loads(call(place, done, "cli", "plan", "--json"))["rules"]}
    assert rules["peaks"]["jobs"] == count
    assert rules["peaks"]["memory_mb"] > 200
    call(place, done, "cli", "verify", "--deep")
    one = min((done.folder / "out/peaks").glob("*.h5"))
    one.write_bytes(one.read_bytes()[:-40])
    said = call(place, done, "cli", "verify", check=False)
    assert f"out/peaks/{one.name}" in said
    make(place, done)
    call(place, done, "cli", "verify")
    Path(done.folder / "out/peaks/77.h5").write_bytes(one.read_bytes())
    assert "belong to no block of this plan, such as out/peaks/77.h5" in call(place, done, "cli", "verify", check=False)
