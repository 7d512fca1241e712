"""Meshes against igneous forge + merge, two processes each, and against zmesh's marching cubes alone.

The volume is every second voxel of the 512³ segmentation `data/connectomics`, 16 nm, in eight blocks. Both simplify with a
wanted factor of 100 and at most 40 nm of error, igneous' defaults, and write sharded multi-resolution meshes. Memory is that
of all processes of a command together, read every 50 ms. Ours is the median of three runs, igneous' one run.
"""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.data import data_folder
from benchmarks.flow import fresh_folder
from benchmarks.igneous import COMMAND, install
from benchmarks.machine import ROOT
from benchmarks.rows import Row, Skipped
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, write_block, write_tables
from connectomake.meshes import MeshSpec, PackReader, halo_blocks, mesh_fragments, mesh_info, mesh_shard

BLOCK, CHUNK, CELL, SIZE, FACTOR, ERROR = (128,) * 3, (64,) * 3, (64,) * 3, (16.0,) * 3, 100, 40.0
INTERVAL, REPEATS = 0.05, 3


class Cost(NamedTuple):
    """What a command took: seconds by the clock, of CPU, and MB of memory at most, its children's included."""

    wall: float
    cpu: float
    memory: float


def load_labels() -> np.ndarray:
    """Return the 256³ labels, uint64."""
    import gzip

    import crackle

    path = data_folder() / "connectomics/connectomics.npy.ckl.gz"
    if not path.exists():
        raise Skipped(f"{path.name} is not there; set CONNECTOMAKE_DATA")
    labels = crackle.decompress(gzip.decompress(path.read_bytes())).T
    return np.ascontiguousarray(labels[::2, ::2, ::2]).astype(np.uint64)


def _layer(shape: tuple[int, ...]) -> LayerSpec:
    roi = Box.of_shape((shape[0], shape[1], shape[2]))
    return LayerSpec("segmentation", "uint64", 1, roi, BLOCK, CHUNK, SIZE, "segmentation", "compressed_segmentation")


def _prepare(folder: Path, labels: np.ndarray) -> LayerSpec:
    """Write the segmentation with its halos as the workflow does."""
    layer = _layer(labels.shape)
    for block in layer.grid.ids:
        part = np.ascontiguousarray(labels[layer.grid.box(block).slices()])
        write_block(folder / layer.shard_name(block), layer, block, part)
        write_tables(folder / f"{block}.h5", {"halo/z": part[0], "halo/y": part[:, 0], "halo/x": part[:, :, 0]})
    (folder / "info").write_text(json.dumps(layer.info() | {"mesh": "mesh"}))
    return layer


def _fragments(task: tuple[Path, LayerSpec, MeshSpec, int]) -> None:
    folder, layer, spec, block = task
    halos = {n: folder / f"{n}.h5" for n in halo_blocks(layer.grid, [block])}
    mesh_fragments(folder / f"{block}.pack", layer, spec, {block: folder / layer.shard_name(block)}, halos)


def ours(folder: Path, lods: int) -> None:
    """Make the meshes of a folder with two processes, forked once all is loaded as in a local run; the part that is timed."""
    importlib.import_module("connectomake.meshes.simplify")
    layer = _layer((256, 256, 256))
    spec = MeshSpec(layer.roi, CELL, SIZE, 16, FACTOR, ERROR, lods)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(_fragments, [(folder, layer, spec, block) for block in layer.grid.ids], chunksize=1)
    packs = [folder / f"{block}.pack" for block in layer.grid.ids]
    for shard in range(spec.sharding.count):
        mesh_shard(folder / "mesh" / spec.sharding.name(shard), spec, shard, packs)
    (folder / "mesh" / "info").write_text(json.dumps(mesh_info(spec)))


