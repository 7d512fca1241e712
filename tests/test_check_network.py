"""What `check` says of networks, and that jobs do the same: refuse, run, or say that the promise is void."""

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from connectomake.cli import main
from connectomake.config import normalise
from connectomake.errors import ConfigError, ModelError
from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.resolve import prepare_plan, resolve
from connectomake.reporting.run_page import run_rows
from connectomake.verify.mixtures import Mixtures
from tests.flow import CONFIG, Flow
from tests.rule_jobs import do_all

SHAPE = (16, 24, 28)
HEAD = "import torch\nfrom torch import nn\n\n\n"
BASE = copy.deepcopy(CONFIG) | {"block": [16, 16, 16], "chunk": None, "meshes": {"enabled": False}}
BASE["inference"] |= {"patch": [8, 12, 12], "output_patch": None, "overlap": [2, 4, 4]}
SECTIONS = """
class Sections(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        n, c, z, h, w = x.shape
        y = self.conv(x.transpose(1, 2).reshape(n * z, c, h, w))
        return torch.sigmoid(y.reshape(n, z, 1, h, w).transpose(1, 2))


torch.manual_seed(0)
InstantiatedModel = Sections()
"""


def net(expression: str) -> str:
    return f"class Net(nn.Module):\n    def forward(self, x):\n        return {expression}\n\n\nInstantiatedModel = Net()\n"


