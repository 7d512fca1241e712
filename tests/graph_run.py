"""A small run with agglomeration, for what is read from its graph; made in this process, with numbers of any type."""

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from connectomake.layers import read_box
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import prepare_plan, resolve
from tests.rule_jobs import do_all

SHAPE, VOXEL = (20, 24, 40), (20.0, 10.0, 10.0)
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "affinities.h5", "dataset": "edges", "voxel_size": list(VOXEL), "offset": [3, -5, 7]},
    "block": [16, 16, 16],
    "segmentation": {"method": "watershed", "t_low": 0.1, "t_high": 0.9, "min_supervoxel": 4, "min_size": 5},
    "agglomeration": {"threshold": 0.55, "thresholds": [0.5], "absorb": 20, "large": {"voxels": 900, "threshold": 0.6}},
    "meshes": {"enabled": False},
    "objects": {"measure": False},
    "pyramid": {"scales": 0},
    "merge": {"fan_out": 4},
}
MADE = ("image", "components", "merge", "lookup", "agglomerate", "assign", "history", "segmentation")


def write_affinities(folder: Path, dtype: str = "uint8") -> None:
    """Write smooth affinities."""
    noise = np.random.default_rng(4).random((3, *SHAPE))
    for axis in (1, 2, 3):
        noise = np.asarray(sum(np.roll(noise, s, axis) for s in (-1, 0, 1)))
    noise = (noise - noise.min()) / np.ptp(noise)
    with h5py.File(folder / "affinities.h5", "w") as file:
        file["edges"] = (255 * noise).astype(np.uint8) if dtype == "uint8" else noise.astype(np.float32)


def run(**changed: Any) -> Plan:
    """Make what is read from the graph, in the working directory."""
    config = copy.deepcopy(CONFIG) | changed
    Path(f"{config['outdir']}.yaml").write_text(yaml.safe_dump(config))
    prepare_plan(copy.deepcopy(config))
    plan = resolve(config)
    for rule in Stages(plan).rules():
        if rule.name in MADE:
            do_all(plan, rule)
    return plan


def whole(plan: Plan, ids: Any) -> Any:
    """A volume (z, y, x) of what labels stand for."""
    labels = read_box(f"{plan.outdir}/components", plan.layers["components"], plan.roi)[0]
    found = np.zeros(plan.roi.shape, np.uint64)
    for block in plan.grid.ids:
        box = plan.grid.box(block).slices(plan.roi.start)
        found[box] = ids(plan, block)[labels[box]]
    return found
