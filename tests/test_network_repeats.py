"""Networks that answer otherwise when asked or loaded again are refused, by `check` and by every job; others are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from connectomake.errors import ModelError
from connectomake.geometry.box import Box
from connectomake.inference.engine import infer_block
from connectomake.inference.models import load_network, reloading
from connectomake.inference.spec import InferenceSpec

VALUES: dict[str, Any] = {"patch": (4, 8, 8), "output_patch": (4, 8, 8), "overlap": (0, 0, 0), "dtype": "float32"}
HEAD = "import os, random, time\nimport numpy as np\nimport torch\nfrom torch import nn\n\n\n"


def net(init: str = "pass", forward: str = "return torch.sigmoid(x)") -> str:
    return (
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n\n"
        f"    def forward(self, x):\n        {forward}\n\n\nInstantiatedModel = Net()\n"
    )


CHANGING = {
    "dropout that stays": (net(forward="return nn.functional.dropout(x, 0.5)"), "asked twice"),
    "torch's numbers": (net(forward="return torch.sigmoid(x + 0.1 * torch.rand_like(x))"), "asked twice"),
    "NumPy's numbers": (net(forward="return torch.sigmoid(x + float(np.random.rand()))"), "asked twice"),
    "Python's numbers": (net(forward="return torch.sigmoid(x + random.random())"), "asked twice"),
    "the time": (net(forward="return torch.sigmoid(x + time.perf_counter() % 1)"), "asked twice"),
    "a count": (net("self.calls = 0", "self.calls += 1; return torch.sigmoid(x + 0.01 * self.calls)"), "asked twice"),
    "a count in a buffer": (
        net("self.register_buffer('calls', torch.zeros(1))", "self.calls += 1; return torch.sigmoid(x + 0.01 * self.calls)"),
        "asked twice",
    ),
    "what it saw before": (
        net(
            "self.mean = None", "self.mean = x.mean() if self.mean is None else self.mean; return torch.sigmoid(x - self.mean)"
        ),
        "loaded twice",
    ),
    "weights drawn at load": (
        "InstantiatedModel = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Sigmoid())\n",
        r"loaded twice.*0\.weight",
    ),
    "an array drawn at load": (net("self.shift = np.random.rand()", "return torch.sigmoid(x + self.shift)"), "loaded twice"),
    "some weights that the file lacks": (
        "def load_model(path):\n    net = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1), nn.Sigmoid())\n"
        "    net.load_state_dict({'0.weight': torch.ones(1, 1, 1, 1, 1), '0.bias': torch.ones(1)}, strict=False)\n"
        "    return net\n",
        r"loaded twice.*1\.weight",
    ),
    "a neighbour's weights": ("import lab\nInstantiatedModel = lab.net\n", r"loaded twice.*weight"),
    "universal": (
        "class PatchInferencer:\n    def __init__(self, path, mask):\n        self.mask = mask\n\n"
        "    def __call__(self, x):\n        return np.random.rand(*x.shape).astype('f') * self.mask\n",
        "asked twice",
    ),
}
STEADY: dict[str, Any] = {
    "seeded at load": "torch.manual_seed(3)\nInstantiatedModel = nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), nn.Sigmoid())\n",
    "writes into its input": net(forward="return x.mul_(0.5).relu_()"),
    "pre_process writes into its input": net()
    + "\n\ndef pre_process(x):\n    x -= x.mean(dim=(1, 2, 3, 4), keepdim=True)\n    return x\n",
    "dropout that is off": "InstantiatedModel = nn.Sequential(nn.Dropout(0.5), nn.Sigmoid())\n",
    "cannot be loaded twice": (
        "if hasattr(torch, '_a_test_loaded_it'):\n    raise RuntimeError('registered before')\ntorch._a_test_loaded_it = True\n"
        + net()
    ),
}


def image(shape: tuple[int, int, int] = (8, 16, 16)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def infer(path: Path, spec: InferenceSpec, shape: tuple[int, int, int] = (8, 16, 16), compare: bool = True) -> np.ndarray:
    """Run a block as a job does."""
    volume, roi, out = image(shape), Box.of_shape(shape), np.zeros((spec.channels, *shape), np.float32)

    def write(box: Box, slab: np.ndarray) -> None:
        out[(slice(None), *box.slices())] = slab

    again = reloading(path, None, spec) if compare else None
    network = load_network(path, None, spec)
    infer_block(lambda b: volume[b.slices()], roi, network, spec, spec.lattice(roi), roi, write, 4, again=again)
    return out


def write(folder: Path, text: str) -> Path:
    (folder / "lab.py").write_text("import torch\n\nnet = torch.nn.Conv3d(1, 1, 1)\n")
    path = folder / "model.py"
    path.write_text(HEAD + text)
    return path


@pytest.mark.parametrize("augment", ["none", "8"])
@pytest.mark.parametrize("patches", [1, 2, 8])
@pytest.mark.parametrize("case", CHANGING)
def test_an_answer_that_changes_is_refused(tmp_path: Path, case: str, patches: int, augment: str) -> None:
    text, says = CHANGING[case]
    if case == "universal" and augment != "none":
        return
    path = write(tmp_path, text)
    shape = {1: (4, 8, 8), 2: (8, 8, 8), 8: (8, 16, 16)}[patches]
    with pytest.raises(
        ModelError, match=rf"model\.py: the network is not deterministic: {says}.*inference\.allow_nondet"
    ) as caught:
        infer(path, InferenceSpec(**VALUES, augment=augment), shape)
    assert len(str(caught.value)) - len(str(path)) < 340
    accepted = InferenceSpec(**VALUES, augment=augment, allow_nondeterministic=True)
    infer(path, accepted, shape)
    assert "void" in accepted.void_note
    assert load_network(path, None, accepted).record()["nondeterministic"]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", STEADY)
def test_an_answer_that_stays_is_taken(tmp_path: Path, case: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_a_test_loaded_it", raising=False)
    monkeypatch.setattr(torch, "_a_test_loaded_it", None, raising=False)
    monkeypatch.delattr(torch, "_a_test_loaded_it")
    path, spec = write(tmp_path, STEADY[case]), InferenceSpec(**VALUES, batch=batch)
    found = infer(path, spec)
    if case != "cannot be loaded twice":
        np.testing.assert_array_equal(found, infer(path, spec, compare=False))
        assert "nondeterministic" not in load_network(path, None, spec).record()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [False, True])
def test_torchscript_traced_with_dropout(tmp_path: Path, training: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 3, padding=1), torch.nn.Dropout(0.5), torch.nn.Sigmoid()).train(training)
    path = tmp_path / "model.pt"
    traced = torch.jit.trace(module, torch.rand(1, 1, 4, 8, 8), check_trace=False)  # type: ignore[no-untyped-call]  # has no types
    traced.save(str(path))
    if not training:
        infer(path, InferenceSpec(**VALUES))
        return
    with pytest.raises(ModelError, match=r"asked twice.*TorchScript after eval"):
        infer(path, InferenceSpec(**VALUES))


MIXED = net() + "\n\ndef pre_process(x):\n    return (x - x.mean()) / (x.std() + 1e-6)\n"


def test_patches_that_mix_within_a_batch_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    infer(path, InferenceSpec(**VALUES, batch=1))
    with pytest.raises(ModelError, match=r"depends on the other patches of its batch: .*inference\.batch: 1"):
        infer(path, InferenceSpec(**VALUES, batch=2))
    apart = net() + "\n\ndef pre_process(x):\n    return x - x.mean(dim=(1, 2, 3, 4), keepdim=True)\n"
    infer(write(tmp_path, apart), InferenceSpec(**VALUES, batch=2))


def test_a_count_that_tells_late_is_seen_at_the_end(tmp_path: Path) -> None:
    late = net("self.calls = 0", "self.calls += 1; return torch.sigmoid(x + (self.calls > 100))")
    with pytest.raises(ModelError, match="not deterministic"):
        infer(write(tmp_path, late), InferenceSpec(**VALUES), (32, 32, 32))


def test_random_numbers_go_on_as_before(tmp_path: Path) -> None:
    path = write(tmp_path, STEADY["dropout that is off"])
    draws = []
    for compare in (True, False):
        torch.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002
        infer(path, InferenceSpec(**VALUES), compare=compare)
        draws.append((float(torch.rand(1)), float(np.random.rand())))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_what_comparing_costs(tmp_path: Path) -> None:
    counting = net("self.calls = 0", "Net.total = getattr(Net, 'total', 0) + 1; return torch.sigmoid(x)")
    path, spec = write(tmp_path, counting), InferenceSpec(**VALUES)
    networks: list[Any] = []

    def again() -> Any:
        networks.append(load_network(path, None, spec))
        return networks[-1]

    volume, roi = image(), Box.of_shape((8, 16, 16))
    network: Any = load_network(path, None, spec)
    stats = infer_block(
        lambda b: volume[b.slices()], roi, network, spec, spec.lattice(roi), roi, lambda box, slab: None, 4, again=again
    )
    assert stats.passes == type(network.module).total == 8
    assert [type(n.module).total for n in networks] == [1]
    assert 0 < stats.compare_seconds < stats.seconds
