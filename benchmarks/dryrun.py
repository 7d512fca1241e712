"""Dry run of the rule set as it is shipped at 10³ and 10⁴ blocks: CPU time and peak memory of Snakemake on the head.

The config is the demo's, with large blocks of an info file without data, read in place: watershed, agglomeration with one
further threshold, measures, meshes, pyramids, all kept layers; no scores. Once before anything is made, and once after: then
each file is there with its record, which the head reads, and nothing else in it.
"""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import yaml

from benchmarks.flow import Took, fresh_folder, snakemake
from benchmarks.machine import ROOT
from benchmarks.rows import Row
from benchmarks.standin import stand_in
from benchmarks.starts import GRIDS
from connectomake.planning.plan import Plan

SIZES = "10³ 10⁴"
BLOCK = 512
CHUNK = 64
MOST_SECONDS, MOST_MB = 60.0, 1000.0


def run() -> dict[str, Any]:
    """Plan twice at each size: before a run and after it."""
    sizes = os.environ.get("CONNECTOMAKE_SIZES", SIZES).split()
    rows, jobs = [], {}
    for size in sizes:
        jobs[size], found = measure(size)
        rows += found
    return {"title": "Dry run of the whole rule set", "jobs": jobs, "rows": rows}


def measure(size: str) -> tuple[dict[str, int], list[Row]]:
    """Return the jobs per rule, and what the plans before and after a run take."""
    folder, grid = fresh_folder("dryrun"), GRIDS[size]
    write_info(folder / "image", [BLOCK * n for n in grid])
    first = _dry_run(folder)
    jobs = _jobs(first.output)
    _finish(folder)
    again = _dry_run(folder)
    if "Nothing to be done" not in again.output:
        raise RuntimeError(f"the finished run is not taken for finished:\n{again.output[-2000:]}")
    blocks = f"{math.prod(grid):,} blocks of {BLOCK}³"
    what = f"dry run, {blocks}, {sum(jobs.values()):,} jobs", f"nothing to be done, {blocks}"
    return jobs, [*_rows(what[0], first), *_rows(what[1], again)]


def _dry_run(folder: Path) -> Took:
    return snakemake(folder, config_of(folder / "image"), "-n", "--quiet", "rules", probe=True)


def _rows(what: str, took: Took) -> list[Row]:
    (head,) = [note for note in took.notes if "snakemake" in note["loaded"]]
    return [
        Row(f"{what}: CPU time", took.cpu, "s", limit=MOST_SECONDS, details={"wall_s": took.wall}),
        Row(f"{what}: peak memory", head["peak_mb"], "MB", limit=MOST_MB),
    ]


def _finish(folder: Path) -> None:
    """Stand in for the run."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        (path,) = Path(".connectomake").glob("plan-*.json")
        stand_in(Plan.from_json(json.loads(path.read_text())["plan"]))
    finally:
        os.chdir(before)


def write_info(path: Path, shape: list[int]) -> None:
    """Write the info of a precomputed uint8 image without data; shape z, y, x."""
    scale = {
        "key": "8_8_8", "size": shape[::-1], "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0],
        "chunk_sizes": [[CHUNK] * 3], "encoding": "raw",
    }  # fmt: skip
    info = {
        "@type": "neuroglancer_multiscale_volume", "type": "image", "data_type": "uint8", "num_channels": 1, "scales": [scale],
    }  # fmt: skip
    path.mkdir(parents=True)
    (path / "info").write_text(json.dumps(info))


def config_of(image: Path) -> dict[str, Any]:
    """Return the demo's config for large blocks of another image."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["inference"] |= {name: str(ROOT / config["inference"][name]) for name in ("model", "weights")}
    config["meshes"] |= {"cell": [128] * 3}
    return config | {"outdir": "results", "source": {"path": str(image)}, "block": [BLOCK] * 3, "evaluation": None}


def _jobs(output: str) -> dict[str, int]:
    """Return the jobs per rule that Snakemake announces."""
    table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)\n\n", output, re.DOTALL | re.MULTILINE)
    if table is None:
        raise RuntimeError(f"snakemake printed no table of jobs:\n{output[-2000:]}")
    counts = dict(line.rsplit(None, 1) for line in table[1].splitlines())
    return {name: int(count) for name, count in counts.items() if name != "total"}
