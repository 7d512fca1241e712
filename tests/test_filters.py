"""Filters of the image: each against an independent reference on the whole volume, for random boxes; how a run has them."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage
from skimage.exposure import equalize_adapthist
from skimage.morphology import remove_small_holes

from connectomake.cli import main
from connectomake.errors import ConfigError, QueueError, RunError, SourceError
from connectomake.filters import FILTERS, filters_of, plain_of
from connectomake.filters.base import Place
from connectomake.filters.blockwise import grown_shape
from connectomake.geometry import BlockGrid, Box
from connectomake.layers import read_box
from connectomake.pipeline.demands import Demands
from connectomake.pipeline.registry import Stages
from connectomake.planning.modules import file_hash
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.queueing.bounds import plan_paths
from connectomake.queueing.files import files_of
from connectomake.sources import Source
from connectomake.sources.filtering import filtered
from tests.rule_jobs import do_all
from tests.test_sources import make_precomputed
from tests.tiny_run import CONFIG, write_inputs

VOXEL_SIZE = (30.0, 10.0, 5.0)
OWN = """import numpy as np
from helper import WEIGHT

def shifted(image):
    out = np.zeros_like(image)
    out[:, :, 1:] = image[:, :, :-1] // WEIGHT
    image[:] = 0
    return out

def mean(image):
    return image + np.uint8(1000 * image.mean() % 256)

def larger(image):
    return np.repeat(image, 2, 1)

def floats(image):
    return image / 2

def gone(image):
    return None

def broken(image):
    return image[5, 5, 5, 5]

def nan(image):
    return np.full(image.shape, np.nan, np.float32)
