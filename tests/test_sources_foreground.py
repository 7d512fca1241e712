"""What other channels say is background: the largest channel, an excluding one; the same for any blocks."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from connectomake.components import threshold_for
from connectomake.errors import ConfigError
from connectomake.geometry import BlockGrid, Box
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.sources.foreground import Foreground, foreground
from tests.rule_jobs import do_all
from tests.tiny_run import CONFIG

SHAPE = (13, 18, 21)
LISTED = ("image", "components", "merge", "lookup", "segmentation")
small = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=60, deadline=None)
@given(small, small, st.tuples(*[st.integers(-7, 7)] * 3), st.integers(0, 3), st.booleans(), st.integers(0, 99))
def test_blocks_equal_the_whole(shape: Any, block: Any, start: Any, channel: int, edges: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 5, (4, *shape), np.uint8)
    roi, excluding = Box.of_shape(shape, start), (channel + 1) % 4
    largest = np.argmax(values, axis=0) == channel
    inside = largest & (values[excluding] <= 3)
    expected = values * inside
    if edges:
        for axis, edge in enumerate((2, 0, 3)):
            lower = np.ones(shape, bool)
            lower[(slice(None),) * axis + (slice(1, None),)] = inside[(slice(None),) * axis + (slice(None, -1),)]
            expected[edge] *= lower
    rule = Foreground(channel, (excluding, np.uint8(3)))
    read = foreground(lambda box: values[(slice(None), *box.slices(start))], rule.kept, roi, (2, 0, 3) if edges else ())
    grid = BlockGrid(roi, block)
    for i in grid.ids:
        np.testing.assert_array_equal(read(grid.box(i)), expected[(slice(None), *grid.box(i).slices(start))])


def config_of(name: str, array: np.ndarray, block: list[int], segmentation: dict[str, Any]) -> dict[str, Any]:
    with h5py.File(f"{name}.h5", "w") as file:
        file["v"] = array
    rest = {"evaluation": None, "pyramid": {"enabled": False}, "meshes": {"enabled": False}, "inference": None, "chunk": None}
    source = {"path": f"{name}.h5", "dataset": "v", "voxel_size": [20, 10, 10]}
    return {**CONFIG, **rest, "outdir": f"out-{name}", "source": source, "block": block, "segmentation": segmentation}


def segmentation_of(config: dict[str, Any]) -> np.ndarray:
    prepare_plan(config)
    plan = resolve(config)
    for rule in Stages(plan).rules():
        if rule.name in LISTED:
            do_all(plan, rule)
    found: np.ndarray = read_box(Path(plan.outdir, "segmentation"), plan.layers["segmentation"], plan.roi)[0]
    return found


def probabilities(dtype: str) -> np.ndarray:
    """Three classes, in smooth patches."""
    coarse = np.random.default_rng(5).random((3, 5, 6, 7))
    values = np.kron(coarse, np.ones((1, 3, 3, 3)))[:, : SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return values.astype(np.float32) if dtype == "float32" else np.floor(values * 255 + 0.5).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_class_of_a_network_without_another_for_any_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.chdir(tmp_path)
    values = probabilities(dtype)
    options = {"channel": 1, "threshold": 0.4, "argmax": True, "exclude": {"channel": 2, "threshold": 0.3}, "min_size": 0}
    bound = threshold_for(0.4, dtype), threshold_for(0.3, dtype)
    inside = (values[1] > bound[0]) & (np.argmax(values, axis=0) == 1) & ~(values[2] > bound[1])
    expected = ndimage.label(inside)[0]
    assert expected.max() > 5
    for block in ([16, 32, 32], [8, 8, 8], [4, 16, 8]):
        found = segmentation_of(config_of("-".join(map(str, block)), values, block, options))
        pairs = np.unique(np.stack([found.ravel(), expected.ravel().astype(np.uint64)]), axis=1)
        assert pairs.shape[1] == expected.max() + 1, "as many objects, the same voxels in each"
        assert (pairs[:, 0] == 0).all()
        assert np.unique(pairs[0]).size == np.unique(pairs[1]).size == pairs.shape[1]


@pytest.mark.slow
def test_basins_end_at_excluded_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watershed with myelin is that of affinities which are 0 at myelin, on both of its sides."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).random((4, *SHAPE)).astype(np.float32) ** 0.3
    values[3] = probabilities("float32")[0]
    inside = ~(values[3] > np.float32(0.6))
    zeroed = values[:3] * inside
    for axis in range(3):
        lower = np.ones_like(inside)
        lower[(slice(None),) * axis + (slice(1, None),)] = inside[(slice(None),) * axis + (slice(None, -1),)]
        zeroed[axis] *= lower
    plain = {"method": "watershed", "t_low": 0.4, "t_high": 0.95, "min_size": 0}
    expected = segmentation_of(config_of("reference", zeroed, [16, 32, 32], plain))
    assert np.unique(expected).size > 50
    assert not expected[~inside].any()
    for block in ([16, 32, 32], [8, 8, 8], [4, 16, 8]):
        config = config_of("-".join(map(str, block)), values, block, plain | {"exclude": {"channel": 3, "threshold": 0.6}})
        np.testing.assert_array_equal(segmentation_of(config), expected)


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def plan_of(channels: int = 4, **segmentation: Any) -> Plan:
        config = config_of("v", np.zeros((channels, *SHAPE), np.uint8), [8, 8, 8], segmentation)
        return resolve(config)

    return plan_of


def test_options_count_only_where_they_are_set(plans: Any) -> None:
    plain = Stages(plans()).param("components")
    assert "exclude" not in plain
    assert "argmax" not in plain
    assert Stages(plans(argmax=False, exclude=None)).param("components") == plain
    for options in ({"argmax": True}, {"exclude": {"channel": 1}}):
        changed = Stages(plans(**options)).param("components")
        assert changed != plain
        assert next(iter(options)) in changed


def test_jobs_ask_for_all_channels_that_they_read(plans: Any) -> None:
    def held(plan: Plan) -> float:
        rule: Any = Stages(plan).rule("components")
        return float(rule.held()) / (8 * 8 * 8)

    assert held(plans(channels=9)) == held(plans(channels=1)) + 8
    assert held(plans(argmax=True)) > held(plans()) + 3


def test_a_watershed_reads_what_lies_below(plans: Any) -> None:
    options = {"method": "watershed", "t_low": 0.4, "t_high": 0.95}

    def read(plan: Plan) -> set[int]:
        rule: Any = Stages(plan).rule("components")
        return {block for block, _ in rule.inputs(plan.grid.ids[-1])["probability"]}

    near, all_of = read(plans(**options)), read(plans(**options, exclude={"channel": 3}))
    assert near < all_of


@pytest.mark.parametrize(
    ("channels", "options", "sentence"),
    [
        (2, {"exclude": {"channel": 2}}, r"segmentation\.exclude\.channel 2 does not exist: the source has 2 channel"),
        (2, {"exclude": {"channel": 0}}, r"segmentation\.exclude\.channel 0 is also what is segmented"),
        (1, {"argmax": True}, r"segmentation\.argmax compares channels, but the source has 1 channel"),
        (4, {"argmax": True, "method": "watershed"}, r"segmentation\.argmax does not apply to method watershed"),
        (2, {"exclude": {"channel": 1}, "method": "labels"}, r"segmentation\.exclude does not apply to method labels"),
        (2, {"exclude": {"channel": 1, "threshold": 1}}, r"segmentation\.exclude\.threshold"),
        (2, {"exclude": {}}, r"segmentation\.exclude"),
    ],
)
def test_what_does_not_go_together_is_refused(plans: Any, channels: int, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        plans(channels, **options)


@pytest.mark.slow
def test_a_channel_that_is_no_probability_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever compares channels needs probabilities in all of them."""
    monkeypatch.chdir(tmp_path)
    values = np.full((2, *SHAPE), 0.5, np.float32)
    values[1, 3, 4, 5] = np.nan
    for options, bad in (({}, False), ({"argmax": True}, True), ({"exclude": {"channel": 1}}, True)):
        config = config_of("nan", values, [16, 32, 32], options)
        if bad:
            with pytest.raises(SystemExit):
                segmentation_of({**config, "outdir": "bad"})
            assert "nan in channel 1 at z, y, x = 3, 4, 5" in capsys.readouterr().err
        else:
            segmentation_of(config)