def _timed(command: list[str], folder: Path) -> Cost:
    """Run a command and return its cost."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    log, before = folder / "errors.txt", time.perf_counter()
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        peak = _peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(log.read_text()[-2000:])
    return Cost(time.perf_counter() - before, usage.ru_utime + usage.ru_stime, peak)


def _peak(pid: int) -> float:
    """Wait for a process to end and return the most that it and its children held at once, MB."""
    most, process = 0, psutil.Process(pid)
    while process.status() != psutil.STATUS_ZOMBIE:
        most = max(most, sum(_resident(part) for part in (process, *process.children(recursive=True))))
        time.sleep(INTERVAL)
    return most / 1e6


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _triangles(folder: Path) -> int:
    spec = MeshSpec(_layer((256, 256, 256)).roi, CELL, SIZE, 16, FACTOR, ERROR)
    total = 0
    for path in folder.glob("*.pack"):
        with PackReader(path, spec.sharding) as reader:
            for shard in range(spec.sharding.count):
                index = reader.index(shard)
                total += int(index["triangles"][index["lod"] == 0].sum())
    return total


def _igneous(folder: Path, labels: np.ndarray) -> tuple[Cost, Cost, Cost, int]:
    """Forge with igneous, merge to one level and to three: the cost of each; triangles of the one level."""
    from cloudvolume import CloudVolume

    install()
    cloud = f"precomputed://file://{folder}/layer"
    xyz = np.ascontiguousarray(labels.T)
    CloudVolume.from_numpy(xyz, cloud, resolution=SIZE, chunk_size=CHUNK, layer_type="segmentation", progress=False)
    shape = ",".join(map(str, BLOCK))
    options = ["--shape", shape, "--max-error", str(int(ERROR)), "--sharded", "--compress", "none"]
    forge = _timed([str(COMMAND), "-p", "2", "mesh", "forge", cloud, *options], folder)
    merge_command = [str(COMMAND), "-p", "2", "mesh", "merge-sharded", cloud]
    one = _timed(merge_command, folder)
    triangles = sum(_triangles_of(cloud, int(i)) for i in np.unique(labels) if i)
    three = _timed([*merge_command, "--nlod", "3", "--min-chunk-size", ",".join(map(str, CELL))], folder)
    return forge, one, three, triangles


def _triangles_of(cloud: str, object_id: int) -> int:
    """Return the triangles of an object that igneous meshed; 0 where it left the object out."""
    from cloudvolume import CloudVolume
    from cloudvolume.exceptions import MeshMissingError

    try:
        return len(CloudVolume(cloud, use_https=False, progress=False).mesh.get([object_id])[object_id].faces)
    except MeshMissingError:
        return 0


def _zmesh(labels: np.ndarray) -> float:
    import zmesh

    before = time.process_time()
    mesher = zmesh.Mesher((16, 16, 16))
    mesher.mesh(np.pad(labels, 1), close=False)
    for i in mesher.ids():
        mesher.get(i)
    return time.process_time() - before


def run() -> dict[str, Any]:
    """Measure."""
    labels = load_labels()
    count = len(np.unique(labels)) - 1
    folder = fresh_folder("meshes")
    _prepare(folder, labels)
    module = [sys.executable, "-m", "benchmarks.meshes", str(folder)]
    _timed([*module, "1"], folder)  # compiles
    one, three = (sorted(_timed([*module, levels], folder) for _ in range(REPEATS))[REPEATS // 2] for levels in ("1", "3"))
    triangles = _triangles(folder)
    forge, *merges, others = _igneous(fresh_folder("meshes-igneous"), labels)
    their_one, their_three = (
        Cost(forge.wall + merge.wall, forge.cpu + merge.cpu, max(forge.memory, merge.memory)) for merge in merges
    )
    alone = _zmesh(labels)
    against = "igneous 4.37"
    return {
        "title": "Meshes: 256³ of connectomics, two processes",
        "objects": count,
        "rows": [
            Row("objects a second, one level", count / one.wall, "1/s", count / their_one.wall, against, least=3),
            Row("objects a second, three levels", count / three.wall, "1/s", count / their_three.wall, against),
            Row("CPU, one level", one.cpu, "s", their_one.cpu, against),
            Row("CPU, three levels", three.cpu, "s", their_three.cpu, against),
            Row("peak memory, one level", one.memory, "MB", their_one.memory, against, limit=1),
            Row("peak memory, three levels", three.memory, "MB", their_three.memory, against, limit=1),
            Row("triangles of the finest level", triangles, "", others, against, limit=1),
            Row("CPU, one level, over marching cubes", one.cpu, "s", alone, "zmesh marching cubes alone"),
        ],
        "igneous": {"forge": forge.wall, "merge": [merge.wall for merge in merges]},
    }


if __name__ == "__main__":
    ours(Path(sys.argv[1]), int(sys.argv[2]))
