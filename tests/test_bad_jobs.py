"""What only shows when a job runs: the workflow stops, its log holds one sentence, no half-made file stays."""

import copy
import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import torch

from connectomake.geometry import Box
from connectomake.layers import LayerSpec, write_block
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.resolve import prepare_plan
from tests.bad_input_cases import cut, pngs
from tests.flow import CONFIG, MODEL, Flow
from tests.rule_jobs import do
from tests.test_bad_input import check_sentence

SHAPE = (16, 18, 20)
GOOD = copy.deepcopy(CONFIG) | {"meshes": {"enabled": False}}


@dataclass(frozen=True)
class Case:
    """A run that must fail.

    Parameters
    ----------
    rule
        Whose first block is asked for, and which fails.
    spoil
        What is done to the folder before.
    says
        Pieces of the sentence.
    values
        Changes to the config.
    after
        What is done between the making of the plan and the job; the job is then started as Snakemake starts it.
    """

    rule: str
    says: tuple[str, ...]
    spoil: Callable[[Path], object] = lambda folder: None
    values: dict[str, Any] = field(default_factory=dict)
    after: Callable[[Path], object] | None = None


def model(text: str, *says: str, **values: Any) -> Case:
    """A model file of its own."""
    return Case("affinity", ("model.py", *says), lambda d: (d / "model.py").write_text(text), values)


def net(body: str, *says: str, **values: Any) -> Case:
    """A network with its own `forward`."""
    text = f"import torch\n\nclass Net(torch.nn.Module):\n{body}\n\nInstantiatedModel = Net()\n"
    return model(text, *says, **values)


def weights(save: Callable[[Path], object], *says: str) -> Case:
    return Case("affinity", ("weights.pt", *says), lambda d: save(d / "weights.pt"), {"inference__weights": "weights.pt"})


def float_image(value: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        image = np.random.default_rng(0).random(SHAPE, np.float32)
        image[3, 4, 5] = value
        with h5py.File(folder / "raw.h5", "w") as file:
            file["raw"] = image

    return spoil


def in_place(value: float) -> Callable[[Path], None]:
    """A precomputed probability."""

    def spoil(folder: Path) -> None:
        values = np.full(SHAPE, 0.5, np.float32)
        values[3, 4, 5] = value
        write_layer(folder / "probability", values)

    return spoil


def write_layer(folder: Path, values: np.ndarray) -> None:
    spec = LayerSpec("image", "float32", 1, Box.of_shape(values.shape), (16, 32, 32), (8, 16, 16), (20, 16, 16))
    folder.mkdir()
    (folder / "info").write_text(json.dumps(spec.info()))
    write_block(folder / spec.shard_name(0), spec, 0, values[None])


def logits_in_the_layer(folder: Path) -> None:
    """The layer `image`, as an earlier version may have left it."""
    flow = Flow(folder, SHAPE, GOOD)
    flow.config = flow.with_values(**NO_NETWORK)
    plan = flow.plan()
    values = np.full((1, *SHAPE), -7.5, np.float32)
    write_block(Targets(plan).shard("image", 0), plan.layers["image"], 0, values, Stages(plan).record("image"))


def truncated_weights(path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1, 1, 3, 3, 3), "conv.bias": torch.zeros(1)}, path)
    cut(path, 0.6)


def brighter(folder: Path) -> None:
    with h5py.File(folder / "raw.h5", "r+") as file:
        file["raw"][...] ^= 255


def late_png(folder: Path) -> None:
    cut(pngs(folder) / "7.png", 0.5)


def smaller_png(folder: Path) -> None:
    (folder / "sections/7.png").write_bytes(imagecodecs.png_encode(np.zeros((9, 9), np.uint8)))


def flipped_image(folder: Path) -> None:
    (shard,) = (folder / "out/image").rglob("*.shard")
    data = bytearray(shard.read_bytes())
    data[40] ^= 0xFF
    shard.write_bytes(data)


