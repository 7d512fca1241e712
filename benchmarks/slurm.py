"""What jobs use of what they ask for, on a real Slurm whose memory is enforced by the kernel, and how often Slurm is asked.

The Slurm is that of the tests: two nodes of one core on this machine. *Used* is the resident memory of all processes of a job,
Snakemake around the script included, as its control group shows it some dozen times a second; the row of a rule is its job with
the least to spare. Runs: the demo with everything switched on; a slab of FIB-25; 512 blocks whose jobs do next to nothing.
"""

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import asked
from benchmarks.demo import prepare_demo
from benchmarks.flow import fresh_folder
from benchmarks.machine import ROOT
from benchmarks.rows import Row, Skipped
from benchmarks.workflow import write_precomputed

MOST_CALLS = 1.2
WHERE_FILES = (("source", "path"), ("evaluation", "ground_truth"))


def run() -> dict[str, Any]:
    """Run all and return a row per rule."""
    if not shutil.which("slurmctld"):
        raise Skipped("there is no Slurm here: make test-slurm installs one")
    rows: list[Row] = []
    for name, config in (("demo", demo), ("FIB-25", asked.fib25), ("512 blocks", blocks)):
        folder = fresh_folder(f"slurm-{name.lower().replace(' ', '-')}")
        rows += rows_of(name, show(folder, config(folder)), memory=config is not blocks)
    return {"title": "Jobs on a real Slurm", "rows": rows}


def demo(folder: Path) -> dict[str, Any]:
    """The whole demo, with all that may follow from it, in so small nodes and groups that every rule has a job."""
    config = prepare_demo(folder)
    config["skeletons"] |= {"enabled": True, "voxels_per_job": 4_000_000}
    return {**config, "report": {"enabled": True}, "merge": {"fan_out": 8}}


def blocks(folder: Path) -> dict[str, Any]:
    """Components of 512 blocks of 32³ of smooth noise."""
    values = np.random.default_rng(0).random((256, 256, 256), np.float32)
    for axis in range(3):
        values = sum(np.roll(values, step, axis) for step in range(-2, 3))  # type: ignore[assignment]
    values = (values - values.min()) / np.ptp(values)
    write_precomputed(folder / "probability", (255 * values).astype(np.uint8))
    return {
        "outdir": "results", "source": {"path": str(folder / "probability")}, "block": [32] * 3, "merge": {"fan_out": 64},
        "segmentation": {"threshold": 0.55, "min_size": 30}, "objects": {"measure": False}, "meshes": {"enabled": False},
        "pyramid": {"enabled": False},
    }  # fmt: skip


def show(folder: Path, config: dict[str, Any]) -> Path:
    """Run a config on Slurm and here, and compare; return the folder of what was noted."""
    for section, key in WHERE_FILES:
        if config.get(section, {}).get(key):
            config[section][key] = str((folder / config[section][key]).resolve())
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    words = [str(folder / "config.yaml"), "--nodes", "2", "--cpus", "1", "--keep", str(folder / "s")]
    subprocess.run([sys.executable, "-m", "tests.cluster.show", *words], cwd=ROOT, check=True)
    return folder / "s"


def rows_of(name: str, folder: Path, memory: bool = True) -> Iterator[Row]:
    """Yield a row per rule of a run that was noted, and one of the calls of Slurm's commands."""
    jobs, totals = json.loads((folder / "slurm2.json").read_text()).values()
    by_rule = defaultdict(list)
    for job in jobs:
        by_rule[job["rule"]].append(job)
    for rule, found in sorted(by_rule.items()) if memory else ():
        tight = max(found, key=lambda job: job["used_mb"] / job["asked_mb"])
        details = {"jobs": len(found), "longest_s": max(job["seconds"] for job in found)}
        yield Row(
            f"{name}: {rule}", tight["used_mb"], "MB", tight["asked_mb"], "asked for", asked.MOST, asked.LEAST, details=details
        )
    calls = sum(totals["calls"].values()) / totals["jobs"]
    most = None if memory else MOST_CALLS  # a small run asks every few seconds for few jobs
    yield Row(f"{name}: calls of Slurm per job", calls, "", limit=most, details=totals)