"""


def source_of(volume: np.ndarray, start: tuple[Any, ...] = (0, 0, 0)) -> Source:
    bounds = Box.of_shape(volume.shape[1:], start)
    return Source(
        "volume", "hdf5", bounds, len(volume), volume.dtype.name, VOXEL_SIZE, "id",
        lambda box: volume[(slice(None), *box.slices(bounds.start))],
    )  # fmt: skip


def blockwise(volume: np.ndarray, config: list[Any], block: tuple[Any, ...], start: tuple[Any, ...] = (0, 0, 0)) -> np.ndarray:
    """The filtered volume, read block by block."""
    source = filtered(source_of(volume, start), filters_of(config))
    grid = BlockGrid(source.bounds, block)
    out = np.empty(volume.shape, source.dtype)
    for i in grid.ids:
        out[(slice(None), *grid.box(i).slices(start))] = source.read(grid.box(i))
    return out


def of_channels(function: Any) -> Any:
    return lambda volume, *args: np.stack([function(channel, *args) for channel in volume])


@of_channels
def whole_gaussian(volume: np.ndarray, sigma: Any, truncate: Any) -> Any:
    smooth = ndimage.gaussian_filter(volume.astype(np.float64), sigma, mode="mirror", truncate=truncate)
    return smooth.astype(volume.dtype) if volume.dtype.kind == "f" else np.rint(smooth).astype(volume.dtype)


@of_channels
def whole_median(volume: np.ndarray, size: Any) -> Any:
    pads = [(n // 2, n // 2) for n in size]
    windows = sliding_window_view(np.pad(volume, pads, mode="reflect"), size)
    return np.median(windows, axis=(3, 4, 5)).astype(volume.dtype)


def whole_inverse(volume: Any) -> Any:
    return 1 - volume if volume.dtype.kind == "f" else np.iinfo(volume.dtype).max - volume


def whole_rescale(volume: Any, values: Any, to: Any, dtype: Any) -> Any:
    found = np.interp(volume.astype(np.float64), values, to)
    return found.astype(dtype) if dtype == "float32" else np.rint(found).astype(dtype)


sizes = st.tuples(*[st.integers(1, 17)] * 3)
blocks = st.tuples(*[st.integers(1, 20)] * 3)
starts = st.tuples(*[st.integers(-30, 30)] * 3)


@st.composite
def volumes(draw: st.DrawFn, kinds: tuple[Any, ...] = ("uint8", "uint16", "float32")) -> np.ndarray:
    shape, dtype = draw(sizes), draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    noise = rng.random((draw(st.integers(1, 2)), *shape))
    return noise.astype(dtype) if dtype == "float32" else (noise * np.iinfo(dtype).max).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(volumes(), blocks, starts, st.tuples(*[st.sampled_from([0, 0.4, 1, 2.3])] * 3), st.sampled_from([1.5, 3, 4]))
def test_a_gaussian_is_that_of_the_whole_volume(volume: np.ndarray, block: Any, start: Any, sigma: Any, truncate: Any) -> None:
    if not any(sigma):
        return
    expected = whole_gaussian(volume, sigma, truncate)
    given = {"sigma": list(sigma), "truncate": truncate}
    np.testing.assert_array_equal(blockwise(volume, [{"gaussian": given}], block, start), expected)


def test_a_gaussian_in_nanometres_and_one_for_all_axes() -> None:
    volume = np.random.default_rng(0).integers(0, 255, (1, 9, 12, 14), np.uint8)
    in_nm = blockwise(volume, [{"gaussian": {"sigma": 30, "unit": "nm"}}], (4, 5, 6))
    np.testing.assert_array_equal(in_nm, whole_gaussian(volume, (1, 3, 6), 4))
    np.testing.assert_array_equal(
        blockwise(volume, [{"gaussian": {"sigma": 1}}], (4, 5, 6)), whole_gaussian(volume, (1, 1, 1), 4)
    )


@settings(max_examples=40, deadline=None)
@given(volumes(), blocks, starts, st.tuples(*[st.sampled_from([1, 3, 5])] * 3))
def test_a_median_is_that_of_the_whole_volume(volume: np.ndarray, block: Any, start: Any, size: Any) -> None:
    if any(n // 2 >= m > 1 for n, m in zip(size, volume.shape[1:], strict=True)):
        return  # numpy's pad reflects as often as needed, too, but windows of one voxel are none
    expected = whole_median(volume, size)
    np.testing.assert_array_equal(blockwise(volume, [{"median": {"size": list(size)}}], block, start), expected)


@settings(max_examples=40, deadline=None)
@given(volumes(), blocks, st.floats(0, 300, width=32))
def test_threshold_inverse_and_rescale_are_those_of_the_whole_volume(volume: np.ndarray, block: Any, value: Any) -> None:
    found = blockwise(volume, [{"threshold": {"value": value}}], block)
    np.testing.assert_array_equal(found, np.where(volume.astype(np.float64) > value, 255, 0).astype(np.uint8))
    np.testing.assert_array_equal(blockwise(volume, [{"inverse": {}}], block), whole_inverse(volume))
    most = 1 if volume.dtype.kind == "f" else int(np.iinfo(volume.dtype).max)
    for to, dtype in (((0, 1), "float32"), ((0, 255), "uint8"), ((1000, 60000), "uint16")):
        values = [most / 8, most / 2]
        config = {"rescale": {"values": values, "to": list(to), "dtype": dtype}}
        found, expected = blockwise(volume, [config], block), whole_rescale(volume, values, to, dtype)
        assert found.dtype == expected.dtype
        if dtype == "float32":
            np.testing.assert_array_almost_equal_nulp(found, expected, 1)
        else:
            np.testing.assert_array_equal(found, expected)


def test_a_value_that_a_dtype_cannot_hold_is_compared_as_it_is_written() -> None:
    volume = np.array([[[[0.1]]]], np.float32)  # 0.1 in float32 is a little above 0.1
    assert blockwise(volume, [{"threshold": {"value": 0.1}}], (1, 1, 1)).item() == 255
    assert blockwise(np.array([[[[7]]]], np.uint8), [{"threshold": {"value": 6.5}}], (1, 1, 1)).item() == 255


@settings(max_examples=25, deadline=None)
@given(volumes(("uint8",)), blocks, starts)
def test_filters_in_order_are_those_of_the_whole_volume(volume: np.ndarray, block: Any, start: Any) -> None:
    config = [
        {"gaussian": {"sigma": [0, 1, 1.5]}}, {"inverse": {}}, {"median": {"size": [3, 1, 3]}},
        {"rescale": {"values": [0, 255], "to": [0, 1]}}, {"gaussian": {"sigma": [1, 0, 0]}}, {"threshold": {"value": 0.45}},
    ]  # fmt: skip
    whole = blockwise(volume, config, volume.shape[1:], start)
    np.testing.assert_array_equal(blockwise(volume, config, block, start), whole)
    z, y, x = volume.shape[1:]
    if min(z, y, x) > 2:
        step = whole_median(whole_inverse(whole_gaussian(volume, (0, 1, 1.5), 4)), (3, 1, 3))
        step = whole_gaussian(whole_rescale(step, (0, 255), (0, 1), "float32"), (1, 0, 0), 4)
        np.testing.assert_array_equal(whole, np.where(step.astype(np.float64) > 0.45, 255, 0))


@settings(max_examples=40, deadline=None)
@given(volumes(), blocks, starts, st.data())
def test_bad_sections_are_those_of_the_whole_volume(
    volume: np.ndarray, block: tuple[int, int, int], start: Any, data: Any
) -> None:
    depth = volume.shape[1]
    bad = data.draw(st.lists(st.integers(0, depth - 1), min_size=1, max_size=max(depth - 1, 1), unique=True))
    if len(bad) == depth:
        return
    good = [z for z in range(depth) if z not in bad]
    expected = {kind: volume.copy() for kind in ("blank", "nearest", "interpolate")}
    for z in bad:
        expected["blank"][:, z] = 0
        expected["nearest"][:, z] = volume[:, min(good, key=lambda g: (abs(g - z), g))]
        low, high = max((g for g in good if g < z), default=None), min((g for g in good if g > z), default=None)
        if low is None or high is None:
            expected["interpolate"][:, z] = volume[:, high if low is None else low]
        else:
            share = (z - low) / (high - low)
            mixed = volume[:, low].astype(np.float64) * (1 - share) + volume[:, high].astype(np.float64) * share
            expected["interpolate"][:, z] = mixed if volume.dtype.kind == "f" else np.rint(mixed)
    for repair, whole in expected.items():
        config = [{"bad_sections": {"sections": [z + start[0] for z in bad], "repair": repair}}]
        np.testing.assert_array_equal(blockwise(volume, config, block, start), whole)


@settings(max_examples=30, deadline=None)
@given(volumes(), blocks, starts, st.data())
def test_blackout_is_that_of_the_whole_volume(volume: np.ndarray, block: tuple[int, int, int], start: Any, data: Any) -> None:
    expected, boxes = volume.copy(), []
    for _ in range(data.draw(st.integers(1, 3))):
        low = [data.draw(st.integers(-3, n - 1)) for n in volume.shape[1:]]
        high = [max(a, 0) + data.draw(st.integers(1, 9)) for a in low]
        expected[(slice(None), *(slice(max(a, 0), b) for a, b in zip(low, high, strict=True)))] = 7
        boxes.append({"start": np.add(low, start).tolist(), "stop": np.add(high, start).tolist()})
    np.testing.assert_array_equal(blockwise(volume, [{"blackout": {"boxes": boxes, "value": 7}}], block, start), expected)


@settings(max_examples=50, deadline=None)
@given(volumes(("uint8",)), blocks, starts, st.integers(1, 12), st.integers(100, 220))
def test_holes_are_filled_as_in_the_whole_volume(
    volume: np.ndarray, block: tuple[int, int, int], start: Any, area: Any, value: Any
) -> None:
    mask = volume > value
    expected = np.array([[remove_small_holes(z, max_size=area, connectivity=1) for z in channel] for channel in mask])
    config = [{"threshold": {"value": value}}, {"fill_holes": {"area": area}}]
    np.testing.assert_array_equal(blockwise(volume, config, block, start), np.where(expected, 255, 0))


def naive_clahe(section: np.ndarray, tile: tuple[Any, ...], clip: float) -> np.ndarray:
    """Voxel by voxel, tile by tile."""
    most = 1 if section.dtype.kind == "f" else np.iinfo(section.dtype).max
    levels: dict[str, Callable[[Any], int]] = {
        "uint8": int,
        "uint16": lambda v: int(v) // 256,
        "float32": lambda v: min(int(v * 256), 255),
    }
    level = levels[section.dtype.name]
    counts = [-(-n // t) for n, t in zip(section.shape, tile, strict=True)]

    def shares(y: int, x: int) -> list[float]:
        part = section[y * tile[0] : (y + 1) * tile[0], x * tile[1] : (x + 1) * tile[1]]
        found = np.zeros(256)
        for value in part.ravel():
            found[level(value)] += 1
        limit = max(int(clip * part.size), 1)
        above = sum(max(c - limit, 0) for c in found)
        return [min(s / part.size, 1) for s in itertools.accumulate(min(c, limit) + above / 256 for c in found)]

    table = {(y, x): shares(y, x) for y in range(counts[0]) for x in range(counts[1])}
    out = np.zeros(section.shape)
    for (y, x), value in np.ndenumerate(section):
        (a, u), (b, v) = (
            (int(np.floor(p)), p - np.floor(p)) for p in ((i + 0.5) / t - 0.5 for i, t in zip((y, x), tile, strict=True))
        )
        ys, xs = ([min(max(i, 0), n - 1) for i in (low, low + 1)] for low, n in ((a, counts[0]), (b, counts[1])))
        top, bottom = ((1 - v) * table[i, xs[0]][level(value)] + v * table[i, xs[1]][level(value)] for i in ys)
        out[y, x] = (1 - u) * top + u * bottom
    return out.astype(np.float32) if section.dtype.kind == "f" else np.rint(out * most).astype(section.dtype)


@settings(max_examples=30, deadline=None)
@given(volumes(), blocks, starts, st.tuples(st.integers(2, 7), st.integers(2, 7)), st.sampled_from([0.02, 0.1, 1]))
def test_clahe_is_that_of_the_whole_volume(
    volume: np.ndarray, block: tuple[int, int, int], start: Any, tile: Any, clip: Any
) -> None:
    expected = np.array([[naive_clahe(section, tile, clip) for section in channel] for channel in volume])
    config = [{"clahe": {"tile": list(tile), "clip": clip}}]
    np.testing.assert_array_equal(blockwise(volume, config, block, start), expected)


def test_clahe_does_what_that_of_scikit_image_does() -> None:
    """Not the same tiles at the faces, nor the same rounding, but the same picture."""
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((256, 256)), 3)
    image = (image - image.min()) / np.ptp(image) + np.linspace(0, 1, 256)
    image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)  # theirs stretches to the whole range
    found = blockwise(image[np.newaxis, np.newaxis], [{"clahe": {"tile": [32, 32], "clip": 0.02}}], (1, 50, 60))[0, 0]
    theirs = 255 * equalize_adapthist(image, (32, 32), 0.02)
    assert np.corrcoef(found[32:-32, 32:-32].ravel(), theirs[32:-32, 32:-32].ravel())[0, 1] > 0.98
    assert np.abs(found[32:-32, 32:-32] - theirs[32:-32, 32:-32]).mean() < 10


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file of functions in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "helper.py").write_text("WEIGHT = 2\n")
    return lambda name, halo=(0, 0, 0), **more: [{"python": {"file": "own.py", "function": name, "halo": list(halo), **more}}]


def test_a_function_of_ones_own_is_that_of_the_whole_volume(own: Any) -> None:
    volume = np.random.default_rng(0).integers(0, 255, (2, 5, 7, 8), np.uint8)
    expected = np.zeros_like(volume)
    expected[:, :, 1:] = volume[:, :, :-1] // 2
    expected[:, :, 0] = volume[:, :, 1] // 2  # mirrored at the face
    for block in ((5, 7, 8), (3, 4, 5), (1, 1, 1), (2, 7, 3)):
        np.testing.assert_array_equal(blockwise(volume, own("shifted", (0, 1, 0)), block), expected)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "shifted": ("gives two answers at z, y, x = .*depends on more than the halo \\[0, 0, 0\\]; raise the halo", {}),
    "mean": ("depends on more than the halo \\[2, 2, 2\\]", {"halo": (2, 2, 2)}),
    "larger": ("got \\[1, 20, 20, 20\\] voxels \\(channels, z, y, x\\) and returned \\[1, 40, 20, 20\\]", {}),
    "floats": ("returned float64, not uint8; name it as the filter's dtype", {}),
    "gone": ("returned NoneType; it must return a NumPy array", {}),
    "broken": ("broken of own.py in line 23 failed: IndexError", {}),
    "nan": ("returned values that are not finite", {"dtype": "float32"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_that_breaks_its_word_is_refused(own: Any, name: Any) -> None:
    sentence, more = REFUSED[name]
    volume = np.random.default_rng(0).integers(0, 255, (1, 20, 20, 20), np.uint8)
    with pytest.raises(RunError, match=sentence):
        blockwise(volume, own(name, **more), (20, 20, 20))


def test_a_function_that_is_not_there_is_named(own: Any) -> None:
    volume = np.zeros((1, 4, 4, 4), np.uint8)
    with pytest.raises(SourceError, match=r"own.py has no function 'shiftd'; it has shifted, mean"):
        blockwise(volume, own("shiftd"), (4, 4, 4))
    Path("own.py").write_text("def f(:\n")
    with pytest.raises(SourceError, match=r"running own.py for the filter python failed in line 1: SyntaxError"):
        blockwise(volume, own("f"), (4, 4, 4))


WRONG = [
    ([{"gaussian": {"sigma": 0}}], r"source\.filters\[0\]\.gaussian: sigma is 0 along all axes"),
    ([{"inverse": {}}, {"median": {"size": [3, 4, 3]}}], r"source\.filters\[1\]\.median: size \[3, 4, 3\] has no middle"),
    ([{"rescale": {"values": [5, 5]}}], r"source\.filters\[0\]\.rescale: values \[5.0, 5.0\] is empty"),
    ([{"rescale": {"values": [0, 9], "to": [0, 256], "dtype": "uint8"}}], r"does not fit uint8, which holds 0 to 255"),
    ([{"gaussian": {"sigma": 1}, "inverse": {}}], r"source\.filters\[0\]: .*wanted: one filter; give each an item"),
    ([{}], r"source\.filters\[0\]: .*wanted: one filter, such as"),
    ([{"gausian": {"sigma": 1}}], r"unknown key 'gausian' in source\.filters\[0\]; did you mean 'gaussian'"),
    ([{"gaussian": {}}], r"key 'sigma' is missing in source\.filters\[0\]\.gaussian; add it \(Standard deviation"),
    ([{"gaussian": {"sigma": [1, 2]}}], r"sigma: \[1, 2\] is not allowed; wanted: three numbers, z, y, x"),
    ([{"gaussian": {"sigma": -1}}], r"sigma: -1 is not allowed; wanted: >= 0"),
    ([{"bad_sections": {"sections": [3, 20]}}], r"bad_sections: section 20 is not in the source, whose sections are 0 to 19"),
    ([{"bad_sections": {"sections": list(range(20))}}], r"all sections of the source are listed"),
    ([{"bad_sections": {"sections": []}}], r"sections: \[\] is not allowed; wanted: at least one item"),
    ([{"blackout": {"boxes": [{"start": [0, 0, 0], "stop": [4, 0, 4]}]}}], r"from \[0, 0, 0\] to \[4, 0, 4\] holds no voxel"),
    ([{"blackout": {"boxes": [{"start": [20, 0, 0], "stop": [24, 4, 4]}]}}], r"lies outside the source, which holds z 0:20"),
    ([{"blackout": {"boxes": [{"start": [0, 0, 0], "stop": [4, 4, 4]}], "value": 300}}], r"value 300 is not a valid uint8"),
    (
        [{"rescale": {"values": [0, 9], "dtype": "float32"}}, {"blackout": {"boxes": [{"start": [0, 0, 0]}]}}],
        r"'stop' is missing",
    ),
    ([{"fill_holes": {"area": 0}}], r"area: 0 is not allowed; wanted: >= 1"),
    ([{"clahe": {"tile": [64]}}], r"tile: \[64\] is not allowed; wanted: two numbers"),
    ([{"python": {"file": "f.py", "function": "f"}}], r"key 'halo' is missing"),
    ([{"python": {"file": "nowhere.py", "function": "f", "halo": [0, 0, 0]}}], r"'nowhere.py' cannot be read \(No such file"),
    ([{"rescale": {"values": [0, 1], "dtype": "int16"}}], r"wanted: one of uint8, uint16, float32"),
]


@pytest.mark.parametrize(("filters", "sentence"), WRONG)
def test_wrong_filters_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: Any, sentence: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    config = {**CONFIG, "source": {**CONFIG["source"], "filters": filters}}
    with pytest.raises(ConfigError, match=sentence):
        resolve(config)


def test_a_value_that_is_not_finite_is_named() -> None:
    volume = np.zeros((1, 4, 5, 6), np.float32)
    volume[0, 2, 3, 4] = np.nan
    with pytest.raises(SourceError, match=r"value nan in channel 0 at z, y, x = 12, 23, 34, which source.filters cannot read"):
        blockwise(volume, [{"gaussian": {"sigma": 1}}], (4, 5, 6), (10, 20, 30))


def with_filters(filters: list[Any], **source: Any) -> dict[str, Any]:
    return {**CONFIG, "source": {**CONFIG["source"], **source, "filters": filters}, "meshes": {"enabled": False}}


MIXED = [{"gaussian": {"sigma": [0, 1, 1]}}, {"rescale": {"values": [20, 200]}}]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    with h5py.File("raw.h5") as file:
        return file["raw"][...]


def made(config: dict[str, Any], name: str, rules: tuple[Any, ...] = ("image", "affinity")) -> np.ndarray:
    """A layer of a run, after the jobs of some rules."""
    prepare_plan(config)
    plan = resolve(config)
    for rule in Stages(plan).rules():
        if rule.name in rules:
            do_all(plan, rule)
    return read_box(Path(plan.outdir, name), plan.layers[name], plan.roi)


def place_precomputed(image: np.ndarray) -> None:
    Path("pre").mkdir()
    make_precomputed(Path("pre"), image[np.newaxis], (0, 0, 0))


REGION = {"start": [3, 5, 7], "stop": [19, 23, 38]}


@pytest.mark.slow
@pytest.mark.parametrize("region", [{}, REGION], ids=["whole", "region"])
def test_sources_in_place_and_ingested_ones_give_the_same_bits(inputs: Any, region: Any) -> None:
    """The filters see the whole source: a region gives what it holds of the whole; the network sees the filtered image."""
    place_precomputed(inputs)
    filtered_image = whole_rescale(whole_gaussian(inputs[np.newaxis], (0, 1, 1), 4), (20, 200), (0, 1), "float32")
    with h5py.File("filtered.h5", "w") as file:
        file["raw"] = filtered_image[0]
    found = {}
    for name, source, filters, block in (
        ("reference", {"path": "filtered.h5"}, [], [32, 32, 32]),
        ("ingested", {}, MIXED, [16, 16, 16]),
        ("in place", {"path": "pre", "dataset": None}, MIXED, [8, 16, 32]),
    ):
        config = with_filters(filters, **source, **region) | {"outdir": f"out-{name[:2]}", "block": block, "chunk": None}
        config["inference"] = {**config["inference"], "output_patch": [4, 8, 8]}
        found[name] = made(config | {"evaluation": None}, "affinity")
    np.testing.assert_array_equal(found["ingested"], found["reference"])
    np.testing.assert_array_equal(found["in place"], found["reference"])


@pytest.mark.slow
def test_a_probability_in_place_is_filtered(inputs: Any) -> None:
    place_precomputed(inputs)
    filters = [{"gaussian": {"sigma": 1}}]
    found = []
    for source in ({}, {"path": "pre", "dataset": None}):
        config = with_filters(filters, **source) | {"inference": None, "evaluation": None, "outdir": f"out{len(source)}"}
        found.append(made(config, "components", ("image", "components")))
    np.testing.assert_array_equal(found[0], found[1])
    expected = whole_gaussian(inputs[np.newaxis], (1, 1, 1), 4) > 127.5
    np.testing.assert_array_equal(found[0] > 0, expected)


def test_the_list_is_in_the_params_only_where_it_is_not_empty(inputs: Any, own: Any) -> None:
    def params(filters: list[Any]) -> dict[str, str]:
        stages = Stages(resolve(with_filters(filters)))
        return {name: stages.param(name) for name in stages.names}

    none, one = params([]), params(own("shifted", (0, 1, 0)))
    assert not any("filters" in text for text in none.values())
    assert "filters" in one["image"]
    assert none["affinity"] != one["affinity"]
    same = params([{"gaussian": {"sigma": 1}}])
    assert same == params([{"gaussian": {"sigma": [1.0, 1, 1], "unit": "voxels", "truncate": 4.0}}])
    Path("moved").mkdir()
    for name in ("own.py", "helper.py"):
        Path(name).rename(f"moved/{name}")
    moved = own("shifted", (0, 1, 0))
    moved[0]["python"]["file"] = "moved/own.py"
    assert params(moved) == one
    Path("moved/helper.py").write_text("WEIGHT = 3\n")
    assert params(moved)["image"] != one["image"]


def test_a_function_that_changed_since_the_plan_is_refused(inputs: Any, own: Any) -> None:
    plan = resolve(with_filters(own("shifted", (0, 1, 0))))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert plan.source.open().read(plan.roi).shape == (1, *inputs.shape)
    assert files_of(plan)["own.py"] == file_hash(Path("own.py"))
    Path("helper.py").write_text("WEIGHT = 3\n")
    with pytest.raises(SourceError, match=r"own.py of source.filters, or what it uses .* has changed since the plan was made"):
        plan.source.open()


def test_a_queue_knows_which_files_filters_name(inputs: Any, own: Any) -> None:
    plan = resolve(with_filters(own("shifted", (0, 1, 0)))).to_json()
    assert ("source.filters", "own.py") in set(plan_paths(plan))
    odds: tuple[Any, ...] = ({}, [3], [{"python": {"file": 3}}])
    for odd in odds:
        plan["config"]["source"]["filters"] = odd
        if odd != {}:
            with pytest.raises(QueueError):
                list(plan_paths(plan))


def test_jobs_ask_for_the_memory_and_the_time_of_the_halo(inputs: dict[str, Any]) -> None:
    small, large = (
        resolve(with_filters([{"median": {"size": [n, n, n]}}]) | {"block": [256, 256, 256], "chunk": [64, 64, 64]})
        for n in (3, 65)
    )
    plain = resolve(with_filters([]) | {"block": [256, 256, 256], "chunk": [64, 64, 64]})
    memory = [Demands(plan).memory("image") for plan in (plain, small, large)]
    assert memory == sorted(set(memory))
    assert memory[2] > 12 * (64 + 64) * (256 + 64) ** 2 / 1e6
    times = [Stages(plan).rule("image").seconds_per_megavoxel for plan in (plain, small, large)]
    assert times == sorted(set(times))


def test_check_says_that_a_halo_is_too_small(inputs: Any, own: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def check(filters: list[Any]) -> tuple[int, str, str]:
        Path("config.yaml").write_text(yaml.safe_dump(with_filters(filters) | {"inference": None, "evaluation": None}))
        with pytest.raises(SystemExit) as ended:
            main(["check"])
        return int(ended.value.code or 0), *capsys.readouterr()

    code, out, _ = check(own("shifted", (0, 1, 0)))
    assert code == 0
    assert "✓ its image is filtered: python\n" in out
    code, _, err = check(own("shifted"))
    assert code == 1
    assert "it depends on more than the halo [0, 0, 0]; raise the halo" in err
    assert err.count("\n") == 1


def test_filters_are_read_back_from_what_the_plan_keeps() -> None:
    config: list[dict[str, Any]] = [
        {"normalize": {"file": "h.h5", "to": [1, 9], "keep": 0}},
        {"gaussian": {"sigma": [1, 0, 2], "unit": "nm"}}, {"median": {"size": [1, 3, 3]}}, {"threshold": {"value": 3}},
        {"blackout": {"boxes": [{"start": [0, 0, 0], "stop": [1, 2, 3]}]}}, {"bad_sections": {"sections": [3]}}, {"clahe": {}},
        {"fill_holes": {"area": 1}}, {"inverse": {}}, {"rescale": {"values": [1, 2]}},
        {"python": {"file": "f.py", "function": "f", "halo": [1, 2, 3]}},
    ]  # fmt: skip
    filters = filters_of(config)
    assert filters_of(json.loads(json.dumps(plain_of(filters)))) == filters
    assert {step.key for step in filters} == set(FILTERS)
    grown = (10 + 8 + 2 + 2, 10 + 2 + 4 + 256 + 2, 10 + 16 + 2 + 6 + 256 + 2)
    assert grown_shape(filters, (10, 10, 10), (1, 1, 1)) == grown


def test_files_of_the_same_name_beside_two_functions_are_kept_apart(tmp_path: Path) -> None:
    image = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
    place = Place(Box.of_shape((2, 2, 2)), Box.of_shape((2, 2, 2)), (1.0, 1.0, 1.0))
    (tmp_path / "elsewhere").mkdir()
    steps: list[Any] = []
    for name, weight in (("one", 2), ("two", 3)):
        folder = tmp_path / name
        (folder / "parts").mkdir(parents=True)
        (folder / "helper.py").write_text(f"WEIGHT = {weight}\n")
        (folder / "parts" / "late.py").write_text(f"OFFSET = {10 * weight}\n")
        (folder / "own.py").write_text(
            "from helper import WEIGHT\n\n"
            "def f(image):\n    from parts.late import OFFSET\n    return (image * WEIGHT + OFFSET).astype('uint8')\n"
        )
        steps += filters_of([{"python": {"file": str(folder / "own.py"), "function": "f", "halo": [0, 0, 0]}}])
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in {"helper", "parts"}}
    for step, weight in [*zip(steps, (2, 3), strict=True), *zip(steps, (2, 3), strict=True)]:
        np.testing.assert_array_equal(step.apply(image, place), image * weight + 10 * weight)
    after = {name: module for name, module in sys.modules.items() if name.split(".")[0] in {"helper", "parts"}}
    assert after == before, "nobody else gets their neighbours"