PNG: dict[str, Any] = {"source__path": "sections", "source__dataset": None}
NO_NETWORK = {"inference": None}
IN_PLACE: dict[str, Any] = {"source__path": "probability", "source__dataset": None}
WAYS = ("source.range", "source.activation: sigmoid", "`inference`")
CASES = {
    "NaN in the image": Case("affinity", ("the image", "nan", "z, y, x = 3, 4, 5"), float_image(np.nan)),
    "infinity in the image": Case("affinity", ("the image", "inf", "z, y, x = 3, 4, 5"), float_image(np.inf)),
    "NaN in the probability": Case(
        "image", ("raw.h5", "nan in channel 0 at z, y, x = 3, 4, 5", "replace it"), float_image(np.nan), NO_NETWORK
    ),
    "infinity in the probability": Case("image", ("inf", "3, 4, 5", "replace it"), float_image(np.inf), NO_NETWORK),
    "a logit in the probability": Case("image", ("7.5", "3, 4, 5", *WAYS), float_image(7.5), NO_NETWORK),
    "a logit in place": Case("components", ("7.5", "3, 4, 5", *WAYS), in_place(7.5), NO_NETWORK | IN_PLACE),
    "a logit ingested before": Case(
        "components", ("-7.5", "0, 0, 0", *WAYS), float_image(0.5), NO_NETWORK, logits_in_the_layer
    ),
    "PNG truncated": Case("image", ("7.png", "truncated", "copy it again"), late_png, PNG),
    "model of wrong syntax": model("x = (\n", "line 1", "never closed"),
    "model that raises": model("raise ValueError('no\\nluck')\n", "line 1", "ValueError: no"),
    "model that exits": model("import sys\nsys.exit(3)\n", "line 2", "SystemExit: 3"),
    "model without its imports": model("import no_such_module\n", "line 1", "No module named 'no_such_module'"),
    "model without a network": model("x = 1\n", "defines no InstantiatedModel", "define one of them"),
    "model that is a class": model(MODEL.replace("= Smooth()", "= Smooth"), "InstantiatedModel is Smooth", "make it one"),
    "model that is no TorchScript": Case(
        "affinity", ("model.pt", "not TorchScript", "inference.weights"), lambda d: (d / "model.pt").write_bytes(b"\0" * 99),
        {"inference__model": "model.pt"},
    ),
    "weights of another network": weights(
        lambda p: torch.save(torch.nn.Conv3d(1, 2, 3).state_dict(), p), "does not fit", "lacks conv.weight", "use the weights"
    ),
    "weights of another shape": weights(
        lambda p: torch.save({"conv.weight": torch.zeros(1, 2, 3, 3, 3), "conv.bias": torch.zeros(1)}, p),
        "(1, 2, 3, 3, 3)", "(1, 1, 3, 3, 3)", "use the weights",
    ),
    "weights that run code": weights(lambda p: p.write_bytes(pickle.dumps(Path, 2)), "Python objects", "state_dict()"),
    "weights truncated": weights(truncated_weights, "cannot be read as torch weights", "save it again"),
    "weights of nothing": weights(lambda p: torch.save({"epoch": 3}, p), "holds no state dict", "save network.state_dict()"),
    "wrong channels": model(MODEL, "has 1 channels", "inference.channels is 3", "change it", inference__channels=3),
    "wrong shape": net("    def forward(self, x):\n        return x[..., 1:]", "[14, 20, 19]", "make it return one of these"),
    "no tensor": net("    def forward(self, x):\n        return [x]", "returned list", "post_process"),
    "failing network": net("    def forward(self, x):\n        return x @ x[..., 1:, :]", "failed on a batch", "check"),
    "NaN output": Case(
        "affinity", ("the network's output", "not a finite number", "z, y, x = 0, 0, 0", "check"),
        lambda d: (d / "model.py").write_text(MODEL.replace("-1.9", "float('nan')")),
    ),
    "smaller shape": net("    def forward(self, x):\n        return x[..., 1:-1]", "set inference.output_patch to [14, 20,"),
    "training mode": net(
        "    def train(self, mode=True):\n        self.training = True\n        return self\n    def forward(self, x):\n"
        "        return x", "training mode", "inference.allow_train_mode",
    ),
    "image shard damaged": Case("affinity", ("out/image/10_10_20/0.shard", "corrupted", "rerun"), after=flipped_image),
    "image changed after the plan": Case("image", ("raw.h5 has changed", "start snakemake"), after=brighter),
    "image truncated after the plan": Case("image", ("raw.h5", "truncated"), after=lambda d: cut(d / "raw.h5", 0.5)),
    "section changed after the plan": Case("image", ("7.png", "alike"), pngs, PNG, smaller_png),
    "model changed after the plan": Case(
        "affinity", ("'model.py' has changed", "start snakemake"), after=lambda d: (d / "model.py").write_text(MODEL + "#\n")
    ),
}  # fmt: skip
if not torch.cuda.is_available():
    CASES["no GPU"] = Case("affinity", ("inference.device", "cuda", "use cpu or auto"), values={"inference__device": "cuda"})


