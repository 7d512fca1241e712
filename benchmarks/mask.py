"""The demo with and without a mask that leaves 30 % of its voxels, wall and CPU seconds of the whole workflow on two cores.

A smaller phantom, the same network and blocks as the demo; voxels of the mask are 8 × 8 × 2 of the image, and it keeps
the lowest 30 % along x, which cuts through a block. Each run starts in an empty folder, in turn.
"""

from typing import Any

import h5py
import numpy as np

from benchmarks.demo import prepare_demo
from benchmarks.flow import Took, fresh_folder, snakemake
from benchmarks.rows import Row, median

SHAPE = (136, 280, 288)
FACTORS = (8, 8, 2)
SHARE, REPEATS = 0.3, 1


def _run(name: str, repeat: int, share: float) -> Took:
    """Run the workflow in a folder of its own; `share` of the voxels are inside, and there is no mask if it is 1."""
    folder = fresh_folder(f"mask-{name}-{repeat}")
    config = prepare_demo(folder, SHAPE)
    if share < 1:
        mask = np.zeros([n // f for n, f in zip(SHAPE, FACTORS, strict=True)], np.uint8)
        mask[..., : round(share * mask.shape[2])] = 1
        with h5py.File(folder / "mask.h5", "w") as file:
            file["mask"] = mask
        voxel_size = [f * s for f, s in zip(FACTORS, config["source"]["voxel_size"], strict=True)]
        config["mask"] = {"path": "mask.h5", "dataset": "mask", "voxel_size": voxel_size}
    return snakemake(folder, config)


def run() -> dict[str, Any]:
    """Measure both in turn."""
    whole, masked = [], []
    for repeat in range(REPEATS):
        whole.append(_run("whole", repeat, 1))
        masked.append(_run("masked", repeat, SHARE))
    rows = []
    for what in ("wall", "cpu"):
        ours, theirs = ([getattr(took, what) for took in runs] for runs in (masked, whole))
        rows.append(
            Row(
                what=f"70 % masked, {what} time",
                value=median(ours),
                unit="s",
                reference=median(theirs),
                against="without a mask",
                limit=0.35,
                samples=ours,
                details={"pair_ratios": [a / b for a, b in zip(ours, theirs, strict=True)]},
            )
        )
    return {"title": "A volume of which 70 % is masked: the demo's network on a smaller phantom", "rows": rows}
