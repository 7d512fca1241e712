"""Skeletons against kimimaro on one core, both with the same scale and const and without dust.

The volume is every second voxel of the 512³ segmentation `data/connectomics`, taken as 16 nm. Ours is cut into cells and
joined; kimimaro gets the volume whole.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flow import fresh_folder
from benchmarks.kimimaro import install, skeletonize
from benchmarks.meshes import load_labels
from benchmarks.rows import Row
from connectomake.geometry import Box
from connectomake.skeletons import SkeletonSpec, Traces, trace_cell
from connectomake.skeletons.heal import heal, lengths_of

SIZE, SCALE, CONST = (16.0, 16.0, 16.0), 1.5, 300.0


def ours(labels: np.ndarray, cell: int) -> tuple[float, int, float]:
    """Return CPU seconds, number of skeletons and cable length in nm."""
    spec = SkeletonSpec(Box.of_shape(labels.shape), (cell,) * 3, SIZE, SCALE, CONST)
    before = time.process_time()
    parts = (trace_cell(np.ascontiguousarray(labels[spec.around(p).slices()]), spec, p) for p in spec.positions(spec.roi))
    ids, nm = lengths_of(heal(Traces.merge(parts), spec), spec)
    return time.process_time() - before, len(ids), float(nm.sum())


def _alone(path: Path, cell: int) -> tuple[float, int, float, float]:
    """Run ours in a process of its own, compiled before; also its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.skeletons", str(path), str(cell)], capture_output=True, text=True, check=True
    )
    seconds, count, length, peak = done.stdout.split()[-4:]
    return float(seconds), int(count), float(length), float(peak)


def run() -> dict[str, Any]:
    """Measure."""
    labels = load_labels()
    install()
    folder = fresh_folder("skeletons")
    np.save(folder / "labels.npy", labels)
    mid, small = _alone(folder / "labels.npy", 256), _alone(folder / "labels.npy", 128)
    version, seconds, count, length = skeletonize(folder / "labels.npy", SCALE, CONST, True)
    _, plain_seconds, plain_count, plain_length = skeletonize(folder / "labels.npy", SCALE, CONST, False)
    against, plain = f"kimimaro {version}", f"kimimaro {version}, fix_branching off"
    return {
        "title": "Skeletons: 256³ of connectomics, one core",
        "rows": [
            Row("objects a CPU second, cells of 256³", mid[1] / mid[0], "1/s", count / seconds, against, least=1),
            Row("objects a CPU second, cells of 128³", small[1] / small[0], "1/s", count / seconds, against, least=1),
            Row("objects a CPU second, cells of 128³", small[1] / small[0], "1/s", plain_count / plain_seconds, plain),
            Row("cable length, cells of 256³", mid[2] / 1e6, "mm", length / 1e6, against),
            Row("cable length, cells of 128³", small[2] / 1e6, "mm", length / 1e6, against),
            Row("cable length, cells of 256³", mid[2] / 1e6, "mm", plain_length / 1e6, plain),
            Row("peak memory, cells of 256³", mid[3], "MB"),
            Row("peak memory, cells of 128³", small[3], "MB"),
        ],
        "objects": {"ours": mid[1], "kimimaro": count},
    }


if __name__ == "__main__":
    small = np.zeros((24, 24, 24), np.uint64)
    small[4:20, 4:20, 4:20] = 1
    ours(small, 16)  # compiles
    found = ours(np.load(sys.argv[1]), int(sys.argv[2]))
    print(*found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
