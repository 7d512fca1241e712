"""What a network may give: finite probabilities. Logits take `inference.activation`, constant patches `inference.constant`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.errors import ConfigError, ModelError
from connectomake.geometry.box import Box
from connectomake.inference.batches import InferenceStats
from connectomake.inference.engine import infer_block
from connectomake.inference.models import load_network
from connectomake.inference.spec import InferenceSpec
from tests.test_inference_engine import blocks_of

VALUES: dict[str, Any] = {"patch": (4, 8, 8), "output_patch": (4, 8, 8), "overlap": (1, 2, 2), "dtype": "float32"}
HEAD = "import torch\nfrom torch import nn\n\n"
ROI = Box((3, 0, -5), (15, 20, 17))


def image() -> np.ndarray:
    """Noise, black up to y 11, which holds whole patches, and white at the end of z."""
    volume = np.random.default_rng(0).integers(1, 255, ROI.shape, np.uint8)
    volume[:, :12] = 0
    volume[8:, 12:] = 255
    return volume


def infer(
    folder: Path, text: str, spec: InferenceSpec, block: tuple[int, int, int] = (99, 99, 99), volume: np.ndarray | None = None
) -> tuple[np.ndarray, InferenceStats]:
    """Run a model over the region in blocks, as jobs do; return the whole and what the last block took."""
    (folder / "model.py").write_text(HEAD + text)
    volume, out = image() if volume is None else volume, np.zeros((spec.channels, *ROI.shape), spec.dtype)
    network = load_network(folder / "model.py", None, spec)

    def write(box: Box, slab: np.ndarray) -> None:
        out[(slice(None), *box.slices(ROI.start))] = slab

    for box in blocks_of(ROI, block):
        stats = infer_block(
            lambda b: volume[b.slices(ROI.start)], ROI, network, spec, spec.lattice(ROI), box, write, 4, probabilities=[0]
        )
    return out, stats


def net(expression: str) -> str:
    return f"class Net(nn.Module):\n    def forward(self, x):\n        return {expression}\n\n\nInstantiatedModel = Net()\n"


NO_PROBABILITIES = {
    "logits": ("20 * (x - 0.5)", "inference.activation: sigmoid"),
    "tanh": ("torch.tanh(x - 0.5)", "(1 + output) / 2"),
    "0 to 255": ("x * 255", "divide them"),
    "a little above": ("x * 1.01", "post_process"),
    "a little below": ("x - 0.01", "inference.activation"),
    "all below": ("-x - 1", "inference.activation: sigmoid"),
    "huge": ("x * 1e30", "divide them"),
}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("case", NO_PROBABILITIES)
def test_what_is_no_probability_is_refused(tmp_path: Path, case: str, dtype: str) -> None:
    expression, way_out = NO_PROBABILITIES[case]
    with pytest.raises(ModelError, match=r"output is \S+ in channel 0 at z, y, x = \d+, \d+, -?\d+, but .* 0 to 1") as caught:
        infer(tmp_path, net(expression), InferenceSpec(**VALUES | {"dtype": dtype}))
    assert way_out in str(caught.value)


@pytest.mark.parametrize("expression", ["x * 1.0005", "x - 0.0005", "x", "(x > 0.5).float()", "torch.sigmoid(1e9 * (x - 0.5))"])
def test_rounding_and_extremes_are_taken(tmp_path: Path, expression: str) -> None:
    found, _ = infer(tmp_path, net(expression), InferenceSpec(**VALUES))
    assert found.max() > 0.9


def test_the_voxel_and_value_that_are_named_are_right(tmp_path: Path) -> None:
    volume = np.zeros(ROI.shape, np.float32)
    volume[7, 9, 4] = 1.5
    for block in [(99, 99, 99), (4, 8, 8)]:
        with pytest.raises(ModelError, match=r"output is 1.5 in channel 0 at z, y, x = 10, 9, -1,"):
            infer(tmp_path, net("x"), InferenceSpec(**VALUES), block, volume)


def test_channels_that_are_not_segmented_may_be_anything_in_float32(tmp_path: Path) -> None:
    text, spec = net("torch.cat([x, 100 * x - 50], 1)"), InferenceSpec(**VALUES, channels=2)
    assert infer(tmp_path, text, spec)[0][1].max() > 49
    with pytest.raises(ModelError, match="in channel 1"):
        infer(tmp_path, text, InferenceSpec(**VALUES | {"dtype": "uint8"}, channels=2))
    with pytest.raises(ModelError, match="not a finite number in channel 1"):
        infer(tmp_path, net("torch.cat([x, 1 / (0 * x)], 1)"), spec)


def test_a_universal_network_without_its_mask_is_told_so(tmp_path: Path) -> None:
    text = (
        "class PatchInferencer:\n    def __init__(self, path, mask):\n        pass\n\n"
        "    def __call__(self, x):\n        return x\n"
    )
    with pytest.raises(ModelError, match="multiplied by its mask"):
        infer(tmp_path, text, InferenceSpec(**VALUES))


@pytest.mark.parametrize("augment", ["none", "8"])
def test_activation_is_a_sigmoid_behind_all_else(tmp_path: Path, augment: str) -> None:
    logits = net("20 * (x - 0.5)") + "\n\ndef post_process(y):\n    return y + 1\n"
    probabilities = net("20 * (x - 0.5)") + "\n\ndef post_process(y):\n    return torch.sigmoid(y + 1)\n"
    found, _ = infer(tmp_path, logits, InferenceSpec(**VALUES, augment=augment, activation="sigmoid"))
    expected, _ = infer(tmp_path, probabilities, InferenceSpec(**VALUES, augment=augment))
    np.testing.assert_array_equal(found, expected)


def test_activation_does_not_fit_a_universal_network(tmp_path: Path) -> None:
    text = "class PatchInferencer:\n    def __init__(self, path, mask):\n        pass\n"
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(ModelError, match="activation sigmoid cannot be used with a PatchInferencer"):
        load_network(tmp_path / "model.py", None, InferenceSpec(**VALUES, activation="sigmoid"))


Z_SCORE = net("torch.sigmoid(x)") + "\n\ndef pre_process(x):\n    return (x - x.mean()) / x.std()\n"
Z_SCORE_OF_ARRAYS = net("torch.sigmoid(x)") + (
    "\n\ndef pre_process(x):\n    import numpy as np\n    assert isinstance(x, np.ndarray)\n"
    "    return torch.from_numpy((x - np.mean(x)) / np.std(x))\n"
)
STRICT = net("torch.sigmoid(x)") + "\n\ndef pre_process(x):\n    assert x.std() > 0, 'nothing to see'\n    return x / x.std()\n"


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("text", [Z_SCORE, Z_SCORE_OF_ARRAYS])
def test_a_constant_patch_is_named_as_the_reason(tmp_path: Path, text: str) -> None:
    says = (
        r"not a finite number .* z, y, x = 3, 0, -5: the patch of the image at .* constant, all its voxels are 0: .*\.constant"
    )
    with pytest.raises(ModelError, match=says):
        infer(tmp_path, text, InferenceSpec(**VALUES))
    with pytest.raises(ModelError, match=r"nothing to see; a patch of it is constant: .*inference\.constant"):
        infer(tmp_path, STRICT, InferenceSpec(**VALUES))


def test_a_network_of_nan_is_not_blamed_on_a_constant_patch(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a finite number .*: check its weights and its pre_process$"):
        infer(tmp_path, net("x + float('nan')"), InferenceSpec(**VALUES))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "text", [Z_SCORE.replace("x.mean()", "0"), STRICT, net("x + 0 / x.std(dim=(1, 2, 3, 4), keepdim=True)")]
)
def test_constant_patches_become_the_value_whatever_the_blocks(tmp_path: Path, text: str, batch: int, dtype: str) -> None:
    if "x.std()" in text:
        batch = 1
    spec = InferenceSpec(**VALUES | {"dtype": dtype}, batch=batch, constant=0.25)
    whole, stats = infer(tmp_path, text, spec)
    assert 0 < stats.constant < stats.patches
    assert stats.passes == -(-(stats.patches - stats.constant) // batch)
    for block in [(4, 6, 7), (5, 5, 5), (12, 20, 3), (2, 20, 22)]:
        np.testing.assert_array_equal(infer(tmp_path, text, spec, block)[0], whole)
    assert (whole[0, :, :4] == (64 if dtype == "uint8" else 0.25)).all()


def test_a_block_of_constant_patches_asks_no_network(tmp_path: Path) -> None:
    spec = InferenceSpec(**VALUES, constant=0)
    found, stats = infer(tmp_path, net("1 / 0"), spec, volume=np.full(ROI.shape, 7, np.uint8))
    assert (found == 0).all()
    assert stats.constant == stats.patches > 0 == stats.passes


def test_a_weighted_network_gets_its_constants_weighted(tmp_path: Path) -> None:
    text = (
        "class PatchInferencer:\n    def __init__(self, path, mask):\n        self.mask = mask\n\n"
        "    def __call__(self, x):\n        assert x.std() > 0\n        return x * self.mask\n"
    )
    found, stats = infer(tmp_path, text, InferenceSpec(**VALUES, constant=0.5))
    assert stats.constant
    np.testing.assert_allclose(found[0, :, :4], 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"constant": 1.5}, "inference.constant must be from 0 to 1"),
        ({"constant": -0.1}, "inference.constant must be from 0 to 1"),
        ({"activation": "tanh"}, "inference.activation must be one of none, sigmoid"),
    ],
)
def test_bad_values_of_the_spec(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InferenceSpec(**VALUES, **change)


def test_older_results_stay_valid() -> None:
    section = {"model": "m.py", "weights": None, "patch": [4, 8, 8], "overlap": [1, 2, 2]}
    plain = InferenceSpec.from_config(section | {"activation": "none", "constant": None, "allow_nondeterministic": False})
    assert plain.values().keys() == {
        "patch", "output_patch", "overlap", "channels", "dtype", "batch", "threads", "device", "layout", "autocast",
        "allow_train_mode", "kind", "augment", "affinities",
    }  # fmt: skip
    for change in ({"activation": "sigmoid"}, {"constant": 0}, {"allow_nondeterministic": True}):
        assert change.items() <= InferenceSpec.from_config(section | change).values().items()
