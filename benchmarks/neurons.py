"""CPU time and memory of watershed, region graph and agglomeration against waterz, on the same affinities, in core.

The affinities are made from the raw image of FIB-25 (`data/fib25`) where that folder is given: smoothed, and the smaller of two
neighbouring voxels stretched to 0 … 1; else of smoothed noise. Each program runs in a process of its own, so that its peak of
memory is its own; compiling and reading are left out. waterz is run in an environment of its own, never imported.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import data_folder
from benchmarks.flow import WORK
from benchmarks.rows import Row, Skipped

REQUIREMENT = "waterz==0.10.1"
HOME = WORK / "waterz-venv"
T_LOW, T_HIGH, THRESHOLD = 0.02, 0.995, 0.25
REPEATS = 3
HEAD = """
import json, sys, time
import numpy as np
def peak(reset=False):
    if reset:
        open("/proc/self/clear_refs", "w").write("5")
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
cpu = time.process_time
path, t_low, t_high, threshold = sys.argv[1], *map(float, sys.argv[2:5])
"""
OURS = (
    HEAD
    + """
from connectomake.agglomeration import Rule, agglomerate_graph, region_graph
from connectomake.components import watershed
def steps(affinity):
    began = cpu()
    fragments = watershed(affinity, t_low, t_high)
    flooded = cpu()
    edges = region_graph(fragments, affinity)
    summed = cpu()
    table, _ = agglomerate_graph(edges, np.bincount(fragments.ravel()), Rule(threshold, str(affinity.dtype)))
    linked = cpu()
    segmentation = table[fragments]
    return fragments, segmentation, edges, [flooded - began, summed - flooded, linked - summed, cpu() - linked]
rng = np.random.default_rng(0)
for dtype in ("float32", "uint8"):
    steps((rng.random((3, 20, 20, 20)) * (255 if dtype == "uint8" else 1)).astype(dtype))
affinity = np.load(path)
before = peak(reset=True)
fragments, segmentation, edges, seconds = steps(affinity)
grown = peak() - before
if len(sys.argv) > 5:
    np.save(sys.argv[5], fragments)
    np.save(sys.argv[6], segmentation)
print(json.dumps({"seconds": seconds, "memory": grown, "edges": len(edges), "fragments": int(fragments.max()),
                  "segments": len(np.unique(segmentation)) - 1}))
"""
)
THEIRS = (
    HEAD
    + """
import waterz
affinity = np.load(path)
before = peak(reset=True)
began = cpu()
for segmentation in waterz.agglomerate(affinity, [1 - threshold], aff_threshold_low=t_low, aff_threshold_high=t_high):
    pass
total, grown = cpu() - began, peak() - before
fragments = np.load(sys.argv[5]).astype(np.uint64)
parts = []
for score in (0.0, 1 - threshold):
    copy, began = fragments.copy(), cpu()
    for result in waterz.agglomerate(affinity, [score], fragments=copy):
        pass
    parts.append(cpu() - began)
