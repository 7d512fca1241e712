"""A new filter of the image, as CONTRIBUTING.md adds one, is six files at most; all else of it is derived."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.flow import ROOT

MOST_FILES = 6
BESIDE = {"docs/config.md", "CHANGELOG.md", "tests/test_filters.py"}
"""What the recipe asks for beside what runs here."""
FILTERS, SCHEMA = "src/connectomake/filters/__init__.py", "src/connectomake/config/schema.yaml"
USE = """
from pathlib import Path
import h5py, json, numpy as np
from scipy import ndimage
from connectomake.cli.app import app
from connectomake.geometry import BlockGrid
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import resolve
from connectomake.sources import ingest_block
from connectomake.errors import ConfigError

image = np.random.default_rng(0).integers(0, 255, (20, 24, 28), np.uint8)
with h5py.File("raw.h5", "w") as file:
    file["raw"] = image

def plan_of(values, block):
    filters = [{"largest": values}]
    source = {"path": "raw.h5", "dataset": "raw", "voxel_size": [9, 9, 9], "filters": filters}
    return resolve({"outdir": "out", "source": source, "block": block, "meshes": {"enabled": False}})

expected = ndimage.maximum_filter(image, (3, 1, 7), mode="mirror")
for block in ([32, 32, 32], [8, 16, 8]):
    plan = plan_of({"radius": [1, 0, 3]}, block)
    spec = plan.layers["image"]
    for i in spec.grid.ids:
        Path(f"{i}.shard").unlink(missing_ok=True)
        ingest_block(plan.source.open(), spec, i, f"{i}.shard", {})
        found = read_box({i: f"{i}.shard"}, spec, spec.grid.box(i))[0]
        np.testing.assert_array_equal(found, expected[spec.grid.box(i).slices()])
assert "largest" in Stages(plan).param("image")
try:
    plan_of({"radius": [1, -1, 3]}, [8, 8, 8])
except ConfigError as error:
    assert "source.filters[0].largest.radius[1]: -1 is not allowed; wanted: >= 0" in str(error), error
else:
    raise AssertionError("a wrong value passed")
"""


def recipe() -> tuple[str, str]:
    """The module and the keys under "A filter of the image"."""
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## A filter of the image\n")[2].partition("\n## ")[0]
    module, keys = (textwrap.dedent(text) for text in re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL))
    return module, keys


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    """A copy of the library with the filter, and the files of it that were touched."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    module, keys = recipe()
    touched = set()

    def edit(name: str, change: Any) -> None:
        path = tmp_path / name
        before = path.read_text() if path.exists() else ""
        path.write_text(change(before))
        assert path.read_text() != before
        touched.add(name)

    edit("src/connectomake/filters/largest.py", lambda _: module)
    line = "from connectomake.filters.median"
    added = {line: f"from connectomake.filters.largest import Largest\n{line}", " Median, ": " Largest, Median, "}
    for old, new in added.items():
        edit(FILTERS, lambda text, old=old, new=new: text.replace(old, new))
    place = "\n            median:\n"
    edit(SCHEMA, lambda text: text.replace(place, f"\n{textwrap.indent(keys, ' ' * 12)}{place[1:]}"))
    return tmp_path, touched


def test_few_files_are_touched(copy: tuple[Path, set[str]]) -> None:
    assert len(copy[1] | BESIDE) <= MOST_FILES, copy[1]


def test_it_filters_block_by_block(copy: tuple[Path, set[str]], tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    env = os.environ | {"PYTHONPATH": str(copy[0] / "src")}
    ended = subprocess.run([sys.executable, "-c", USE], cwd=place, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
