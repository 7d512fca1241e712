"""Sections whose contrast is made alike: exact for any blocks, by a file of histograms that fits the source."""

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.errors import ConfigError, ConnectomakeError, SourceError
from connectomake.filters.histograms import count_sections, odd_sections
from connectomake.filters.normalize import quantile
from connectomake.geometry import BlockGrid, Box
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.queueing.files import files_of
from tests.rule_jobs import do_all
from tests.tiny_run import CONFIG, write_inputs

SHAPE = (9, 20, 26)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 3), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)]),
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.sampled_from(["uint8", "uint16"]),
    st.integers(0, 99),
)
def test_sections_are_counted(shape: Any, start: Any, dtype: str, seed: int) -> None:
    volume = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    bounds = Box.of_shape(shape[1:], start)
    found = list(count_sections(lambda box: volume[(slice(None), *box.slices(start))], bounds, shape[0], dtype))
    assert len(found) == shape[1]
    for z, counts in enumerate(found):
        for channel in range(shape[0]):
            expected = np.bincount(volume[channel, z].ravel(), minlength=np.iinfo(dtype).max + 1)
            np.testing.assert_array_equal(counts[channel], expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=50), st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.99, 1.0]))
def test_a_quantile_is_the_value_at_its_rank(values: list[int], share: float) -> None:
    rank = max(ceil(Fraction(str(share)) * len(values)), 1)
    assert quantile(np.bincount(values, minlength=40), share) == sorted(values)[rank - 1]


def test_nothing_has_no_quantile() -> None:
    assert quantile(np.zeros(256, np.int64), 0.5) == 0


def test_odd_sections_are_named() -> None:
    rng = np.random.default_rng(0)
    grey = np.clip(rng.normal(120, 20, (40, 900)), 0, 255).astype(np.uint8)
    grey[7], grey[19], grey[30] = 0, 250, grey[30] // 3
    assert odd_sections(np.stack([np.bincount(g, minlength=256) for g in grey]), 100) == [107, 119, 130]
    assert odd_sections(np.stack([np.bincount(g, minlength=256) for g in grey[:7]]), 0) == []


def image(dtype: str) -> np.ndarray:
    """Sections of their own brightness, and padding of 0 in a corner."""
    rng = np.random.default_rng(3)
    low, width = rng.integers(5, 60, (SHAPE[0], 1, 1)), rng.integers(20, 120, (SHAPE[0], 1, 1))
    values = low + width * rng.random(SHAPE)
    values[:, :5, :7] = 0
    values[4] = 77
    scale = 1 if dtype == "uint8" else 211
    return (values * scale).astype(dtype)


def expected(volume: np.ndarray, clip: tuple[float, float], to: tuple[float, float], keep: int | None) -> np.ndarray:
    out = volume.copy()
    for z, section in enumerate(volume):
        used = np.sort(section[section != keep] if keep is not None else section.ravel())
        low, high = (int(used[max(ceil(Fraction(str(share)) * used.size), 1) - 1]) for share in clip)
        if low < high:
            share = np.clip((section.astype(np.float64) - low) / (high - low), 0, 1)
            out[z] = np.rint(to[0] + share * (to[1] - to[0]))
        if keep is not None:
            out[z][section == keep] = keep
    return out


def write(dtype: str = "uint8", change: int = 0) -> np.ndarray:
    volume = image(dtype)
    volume[0, 10, 10] += volume.dtype.type(change)
    with h5py.File("raw.h5", "w") as file:
        file.create_dataset("raw", data=volume, track_times=False)
    Path("config.yaml").write_text(yaml.safe_dump(config_of()))
    return volume


def config_of(filters: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    source = {"path": "raw.h5", "dataset": "raw", "voxel_size": [30, 10, 10], "filters": filters or []}
    rest = {"evaluation": None, "pyramid": {"enabled": False}, "meshes": {"enabled": False}, "inference": None}
    return {**CONFIG, **rest, "source": source, "block": [16, 32, 32], "chunk": None, **more}


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("clip", "to", "keep"), [((0.01, 0.99), None, None), ((0.1, 0.8), (20.0, 200.0), 0), ((0, 1), (255.0, 0.0), 0)]
)
def test_an_image_is_that_of_the_whole_for_any_blocks(
    folder: Path, dtype: str, clip: tuple[float, float], to: tuple[float, float] | None, keep: int | None
) -> None:
    write_inputs(folder)
    volume = write(dtype)
    assert call("histograms", "h.h5") == 0
    values = {"file": "h.h5", "clip": list(clip), "to": to and list(to), "keep": keep}
    whole = expected(volume, clip, to or (0, np.iinfo(dtype).max), keep)
    assert (whole != volume).mean() > 0.5
    for block in ([16, 32, 32], [4, 8, 8], [2, 16, 4]):
        plan = resolve(config_of([{"normalize": values}], block=block, inference=CONFIG["inference"]))
        source, grid = plan.source.open(), BlockGrid(plan.roi, (block[0], block[1], block[2]))
        for i in grid.ids:
            np.testing.assert_array_equal(source.read(grid.box(i))[0], whole[grid.box(i).slices()])


