"""Layers for a viewer to show, without a run: image and affinity of chosen values."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from connectomake.layers import write_block
from connectomake.planning.infos import info_text
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.sources import ingest_block
from tests.tiny_run import MODEL

SHAPE = (16, 64, 64)


def chequered(low: float, high: float, dtype: str) -> np.ndarray:
    """A volume of squares of 16 voxels a side with values from `low` to `high`."""
    _, y, x = np.indices(SHAPE) // 16
    return np.asarray((low + (high - low) * ((y + 2 * x) % 7) / 6).astype(dtype))


def make_plan(
    folder: Path,
    image: np.ndarray,
    source: dict[str, Any] | None = None,
    in_place: bool = False,
    channels: int = 1,
    **sections: Any,
) -> Plan:
    """Write image and config into the working directory and return the plan; `in_place`: the image is precomputed."""
    (folder / "model.py").write_text(MODEL)
    with h5py.File(folder / "v.h5", "w") as file:
        file["v"] = image
    here = {"path": "v.h5", "dataset": "v", "voxel_size": [8, 8, 8]}
    config: dict[str, Any] = {
        "outdir": "out", "block": [16, 32, 32], "chunk": [8, 16, 16], "meshes": {"enabled": False}, "source": here,
        "inference": {"model": "model.py", "patch": [8, 16, 16], "overlap": [2, 4, 4], "device": "cpu", "dtype": "float32",
                      "channels": channels},
    }  # fmt: skip
    if in_place:
        ingested(resolve(config))
        (folder / "out/image").rename(folder / "layer")
        config |= {"source": {"path": "layer"}}
    return resolve(config | sections | {"source": {**config["source"], **(source or {})}})


def ingested(plan: Plan) -> Plan:
    """Make the layer `image`."""
    spec = plan.layers["image"]
    for block in spec.grid.ids:
        ingest_block(plan.source.open(), spec, block, Path(plan.outdir, "image", spec.shard_name(block)), {})
    Path(plan.outdir, "image/info").write_text(info_text(plan, "image"))
    return plan


def with_affinity(plan: Plan, values: np.ndarray) -> Plan:
    """Make the layer `affinity` of values (c, z, y, x)."""
    spec = plan.layers["affinity"]
    for block in spec.grid.ids:
        part = values[(slice(None), *spec.grid.box(block).slices())]
        write_block(Path(plan.outdir, "affinity", spec.shard_name(block)), spec, block, np.ascontiguousarray(part), {})
    Path(plan.outdir, "affinity/info").write_text(info_text(plan, "affinity"))
    return plan
