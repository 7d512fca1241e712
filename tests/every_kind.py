"""A small run with every kind of file: network, watershed, two thresholds, skeletons, scores, a curve, pyramids and reports."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from connectomake.pipeline.expected import Expected
from connectomake.pipeline.registry import Stages
from connectomake.planning.plan import Plan
from connectomake.verify import expected
from tests.flow import Flow, smooth_noise

SHAPE = (12, 16, 32)
MODEL = """
import torch

class Edges(torch.nn.Module):
    def forward(self, x):
        return torch.cat([torch.minimum(x, torch.roll(x, 1, axis)) for axis in (2, 3, 4)], 1)

InstantiatedModel = Edges()
"""
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]},
    "block": [16, 16, 16],
    "chunk": [8, 8, 8],
    "inference": {"model": "model.py", "patch": [8, 12, 12], "overlap": [2, 4, 4], "device": "cpu", "channels": 3},
    "segmentation": {"method": "watershed", "t_low": 0.1, "t_high": 0.98, "min_size": 5, "min_supervoxel": 4},
    "agglomeration": {"threshold": 0.6, "thresholds": [0.5]},
    "meshes": {"cell": [8, 8, 8], "voxels_per_job": 4096},
    "skeletons": {"enabled": True, "cell": [8, 8, 8], "halo": 40, "const": 40, "min_voxels": 10, "voxels_per_job": 4096},
    "merge": {"fan_out": 2},
    "evaluation": {"ground_truth": "truth.h5", "dataset": "labels"},
    "pyramid": {"scales": 1},
    "report": {"enabled": True, "slices": 1, "objects": 2},
    "keep": ["image", "affinity", "traces", "fragments"],
}


def every_kind(folder: Path, **values: Any) -> Any:
    """Write inputs and config of the run; see `Flow.with_values`."""
    flow = Flow(folder, SHAPE, CONFIG).make()
    (folder / "model.py").write_text(MODEL)
    noise = smooth_noise(SHAPE)
    with h5py.File(folder / "truth.h5", "w") as file:
        file["labels"] = (noise > np.median(noise)) * np.arange(1, SHAPE[2] + 1, dtype=np.uint32)
    flow.config = flow.with_values(**values)
    flow.write()
    return flow


def kinds(plan: Plan) -> dict[str, Expected]:
    """One file of each kind that a whole run leaves, by stage and how its name ends."""
    found: dict[Any, Any] = {}
    for file in expected(plan):
        name = file.path.rpartition("/")[2]
        kind = f"{Stages(plan).base(file.stage)} {name.partition('.')[2] or '/'.join(file.path.split('/')[1:])}"
        found.setdefault(kind, file)
    return found
