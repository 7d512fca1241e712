"""How long jobs take: seconds of one core per voxel, or per byte of the tables that are read; measured, nothing to spare."""

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from connectomake.layers import table_bytes

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan

SPARE, LEAST_MINUTES = 3, 10
"""Clusters kill what exceeds its time: jobs ask for so many times what they should take, and for at least so long."""
SECONDS_PER_MEGAVOXEL = {
    "image": 0.1,
    "affinity": 20.0,
    "components": 0.2,
    "segmentation": 0.2,
    "measures": 0.3,
    "fragments": 10.0,
    "traces": 3.0,
    "ground_truth": 0.2,
    "contingency": 0.1,
    "pyramid": 0.3,
}
SECONDS_PER_MB = {
    "merge": 0.02,
    "lookup": 0.03,
    "agglomeration": 0.09,
    "history": 0.3,
    "objects": 0.05,
    "gather": 0.5,
    "meshes": 0.5,
    "gather_traces": 0.05,
    "skeletons": 0.8,
    "evaluation": 0.1,
    "curve": 0.3,
}
"""Per MB of the tables that a job reads, as they lie in memory (`table_bytes`), packs and Parquet as they lie on disk. On noise
(128³ in blocks of 32³) and on smooth affinities (256³ in blocks of 64³): merge 0.003 to 0.018, lookup 0.002 to 0.026,
agglomeration 0.016 to 0.033, about 0.09 for 64 blocks of 512³; history 0.01 to 0.04, 0.3 where the rows exceed memory; objects
0.001 to 0.05. On the demo's pieces of meshes: gather 0.37 with the coarser levels that it makes, meshes 0.01, as much as gather
where coarser levels are left to it. On tables of 50 to 70 MB: gather_traces 0.02, skeletons 0.8 per MB of their own shard,
evaluation 0.04 to 0.08, curve 0.23."""
_PARQUET = 5
"""Bytes in memory per byte of a table of merges: measured 4.5."""


def seconds_of(plan: "Plan", stage: str, voxels: int) -> float:
    """Return about how many seconds of one core a stage takes for so many voxels, 0 where it does not follow them."""
    views = plan.inference.views if stage == "affinity" and plan.inference is not None else 1
    return views * SECONDS_PER_MEGAVOXEL.get(stage, 0.0) * voxels / 1e6


def read_bytes(path: str | os.PathLike[str]) -> int | None:
    """Return how many bytes a job reads of a file, see `SECONDS_PER_MB`; None if it is not there, or does not say."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    if str(path).endswith(".pack"):
        return found.st_size
    if str(path).endswith(".parquet"):
        return _PARQUET * found.st_size
    return _table_bytes(os.fspath(path), found.st_mtime_ns, found.st_size)


@functools.lru_cache(1 << 20)
def _table_bytes(path: str, _time: int, _size: int) -> int | None:
    """Return `table_bytes` of a file; schedulers ask for memory and time, and more than once."""
    return table_bytes(path)
