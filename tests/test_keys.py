"""Errors name the key that the user wrote, whatever is opened, and nothing of a path or a dataset is taken for a key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.cli.evaluate import opened
from connectomake.errors import ConnectomakeError
from connectomake.keys import Options, Section, key, naming
from connectomake.planning.truth import open_truth
from connectomake.sources import SourceOptions
from connectomake.train_from_config import _open

SECTION: dict[str, Any] = {
    "dataset": None, "scale": None, "missing": "error", "missing_sections": "error", "refers_to": [], "axes": None,
           "offset": None}  # fmt: skip
FAULTS = {
    "no file": ("source.path/source.scale.h5", None, {}, "path"),
    "no such file": ("nowhere", None, {}, "path"),
    "unknown scheme": ("ftp://a/source.dataset", None, {}, "path"),
    "no dataset": ("source.dataset.h5", None, {}, "dataset"),
    "another dataset": ("source.dataset.h5", "source.axes", {}, "dataset"),
    "too many axes": ("source.dataset.h5", "source.scale", {"axes": "czyx"}, "axes"),
}
OPENERS: dict[str, Callable[[Any, Any, dict[str, Any]], object]] = {
    "evaluation.{}": lambda path, dataset, more: open_truth(SECTION | {"ground_truth": path, "dataset": dataset} | more),
    "volumes[1].labels.{}": lambda path, dataset, more: _open(
        SECTION | {"path": path, "dataset": dataset} | more, "volumes[1].labels"
    ),
    "--{}-seg": lambda path, dataset, more: opened("seg", path, dataset, None, None, SourceOptions(**more)),
}
OTHERS = {("evaluation.{}", "path"): "evaluation.ground_truth", ("--{}-seg", "path"): "SEG"}


@pytest.mark.parametrize("form", OPENERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_key_is_the_one_that_the_user_wrote(form: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("source.dataset.h5", "w") as file:
        file["source.scale"] = np.zeros((4, 4, 4), np.uint8)
    path, dataset, more, wrong = FAULTS[fault]
    with pytest.raises(ConnectomakeError) as caught:
        OPENERS[form](path, dataset, more)
    text = str(caught.value)
    assert text.startswith(OTHERS.get((form, wrong), form.format(wrong))), text
    assert path in text, "a path that looks like a key stays what it is"
    assert key("path") == "source.path", "the section ends with the opening"


def test_reading_names_the_section_in_which_a_source_wasopened(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint8", fill_value=0)
    array[:4] = 1
    labels = open_truth(SECTION | {"ground_truth": str(tmp_path / "a.zarr")})
    with naming(Section("elsewhere")), pytest.raises(ConnectomakeError, match=r"set evaluation\.missing: fill"):
        labels.read(labels.bounds)


def test_values_follow_a_key_as_the_config_and_the_command_line_have_them() -> None:
    assert key("missing", "fill") == "source.missing: fill"
    with naming(Options("gt", {"path": "GT"})):
        assert (key("path"), key("missing_sections", "blank")) == ("GT", "--missing-sections-gt blank")
        assert key("offset", [0, 0, 0]) == "--offset-gt 0 0 0"
        assert key("refers_to", ["far away"]) == "--refers-to-gt 'far away'"