WORKFLOW = [
    "NaN in the image", "PNG truncated", "model of wrong syntax", "weights of another network", "wrong channels", "NaN output",
    "training mode", "image shard damaged", "image changed after the plan",
]  # fmt: skip


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A folder whose image is ingested."""
    flow = Flow(tmp_path_factory.mktemp("jobs") / "run", SHAPE, GOOD).make()
    flow.write()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(flow.folder)
        run_script(flow, "image")
    return flow


@pytest.fixture
def flow(ingested: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A copy of it, as working directory."""
    shutil.copytree(ingested.folder, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return Flow(tmp_path / "run", SHAPE, GOOD)


def prepare(flow: Flow, case: Case) -> str:
    """Spoil the folder; return the target that is asked for."""
    case.spoil(flow.folder)
    flow.config = flow.with_values(**case.values)
    flow.write()
    target = flow.targets().shard(case.rule, 0)
    (flow.folder / target).unlink(missing_ok=True)
    return target


def run_script(flow: Flow, rule: str, after: Callable[[Path], object] | None = None) -> None:
    """Run a script as a job does, but within this process."""
    prepare_plan(copy.deepcopy(flow.config))
    plan = flow.plan()
    if after is not None:
        after(flow.folder)
    do(plan, rule, 0)


def check_nothing_left(flow: Flow, target: str) -> None:
    assert not (flow.folder / target).exists()
    assert not list(flow.folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_script(flow: Flow, capfd: pytest.CaptureFixture[str], name: str) -> None:
    case = CASES[name]
    target = prepare(flow, case)
    if case.rule != "image" and "image" in flow.plan().layers:
        run_script(flow, "image")
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_script(flow, case.rule, case.after)
    printed = "".join(capfd.readouterr())
    assert ended.value.code == 1
    check_printed(printed, case)
    check_nothing_left(flow, target)


def check_printed(printed: str, case: Case) -> None:
    (sentence,) = [line for line in printed.splitlines() if line.startswith("connectomake: error: ")]
    check_sentence(sentence, case.says)
    assert "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKFLOW)
def test_workflow(flow: Flow, name: str) -> None:
    case = CASES[name]
    target = prepare(flow, case)
    code, printed = run_workflow(flow, target, case)
    assert code == 1
    check_printed((flow.folder / f"out/logs/{case.rule}/0.log").read_text(), case)
    check_printed(printed, case)
    check_nothing_left(flow, target)


def run_workflow(flow: Flow, target: str, case: Case) -> Any:
    """Ask for a target; what is spoilt after the making of the plan meets a job as Snakemake starts it."""
    if case.after is None:
        return flow.run(target, check=False)
    flow.run("-n")
    case.after(flow.folder)
    job = ("--mode", "subprocess", "--cores", "1", "--show-failed-logs", "--force", target)
    return flow.run(*job, profile=False, check=False)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/image")


def no_memory(*_: object) -> None:
    raise MemoryError


def surprise(*_: object) -> None:
    raise KeyError("z")


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (
            full_disk,
            (
                "connectomake: error: out/image/10_10_20/0.shard cannot be written",
                "No space left on device",
                "MB are free",
                "make room",
            ),
        ),
        (no_memory, ("connectomake: error: out of memory", "smaller block", "mem_mb")),
        (surprise, ("connectomake: unexpected error in image", "please report it")),
    ],
)
def test_surroundings_that_fail(
    flow: Flow,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[..., Any],
    says: tuple[str, ...],
) -> None:
    target = prepare(flow, Case("image", ()))
    monkeypatch.setattr("connectomake.atomic.os.fsync", happens)
    monkeypatch.setattr("connectomake.planning.resolve.write_json", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        run_script(flow, "image")
    printed = capfd.readouterr().err
    assert ended.value.code == 1
    check_sentence(printed.splitlines()[-1], says)
    assert ("Traceback" in printed) == (happens is surprise)
    check_nothing_left(flow, target)
