"""What is black and white in a viewer: from the values of a layer, so that none shows black or white all over."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.cli import main
from connectomake.pyramid.thumbnail import shaded
from connectomake.reporting.sections import grey
from connectomake.viewing import contrast_warnings, viewer_state
from connectomake.viewing.contrast import affinity_span, image_span
from connectomake.viewing.shaders import colour_shader, grey_shader
from tests.shown_layers import chequered, ingested, make_plan, with_affinity

NONE = {"inference": None}
SPANS: dict[str, tuple[np.ndarray, dict[str, Any], dict[str, Any], Any]] = {
    "12 bits": (chequered(300, 3700, "uint16"), {}, {}, (300, 3700)),
    "16 bits": (chequered(0, 65535, "uint16"), {}, {}, (0, 65535)),
    "signed": (chequered(-3000, 900, "int16"), {}, {}, (-3000, 900)),
    "32 bits": (chequered(1000, 70000, "uint32"), {}, {}, (1000, 70000)),
    "bytes as floats": (chequered(0, 255, "float32"), {}, {}, (0, 255)),
    "dim floats": (chequered(0.1, 0.2, "float32"), {}, {}, pytest.approx((0.1, 0.2))),
    "constant": (chequered(700, 700, "uint16"), {}, {}, (700, 701)),
    "bytes": (chequered(0, 255, "uint8"), {}, {}, None),
    "12 bits in a range": (chequered(300, 3700, "uint16"), {"range": [0, 4095]}, {}, (0, 1)),
    "a probability": (chequered(0.1, 0.2, "float32"), {}, NONE, (0, 1)),
}


@pytest.mark.parametrize("name", SPANS)
def test_the_span_is_that_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    image, source, sections, expected = SPANS[name]
    monkeypatch.chdir(tmp_path)
    plan = ingested(make_plan(tmp_path, image, source, **sections))
    assert image_span(plan) == expected
    (layer,) = viewer_state(plan, "http://h:1", (0, 0, 0))["layers"]
    assert ("range=" in layer["shader"]) == (expected is not None)


@pytest.mark.parametrize(("image", "source", "sections", "expected"), [
    (chequered(300, 3700, "uint16"), {}, {}, (300, 3700)),
    (chequered(300, 3700, "uint16"), {"range": [0, 4095]}, {}, (0, 4095)),
    (chequered(0, 255, "uint8"), {"range": [255, 0]}, NONE, (255, 0)),
    (chequered(-6, 6, "float32"), {"activation": "sigmoid"}, NONE, (-6, 6)),
    (chequered(0, 1, "uint8"), {"range": [0, 1]}, NONE, (0, 1)),
])  # fmt: skip
def test_a_source_in_place_is_shown_as_it_is_stored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: np.ndarray,
    source: dict[str, Any],
    sections: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert image_span(make_plan(tmp_path, image, source, in_place=True, **sections)) == expected


def test_blocks_that_are_not_made_and_values_that_are_not_finite_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = chequered(0, 200, "float32")
    image[5:11, ::3] = np.nan
    image[5:11, 1::3] = np.inf  # leaves some of each block
    plan = ingested(make_plan(tmp_path, image))
    assert image_span(plan) == (0, 200)
    spec = plan.layers["image"]
    for block in spec.grid.ids[:-1]:
        (tmp_path / "out/image" / spec.shard_name(block)).unlink()
    assert image_span(plan) == (0, 200)
    (tmp_path / "out/image" / spec.shard_name(spec.grid.ids[-1])).unlink()
    assert image_span(plan) is None


@pytest.mark.parametrize(("low", "high", "said"), [(0, 1, False), (0, 1.0005, False), (-8, 12, True), (0, 255, True)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_affinity_beyond_one_is_shown_and_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    low: int,
    high: float,
    said: bool,
    channels: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(tmp_path, chequered(0, 255, "uint8"), channels=channels)
    values = np.stack([chequered(low, high, "float32")] * channels)
    plan = with_affinity(ingested(plan), values)
    assert affinity_span(plan) == ((low, high) if said else (0, 1))
    shader = viewer_state(plan, "http://h:1", (0, 0, 0))["layers"][1]["shader"]
    expected = (low, high) if said else (None if channels == 3 else (0, 1))
    assert shader == (colour_shader if channels == 3 else grey_shader)(expected)
    warnings = contrast_warnings(plan)
    assert [f"span {low:g} to {high:g}, but a probability is 0 to 1" in text for text in warnings] == [True] * said


def test_view_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    plan = make_plan(tmp_path, chequered(0, 255, "uint8"))
    with_affinity(ingested(plan), chequered(-9, 9, "float32")[None])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plan.config))
    with pytest.raises(SystemExit) as end:
        main(["view", "--print-only"])
    assert end.value.code in (0, None)
    assert "note: the values of affinity span -9 to 9, but a probability is 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(("low", "high", "dtype"), [(300, 3700, "uint16"), (-3000, 900, "int16"), (0, 255, "float32")])
def test_the_reports_pictures_are_neither_black_nor_white(low: int, high: int, dtype: str) -> None:
    section = chequered(low, high, dtype)[0]
    picture = grey(section)
    assert (picture.min(), picture.max()) == (0, 1)
    assert 0.3 < picture.mean() < 0.7
    if dtype == "float32":
        section[:3] = np.nan
        section[3] = np.inf
        np.testing.assert_array_equal(grey(section)[4:], picture[4:])
        np.testing.assert_array_equal(grey(np.full((4, 4), np.nan)), 0)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-3, 2), (20, 20.5), (0, 1), (0.2, 0.4)])
def test_thumbnails_of_float_images_are_neither_black_nor_white(low: float, high: float) -> None:
    section = chequered(low, high, "float32")[:1]
    beyond = low < 0 or high > 1
    picture = shaded(section, stretch=True)
    assert (picture.min(), picture.max()) == ((0, 255) if beyond else (int(255 * np.float32(low)), int(255 * np.float32(high))))
    section[0, 0, :2] = np.nan, np.inf
    np.testing.assert_array_equal(shaded(section, stretch=True)[1:], picture[1:])
    np.testing.assert_array_equal(shaded(section), (np.clip(np.nan_to_num(section[0]), 0, 1) * 255).astype(np.uint8))
