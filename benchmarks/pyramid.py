"""CPU time of three coarser scales, 2 x 2 x 2 each, against igneous downsample (tinybrain): read, join, encode, write.

Labels are half of the 512³ segmentation `data/connectomics`, the image is FIB-25's 250³ eight times over, if they are given,
else both are synthetic. Both sides have storage chunks of 64³ and one process; igneous' start-up, measured on a tiny layer, is
taken off. igneous writes a file per chunk, its default and its fastest way, from such files; ours writes shards, from shards.
FIB-25's noise is compressed there and stored by us, which takes 18 % more room.
"""

import gc
import itertools
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import igneous
from benchmarks.data import data_folder
from benchmarks.flow import fresh_folder
from benchmarks.flow import run as run_command
from benchmarks.rows import Row, median
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_box, write_block
from connectomake.pyramid import child_box, scales_of, write_parent

SCALES = 3
REPEATS = 5
SIZE = (8.0, 8.0, 8.0)


def _labels() -> np.ndarray:
    path = data_folder() / "connectomics/connectomics.npy.ckl.gz"
    if not path.exists():
        return np.kron(np.arange(512).reshape(8, 8, 8), np.ones((24, 32, 32), int)).astype(np.uint64)
    import gzip

    import crackle

    return np.ascontiguousarray(crackle.decompress(gzip.decompress(path.read_bytes())).T[:256]).astype(np.uint64)


def _image() -> np.ndarray:
    path = data_folder() / "fib25/training_sample2_raw.h5"
    if not path.exists():
        return np.random.default_rng(0).integers(0, 255, (250, 250, 250), dtype=np.uint8)
    import h5py

    with h5py.File(path, "r") as file:
        return np.tile(np.asarray(file["raw"]), (2, 2, 2))


def _spec(volume: np.ndarray) -> LayerSpec:
    kind = ("segmentation", "compressed_segmentation") if volume.dtype == np.uint64 else ("image", "raw")
    return LayerSpec("layer", str(volume.dtype), 1, Box.of_shape(volume.shape), (128,) * 3, (64,) * 3, SIZE, *kind)


def _ours(volume: np.ndarray, folder: Path) -> tuple[LayerSpec, ...]:
    """Write the finest scale."""
    spec = _spec(volume)
    for b in spec.grid.ids:
        write_block(folder / spec.shard_name(b), spec, b, np.ascontiguousarray(volume[spec.grid.box(b).slices()]))
    return scales_of(spec, SCALES)


def _downsample(folder: Path, scales: tuple[LayerSpec, ...]) -> float:
    """Return the CPU seconds of all coarser scales."""
    how = "mode" if scales[0].kind == "segmentation" else "mean"
    before = time.process_time()
    for child, parent in itertools.pairwise(scales):
        for b in parent.grid.ids:
            near = child.grid.ids_meeting(child_box(child, parent, parent.grid.box(b)))
            shards = {c: str(folder / child.shard_name(c)) for c in near}
            write_parent(folder / parent.shard_name(b), child, parent, b, shards, how, {})
    return time.process_time() - before


def _theirs(volume: np.ndarray, folder: Path) -> float:
    """Return the CPU seconds of igneous over a layer of files, with its start-up."""
    from cloudvolume import CloudVolume

    shutil.rmtree(folder, ignore_errors=True)
    spec = _spec(volume)
    CloudVolume.from_numpy(
        np.asfortranarray(volume.T), f"file://{folder}", resolution=SIZE, chunk_size=(64, 64, 64),
        layer_type=spec.kind, encoding=spec.encoding, progress=False,
    )  # fmt: skip
    options = ["--num-mips", str(SCALES), "--volumetric"]
    return run_command([str(igneous.COMMAND), "image", "downsample", f"file://{folder}", *options], folder.parent).cpu


def _agree(ours: Path, theirs: Path, scales: tuple[LayerSpec, ...]) -> float:
    """Return the share of voxels of the first coarser scale that are the same on both sides."""
    from cloudvolume import CloudVolume

    mine = read_box(ours, scales[1], scales[1].roi)[0]
    other = np.asarray(CloudVolume(f"file://{theirs}", mip=1, progress=False)[:])[..., 0].T
    z, y, x = (min(a, b) for a, b in zip(mine.shape, other.shape, strict=True))
    return float((mine[:z, :y, :x] == other[:z, :y, :x]).mean())


def run() -> dict[str, Any]:
    """Measure labels (mode) and image (mean)."""
    version, folder = igneous.install(), fresh_folder("pyramid")
    warm = np.zeros((64, 64, 64), np.uint64)
    rows = []
    for name, volume in (("labels, mode", _labels()), ("image, mean", _image())):
        tiny = volume[:64, :64, :64]
        _downsample(folder / "warm", _ours(tiny if tiny.any() else warm, folder / "warm"))
        ours, theirs, startup = [], [], []
        scales = _ours(volume, folder / "ours")
        for _ in range(REPEATS):
            gc.collect()
            ours.append(_downsample(folder / "ours", scales))
            startup.append(_theirs(tiny, folder / "tiny"))
            theirs.append(_theirs(volume, folder / "theirs"))
        net = median(theirs) - median(startup)
        details = {
            "voxels_per_s": volume.size / median(ours), "igneous_startup_s": median(startup),
            "same_voxels": _agree(folder / "ours", folder / "theirs", scales),
        }  # fmt: skip
        rows.append(
            Row(name, median(ours), "s", net, f"igneous {version} downsample", limit=0.5, samples=ours, details=details)
        )
        shutil.rmtree(folder / "ours")
    return {"title": f"Pyramid: {SCALES} coarser scales, CPU time", "rows": rows}


if __name__ == "__main__":
    print(json.dumps([row.to_json() for row in run()["rows"]], indent=1))
