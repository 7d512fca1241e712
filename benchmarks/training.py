"""Training steps per second, and the share of them that the network waits for samples.

The network, patch and augmentation of ``configs/training/fib25.yaml``, on a synthetic volume: steps take as long on any. The
first steps are left out.
"""

import os
import tempfile
from typing import Any

import numpy as np

from benchmarks.machine import ROOT
from benchmarks.rows import Row, median

STEPS = int(os.environ.get("CONNECTOMAKE_TRAINING_STEPS", "16"))
LEFT_OUT = 4


def run() -> dict[str, Any]:
    """Train a few steps."""
    return {"title": "Training", "rows": rows_of("fib25", "64³ patch", STEPS, {})}


def rows_of(name: str, what: str, steps: int, changes: dict[str, Any]) -> list[Row]:
    """Train a few steps of a config of ``configs/training`` with changes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from connectomake.phantom import make_phantom
    from connectomake.train_from_config import load_training
    from connectomake.training.run import train
    from connectomake.training.volumes import TrainingVolume, as_labels

    image, labels = make_phantom((96, 96, 96), 1)
    volume = TrainingVolume("phantom", image, as_labels(labels, "boundary"))
    rows: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = load_training(str(ROOT / f"configs/training/{name}.yaml")) | {"outdir": folder, "steps": steps} | changes
        config["every"] = dict.fromkeys(("validate", "checkpoint", "picture"), steps + 1) | {"log": 1}
        train(config, [volume], lambda *report: rows.append(report[3:]))
    seconds, waited = (np.array(column) for column in zip(*rows[LEFT_OUT:], strict=True))
    return [
        Row(f"steps per second, {what}", 1 / median(seconds.tolist()), "1/s", samples=(1 / seconds).tolist()),
        Row("time spent waiting for samples", float((waited * seconds).sum() / seconds.sum()), "of a step", limit=0.05),
    ]
