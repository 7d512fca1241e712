"""Peak memory of a job of each rule, beside what the workflow asks a cluster for (`Demands`).

Runs: the demo (all rules, blocks of 128³); components and segmentation of real data in blocks of half its side, and one such
block with meshes; one patch through RSUNet in two sizes; a wide block through a network that does nothing, which leaves the
memory of blending and writing. Peaks are those of the job's own process (VmHWM).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.data import load_foreground
from benchmarks.demo import prepare_demo
from benchmarks.flow import Took, fresh_folder, snakemake
from benchmarks.machine import ROOT
from benchmarks.rows import Row
from benchmarks.workflow import config_of, write_precomputed
from connectomake.networks.rsunet import RSUNet, save_rsunet

WIDE = (256, 1024, 1024)
NETWORKS = {
    "RSUNet 8/16/32/64": ((8, 16, 32, 64), (20, 256, 256)),
    "RSUNet3 16/32/64/128": ((16, 32, 64, 128), (64, 256, 256)),
}
MOST = 1.0
LEAST = 1 / 3
SMALL = 300
"""MB asked for, at most, of a job that is free to take much less: what it loads decides, and differs from case to case."""


def run() -> dict[str, Any]:
    """Run all and return a row per rule."""
    rows = [*_demo(), *_segmentation(), *_networks(), *_wide()]
    return {"title": "Peak memory of a job over what is asked for it", "rows": rows}


def _demo() -> Iterator[Row]:
    folder = fresh_folder("memory-demo")
    yield from _rows("demo", snakemake(folder, prepare_demo(folder), probe=True, prefork=False))


def _segmentation() -> Iterator[Row]:
    foreground, name = load_foreground()
    folder = fresh_folder("memory-segmentation")
    write_precomputed(folder / "probability", np.where(foreground, np.uint8(255), np.uint8(0)))
    half = foreground.shape[0] // 2
    config = config_of(folder / "probability", half)
    yield from _rows(f"{name}, blocks of {half}³", snakemake(folder, config, probe=True, prefork=False))
    config |= {"outdir": "one", "meshes": {"cell": [64, 64, 64]}}
    config["source"] |= {"stop": [half] * 3}
    took = snakemake(folder, config, probe=True, prefork=False)
    yield from (row for row in _rows(f"{name}, one block of {half}³", took) if row.what.endswith(("fragments", "meshes")))


def _networks() -> Iterator[Row]:
    for name, (widths, patch) in NETWORKS.items():
        folder = fresh_folder(f"memory-{widths[0]}")
        torch.manual_seed(0)
        variant = name.split()[0].lower()
        save_rsunet(folder / "weights.pt", RSUNet(1, 1, widths, variant=variant, sigmoid=True))
        image = np.random.default_rng(0).integers(0, 256, patch, np.uint8)
        write_precomputed(folder / "image", image)
        took = snakemake(folder, _one_patch(folder, patch), "results/affinity/10_10_10/0.shard", probe=True, prefork=False)
        yield from _rows(f"{name}, patch {'×'.join(map(str, patch))}", took)


def _wide() -> Iterator[Row]:
    folder = fresh_folder("memory-wide")
    (folder / "nothing.py").write_text("import torch\n\nInstantiatedModel = torch.nn.Identity()\n")
    write_precomputed(folder / "image", np.random.default_rng(0).integers(0, 256, WIDE, np.uint8))
    config = _one_patch(folder, WIDE)
    config["inference"] = {"model": "nothing.py", "patch": [32, 256, 256], "overlap": [8, 64, 64]}
    config["chunk"] = [size // 16 for size in WIDE]
    took = snakemake(folder, config, "results/affinity/10_10_10/0.shard", probe=True, prefork=False)
    yield from _rows(f"no network, block {'×'.join(map(str, WIDE))}", took)


def _one_patch(folder: Path, patch: tuple[int, int, int]) -> dict[str, Any]:
    return {
        "outdir": "results",
        "source": {"path": str(folder / "image")},
        "block": list(patch),
        "inference": {
            "model": str(ROOT / "models/rsunet.py"), "weights": str(folder / "weights.pt"),
            "patch": list(patch), "overlap": [4, 64, 64],
        },
        "segmentation": {"threshold": 0.5},
        "meshes": {"enabled": False},
        "keep": ["affinity"],
    }  # fmt: skip


def _rows(case: str, took: Took) -> Iterator[Row]:
    jobs = took.jobs()
    for rule in sorted({job["rule"] for job in jobs}):
        peaks = [job["peak_mb"] for job in jobs if job["rule"] == rule]
        asked = next(job["mem_mb"] for job in jobs if job["rule"] == rule)
        details = {"jobs": len(peaks), "loaded": sorted({n for j in jobs if j["rule"] == rule for n in j["loaded"]})}
        target: dict[str, Any] = {}
        if asked is not None:
            least = LEAST if asked > SMALL else None
            target = {"reference": float(asked), "against": "asked for", "limit": MOST, "least": least}
        yield Row(f"{case}: {rule}", max(peaks), "MB", **target, details=details)
