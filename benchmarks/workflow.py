"""Wall time of the workflow from a probability to a segmentation, against igneous.

Both read the same unsharded precomputed layer (raw, 64³ chunks), 6-connected because igneous has nothing else, with 8 blocks
and 2 processes. Ours is the whole command ``snakemake --profile profiles/local --cores 2 --until segmentation``,
without object table and info files; igneous' is ``igneous -p 2 image ccl auto``. The segmentations must be the same partition.
"""

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import igneous
from benchmarks.data import load_foreground
from benchmarks.flow import Took, fresh_folder, snakemake
from benchmarks.rows import Row, Skipped, median
from connectomake.layers import read_box
from connectomake.planning.resolve import resolve

REPEATS = int(os.environ.get("CONNECTOMAKE_REPEATS", "3"))


def run() -> dict[str, Any]:
    """Run both, one after another, as often as asked; then the workflow once more to see where its time goes."""
    foreground, name = load_foreground()
    folder = fresh_folder("workflow")
    side = foreground.shape[0]
    source = folder / "probability"
    write_precomputed(source, np.where(foreground, np.uint8(255), np.uint8(0)))
    config = config_of(source, side // 2)
    ours, theirs, objects, version = [], [], None, None
    for _ in range(REPEATS):
        _forget(folder)
        ours.append(snakemake(folder, config, "--until", "segmentation"))
        try:
            version = version or igneous.install()
            theirs.append(igneous.components(source, folder / "igneous", side // 2, folder))
            objects = objects or _same_partition(folder, config)
        except Skipped as reason:
            version = str(reason)
    _forget(folder)
    profile = snakemake(folder, config, "--until", "segmentation", probe=True)
    return {
        "title": f"Probability to segmentation, wall time: {name} {side}³, 6-connected, 8 blocks, 2 processes",
        "igneous": version,
        "objects": objects,
        "profile": profile_of(profile),
        "rows": [_row(ours, theirs)],
    }


def config_of(source: Path, block: int) -> dict[str, Any]:
    """Return the config that reads a precomputed probability in place and makes no meshes."""
    return {
        "outdir": "results",
        "source": {"path": str(source), "voxel_size": None},
        "block": [block] * 3,
        "inference": None,
        "segmentation": {"threshold": 0.5, "connectivity": 6, "min_size": 0},
        "meshes": {"enabled": False},
        "keep": ["components"],
    }


def write_precomputed(path: Path, volume: np.ndarray) -> None:
    """Write a uint8 volume (z, y, x) as an unsharded precomputed layer that any reader takes."""
    import tensorstore

    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"data_type": "uint8", "num_channels": 1, "type": "segmentation"},
        "scale_metadata": {
            "size": volume.shape[::-1], "resolution": [10, 10, 10], "chunk_size": [64, 64, 64], "encoding": "raw",
        },
    }  # fmt: skip
    store = tensorstore.open(spec, create=True, delete_existing=True).result()
    store[..., 0] = volume.transpose()


def _forget(folder: Path) -> None:
    for name in ("results", ".snakemake", ".connectomake", "igneous"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _row(ours: list[Took], theirs: list[Took]) -> Row:
    return Row(
        "components, merge, segmentation",
        median([t.wall for t in ours]),
        "s",
        median([t.wall for t in theirs]) if theirs else None,
        "igneous image ccl auto",
        limit=0.5 if theirs else None,
        samples=[t.wall for t in ours],
        details={
            "pair_ratios": [a.wall / b.wall for a, b in zip(ours, theirs, strict=False)],
            "igneous_samples": [t.wall for t in theirs],
            "igneous_cpu_s": median([t.cpu for t in theirs]) if theirs else None,
        },
    )


def profile_of(took: Took) -> dict[str, Any]:
    """Return where a run's time goes: per rule jobs, wall and CPU seconds of their processes; Snakemake's own."""
    jobs = took.jobs()
    counts = Counter(job["rule"] for job in jobs)
    rules = {
        rule: {
            "jobs": count,
            "wall_s": sum(j["wall_s"] for j in jobs if j["rule"] == rule),
            "cpu_s": sum(j["cpu_s"] for j in jobs if j["rule"] == rule),
        }
        for rule, count in counts.items()
    }
    others = [n for n in took.notes if not n["rule"]]
    head = min(others, key=lambda n: n["started"])
    snakemakes = {
        "cpu_s": head["cpu_s"],
        "until_first_job_s": min(j["started"] for j in jobs) - head["started"],
        "script_server_cpu_s": sum(n["cpu_s"] for n in others if n is not head),
    }
    return {"wall_s": took.wall, "snakemake": snakemakes, "rules": rules}


def _same_partition(folder: Path, config: dict[str, Any]) -> int:
    """Return the number of objects.

    Raises
    ------
    RuntimeError
        If the two segmentations differ in more than the names of their objects.
    """
    from cloudvolume import CloudVolume

    spec = resolve(config).layers["segmentation"]
    other = CloudVolume(f"file://{folder}/igneous", progress=False)
    pairs: set[tuple[int, int]] = set()
    for block in spec.grid.ids:
        box = spec.grid.box(block)
        z, y, x = box.slices()
        mine = read_box(folder / "results/segmentation", spec, box)[0].ravel()
        others = np.ascontiguousarray(np.asarray(other[x, y, z])[..., 0].T).ravel().astype(np.uint64)
        change = np.flatnonzero((mine[1:] != mine[:-1]) | (others[1:] != others[:-1])) + 1
        at = np.concatenate([[0], change])
        pairs.update(zip(mine[at].tolist(), others[at].tolist(), strict=True))
    counts = {len(pairs), len({a for a, _ in pairs}), len({b for _, b in pairs})}
    if len(counts) != 1 or not any(a == b == 0 for a, b in pairs):
        raise RuntimeError(f"the segmentations differ: {len(pairs)} pairs of ids, {sorted(counts)}")
    return len(pairs) - 1
