"""Model files as others write them: weights of any rank, pre_process of both kinds, wrapped weights, TorchScript that fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from connectomake.errors import ModelError
from connectomake.inference.models import load_network
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.error_summary import error_summary
from connectomake.networks.weights import fit, state_dict_of
from tests.test_models import expected, image, write

VALUES: dict[str, Any] = {"patch": (4, 8, 8), "output_patch": (4, 8, 8), "overlap": (1, 2, 2)}
SPEC = InferenceSpec(**VALUES)
HEAD = "import numpy as np\nimport torch\nfrom torch import nn\n\n\n"
NET = HEAD + "InstantiatedModel = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Conv3d(2, 1, 1))\n"


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Conv3d(2, 1, 1)).eval()


FLAT = "n, c, z, h, w = x.shape; y = self.conv(x.transpose(1, 2).reshape(n * z, c, h, w)); "
RANKS = {
    "2-D": ("self.conv = nn.Conv2d(1, 1, 3, padding=1)", FLAT + "return y.reshape(n, z, 1, h, w).transpose(1, 2)"),
    "1-D": ("self.conv = nn.Conv1d(1, 1, 3, padding=1)", "return self.conv(x.reshape(1, 1, -1)).reshape(x.shape)"),
    "hybrid": (
        "self.conv = nn.Conv2d(1, 1, 3, padding=1); self.deep = nn.Conv3d(1, 1, 3, padding=1)",
        FLAT + "return self.deep(y.reshape(n, z, 1, h, w).transpose(1, 2))",
    ),
    "a buffer of four": ("self.register_buffer('b', torch.ones(1, 2, 3, 4))", "return x * self.b.mean()"),
    "a weight of six": ("self.w = nn.Parameter(torch.ones(1, 1, 1, 2, 2, 2))", "return x * self.w.mean()"),
    "linear": ("self.line = nn.Linear(8, 8)", "return self.line(x)"),
    "none": ("pass", "return x"),
}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layout", ["channels_last_3d", "contiguous"])
@pytest.mark.parametrize("case", RANKS)
def test_weights_of_any_rank(tmp_path: Path, case: str, layout: str, batch: int) -> None:
    init, forward = RANKS[case]
    text = HEAD + (
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n\n"
        f"    def forward(self, x):\n        {forward}\n\n\ntorch.manual_seed(0)\nInstantiatedModel = Net()\n"
    )
    loaded = load_network(write(tmp_path, text), None, InferenceSpec(**VALUES, layout=layout, batch=batch))
    alone = loaded.module  # type: ignore[union-attr]
    np.testing.assert_allclose(loaded.forward(image(batch)), expected(alone, image(batch)), atol=1e-6)


def test_only_weights_of_five_dimensions_change_their_layout(tmp_path: Path) -> None:
    text = HEAD + "InstantiatedModel = nn.ModuleDict({'a': nn.Conv3d(2, 2, 3), 'b': nn.Conv2d(2, 2, 3)})\n"
    module = load_network(write(tmp_path, text), None, SPEC).module  # type: ignore[union-attr]
    assert module["a"].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert module["b"].weight.is_contiguous()


def test_a_network_that_views_is_told_of_the_layout(tmp_path: Path) -> None:
    text = HEAD + (
        "class Net(nn.Module):\n    def forward(self, x):\n        return x.view(1, -1).view(x.shape)[:, :1]\n\n\n"
        "InstantiatedModel = Net()\n"
    )
    path = write(tmp_path, text)
    with pytest.raises(ModelError, match=r"needs inference\.layout: contiguous"):
        load_network(path, None, SPEC).forward(image(1, 2))
    load_network(path, None, InferenceSpec(**VALUES, layout="contiguous")).forward(image(1, 2))


PRE = {
    "array to tensor": "return torch.from_numpy(x * 2)",
    "array to tensor, checked": "assert isinstance(x, np.ndarray)\n    return torch.from_numpy(x * np.float32(2))",
    "array to array": "return np.multiply(x, 2).astype(np.float64) if x.astype(float).ndim == 5 else None",
    "array in place": "np.copyto(x, x * 2)\n    return torch.as_tensor(x)",
    "tensor to tensor": "return torch.mul(x, 2)",
    "tensor in place": "return x.mul_(2)",
    "tensor to array": "return x.mul(2).cpu().numpy()",
    "either": "return 2 * x",
}


@pytest.mark.parametrize("layout", ["channels_last_3d", "contiguous"])
@pytest.mark.parametrize("case", PRE)
def test_pre_process_of_arrays_or_tensors(tmp_path: Path, case: str, layout: str) -> None:
    text = HEAD + f"InstantiatedModel = nn.Identity()\n\n\ndef pre_process(x):\n    {PRE[case]}\n"
    loaded = load_network(write(tmp_path, text), None, InferenceSpec(**VALUES, layout=layout, batch=2))
    batch = image(2)
    for _ in range(2):
        np.testing.assert_array_equal(loaded.forward(batch), 2 * image(2))
    np.testing.assert_array_equal(batch, image(2))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('too dark')", "ValueError: too dark"),
        ("return torch.from_numpy(x)[:, [9]]", "index 9 is out of bounds"),
        ("return x.mean(dim=(2, 3, 9))", "Dimension out of range"),
        ("return x.no_such_method()", "no attribute 'no_such_method'"),
        ("return None", "NoneType"),
    ],
)
def test_what_pre_process_raises_is_told(tmp_path: Path, body: str, message: str) -> None:
    text = HEAD + f"InstantiatedModel = nn.Conv3d(1, 1, 1)\n\n\ndef pre_process(x):\n    {body}\n"
    with pytest.raises(ModelError, match=message):
        load_network(write(tmp_path, text), None, SPEC).forward(image())


def test_post_process_may_give_an_array(tmp_path: Path) -> None:
    text = HEAD + "InstantiatedModel = nn.Identity()\n\n\ndef post_process(y):\n    return y.numpy().astype(float) / 2\n"
    np.testing.assert_array_equal(load_network(write(tmp_path, text), None, SPEC).forward(image()), image() / 2)


STATE = network().state_dict()
OTHER = {"loss.weight": torch.zeros(3)}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in STATE.items()}


CHECKPOINTS: dict[str, Any] = {
    "plain": STATE,
    **{prefix: prefixed(prefix) for prefix in (
        "module.", "model.", "net.", "_orig_mod.", "model._orig_mod.", "_orig_mod.module.", "module.module.", "model.net.",
        "model.module._orig_mod.", "any.thing.",
    )},
    **{key: {key: STATE, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3} for key in (
        "state_dict", "model_state_dict", "model", "net", "network", "module", "whatever",
    )},
    "Lightning": {"state_dict": prefixed("model.") | OTHER, "epoch": 3, "loops": {}, "hyper_parameters": {"lr": 0.1}},
    "compiled under model": {"model": prefixed("_orig_mod."), "step": 7},
    "nested twice": {"model": {"state_dict": prefixed("module.")}},
    "a compiled part": {key.replace("0.", "0._orig_mod."): value for key, value in STATE.items()},
    "an average beside it": {"state_dict": prefixed("model.") | prefixed("ema.")},
    "an average apart": {"model": STATE, "model_ema": prefixed("x.")},
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_wrapped_weights(tmp_path: Path, case: str) -> None:
    torch.save(CHECKPOINTS[case], tmp_path / "weights.pt")
    loaded = load_network(write(tmp_path, NET), tmp_path / "weights.pt", SPEC)
    np.testing.assert_allclose(loaded.forward(image()), expected(network(), image()), atol=1e-6)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: nn.ModuleDict({"model": net})])
def test_a_wrapped_network_takes_plain_weights(wrap: Any) -> None:
    net = network()
    for parameter in net.parameters():
        parameter.data.zero_()
    for state in (STATE, prefixed("module."), prefixed("model.")):
        module = wrap(network())
        fit(module, state_dict_of(state, Path("w.pt")), Path("w.pt"))
        assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), STATE.values(), strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({k: v for k, v in prefixed("model.").items() if k != "model.2.bias"}, r"lacks 2\.bias: use"),
        (prefixed("model.") | {"model.extra": torch.zeros(1)}, "has the unknown extra: use"),
        (STATE | OTHER, r"has the unknown loss\.weight"),
        (prefixed("odd.") | OTHER, "lacks 0.weight, 0.bias.* and has the unknown odd.0.weight"),
        ({"one": STATE, "two": STATE}, "holds several state dicts, one, two"),
        ({"model": {"epoch": 3}}, "holds no state dict"),
        ({"model": prefixed("model.") | {"model.0.weight": torch.zeros(9)}}, r"0\.weight has shape \(9,\)"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=message):
        load_network(write(tmp_path, NET), tmp_path / "weights.pt", SPEC)


def test_part_of_another_network_is_not_taken(tmp_path: Path) -> None:
    text = HEAD + "InstantiatedModel = nn.Conv3d(1, 2, 1)\n"
    torch.save(prefixed("body."), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="does not fit the network"):
        load_network(write(tmp_path, text), tmp_path / "weights.pt", SPEC)


class Needs(nn.Module):
    """A network that raises, in TorchScript too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refuse all but two channels."""
        if x.shape[1] != 2:
            raise ValueError("two channels are wanted")
        return x


def traced(module: nn.Module, x: torch.Tensor) -> Any:
    return torch.jit.trace(module, x)  # type: ignore[no-untyped-call]  # has no types


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: torch.jit.script(nn.Conv3d(2, 1, 1)), r"to have 2 channels, but got 1 channels instead"),
        (lambda: traced(nn.Conv3d(2, 1, 1), torch.rand(1, 2, 4, 8, 8)), r"to have 2 channels, but got 1 channels"),
        (lambda: torch.jit.script(Needs()), "two channels are wanted"),
    ],
)
def test_torchscript_says_why(tmp_path: Path, build: Any, message: str) -> None:
    build().save(str(tmp_path / "net.pt"))
    with pytest.raises(ModelError, match=message) as caught:
        load_network(tmp_path / "net.pt", None, SPEC).forward(image())
    assert "interpreter" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.jit.script(nn.Conv3d(1, 1, 1)).save(str(path))  # type: ignore[no-untyped-call]  # has no types
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ModelError, match=r"is damaged .*: copy it again"):
        load_network(path, None, SPEC)


def test_weights_that_load_model_cannot_fit_are_named(tmp_path: Path) -> None:
    text = HEAD + "def load_model(path):\n    nn.Linear(2, 2).load_state_dict({'weight': torch.zeros(2, 2)})\n"
    with pytest.raises(ModelError, match=r'load_model failed in line 7: RuntimeError: .*Missing key.*"bias"'):
        load_network(write(tmp_path, text), None, SPEC)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("", "no message"),
        ("one. Two", "one"),
        ("why:\n  because:\n  of that\nmore", "why: because: of that"),
        ("The following operation failed in the TorchScript interpreter.\nTraceback\nRuntimeError: no", "no"),
        ("The following operation failed in the TorchScript interpreter.\nlast", "last"),
    ],
)
def test_the_sentence_that_names_the_cause(said: str, sentence: str) -> None:
    assert error_summary(RuntimeError(said)) == sentence
