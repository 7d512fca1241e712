"""A whole small run, made by the scripts within this process: no Snakemake; no network, but for the warm-up of an image."""

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from connectomake.layers import write_block
from connectomake.pipeline.job import Job
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from tests.rule_jobs import do, do_all

MODEL = """import torch

InstantiatedModel = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Sigmoid())
InstantiatedModel[0].weight.data.fill_(8)
InstantiatedModel[0].bias.data.fill_(-4)
"""
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]},
    "block": [16, 16, 16],
    "chunk": [8, 8, 8],
    "inference": {"model": "model.py", "patch": [8, 12, 12], "overlap": [2, 4, 4], "device": "cpu"},
    "segmentation": {"threshold": 0.5, "min_size": 5},
    "meshes": {"cell": [8, 8, 8]},
    "merge": {"fan_out": 4},
    "keep": ["image", "affinity", "fragments"],
    "evaluation": {"ground_truth": "truth.h5", "dataset": "labels", "start": [1, 0, 3], "worst": 3},
    "pyramid": {"scales": 1},
}
SHAPE = (20, 24, 40)
AFFINITIES: dict[str, Any] = {  # of neighbours, ready-made; what a watershed, agglomeration and skeletons take
    **CONFIG,
    "source": {"path": "affinities.h5", "dataset": "uint8", "voxel_size": [20, 10, 10]},
    "inference": None,
    "segmentation": {
        "method": "watershed",
        "t_low": 0.1,
        "t_high": 0.9,
        "min_supervoxel": 10,
        "t_boundary": 0.2,
        "min_size": 5,
    },
    "agglomeration": {"threshold": 0.4, "thresholds": [0.3], "absorb": 20, "large": {"voxels": 1000, "threshold": 0.5}},
    "skeletons": {"enabled": True, "cell": [16, 16, 16], "halo": 50, "const": 20, "min_voxels": 50},
    "keep": [],
}
WARM_UP = (
    AFFINITIES,
    {**AFFINITIES, "source": {**AFFINITIES["source"], "dataset": "float32"}},
    {**CONFIG, "segmentation": {"threshold": 0.5, "connectivity": 26}, "pyramid": {}},
    {**CONFIG, "inference": {**CONFIG["inference"], "dtype": "float32"}, "pyramid": {}},
)
NETWORK = {"torch": "2.13.0", "device": "cpu", "isa": "AVX2", "device_name": "cpu"}


def write_inputs(folder: Path, config: dict[str, Any] = CONFIG, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> None:
    """Write the image, the model and the config."""
    noise = np.random.default_rng(seed).random(shape)
    for axis in range(3):
        noise = np.asarray(sum(np.roll(noise, s, axis) for s in (-1, 0, 1)))
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = (noise > np.median(noise)) * np.arange(1, shape[2] + 1)
    (folder / "model.py").write_text(MODEL)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def make_run(config: dict[str, Any] = CONFIG, network: bool = False) -> Plan:
    """Make all files of a run in the working directory; affinity is the image unless the network is run. Return the plan."""
    prepare_plan(copy.deepcopy(config))
    plan = resolve(copy.deepcopy(config))
    for rule in sorted(Stages(plan).rules(), key=lambda rule: rule.name == "curve"):  # of all thresholds: last
        if rule.name == "affinity" and not network:
            for block in rule.items():
                copy_image(plan, rule, block)
        elif rule.stage.listed:
            do_all(plan, rule)
    infos = Stages(plan).rule("info")
    for layer in {*infos.items(), *plan.layers}:
        do(plan, infos, layer)
    return plan


def copy_image(plan: Plan, rule: Any, block: int) -> None:
    """Make an affinity that is the image."""
    shards = dict(rule.inputs(block)["image"])
    image = job(plan, rule, block).image(shards)
    record = Stages(plan).record("affinity", network=NETWORK, **image.noted)
    write_block(rule.outputs(block)["shard"], rule.layer, block, image.read(plan.grid.box(block)), record)


def job(plan: Plan, rule: Any, item: int) -> Job:
    """Return a job as its rule sees it."""
    return Job(Stages(plan), rule, item, None, None)


def warm_up() -> None:
    """Compile all loops that jobs call, for the values that they call them with, so that an image holds them."""
    write_inputs(Path())
    with h5py.File("raw.h5") as file, h5py.File("affinities.h5", "w") as other:
        other["uint8"] = np.stack([file["raw"]] * 3)
        other["float32"] = other["uint8"][:] / np.float32(255)
    for number, config in enumerate(WARM_UP):
        make_run({**config, "outdir": f"out{number}"}, network=True)


if __name__ == "__main__":
    warm_up()