@pytest.mark.slow
def test_a_run_normalises_its_image(folder: Path) -> None:
    write_inputs(folder)
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, "evaluation": None}))
    assert call("histograms", "h.h5") == 0
    config: dict[str, Any] = {
        **CONFIG,
        "evaluation": None,
        "source": {**CONFIG["source"], "filters": [{"normalize": {"file": "h.h5"}}]},
    }
    prepare_plan(config)
    plan = resolve(config)
    do_all(plan, Stages(plan).rule("image"))
    with h5py.File("raw.h5") as file:
        raw = file["raw"][...]
    found = read_box(Path(plan.outdir, "image"), plan.layers["image"], plan.roi)[0]
    np.testing.assert_array_equal(found, expected(raw, (0.01, 0.99), (0, 255), None))
    assert "h.h5" in files_of(plan)
    assert "sha256" in Stages(plan).param("image")
    assert "h.h5" not in Stages(plan).param("image"), "the file may lie elsewhere"


def test_the_command_names_bad_sections_and_replaces_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert call("histograms", "h.h5") == 0
    said = capsys.readouterr().out
    assert "9 sections of z 0:9" in said
    assert "sections: [4]" in said
    before = Path("h.h5").read_bytes()
    assert call("histograms", "h.h5") == 1
    assert "h.h5 exists" in capsys.readouterr().err
    assert call("histograms", "h.h5", "--overwrite") == 0
    assert Path("h.h5").read_bytes() == before, "the same histograms are the same bytes"


def test_histograms_of_another_content_are_refused(folder: Path) -> None:
    write()
    assert call("histograms", "h.h5") == 0
    write(change=1)
    with pytest.raises(ConfigError, match=r"h\.h5 was made for another content than .*raw\.h5 has now; make it again"):
        resolve(config_of([{"normalize": {"file": "h.h5"}}]))


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ([{"normalize": {"file": "gone.h5"}}], r"gone\.h5 is not a histogram file"),
        ([{"normalize": {"file": "raw.h5"}}], r"raw\.h5 is not a histogram file"),
        ([{"inverse": {}}, {"normalize": {"file": "h.h5"}}], r"source\.filters\[1\]\.normalize must be the first filter"),
        ([{"normalize": {"file": "h.h5", "clip": [0.9, 0.1]}}], r"clip \[0\.9, 0\.1\] must be two fractions"),
        ([{"normalize": {"file": "h.h5", "to": [3, 3]}}], r"to \[3.*\] is empty"),
        ([{"normalize": {"file": "h.h5", "to": [0, 300]}}], r"to \[0.*300.*\] does not fit uint8"),
        ([{"normalize": {}}], r"normalize"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, filters: list[dict[str, Any]], says: str) -> None:
    write()
    assert call("histograms", "h.h5") == 0
    with pytest.raises(ConnectomakeError, match=says):
        resolve(config_of(filters))


def test_histograms_of_another_extent_or_dtype_are_refused(folder: Path) -> None:
    write("uint16")
    assert call("histograms", "h.h5") == 0
    with h5py.File("h.h5", "a") as file:
        file["histograms"].attrs["stop"] = (9, 20, 30)
    with pytest.raises(ConfigError, match=r"counts the sections of .*, but the source holds"):
        resolve(config_of([{"normalize": {"file": "h.h5"}}]))
    write()
    with pytest.raises(ConnectomakeError, match=r"counts uint16 values|counts the sections of"):
        resolve(config_of([{"normalize": {"file": "h.h5"}}]))


def test_floats_are_not_counted() -> None:
    with pytest.raises(SourceError, match="histograms count uint8 and uint16 values, not float32"):
        next(count_sections(lambda box: np.zeros((1, *box.shape)), Box.of_shape((1, 1, 1)), 1, "float32"))
