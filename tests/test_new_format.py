"""A new source format, as CONTRIBUTING.md adds one, is six files at most; recognition and refusals follow from one line."""

import ast
import copy
import importlib.util
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.sources import SourceOptions, find_kind, formats, open_source, paths
from connectomake.sources.formats import FORMATS, Format
from tests.flow import ROOT
from tests.rule_jobs import do_all
from tests.tiny_run import CONFIG

MOST_FILES = 6
MODULE, REGISTRY = "src/connectomake/sources/metaimage.py", "src/connectomake/sources/formats.py"
FILES = {MODULE, REGISTRY, "docs/sources.md", "tests/test_sources.py", "CHANGELOG.md", "pyproject.toml"}
"""All that the recipe asks for."""


def recipe() -> Any:
    """The text under "A source format", and the blocks in it: the module and its line."""
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## A source format\n")[2].partition("\n## ")[0]
    return page, [textwrap.dedent(text) for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]


@pytest.fixture
def metaimage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The format of the recipe, in the two places that it names and nowhere else."""
    module, line = recipe()[1]
    (tmp_path / "metaimage.py").write_text(module)
    spec = importlib.util.spec_from_file_location("connectomake.sources.metaimage", tmp_path / "metaimage.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    monkeypatch.setitem(sys.modules, spec.name, found)
    form = eval(line, {"Format": Format})
    every = (*FORMATS, form)
    monkeypatch.setattr(formats, "FORMATS", every)
    monkeypatch.setattr(paths, "FORMATS", every)
    monkeypatch.setattr(paths, "KNOWN", f"{formats.KNOWN} or {form.text}")
    monkeypatch.setitem(formats.BY_NAME, form.name, form)
    monkeypatch.setitem(formats.BY_SUFFIX, ".mha", form)
    monkeypatch.chdir(tmp_path)
    return form


def volume(shape: tuple[int, int, int] | tuple[int, int, int, int] = (6, 7, 8), dtype: Any = np.uint16) -> Any:
    return np.random.default_rng(0).integers(0, 60000, shape).astype(dtype)


def save(name: str, values: Any) -> None:
    """Write a file as MetaImage's description has it."""
    kind = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT"}[values.dtype.name]
    sizes = " ".join(str(n) for n in values.shape[::-1])
    head = f"ObjectType = Image\nNDims = {values.ndim}\nDimSize = {sizes}\nElementType = {kind}\nElementDataFile = LOCAL\n"
    Path(name).write_bytes(head.encode() + values.tobytes())


def test_few_files_are_touched() -> None:
    page = recipe()[0]
    for name in FILES:
        assert name in page
    assert len(FILES) <= MOST_FILES


def test_no_code_but_the_registry_knows_formats_by_name() -> None:
    """What asks for a format by name elsewhere: each is what only that format can say, so a new one need not be there."""
    asked = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            named = {side.value for side in sides if isinstance(side, ast.Constant)}
            if named & {form.name for form in FORMATS} and re.search(r"\b(kind|form|format)\b", ast.unparse(node)):
                asked.add(path.relative_to(ROOT / "src/connectomake").as_posix())
    assert asked == ASKED


ASKED = {
    "planning/source_info.py",  # precomputed alone is read in place
    "sources/__init__.py",  # TIFF alone has a size in its pages
}


@pytest.mark.parametrize("called", ["raw.mha", "raw.bin", "metaimage://raw.bin"])
def test_it_is_recognised_and_read(metaimage: Any, called: Any) -> None:
    values = volume()
    save(called.rpartition("/")[2], values)
    source = open_source(called, voxel_size=(30, 8, 8), options=SourceOptions(offset=(5, 0, -2)))
    assert (source.kind, source.channels, source.dtype) == ("metaimage", 1, "uint16")
    box = Box((6, 1, 0), (9, 7, 5))
    assert source.bounds == Box((5, 0, -2), (11, 7, 6))
    np.testing.assert_array_equal(source.read(box)[0], values[box.slices((5, 0, -2))])


def test_what_the_user_says_of_its_axes_is_heeded(metaimage: Any) -> None:
    values = volume((8, 7, 6, 2))
    save("raw.mha", values)
    source = open_source("raw.mha", voxel_size=(1, 1, 1), options=SourceOptions(axes="xyzc"))
    np.testing.assert_array_equal(source.read(source.bounds), values.transpose(3, 2, 1, 0))


def test_keys_that_it_has_not_and_damaged_files_are_refused(metaimage: Any, tmp_path: Path) -> None:
    save("raw.mha", volume())
    with pytest.raises(ConfigError, match=r"source.dataset a does not apply to raw.mha, which is metaimage"):
        open_source("raw.mha", "a", (1, 1, 1))
    with pytest.raises(ConfigError, match=r"raw.mha has no voxel size"):
        open_source("raw.mha")
    (tmp_path / "raw.mha").write_bytes((tmp_path / "raw.mha").read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"raw.mha is truncated"):
        open_source("raw.mha", voxel_size=(1, 1, 1))
    (tmp_path / "other").write_bytes(b"nothing that is known")
    with pytest.raises(SourceError, match=r"an unknown format; it must be .* or MetaImage"):
        find_kind("other")


def test_a_run_ingests_it(metaimage: Any) -> None:
    values = volume((20, 18, 17), np.uint8)
    save("raw.mha", values)
    source = {"path": "raw.mha", "voxel_size": [20, 10, 10]}
    config: dict[str, Any] = copy.deepcopy(CONFIG) | {"inference": None, "evaluation": None, "source": source}
    prepare_plan(copy.deepcopy(config))
    plan = resolve(config)
    do_all(plan, Stages(plan).rule("image"))
    np.testing.assert_array_equal(read_box("out/image", plan.layers["image"], plan.roi)[0], values)
