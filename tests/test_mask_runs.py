"""Whole runs with a mask, in which blocks outside have no jobs: the same as affinities that are 0 there, for any blocks."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomake.cli import main
from connectomake.pipeline.registry import Stages
from tests.flow import CONFIG, MODEL, Flow, sha, smooth_noise
from tests.tiny_run import make_run

SHAPE = (24, 32, 48)
THREE = MODEL.replace("Conv3d(1, 1, 3, padding=1)", "Conv3d(1, 3, 3, padding=1)").replace(
    "self.conv.weight.data = 20 * kernel", "self.conv.weight.data = 20 * torch.cat([kernel, kernel.flip(2), kernel.flip(3)])"
)
WHOLE: dict[str, Any] = {
    **CONFIG,
    "inference": {**CONFIG["inference"], "channels": 3},
    "block": [8, 8, 8],
    "chunk": [4, 4, 4],
    "mask": {"path": "mask.h5", "dataset": "mask", "voxel_size": [40, 40, 40]},
    "segmentation": {"method": "watershed", "t_low": 0.1, "t_high": 0.9, "min_size": 5},
    "agglomeration": {"threshold": 0.4, "thresholds": [0.3]},
    "merge": {"fan_out": 8},
    "meshes": {"cell": [8, 8, 8], "voxels_per_job": 1024, "simplify": {"factor": 4}},
    "skeletons": {"enabled": True, "cell": [8, 16, 16], "halo": 50, "const": 20, "min_voxels": 50, "voxels_per_job": 4096},
    "evaluation": {"ground_truth": "truth.h5", "dataset": "labels", "start": [0, 0, 0], "worst": 3},
    "pyramid": {"enabled": True, "scales": 2},
    "keep": [],
}
FEWER = ("affinity", "components", "merge", "lookup", "agglomerate", "assign", "fragments", "traces")
"""Rules of which there are fewer jobs, where blocks are small and whole nodes lie outside."""


def coarse_mask() -> np.ndarray:
    """A voxel of it is 2 × 4 × 4 voxels of the image: one cut through blocks, a hole, and one half with nothing."""
    mask = np.zeros((12, 8, 12), np.uint8)
    mask[1:9, :7, 1:5] = 1
    mask[4:6, 2:4, 1:3] = 0
    return mask


def inside(inverse: bool = False) -> np.ndarray:
    return np.asarray((np.kron(coarse_mask(), np.ones((2, 4, 4))) > 0) != inverse)


def zeroed(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Affinities (3, z, y, x) that are 0 outside the mask, and to neighbours outside."""
    found = values * own
    for axis in range(3):
        lower = np.zeros_like(own)
        cut = (slice(None),) * axis
        lower[(*cut, slice(1, None))] = own[(*cut, slice(None, -1))]
        found[axis] *= lower
    return np.asarray(found)


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    flow = Flow(tmp_path / "run", SHAPE, WHOLE).make()
    monkeypatch.chdir(flow.folder)
    Path("model.py").write_text(THREE)
    write_mask(coarse_mask())
    with h5py.File("truth.h5", "w") as truth:
        truth["labels"] = (smooth_noise(SHAPE, 3) > 127) * np.arange(1, SHAPE[2] + 1)
    return flow


def write_mask(mask: np.ndarray) -> None:
    with h5py.File("mask.h5", "w") as file:
        file["mask"] = mask


def reference(flow: Flow, inverse: bool = False, **more: Any) -> dict[str, str]:
    """What a run in one block makes of affinities that NumPy masked; there is no mask in its config."""
    plain = flow.with_values(mask=None, block=[64, 64, 64], chunk=None, outdir="plain", keep=["affinity"], **more)
    make_run(plain, network=True)
    with h5py.File("zeroed.h5", "w") as file:
        file["v"] = zeroed(flow.array("affinity", plain), inside(inverse))
    source = {"path": "zeroed.h5", "dataset": "v", "voxel_size": [20, 10, 10]}
    config = flow.with_values(mask=None, block=[64, 64, 64], chunk=None, outdir="zeroed", inference=None, source=source, **more)
    make_run(config)
    assert np.unique(flow.array("segmentation", config)).size > 20
    return flow.digests(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inverse", "more"), [(False, {}), (True, {"segmentation__t_boundary": 0.2}), (False, {"agglomeration": None})]
)
def test_results_are_those_of_masked_affinities_for_any_blocks(flow: Flow, inverse: bool, more: dict[str, Any]) -> None:
    want = reference(flow, inverse, **more)
    for number, (block, chunk) in enumerate((([8, 8, 8], [4, 4, 4]), ([8, 32, 16], [4, 16, 8]), ([32, 32, 64], None))):
        config = flow.with_values(block=block, chunk=chunk, outdir=f"out{number}", mask__inverse=inverse, **more)
        plan = make_run(config, network=True)
        assert flow.digests(config) == want
        if number == 0:
            whole = Stages(flow.plan({**config, "mask": None}))
            assert plan.mask
            assert plan.mask.count > 0, "blocks lie outside"
            fewer = {rule.name for rule in Stages(plan).rules() if rule.count() < whole.rule(rule.name).count()}
            assert inverse or fewer >= set(FEWER) & {rule.name for rule in Stages(plan).rules()}
            assert not [block for block in Stages(plan).rule("components").items() if plan.is_outside(block)]


