"""Model files in every form, and what is said about those that are wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from connectomake.errors import ConfigError, ModelError
from connectomake.inference.bump import blend_weights
from connectomake.inference.models import load_network
from connectomake.inference.spec import InferenceSpec
from connectomake.networks.ensemble import load_mean, save_mean
from connectomake.networks.rsunet import BilinearUp, RSUNet, load_rsunet, save_rsunet

SPEC = InferenceSpec((4, 8, 8), (4, 8, 8), (1, 2, 2))
HEAD = "import torch\nfrom torch import nn\n"
NET = HEAD + "InstantiatedModel = nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), nn.BatchNorm3d(1), nn.Sigmoid())\n"
MODELS = Path(__file__).parent.parent / "models"


def image(batch: int = 1, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((batch, channels, *SPEC.patch), np.float32)


def write(folder: Path, text: str, name: str = "model.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def network(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    norm = nn.BatchNorm3d(1)
    assert norm.running_mean is not None
    norm.running_mean.fill_(0.3)
    return nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), norm, nn.Sigmoid()).eval()


def expected(module: nn.Module, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(batch)).numpy())


@pytest.mark.parametrize("nesting", ["plain", "state_dict", "module", "both"])
def test_instantiated_model_takes_weights(tmp_path: Path, nesting: str) -> None:
    state = network().state_dict()
    if nesting in {"module", "both"}:
        state = {f"module.{k}": v for k, v in state.items()}
    content = {"state_dict": state, "epoch": 3} if nesting in {"state_dict", "both"} else state
    torch.save(content, tmp_path / "weights.pt")
    loaded = load_network(write(tmp_path, NET), tmp_path / "weights.pt", SPEC)
    np.testing.assert_allclose(loaded.forward(image()), expected(network(), image()), atol=1e-6)


def test_load_model_and_processing_functions(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    text = NET + (
        "def load_model(path):\n"
        "    InstantiatedModel.load_state_dict(torch.load(path))\n"
        "    return InstantiatedModel\n"
        "def pre_process(patch):\n    return 1 - patch\n"
        "def post_process(output):\n    return {'a': output}['a'] * 2\n"
    )
    loaded = load_network(write(tmp_path, text), tmp_path / "weights.pt", SPEC)
    np.testing.assert_allclose(loaded.forward(image()), 2 * expected(network(), 1 - image()), atol=1e-6)


def test_neighbouring_modules_and_old_names(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "import collections\nassert isinstance([], collections.Iterable)\nnet = nn.Identity()\n", "lab.py")
    loaded = load_network(write(tmp_path, "import lab\nInstantiatedModel = lab.net\n"), None, SPEC)
    np.testing.assert_array_equal(loaded.forward(image()), image())


def test_universal_is_weighted_by_itself(tmp_path: Path) -> None:
    text = (
        "class PatchInferencer:\n"
        "    def __init__(self, weight_path, output_patch_mask):\n"
        "        self.mask = output_patch_mask\n"
        "    def __call__(self, patch):\n"
        "        return patch * self.mask\n"
    )
    loaded = load_network(write(tmp_path, text), None, SPEC)
    assert loaded.weighted
    np.testing.assert_array_equal(loaded.forward(image(2)), image(2) * blend_weights(SPEC.output_patch, SPEC.overlap))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ts"])
def test_torchscript(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    torch.jit.script(network()).save(str(path))  # type: ignore[no-untyped-call]  # has no types
    loaded = load_network(path, None, SPEC)
    np.testing.assert_allclose(loaded.forward(image()), expected(network(), image()), atol=1e-6)


@pytest.mark.parametrize("output", ["input", "output"])
def test_both_sizes_of_output(tmp_path: Path, output: str) -> None:
    padding = 1 if output == "input" else 0
    spec = InferenceSpec((6, 8, 8), (4, 6, 6), (1, 2, 2))
    conv = f"InstantiatedModel = nn.Conv3d(1, 1, 3, padding={padding}, bias=False)\n"
    text = HEAD + conv + "InstantiatedModel.weight.data.zero_()[0, 0, 1, 1, 1] = 1\n"
    batch = np.random.default_rng(0).random((1, 1, 6, 8, 8), np.float32)
    result = load_network(write(tmp_path, text), None, spec).forward(batch)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, batch[:, :, 1:-1, 1:-1, 1:-1])


def test_evaluation_is_enforced(tmp_path: Path) -> None:
    text = HEAD + "InstantiatedModel = nn.Sequential(nn.BatchNorm3d(1, affine=False), nn.Dropout(0.5))\n"
    path = write(tmp_path, text)
    still = load_network(path, None, SPEC)
    np.testing.assert_allclose(still.forward(image()), image(), rtol=1e-4)
    free = load_network(path, None, InferenceSpec(SPEC.patch, SPEC.patch, SPEC.overlap, allow_train_mode=True))
    assert np.abs(free.forward(image()) - image()).max() > 0.1
    assert free.record()["train_mode"]
    assert not still.record()["train_mode"]


TRAINING = {
    "refuses to evaluate": "class N(nn.Identity):\n    def eval(self): return self\nInstantiatedModel = N()\n",
    "turns back": (
        "class N(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.b = nn.BatchNorm3d(1)\n"
        "    def forward(self, x):\n        self.train()\n        return self.b(x)\nInstantiatedModel = N()\n"
    ),
    "no running statistics": "InstantiatedModel = nn.BatchNorm3d(1, track_running_stats=False)\n",
    "universal": (
        "class PatchInferencer:\n    def __init__(self, path, mask):\n        self.net = nn.BatchNorm3d(1)\n"
        "    def __call__(self, x):\n        self.net.train()\n        return self.net(torch.from_numpy(x)).numpy()\n"
    ),
}


@pytest.mark.parametrize("case", TRAINING)
def test_training_mode_is_refused(tmp_path: Path, case: str) -> None:
    path = write(tmp_path, HEAD + TRAINING[case])
    with pytest.raises(ModelError, match="allow_train_mode"):
        load_network(path, None, SPEC).forward(image())
    free = InferenceSpec(SPEC.patch, SPEC.patch, SPEC.overlap, allow_train_mode=True)
    assert load_network(path, None, free).forward(image()).shape == image().shape


BAD_FILES = {
    "empty": ("x = 1\n", "defines no InstantiatedModel, load_model or PatchInferencer"),
    "raises": ("import math\n\nmath.sqrt(-1)\n", r"failed in line 3: ValueError"),
    "syntax": ("x = 1\ndef f(:\n", r"failed in line 2"),
    "exits": ("import sys\nsys.exit(3)\n", r"failed in line 2: SystemExit"),
    "import": ("import no_such_module_here\n", r"failed in line 1: ModuleNotFoundError"),
    "class": (HEAD + "InstantiatedModel = nn.Identity\n", "InstantiatedModel is Identity, not a torch.nn.Module instance"),
    "no module": ("def load_model(path):\n    return 3\n", "load_model returned int"),
    "needs weights": ("def load_model(path):\n    return open(path)\n", r"failed in line 2.*inference.weights is not set"),
    "not callable": (
        "class PatchInferencer:\n    def __init__(self, a, b): pass\n",
        "PatchInferencer has no __call__",
    ),
    "wrong arguments": ("class PatchInferencer:\n    def __call__(self, x): return x\n", "PatchInferencer failed"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_model_files(tmp_path: Path, case: str) -> None:
    text, message = BAD_FILES[case]
    path = write(tmp_path, text)
    with pytest.raises(ModelError, match=message) as caught:
        load_network(path, None, SPEC)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_OUTPUTS = {
    "channels": ("nn.Conv3d(1, 3, 1)", "3 channels, but inference.channels is 1"),
    "shape": ("nn.MaxPool3d(2)", r"set inference.output_patch to \[2, 4, 4\]"),
    "dimensions": ("nn.Flatten()", r"the network's output has shape \(1, 256\)"),
    "type": ("type('N', (nn.Module,), {'forward': lambda self, x: [x]})()", "returned list, not a tensor"),
    "image channels": ("nn.Conv3d(2, 1, 1)", r"failed on a batch of shape \(1, 1, 4, 8, 8\)"),
    "raises": ("type('N', (nn.Module,), {'forward': lambda self, x: 1 / 0})()", "ZeroDivisionError"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_bad_outputs(tmp_path: Path, case: str) -> None:
    expression, message = BAD_OUTPUTS[case]
    loaded = load_network(write(tmp_path, f"{HEAD}InstantiatedModel = {expression}\n"), None, SPEC)
    with pytest.raises(ModelError, match=message) as caught:
        loaded.forward(image())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message"), [("x[:1].tolist()", "returned list"), ("x[:, :, 1:]", "return one of these")]
)
def test_bad_universal_outputs(tmp_path: Path, expression: str, message: str) -> None:
    text = "class PatchInferencer:\n    def __init__(self, a, b): pass\n    def __call__(self, x):\n        return "
    with pytest.raises(ModelError, match=message):
        load_network(write(tmp_path, text + expression + "\n"), None, SPEC).forward(image())


class Pickled:
    """Something that weights must not hold."""


def bad_weights(folder: Path, case: str) -> Path:
    path = folder / "weights.pt"
    state = network().state_dict()
    if case == "lacks":
        state.pop("0.bias")
    elif case == "unknown":
        state["extra.weight"] = torch.zeros(1)
    elif case == "shape":
        state["0.weight"] = torch.zeros(1, 1, 5, 5, 5)
    content = {"pickled": Pickled(), "no tensors": {"epoch": 3}, "list": [torch.zeros(1)]}.get(case, state)
    torch.save(content, path)
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    elif case == "text":
        path.write_text("these are not weights")
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("lacks", "lacks 0.bias"),
        ("unknown", "has the unknown extra.weight"),
        ("shape", r"0.weight has shape \(1, 1, 5, 5, 5\), the network's has \(1, 1, 3, 3, 3\)"),
        ("pickled", "holds Python objects other than tensors"),
        ("no tensors", "holds no state dict"),
        ("list", "holds no state dict"),
        ("truncated", "cannot be read as torch weights"),
        ("text", "cannot be read as torch weights"),
    ],
)
def test_bad_weights(tmp_path: Path, case: str, message: str) -> None:
    path = bad_weights(tmp_path, case)
    with pytest.raises(ModelError, match=message) as caught:
        load_network(write(tmp_path, NET), path, SPEC)
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"inference.model .*nothing.py' is not a file"):
        load_network(tmp_path / "nothing.py", None, SPEC)
    with pytest.raises(ModelError, match=r"inference.model .*nothing.ts' is not a file"):
        load_network(tmp_path / "nothing.ts", None, SPEC)
    with pytest.raises(ModelError, match=r"inference.weights .*nothing.pt' is not a file"):
        load_network(write(tmp_path, NET), tmp_path / "nothing.pt", SPEC)
    with pytest.raises(ModelError, match="not a Python file"):
        load_network(write(tmp_path, "text", "model.txt"), None, SPEC)


def test_a_state_dict_is_no_model(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=r"is not TorchScript; a state dict goes to inference.weights"):
        load_network(tmp_path / "weights.pt", None, SPEC)


def test_kind_must_be_there(tmp_path: Path) -> None:
    spec = InferenceSpec(SPEC.patch, SPEC.patch, SPEC.overlap, kind="universal")
    with pytest.raises(ModelError, match=r"as inference.kind 'universal' needs"):
        load_network(write(tmp_path, NET), None, spec)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    spec = InferenceSpec(SPEC.patch, SPEC.patch, SPEC.overlap, device="cuda")
    with pytest.raises(ModelError, match="finds no CUDA device"):
        load_network(write(tmp_path, NET), None, spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": (4, 4, 7)}, "even number"),
        ({"patch": (4, 4, 2)}, "inference.patch must exceed"),
        ({"overlap": (4, 0, 0)}, r"less than the output patch \(4\) along z, got 4"),
        ({"batch": 0}, "inference.batch must be at least 1, got 0"),
        ({"dtype": "int8"}, "inference.dtype must be one of uint8, float32, got 'int8'"),
        ({"autocast": "fp8"}, "inference.autocast"),
        ({"layout": "nhwc"}, "inference.layout"),
        ({"device": "tpu"}, "inference.device"),
        ({"kind": "onnx"}, "inference.kind"),
    ],
)
def test_bad_specs(change: dict[str, Any], message: str) -> None:
    values = {"patch": (4, 4, 4), "output_patch": (4, 4, 4), "overlap": (1, 1, 1)} | change
    with pytest.raises(ConfigError, match=message):
        InferenceSpec(**values)


def test_spec_from_config() -> None:
    spec = InferenceSpec.from_config({"patch": [4, 8, 8], "overlap": [1, 2, 2], "model": "m.py", "weights": None})
    assert spec == SPEC
    assert spec.margin == (0, 0, 0)


def test_rsunet3_has_the_published_size() -> None:
    assert sum(p.numel() for p in RSUNet().parameters()) == 2_222_465


@pytest.mark.parametrize("variant", ["rsunet", "rsunet3"])
@pytest.mark.parametrize(
    ("pooling", "patch"), [((1, 2, 2), (3, 8, 12)), ((2, 2, 2), (4, 8, 12)), (((1, 3, 3), (2, 2, 2)), (4, 12, 6))]
)
def test_rsunet_keeps_the_patch(variant: str, pooling: tuple[Any, ...], patch: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    net = RSUNet(2, 3, (2, 3, 4), pooling, variant, sigmoid=True).eval()
    with torch.inference_mode():
        output = net(torch.rand(1, 2, *patch))
    assert output.shape == (1, 3, *patch)
    assert 0 < output.min() <= output.max() < 1


def test_rsunet_upsampling_keeps_constants() -> None:
    net = RSUNet(widths=(2, 2))
    lift = net.lifts[0]
    assert isinstance(lift, nn.Sequential)
    up = lift[1](torch.ones(1, 2, 3, 5, 5))
    assert up.shape == (1, 2, 3, 10, 10)
    torch.testing.assert_close(up[..., 1:-1, 1:-1], torch.ones(1, 2, 3, 8, 8))


@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
@pytest.mark.parametrize(("factor", "shape"), [((2, 2, 2), (3, 4, 5)), ((1, 2, 2), (4, 1, 3)), ((2, 1, 2), (1, 2, 1))])
def test_doubling_is_the_transposed_convolution(
    layout: torch.memory_format, factor: tuple[Any, ...], shape: tuple[Any, ...]
) -> None:
    up = BilinearUp(3, factor).double()
    x = torch.rand(2, 3, *shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    output, expected = up(x), up.transposed_convolution(x)
    torch.testing.assert_close(output, expected)
    assert output.is_contiguous(memory_format=layout)
    there = torch.rand_like(output)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, there)[0] for y in (output, expected)))


def test_rsunet_refuses_bad_settings() -> None:
    with pytest.raises(ModelError, match="variant"):
        RSUNet(variant="unet")
    with pytest.raises(ModelError, match="one pooling per step"):
        RSUNet(widths=(2, 2), pooling=((1, 2, 2), (2, 2, 2)))


def test_rsunet_model_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = RSUNet(1, 1, (2, 4), sigmoid=True).eval()
    save_rsunet(tmp_path / "weights.pt", net)
    loaded = load_network(MODELS / "rsunet.py", tmp_path / "weights.pt", SPEC)
    np.testing.assert_allclose(loaded.forward(image()), expected(net, image()), atol=1e-6)
    torch.save(net.state_dict(), tmp_path / "bare.pt")
    with pytest.raises(ModelError, match="has no settings of one RSUNet"):
        load_network(MODELS / "rsunet.py", tmp_path / "bare.pt", SPEC)
    with pytest.raises(ModelError, match=r"needs inference.weights"):
        load_network(MODELS / "rsunet.py", None, SPEC)
    with pytest.raises(ModelError, match=r"needs a file"):
        load_rsunet(None)


def members(*widths: tuple[int, ...]) -> list[RSUNet]:
    torch.manual_seed(0)
    return [RSUNet(1, 1, w, sigmoid=True).eval() for w in widths]


def test_a_mean_of_networks_says_the_mean_of_what_they_say(tmp_path: Path) -> None:
    nets = members((2, 4), (3, 4), (2,))
    save_mean(tmp_path / "mean.pt", nets)
    loaded = load_network(MODELS / "rsunet.py", tmp_path / "mean.pt", SPEC)
    np.testing.assert_allclose(loaded.forward(image()), np.mean([expected(net, image()) for net in nets], axis=0), atol=1e-6)
    save_mean(tmp_path / "one.pt", nets[:1])
    one = load_network(MODELS / "rsunet.py", tmp_path / "one.pt", SPEC)
    np.testing.assert_allclose(one.forward(image()), expected(nets[0], image()), atol=1e-6)


def test_a_mean_in_half_the_bytes_differs_by_rounding(tmp_path: Path) -> None:
    nets = members((8, 16), (8, 12))
    for half in (False, True):
        save_mean(tmp_path / f"{half}.pt", nets, half=half)
    full, halved = (
        load_network(MODELS / "rsunet.py", tmp_path / f"{half}.pt", SPEC).forward(image()) for half in (False, True)
    )
    assert (tmp_path / "True.pt").stat().st_size < 0.75 * (tmp_path / "False.pt").stat().st_size
    assert 0 < np.abs(full - halved).max() < 0.01
    stored = torch.load(tmp_path / "True.pt", weights_only=True)["members"][0]["state_dict"]
    assert all(value.dtype != torch.float16 for value in stored.values() if value.ndim <= 1)
    assert all(p.dtype == torch.float32 for p in load_mean(tmp_path / "True.pt").parameters())


def test_what_is_no_mean_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="alike"):
        save_mean(tmp_path / "mean.pt", [RSUNet(1, 1, (2,)), RSUNet(1, 3, (2,))])
    with pytest.raises(ModelError, match="alike"):
        save_mean(tmp_path / "mean.pt", [])
    assert not (tmp_path / "mean.pt").exists()
    save_mean(tmp_path / "mean.pt", members((2,)))
    with pytest.raises(ModelError, match="a mean of several"):
        load_rsunet(tmp_path / "mean.pt")
    torch.save({"members": [{"state_dict": {}}]}, tmp_path / "broken.pt")
    with pytest.raises(ModelError, match="has no settings"):
        load_mean(tmp_path / "broken.pt")


def test_dog_tells_membranes_from_cytoplasm() -> None:
    volume = np.full((1, 1, 32, 48, 48), 0.6, np.float32)
    volume[..., 22:25] = 0.3
    spec = InferenceSpec((32, 48, 48), (32, 48, 48), (4, 4, 4))
    p = load_network(MODELS / "dog.py", None, spec).forward(volume)[0, 0]
    assert p[:, :, 23].max() < 0.01
    assert p[:, :, 18:20].min() > 0.5


def test_dog_is_exact_with_enough_context() -> None:
    wide = np.random.default_rng(0).random((1, 1, 40, 40, 40), np.float32)
    spec = InferenceSpec((28, 28, 28), (4, 4, 4), (0, 0, 0))
    net = load_network(MODELS / "dog.py", None, spec)
    a = net.forward(np.ascontiguousarray(wide[:, :, :28, :28, :28]))
    b = net.forward(np.ascontiguousarray(wide[:, :, 2:30, :28, :28]))
    np.testing.assert_allclose(a[:, :, 2:], b[:, :, :2], atol=1e-4)


def test_record(tmp_path: Path) -> None:
    path = write(tmp_path, NET)
    record = load_network(path, None, SPEC).record()
    assert record["torch"] == torch.__version__
    assert record["device"] == "cpu"
    assert {"isa", "threads", "layout", "batch", "autocast"} <= record.keys()


@pytest.mark.slow
def test_the_plan_can_read_specs_without_torch() -> None:
    code = (
        "import sys; import connectomake.inference.engine, connectomake.inference.spec, connectomake.inference.modelfile;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
