"""What each job of the workflow asks a cluster for, and what it takes there: memory of the whole process tree, and time.

Every job is started as on Slurm: Snakemake around the script, in processes of its own, whose resident memory is summed (see
``benchmarks/executor``). Runs: a part of the demo; a slab of FIB-25, with skeletons; affinities of noise and of smooth cells,
agglomerated, with a further threshold.

    python -m benchmarks.asked FOLDER [demo|fib25|noise|smooth] …     a table per run; notes of jobs: FOLDER/NAME/meter.jsonl
"""

import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from benchmarks.data import data_folder
from benchmarks.demo import prepare_demo
from benchmarks.flow import run as run_command
from benchmarks.machine import ROOT

EXECUTOR = ROOT / "benchmarks/executor"
LEAST, MOST = 1 / 3, 1.0
SLAB = ([170, 45, 45], [250, 205, 205])
JOINED = {
    "segmentation": {"method": "watershed", "t_low": 0.02, "t_high": 0.9, "min_supervoxel": 50, "min_size": 100},
    "agglomeration": {"threshold": 0.5, "thresholds": [0.7], "absorb": 200},
}


def demo(folder: Path) -> dict[str, Any]:
    """The demo, cut down to one whole block and parts of seven others."""
    return prepare_demo(folder, (140, 150, 160))


def fib25(folder: Path) -> dict[str, Any]:
    """The held-out slab of FIB-25 in blocks of 128³, with all that may follow from it."""
    config = dict(yaml.safe_load((ROOT / "configs/fib25.yaml").read_text()))
    data = data_folder() / "fib25"
    shutil.copy(data / "training_sample2_raw.h5", folder / "raw.h5")
    shutil.copy(data / "training_sample2_groundtruth.h5", folder / "truth.h5")
    config["inference"]["augment"] = "none"  # takes an eighth of the time, and the same memory
    config["source"] |= {"path": "raw.h5", "start": SLAB[0], "stop": SLAB[1]}
    for key in ("model", "weights"):
        config["inference"][key] = str(ROOT / config["inference"][key])
    config["evaluation"] = {**(config.get("evaluation") or {}), "ground_truth": "truth.h5"}
    config["skeletons"] = {**(config.get("skeletons") or {}), "enabled": True}
    return config


def noise(folder: Path) -> dict[str, Any]:
    """Affinities of pure noise: the most basins that there can be."""
    return _affinities(folder, np.random.default_rng(0).integers(0, 256, (3, 128, 256, 256), np.uint8), 128)


def smooth(folder: Path) -> dict[str, Any]:
    """Affinities of smooth cells of about 20 voxels."""
    values = np.random.default_rng(0).random((256, 512, 512), np.float32)
    for axis in (0, 1, 2, 0, 1, 2):
        values = sum(np.roll(values, step, axis) for step in range(-4, 5))  # type: ignore[assignment]
    values = (values - values.min()) / np.ptp(values)
    inside = np.clip(4 * np.abs(values - 0.5), 0, 1)
    edges = np.stack([np.minimum(inside, np.roll(inside, 1, axis)) for axis in range(3)])
    return _affinities(folder, (255 * edges).astype(np.uint8), 128)


def _affinities(folder: Path, values: np.ndarray, block: int) -> dict[str, Any]:
    with h5py.File(folder / "affinity.h5", "w") as file:
        file["affinity"] = values
    return {
        "outdir": "results",
        "source": {"path": "affinity.h5", "dataset": "affinity", "voxel_size": [8, 8, 8]},
        "block": [block] * 3,
        "merge": {"fan_out": 8},
        "meshes": {"enabled": False},
        **JOINED,
    }


RUNS: dict[str, Callable[[Path], dict[str, Any]]] = {"demo": demo, "fib25": fib25, "noise": noise, "smooth": smooth}


def measure(folder: Path, config: dict[str, Any], jobs: int = 2) -> list[dict[str, Any]]:
    """Run the workflow in a folder, job by job as on a cluster; return a note per job."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    meter = folder / "meter.jsonl"
    meter.unlink(missing_ok=True)
    os.environ["CONNECTOMAKE_METER"] = str(meter.absolute())
    os.environ["PYTHONPATH"] = os.pathsep.join([str(EXECUTOR), *filter(None, [os.environ.get("PYTHONPATH")])])
    run_command(
        [
            sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--executor",
            "metered", "--jobs", str(jobs), "--seconds-between-status-checks", "0", "--default-resources", "mem_mb=1000",
            "runtime=30", "--retries", "2", "--latency-wait", "5", "--rerun-triggers", "mtime", "params", "input",
        ],
        folder,
    )  # fmt: skip
    return [json.loads(line) for line in meter.read_text().splitlines()]


def rows(notes: list[dict[str, Any]]) -> Iterator[tuple[str, int, int, float, float, float, float]]:
    """Yield of each rule: jobs, and of the one with the least to spare asked and used MB, and their ratio; seconds, minutes."""
    by_rule = defaultdict(list)
    for note in notes:
        by_rule[note["rule"]].append(note)
    for rule, found in by_rule.items():
        tight = max(found, key=lambda n: n["used_mb"] / n["asked_mb"])
        slow = max(found, key=lambda n: n["wall_s"] / n["asked_minutes"])
        ratio = tight["used_mb"] / tight["asked_mb"]
        yield rule, len(found), tight["asked_mb"], tight["used_mb"], ratio, slow["wall_s"], slow["asked_minutes"]


def main() -> None:
    """Run what the command line names and print a table of each."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(RUNS)
    for name in names:
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        print(f"\n{name}\nrule             jobs   asked    used  used/asked   longest    limit")
        for rule, jobs, asked, used, ratio, seconds, minutes in rows(measure(place, RUNS[name](place))):
            mark = " " if LEAST <= ratio <= MOST else "*"
            print(f"{rule:<16}{jobs:>5}{asked:>8}{used:>8.0f}{ratio:>11.2f}{mark}{seconds:>9.1f} s{minutes:>5} min", flush=True)


if __name__ == "__main__":
    main()