DROPOUT = net("torch.sigmoid(4 * nn.functional.dropout(x, 0.5) - 2)")
GOOD = net("torch.sigmoid(8 * x - 4)")


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A folder with an image, a config and a good network, as working directory."""
    flow = Flow(tmp_path / "run", SHAPE, copy.deepcopy(BASE)).make()
    monkeypatch.chdir(flow.folder)
    use(flow, GOOD)
    return flow


def use(flow: Flow, text: str, **values: Any) -> None:
    Path("model.py").write_text(HEAD + text)
    flow.config = flow.with_values(**values)
    flow.write()


def check(capsys: pytest.CaptureFixture[str], *args: Any) -> tuple[int, str, str]:
    code: Any = 0
    try:
        main(["check", *args])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


def affinity(flow: Flow, block: list[int]) -> np.ndarray:
    """Make the affinity of all blocks by the scripts, within this process; return it whole."""
    config = flow.with_values(block=block, outdir=f"out_{'_'.join(map(str, block))}")
    prepare_plan(copy.deepcopy(config))
    plan = resolve(copy.deepcopy(config))
    for rule in ("image", "affinity"):
        do_all(plan, Stages(plan).rule(rule))
    return read_box(Path(plan.outdir, "affinity"), plan.layers["affinity"], plan.roi)


def test_a_good_network(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(capsys)
    assert (code, err) == (0, "")
    assert "in a corner and the middle, the same bits when loaded again" in out
    assert "!" not in out


@pytest.mark.slow
def test_a_two_dimensional_network_gives_the_same_for_all_blocks(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    use(flow, SECTIONS)
    assert check(capsys)[0] == 0
    whole = affinity(flow, [16, 32, 32])
    for block in ([16, 16, 16], [8, 16, 32]):
        np.testing.assert_array_equal(affinity(flow, block), whole)


def test_arrays_for_pre_process(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    use(flow, GOOD + "\n\ndef pre_process(patch):\n    return torch.from_numpy(patch)\n")
    assert check(capsys)[0] == 0
    found = affinity(flow, [16, 32, 32])
    use(flow, GOOD)
    np.testing.assert_array_equal(affinity(flow, [16, 16, 16]), found)


REFUSED = {
    "NaN": (net("x / 0 * 0"), ("not a finite number", "check its weights")),
    "infinity": (net("1 / (0 * x)"), ("not a finite number",)),
    "logits": (net("20 * (x - 0.5)"), ("but a probability lies in 0 to 1", "inference.activation: sigmoid")),
    "tanh": (net("torch.tanh(x - 0.5)"), ("but a probability lies in 0 to 1", "(1 + output) / 2")),
    "0 to 255": (net("255 * x"), ("but a probability lies in 0 to 1", "divide them")),
    "dropout": (DROPOUT, ("not deterministic", "inference.allow_nondeterministic: true")),
    "weights drawn at load": (
        "InstantiatedModel = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Sigmoid())\n", ("loaded twice", "inference.weights"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_check_and_the_job_refuse_alike(flow: Flow, capsys: pytest.CaptureFixture[str], case: str) -> None:
    text, says = REFUSED[case]
    use(flow, text)
    code, out, err = check(capsys)
    assert code == 1
    assert "the network turns" not in out
    assert err.startswith("error: model.py: ")
    assert len(err) < 400
    with pytest.raises(SystemExit):
        affinity(flow, [16, 16, 16])
    log = capsys.readouterr().err
    for piece in says:
        assert piece in err
        assert piece in log
    assert not list(flow.folder.rglob("*.part"))


def test_activation_is_the_way_out_for_logits(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    use(flow, net("8 * x - 4"), inference__activation="sigmoid")
    assert check(capsys)[0] == 0
    found = affinity(flow, [16, 16, 16])
    use(flow, GOOD, inference__activation="none")
    np.testing.assert_array_equal(affinity(flow, [16, 32, 32]), found)


@pytest.mark.filterwarnings("ignore")
def test_traced_dropout_is_refused_unless_accepted(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    module = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 3, padding=1), torch.nn.Dropout(0.5), torch.nn.Sigmoid()).train()
    traced = torch.jit.trace(module, torch.rand(1, 1, 8, 12, 12), check_trace=False)  # type: ignore[no-untyped-call]
    traced.save("traced.pt")
    use(flow, GOOD, inference__model="traced.pt")
    code, _, err = check(capsys)
    assert code == 1
    assert "asked twice" in err


def test_what_is_accepted_is_said_everywhere(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    use(flow, DROPOUT, inference__allow_nondeterministic=True)
    note = "inference.allow_nondeterministic is set: the promise that results do not depend on the blocks is void"
    code, out, _ = check(capsys)
    assert (code, f"! {note}\n" in out) == (0, True)
    affinity(flow, [16, 32, 32])
    assert note in capsys.readouterr().out
    plan = resolve(copy.deepcopy(flow.config))
    assert ["promise", note] in run_rows(plan)
    for command in ("plan", "summary"):
        with pytest.raises(SystemExit):
            main([command])
        assert "allow_nondeterministic is set" in capsys.readouterr().out
    mixtures = Mixtures()
    mixtures.add({"network": {"nondeterministic": True}})
    mixtures.add({"network": {"train_mode": True}})
    assert [note.split(":")[1] for note in mixtures.notes()] == 2 * [
        " the promise that results do not depend on the blocks is void"
    ]


def black_corner(folder: Path) -> None:
    with h5py.File(folder / "raw.h5", "r+") as file:
        file["raw"][:, :12] = 0


Z_SCORE = GOOD + "\n\ndef pre_process(x):\n    return (x - x.mean()) / x.std()\n"


def test_a_constant_patch_is_the_reason_and_has_a_way_out(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    black_corner(flow.folder)
    use(flow, Z_SCORE)
    code, _, err = check(capsys)
    assert code == 1
    assert "is constant, all its voxels are 0" in err
    assert "inference.constant" in err
    assert len(err) < 400
    use(flow, Z_SCORE, inference__constant=0)
    code, out, err = check(capsys)
    assert (code, err) == (0, "")
    assert "the patch in the corner is constant: it becomes inference.constant, 0" in out
    np.testing.assert_array_equal(affinity(flow, [16, 16, 16]), affinity(flow, [16, 32, 32]))


def test_nan_in_the_middle_alone_is_seen(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    black_corner(flow.folder)
    use(flow, net("torch.where(x.mean() > 0, x / 0 * 0, x)"))
    code, _, err = check(capsys)
    assert code == 1
    assert "not a finite number" in err


ODD = {
    "constant": (net("0 * x + 0.3"), {}, "output is 0.3 everywhere"),
    "masks": (net("(x > 0.5).float()"), {}, "only 0 and 1"),
    "all low": (net("0.1 * x"), {}, "no voxel of the two patches is above segmentation.threshold 0.55"),
    "all high": (net("0.9 + 0.1 * x"), {}, "every voxel of the two patches is above segmentation.threshold 0.55"),
    "low affinities": (
        net("0.01 * torch.cat([x, x, x], 1)"), {"inference__channels": 3, "segmentation": {"method": "watershed"}},
        "no affinity of the two patches reaches segmentation.t_low 0.02",
    ),
    "high affinities": (
        net("0.998 + 0.001 * torch.cat([x, x, x], 1)"), {"inference__channels": 3, "segmentation": {"method": "watershed"}},
        "every affinity of the two patches reaches t_high 0.995",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_outputs_are_a_warning(flow: Flow, capsys: pytest.CaptureFixture[str], case: str) -> None:
    text, values, says = ODD[case]
    use(flow, text, **values)
    code, out, err = check(capsys)
    assert (code, err) == (0, "")
    assert "\n! " in out
    assert says in out


QUOTED: dict[str, tuple[dict[str, Any], tuple[str, ...], Any]] = {
    "an enum of numbers": ({"inference__augment": "8"}, ("inference", "augment"), 8),
    "a number": ({"segmentation__threshold": "0.3"}, ("segmentation", "threshold"), 0.3),
    "a whole number": ({"inference__batch": "2"}, ("inference", "batch"), 2),
    "a boolean": ({"meshes__enabled": "false"}, ("meshes", "enabled"), False),
    "null": ({"inference__output_patch": "null"}, ("inference", "output_patch"), None),
    "a list": ({"block": ["16", "16", "16"]}, ("block",), [16, 16, 16]),
    "a list or null": ({"source__start": ["0", "-1", "2"]}, ("source", "start"), [0, -1, 2]),
    "all of a section": (
        {"agglomeration": {"threshold": "0.3", "thresholds": ["0.1"]}},
        ("agglomeration", "thresholds"),
        [0.1],
    ),
    "a text stays": ({"source__dataset": "7"}, ("source", "dataset"), "7"),
    "a text or null stays": ({"inference__weights": "null"}, ("inference", "weights"), "null"),
}


@pytest.mark.parametrize("case", QUOTED)
def test_numbers_in_quotes(flow: Flow, case: str) -> None:
    values, path, wanted = QUOTED[case]
    found: Any = normalise(flow.with_values(**values))
    for key in path:
        found = found[key]
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inference__augment", "7"), ("inference__augment", "08"), ("inference__batch", "2.0"), ("inference__batch", " 2"),
        ("segmentation__threshold", "1e-1"), ("segmentation__threshold", "0x1"), ("meshes__enabled", "True"),
        ("inference__batch", "true"), ("segmentation__threshold", "nan"), ("inference__channels", "9" * 30),
        ("inference__batch", "٢"),
    ],
)  # fmt: skip
def test_texts_that_are_not_beyond_doubt_are_refused(flow: Flow, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match="is not allowed; wanted"):
        normalise(flow.with_values(**{key: value}))


def test_a_model_error_has_no_traceback(flow: Flow) -> None:
    use(flow, "InstantiatedModel = nn.Conv2d(1, 1, 1)\n")
    with pytest.raises((ModelError, SystemExit)):
        affinity(flow, [16, 32, 32])