def call(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    return int(ended.value.code or 0)


def run_until_killed(flow: Flow) -> None:
    """Run until components are there, and end all of it at once."""
    with Path("killed.log").open("w") as log:
        run = subprocess.Popen(flow.command(), stdout=log, stderr=log, start_new_session=True)
        while run.poll() is None and not list(Path("out/components").rglob("*.shard")):
            time.sleep(0.05)
        assert run.poll() is None, Path("killed.log").read_text()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


@pytest.mark.slow
def test_a_masked_run_is_killed_goes_on_is_checked_and_repaired(flow: Flow) -> None:
    config = flow.with_values(block=[16, 16, 16], chunk=[8, 8, 8])
    want = reference(flow)
    flow.write(config)
    counts, plan = flow.would_run(config), flow.plan(config)
    assert plan.mask
    assert counts["affinity"] == counts["components"] == plan.grid.count - plan.mask.count < plan.grid.count
    assert counts["segmentation"] == 2 * plan.grid.count, "of two thresholds: the layer is whole"
    run_until_killed(flow)
    flow.run("--unlock")
    flow.run("--rerun-incomplete")
    assert flow.digests(config) == want
    assert "Nothing to be done" in flow.run("-n")
    assert call("verify", "config.yaml", "--deep", "--source") == 0
    blank = next(block for block in plan.grid.ids if plan.is_outside(block))
    lost = Path(flow.targets(config).shard("segmentation", blank))
    before = sha(lost.read_bytes())
    lost.write_bytes(b"")
    assert call("verify", "config.yaml") == 1
    assert call("verify", "config.yaml", "--repair") == 0
    assert not lost.exists()
    flow.run("kept")
    assert sha(lost.read_bytes()) == before
    assert flow.digests(config) == want
    assert call("verify", "config.yaml", "--deep") == 0
    mask = coarse_mask()
    mask[1, 0, 1] = 0
    write_mask(mask)
    again = flow.would_run(config)
    assert again["affinity"] == counts["affinity"]
    assert again["segmentation"] == counts["segmentation"]
    assert "image" not in again or again["image"] <= counts["image"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"voxel_size": [30, 40, 40]}, "not whole multiples of the source's"),
        ({"offset": [100, 0, 0]}, "leaves no voxel of the region of interest"),
        ({"dataset": "probability"}, "has float32 values; a mask has whole numbers"),
        ({"dataset": "flat"}, "flat"),
    ],
)
def test_a_wrong_mask_ends_the_start_and_nothing_is_written(flow: Flow, values: dict[str, Any], sentence: str) -> None:
    with h5py.File("mask.h5", "a") as file:
        file["probability"] = coarse_mask().astype(np.float32) / 2
        file["flat"] = np.ones((12, 8), np.uint8)
    flow.write(flow.with_values(mask={**WHOLE["mask"], **values}))
    code, text = flow.run(check=False)
    assert code
    assert sentence in text
    assert "Traceback" not in text
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("relabel", ["none", "components"])
def test_labels_outside_are_background_too(flow: Flow, relabel: str) -> None:
    """Blocks outside have no components, from which ids that stay are looked up, and no sums."""
    labels = ((smooth_noise(SHAPE, 5) // 60).astype(np.uint64) << np.uint64(40)) + np.uint64(7)
    for name, values in (("labels", labels), ("blank", np.where(inside(), labels, 0))):
        with h5py.File(f"{name}.h5", "w") as file:
            file["v"] = values
    change = {"inference": None, "agglomeration": None, "segmentation": {"method": "labels", "relabel": relabel}}
    source = {"path": "labels.h5", "dataset": "v", "voxel_size": [20, 10, 10]}
    blank = flow.with_values(
        **change, source=source | {"path": "blank.h5"}, mask=None, block=[32, 32, 64], chunk=None, outdir="b"
    )
    make_run(blank)
    want = flow.digests(blank)
    for number, block in enumerate(([8, 8, 8], [8, 32, 16])):
        config = flow.with_values(**change, source=source, block=block, chunk=None, outdir=f"out{number}")
        plan = make_run(config)
        assert plan.mask
        assert plan.mask.count > 0
        assert flow.digests(config) == want
        assert Stages(plan).rule("components").count() == plan.grid.count - plan.mask.count
