"""The demo in a folder of its own."""

from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import ROOT
from connectomake.phantom import write_phantom

SHAPE = (272, 280, 288)


def prepare_demo(folder: Path, shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """Write the demo's volume into a folder; return its config, with absolute paths of model and weights."""
    volume = folder / "phantom.h5"
    write_phantom(volume, shape)
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["source"]["path"] = config["evaluation"]["ground_truth"] = volume.name
    for key in ("model", "weights"):
        config["inference"][key] = str(ROOT / config["inference"][key])
    return config
