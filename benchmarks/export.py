"""Seconds of exports against a plain copy by TensorStore: from Zarr in chunks of 64³ into the same codec and chunks.

The copy is one call, `write` of one store into another, with no bound of memory and nothing renamed, each file flushed as is
TensorStore's default; ours takes 256 MB at most, flushes all and renames the whole. What TensorStore does not write has no
reference. Both sides write into a folder of their own, in turn. Ids are boxes of a coarse grid, the image is
smoothed noise.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flow import fresh_folder
from benchmarks.rows import Row, median
from connectomake.exporting import FORMATS, Options, export_volume, levels_of
from connectomake.sources import Source, open_source

SHAPE = (256, 512, 512)
REPEATS = 5
CHUNK = (64, 64, 64)
COPIED = {"zarr3": "zarr3", "n5": "n5", "precomputed": "neuroglancer_precomputed"}
"""Formats, and the driver of TensorStore that copies into each."""
ALONE = ("npy", "tiff", "hdf5")


def _labels() -> np.ndarray:
    grid = [np.arange(n) // 24 for n in SHAPE]
    return (grid[0][:, None, None] * 10**6 + grid[1][:, None] * 1000 + grid[2] + 1).astype(np.uint64)


def _image() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 200, [n // 4 for n in SHAPE], np.uint8)
    noise = np.random.default_rng(1).integers(0, 16, SHAPE, np.uint8)
    return np.asarray(np.kron(coarse, np.ones((4, 4, 4), np.uint8)) + noise, np.uint8)


def _source(values: np.ndarray, folder: Path) -> Source:
    """Write the volume that both sides read."""
    import tensorstore as ts

    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}}]
    metadata = {
        "shape": values.shape, "data_type": values.dtype.name, "codecs": codecs,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CHUNK}},
    }  # fmt: skip
    spec = {"driver": "zarr3", "kvstore": f"file://{folder}/", "metadata": metadata, "create": True, "delete_existing": True}
    ts.open(spec).result().write(values).result()
    return open_source(f"zarr://{folder}", voxel_size=(8, 8, 8))


def _seconds(work: Callable[[], None], *folders: Path) -> float:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.unlink(missing_ok=True)
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _copy(source: Path, made: Path, driver: str, folder: Path) -> None:
    """Copy into an array like the one that was `made`."""
    import tensorstore as ts

    read = ts.open({"driver": "zarr3", "kvstore": f"file://{source}/"}, open=True).result()
    spec = ts.open({"driver": driver, "kvstore": f"file://{made}/"}, open=True).result().spec().to_json()
    spec = {k: v for k, v in spec.items() if k not in ("kvstore", "transform")}
    written = ts.open({**spec, "kvstore": f"file://{folder}/"}, create=True).result()
    target = written.T if driver in ("n5", "neuroglancer_precomputed") else written
    (target[0] if target.rank == 4 else target).write(read).result()


def _measure(source: Source, form: str, folder: Path) -> tuple[list[float], list[float]]:
    levels, ours, theirs = levels_of([source]), folder / "ours", folder / "theirs"
    mine, others = [], []
    for _ in range(REPEATS):
        mine.append(_seconds(lambda: export_volume(levels, str(ours), FORMATS[form], Options(chunk=CHUNK)), ours))
        if form in COPIED:
            others.append(_seconds(lambda: _copy(folder / "source", ours, COPIED[form], theirs), theirs))
    return mine, others


def run() -> dict[str, Any]:
    """Measure ids and an image in each format."""
    folder, rows = fresh_folder("export"), []
    for name, values in (("ids of 64 bits", _labels()), ("image of 8 bits", _image())):
        source = _source(values, folder / "source")
        for form in (*COPIED, *ALONE):
            ours, theirs = _measure(source, form, folder)
            row = Row(
                f"{name}: {FORMATS[form].text}", median(ours), "s", samples=ours,
                details={"megabytes_per_s": values.nbytes / 1e6 / median(ours)},
            )  # fmt: skip
            if theirs:
                row = replace(row, reference=median(theirs), against="TensorStore copy", limit=1.25)
            rows.append(row)
    shutil.rmtree(folder)
    return {"title": f"Export of {' × '.join(map(str, SHAPE))} voxels, wall time", "rows": rows}


if __name__ == "__main__":
    print(json.dumps([row.to_json() for row in run()["rows"]], indent=1))
