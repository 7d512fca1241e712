"""Dry run of the whole rule set for a volume of 10,000 blocks: CPU time and peak memory of Snakemake on the head.

The volume is an info file without data, read in place; every stage is on, meshes too.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.flow import fresh_folder, snakemake
from benchmarks.machine import ROOT
from benchmarks.rows import Row

BLOCKS = (25, 20, 20)
BLOCK = 512
CHUNK = 64


def run() -> dict[str, Any]:
    """Plan once."""
    folder = fresh_folder("dryrun")
    shape = [BLOCK * n for n in BLOCKS]
    write_info(folder / "image", shape)
    took = snakemake(folder, config_of(folder / "image"), "-n", "--quiet", "rules", probe=True)
    (head,) = [note for note in took.notes if "snakemake" in note["loaded"]]
    total = _jobs(took.output)
    what = f"dry run, {BLOCKS[0] * BLOCKS[1] * BLOCKS[2]:,} blocks of {BLOCK}³, {sum(total.values()):,} jobs"
    return {
        "title": "Dry run of the whole rule set",
        "jobs": total,
        "rows": [
            Row(f"{what}: CPU time", took.cpu, "s", limit=60.0, details={"wall_s": took.wall}),
            Row(f"{what}: peak memory", head["peak_mb"], "MB", limit=1000.0),
        ],
    }


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
    """Return a config with every stage."""
    return {
        "outdir": "results",
        "source": {"path": str(image)},
        "block": [BLOCK] * 3,
        "inference": {
            "model": str(ROOT / "models/dog.py"),
            "patch": [88, 88, 88], "output_patch": [64, 64, 64], "overlap": [8, 8, 8],
        },
        "segmentation": {"threshold": 0.6},
        "meshes": {"enabled": True, "cell": [128, 128, 128]},
        "keep": [],
    }  # fmt: skip


def _jobs(output: str) -> dict[str, int]:
    """Return the jobs per rule that Snakemake announces."""
    table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)\n\n", output, re.DOTALL | re.MULTILINE)
    if table is None:
        raise RuntimeError(f"snakemake printed no table of jobs:\n{output[-2000:]}")
    counts = dict(line.rsplit(None, 1) for line in table[1].splitlines())
    return {name: int(count) for name, count in counts.items() if name != "total"}
