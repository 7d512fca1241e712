"""The demo with and without a mask that leaves 30 % of its voxels: wall and CPU seconds on two cores, and forward passes.

A smaller phantom, the same network and blocks as the demo, nothing kept; voxels of the mask are 8 × 8 × 2 of the image, and
it leaves the lowest 30 % along x, which cuts through blocks. Each run starts in an empty folder, in turn; CPU time is that of
all jobs. A job of the network takes some seconds to load it, which weighs here, where a block has 27 patches at most.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.demo import prepare_demo
from benchmarks.flow import fresh_folder, snakemake
from benchmarks.rows import Row, median

SHAPE = (136, 152, 288)
FACTORS = (8, 8, 2)
SHARE, REPEATS = 0.3, 1


@dataclass(frozen=True, slots=True)
class _Took:
    """Of one run: wall seconds, CPU seconds of all jobs, forward passes."""

    wall: float
    cpu: float
    passes: float


def _run(name: str, repeat: int, share: float) -> _Took:
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
    config["keep"] = []
    wall = snakemake(folder, config).wall
    out = folder / config["outdir"]
    logs = "".join(path.read_text() for path in (out / "logs/affinity").glob("*.log"))
    passes = sum(map(int, re.findall(r"InferenceStats\(.*?passes=(\d+)", logs)))
    return _Took(wall, sum(map(_cpu, (out / "benchmarks").rglob("*.tsv"))), passes)


def _cpu(path: Path) -> float:
    """Return the CPU seconds of a job, as Snakemake measured them; 0 of one that was over before it looked."""
    with path.open() as file:
        found = next(csv.DictReader(file, delimiter="\t"))["cpu_time"]
    return 0.0 if found in {"NA", "-"} else float(found)


def run() -> dict[str, Any]:
    """Measure both in turn, after a run that compiles what is not compiled yet."""
    _run("masked", 0, SHARE)
    whole, masked = [], []
    for repeat in range(REPEATS):
        whole.append(_run("whole", repeat, 1))
        masked.append(_run("masked", repeat, SHARE))
    rows = []
    for name, what, unit in (
        ("wall", "wall time", "s"),
        ("cpu", "CPU time of all jobs", "s"),
        ("passes", "forward passes", ""),
    ):
        ours, theirs = ([getattr(took, name) for took in runs] for runs in (masked, whole))
        rows.append(
            Row(
                what=f"70 % masked, {what}",
                value=median(ours),
                unit=unit,
                reference=median(theirs),
                against="without a mask",
                limit=0.35,
                samples=ours,
            )
        )
    return {"title": "A volume of which 70 % is masked: the demo's network on a smaller phantom", "rows": rows}