ours = np.load(sys.argv[6])
inside = fragments > 0
pairs = len(np.unique(np.stack([result[inside].astype(np.uint64), ours[inside]]), axis=1).T)
counts = [len(np.unique(x[inside])) for x in (result, ours)]
print(json.dumps({"total": total, "memory": grown, "graph": parts[0], "both": parts[1], "pairs": pairs, "segments": counts}))
"""
)


def run() -> dict[str, Any]:
    """Measure both, three times one after the other."""
    affinity, source = affinities()
    python = install()
    folder = WORK / "neurons"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {dtype: folder / f"{dtype}.npy" for dtype in ("float32", "uint8")}
    np.save(paths["float32"], affinity)
    np.save(paths["uint8"], np.floor(255 * affinity + 0.5).astype(np.uint8))
    kept = [str(folder / "fragments.npy"), str(folder / "segmentation.npy")]
    ours, small, theirs = [], [], []
    for _ in range(REPEATS):
        ours.append(_call(Path(sys.executable), OURS, paths["float32"], *kept))
        small.append(_call(Path(sys.executable), OURS, paths["uint8"]))
        theirs.append(_call(python, THEIRS, paths["float32"], *kept))
    rows = [*_rows(ours, theirs, affinity[0].size), *_speeds("uint8", small, affinity[0].size)]
    shape = " × ".join(map(str, affinity.shape[1:]))
    title = f"Watershed and agglomeration, {shape} voxels of {source}, {REQUIREMENT} in the same run"
    return {"title": title, "fragments": ours[0]["fragments"], "edges": ours[0]["edges"], "rows": rows}


def _rows(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], voxels: int) -> list[Row]:
    together, reference = ([sum(o["seconds"]) for o in ours], statistics.median(t["total"] for t in theirs))
    memory = statistics.median(t["memory"] for t in theirs)
    same = all(t["pairs"] == t["segments"][0] == t["segments"][1] for t in theirs)
    details = {"same partition as waterz.agglomerate(fragments=ours)": same, "segments": theirs[0]["segments"]}
    return [
        Row("CPU time, all steps, float32", statistics.median(together), "s", reference, "waterz", 1.5, samples=together,
            details=details),
        Row("peak memory, all steps, float32", statistics.median(o["memory"] for o in ours), "MB", memory, "waterz", 1.0),
        *_speeds("float32", ours, voxels, theirs),
    ]  # fmt: skip


def _speeds(dtype: str, ours: list[dict[str, Any]], voxels: int, theirs: list[dict[str, Any]] | None = None) -> list[Row]:
    """Return the speed of each step; of waterz, what it takes for the graph of our fragments, and for its merging."""
    flood, graph, link = (statistics.median(o["seconds"][i] for o in ours) for i in range(3))
    edges = ours[0]["edges"]
    against: list[float | None] = [None, None]
    if theirs is not None:
        summed = statistics.median(t["graph"] for t in theirs)
        linked = statistics.median(t["both"] - t["graph"] for t in theirs)
        against = [voxels / 1e6 / summed, edges / linked if linked > 0 else None]
    name = "waterz" if theirs is not None else ""
    return [
        Row(f"watershed, {dtype}", voxels / 1e6 / flood, "Mvox/s", least=50),
        Row(f"region graph, {dtype}", voxels / 1e6 / graph, "Mvox/s", against[0], name),
        Row(f"agglomeration, {dtype}", edges / link, "edges/s", against[1], name),
    ]


def _call(python: Path, script: str, *arguments: Any) -> dict[str, Any]:
    path, *rest = map(str, arguments)
    options = [path, str(T_LOW), str(T_HIGH), str(THRESHOLD), *rest]
    done = subprocess.run([python, "-c", script, *options], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def install() -> Path:
    """Make waterz' environment unless it is there, and return its Python.

    Raises
    ------
    Skipped
        If it cannot be installed.
    """
    python = HOME / "bin/python"
    if not python.exists():
        HOME.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skipped(f"waterz cannot be installed into {HOME.relative_to(WORK.parents[1])}: {error}") from error
    return python


def affinities() -> tuple[np.ndarray, str]:
    """Return affinities (3, z, y, x) float32 and where they come from."""
    from scipy.ndimage import gaussian_filter

    path = data_folder() / "fib25/training_sample2_raw.h5"
    if path.exists():
        import h5py

        with h5py.File(path) as file:
            image = file["raw"][:].astype(np.float32)
        smooth, source = gaussian_filter(image, 1), "smoothed FIB-25"
    else:
        noise = np.random.default_rng(0).random((160, 160, 160), np.float32)
        smooth, source = np.abs(gaussian_filter(noise, 3) - 0.5), "synthetic noise"
    low = np.stack([np.minimum(smooth, np.roll(smooth, 1, axis)) for axis in range(3)])
    stretched = (low - low.min()) / np.ptp(low) * 1.6 - 0.4
    return np.clip(stretched, 0, 1).astype(np.float32), source
