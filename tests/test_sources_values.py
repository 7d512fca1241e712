"""What values are taken for: probabilities, ranges, logits, images that look dark; what check says of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.config import normalise
from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import resolve
from connectomake.sources import SourceOptions, ingest_block, open_source
from connectomake.sources.mapping import sigmoid, to_unit
from connectomake.sources.probability import check_probability
from connectomake.sources.samples import label_like, spread_boxes
from tests.tiny_run import CONFIG, write_inputs

SHAPE = (24, 40, 44)
RNG = np.random.default_rng(0)
UNIT = RNG.random(SHAPE).astype(np.float32)
GREY = RNG.integers(20, 230, SHAPE, dtype=np.uint8)
LABELS = np.asarray(np.ravel_multi_index(np.indices(SHAPE) // 12, (4, 4, 4)) * 3 + 20, np.uint8)


def with_one(value: float) -> np.ndarray:
    values = UNIT.copy()
    values[12, 20, 22] = value
    return values


def write(folder: Path, values: Any, source: Any = None, **sections: Any) -> None:
    """Write a source and a config without network, or the sections that are given."""
    with h5py.File(folder / "v.h5", "w") as file:
        file["v"] = values
    config: dict[str, Any] = {
        "outdir": "out", "source": {"path": "v.h5", "dataset": "v", "voxel_size": [8, 8, 8], **(source or {})},
        "block": [16, 32, 32], "chunk": [8, 16, 16], "meshes": {"enabled": False},
        "segmentation": {"threshold": 0.5}, **sections,
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def check(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, list[str], str]:
    with pytest.raises(SystemExit) as end:
        main(["check", *args])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), [line for line in out.splitlines() if line.startswith("! ")], err


REFUSED = {
    "logits": (20 * UNIT - 10, {}, "holds probabilities, 0 to 1; name the values of 0 and 1"),
    "tanh": (2 * UNIT - 1, {}, "source.activation: sigmoid for logits"),
    "bytes as floats": (GREY.astype(np.float32), {}, "source.range: [low, high]"),
    "one infinity": (
        with_one(np.inf),
        {},
        "has the value inf in channel 0 at z, y, x = 12, 20, 22, which is not a probability",
    ),
    "one NaN": (with_one(np.nan), {}, "has the value nan in channel 0 at z, y, x = 12, 20, 22"),
    "an infinity and a range": (
        with_one(-np.inf),
        {"range": [0, 2]},
        "has the value -inf in channel 0 at z, y, x = 12, 20, 22",
    ),
    "an infinite logit": (with_one(np.inf), {"activation": "sigmoid"}, "has the value inf"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_check_refuses_what_a_run_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    values, source, sentence = REFUSED[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, values, source)
    code, _, err = check(capsys)
    assert code == 1
    assert sentence in err
    assert err.count("\n") == 1
    plan = resolve(yaml.safe_load(Path("config.yaml").read_text()))
    with pytest.raises(SourceError) as caught:
        for block in plan.layers["image"].grid.ids:
            ingest_block(
                plan.source.open(), plan.layers["image"], block, tmp_path / f"{block}.shard", {}, plan.segmented_channels
            )
    assert sentence.partition(" at z, y, x")[0] in str(caught.value)


WARNED = {
    "bits as bytes": (GREY % 2, {}, "set source.range: [0, 1]"),
    "labels": (LABELS, {}, "looks like labels"),
    "dim bytes": (GREY // 8, {}, "not above segmentation.threshold, 0.5"),
    "dim floats": (UNIT / 256, {}, "a probability of 0.00391 at most"),
    "zeros": (UNIT * 0, {}, "holds 0 everywhere"),
    "beyond the range": (GREY, {"range": [100, 200]}, "of the voxels looked at lie beyond source.range [100.0, 200.0]"),
}
FINE = {
    "floats": (UNIT, {}), "bytes": (GREY, {}), "bits": (UNIT > 0.5, {}), "just above": (with_one(1.0004), {}),
    "logits": (20 * UNIT - 10, {"activation": "sigmoid"}), "bits ranged": (GREY % 2, {"range": [0, 1]}),
    "tanh": (2 * UNIT - 1, {"range": [-1, 1]}), "deep": (GREY.astype(np.uint16) * 16, {"range": [0, 4095]}),
    "wide": (GREY.astype(np.uint64) << 40, {"range": [0, 255 << 40]}), "masks": ((UNIT > 0.5) * np.uint8(255), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNED)
def test_check_warns_of_odd_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    values, source, sentence = WARNED[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, values, source)
    code, warnings, _ = check(capsys)
    assert code == 0
    assert [sentence in line for line in warnings] == [True]


@pytest.mark.parametrize("name", FINE)
def test_check_has_nothing_to_say_of_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    values, source = FINE[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, values, source)
    assert check(capsys)[:2] == (0, [])


def test_only_the_channels_that_are_segmented_must_be_probabilities() -> None:
    values = np.stack([UNIT, UNIT - 9])
    box = Box.of_shape(SHAPE, (5, 6, 7))
    check_probability(values, box, [0], "v")
    with pytest.raises(SourceError, match="channel 1 at z, y, x = 5, 6, 7"):
        check_probability(values, box, [0, 1], "v")


IMAGES = {
    "12 bits": (GREY.astype(np.uint16) * 16, "divided by 65,535: 320 to 3664, where it was sampled, become 0.00488 to 0.0559",
                "[0, 4095]"),
    "signed": (GREY.astype(np.int16) * 100 - 9000, "become -0.214 to", "source.range: [low, high]"),
    "floats": (GREY.astype(np.float32), "floats go to the network as they are, 20 to 229", "source.range: [low, high]"),
    "dark bytes": (GREY // 8, "divided by 255", "[0, 31]"),
    "full": (GREY.astype(np.uint16) * 257, None, None), "unit floats": (UNIT, None, None), "bytes": (GREY, None, None),
    "12 bits ranged": (GREY.astype(np.uint16) * 16, None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_check_says_how_images_reach_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    values, found, way = IMAGES[name]
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    source = {"range": [0, 4095]} if name == "12 bits ranged" else {}
    write(tmp_path, values, source, inference=CONFIG["inference"])
    code, warnings, _ = check(capsys, "--fast")
    assert code == 0
    if found is None or way is None:
        assert warnings == []
    else:
        assert found in warnings[0]
        assert way in warnings[0]


def test_full_depths_are_said_without_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    write(tmp_path, GREY.astype(np.uint16) * 257, inference=CONFIG["inference"])
    with pytest.raises(SystemExit):
        main(["check", "--fast"])
    assert "✓ the image's uint16 are divided by 65,535" in capsys.readouterr().out


@given(st.tuples(*[st.integers(1, 300)] * 3), st.tuples(*[st.integers(-50, 50)] * 3), st.tuples(*[st.integers(1, 64)] * 3))
def test_boxes_are_spread_over_the_region(
    shape: tuple[int, int, int], start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    roi = Box.of_shape(shape, start)
    boxes = spread_boxes(roi, size)
    assert 1 <= len(boxes) <= 9
    assert all(roi.contains(box) and not box.empty for box in boxes)
    for axis in range(3):
        assert min(b.start[axis] for b in boxes) == roi.start[axis]
        assert max(b.stop[axis] for b in boxes) == roi.stop[axis]


@pytest.mark.parametrize("values", [GREY, GREY // 8, LABELS // 20, (UNIT > 0.5) * np.uint8(255), GREY * 0 + 100])
def test_what_does_not_look_like_labels(values: np.ndarray) -> None:
    assert not label_like([values[None]])


MAPPINGS: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], np.ndarray]]] = {
    "range": ({"range": [-3.5, 9]}, lambda v: to_unit(v, -3.5, 9)),
    "downwards": ({"range": [200, 10]}, lambda v: to_unit(v, 200, 10)),
    "sigmoid": ({"activation": "sigmoid"}, sigmoid),
}


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_mapping_gives_the_same_bits_whatever_is_read(tmp_path: Path, name: str, dtype: str) -> None:
    options, rule = MAPPINGS[name]
    if name == "sigmoid" and dtype[0] != "f":
        pytest.skip("only floats are logits")
    values = (40 * UNIT - 20).astype(dtype) if dtype[0] != "u" else GREY
    write(tmp_path, values)
    source = open_source(str(tmp_path / "v.h5"), "v", (8, 8, 8), options=SourceOptions.of(options))
    expected = rule(values.astype("float32") if dtype == "float64" else values)
    assert source.dtype == "float32"
    assert expected.min() >= 0
    assert expected.max() <= 1
    np.testing.assert_array_equal(source.read(source.bounds)[0], expected)
    for start in [(0, 0, 0), (3, 5, 7), (23, 39, 43)]:
        box = Box.of_shape((11, 13, 3), start).intersect(source.bounds)
        np.testing.assert_array_equal(source.read(box)[0], expected[box.slices()])


@pytest.mark.parametrize(("options", "sentence"), [
    ({"range": [3, 3]}, r"source.range \[3.0, 3.0\] is empty"),
    ({"range": [0, 1], "activation": "sigmoid"}, "exclude each other"),
    ({"activation": "sigmoid"}, "holds uint8, which are not logits"),
])  # fmt: skip
def test_mappings_that_mean_nothing_are_refused(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    write(tmp_path, GREY)
    with pytest.raises(ConfigError, match=sentence):
        open_source(str(tmp_path / "v.h5"), "v", (8, 8, 8), options=SourceOptions.of(options))


def test_a_config_without_a_mapping_keeps_its_params_and_one_with_it_has_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = []
    for source in (
        {},
        {"range": None, "activation": "none", "missing_sections": "error"},
        {"range": [0, 1]},
        {"range": [1, 0]},
    ):
        write(tmp_path, GREY, source)
        params.append(Stages(resolve(yaml.safe_load(Path("config.yaml").read_text()))).param("image"))
    assert params[0] == params[1]
    assert "range" not in params[0]
    assert len(set(params)) == 3


def test_a_range_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"source\.range"):
        normalise({"outdir": "out", "source": {"path": "v.h5", "range": [1]}, "block": [8, 8, 8]})
