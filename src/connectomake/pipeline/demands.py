"""Memory, time and disk that jobs request: what each rule declares, plus what clusters need on top."""

import functools
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from connectomake.layers import LayerSpec, table_bytes
from connectomake.pipeline.base import Rule
from connectomake.pipeline.registry import Stages
from connectomake.planning.fan_out import MB
from connectomake.planning.plan import Plan

REMOTE_MB = 150
"""Of the Snakemake around a script on a cluster: measured 73, and up to 142 of jobs with hundreds of inputs."""
SPARE, LEAST_MINUTES = 3, 10
"""Clusters kill what exceeds its time: jobs ask for so many times what they should take, and for at least so long."""
LEAST_DISK_MB, DISK_TABLES = 2000, 4
"""Disk of a job: so much for logs and tables of blocks, and so many times the tables of a whole run: they may be brought to
it, it puts their rows aside, twice where it turns pairs of keys, and writes its own."""
SHARE_STORED = {"compressed_segmentation": 0.25}
"""Bytes of a shard per byte of its voxels, at most; 1 where an encoding is not named: gzip gains little on noise."""
_PARQUET = 5
"""Bytes in memory per byte of a table of merges: measured 4.5."""


@dataclass(frozen=True, eq=False)
class Demands:
    """Memory and disk in MB and time in minutes of one job; `attempt` doubles each at each retry.

    An unknown rule is a ConfigError.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @functools.cached_property
    def _stages(self) -> Stages:
        return Stages(self.plan)

    def memory(self, rule: str, attempt: int = 1, tables: Iterable[str] = (), item: Any = None) -> int:
        """Return the memory in MB that a job may take.

        Parameters
        ----------
        rule
            The rule.
        attempt
            1 for the first one; each further one gets double.
        tables
            Files that the job reads. Where its memory follows from them (`Rule.held_per_byte`) and all are there and say how
            large their arrays are, it is that; else an estimate from the block, which a weak network's many basins exceed.
        item
            The job, where memory varies among jobs; None: the largest.
        """
        found = self._stages.rule(rule)
        sizes = None if found.held_per_byte is None else sizes_of(tables)
        if sizes and found.held_per_byte is not None:
            held = min(found.held_per_byte * found.share() * sum(sizes), found.most(max(sizes)))
        else:
            held = found.held(item)
        asked = (found.process() + math.ceil(held / MB)) << (attempt - 1)
        least = found.least(attempt)
        return max(asked, found.process() + math.ceil(least / MB)) if least else asked

    def minutes(self, rule: str, attempt: int = 1, tables: Iterable[str] = ()) -> int:
        """Return the time in minutes that a job may take: generous, for clusters kill what exceeds it.

        Parameters
        ----------
        rule, attempt
            See `memory`.
        tables
            Files that the job reads. Where its time follows from them (`Rule.seconds_per_mb`) and all are there and say how
            large they are, it is that; else an estimate from the voxels.
        """
        found = self._stages.rule(rule)
        if found.seconds_per_mb is None:
            seconds = seconds_of(found, found.voxels())
        else:
            seconds = found.seconds_per_mb * _read(found, tables) / found.sharers() / MB
        return (LEAST_MINUTES + math.ceil(SPARE * seconds / 60)) << (attempt - 1)

    def disk(self, rule: str, attempt: int = 1, tables: Iterable[str] = ()) -> int:
        """Return the disk in MB that a job may take where all that it reads is brought to it, as into pods.

        That is the shards that it reads and makes, as large as they may be; of jobs that read tables of the whole run, these,
        and what they put aside to sort them.

        Parameters
        ----------
        rule, attempt
            See `memory`.
        tables
            Files that a job of the whole run reads; their sizes count where all are there, else an estimate.
        """
        found = self._stages.rule(rule)
        held = DISK_TABLES * _read(found, tables) if found.reads_all else self._shards(rule)
        return LEAST_DISK_MB + math.ceil(held / MB) << (attempt - 1)

    def _shards(self, name: str) -> float:
        """Return the bytes of the shards that a job reads and makes, at most."""
        most = 0.0
        for rule in (rule for rule in self._stages.rules() if rule.name == name):
            for item in rule.examples():
                read = (path for pairs in rule.inputs(item).values() for _, path in pairs)
                shards = (Path(path) for path in chain(read, rule.outputs(item).values()) if path.endswith(".shard"))
                most = max(most, sum(self._shard_bytes.get(shard.parent, 0.0) for shard in shards))
        return most

    @functools.cached_property
    def _shard_bytes(self) -> dict[Path, float]:
        """The bytes of a whole block's shard, at most, by the folder of the shards."""
        found = {}
        for rule in self._stages.rules():
            for item in rule.examples():
                for name, path in rule.outputs(item).items():
                    if shard := rule.shard_of(name, item):
                        found[Path(path).parent] = most_bytes(shard[0])
        return found


def most_bytes(layer: LayerSpec) -> float:
    """Return the bytes of the shard of a whole block of a layer, at most."""
    voxels = min(math.prod(layer.block), layer.roi.volume)
    return SHARE_STORED.get(layer.encoding, 1.0) * layer.channels * layer.numpy_dtype.itemsize * voxels


def seconds_of(rule: Rule[Any], voxels: int) -> float:
    """Return about how many seconds of one core a rule takes for so many voxels, 0 where it does not follow them."""
    return rule.seconds_per_megavoxel * voxels / 1e6


def _read(rule: Rule[Any], tables: Iterable[str]) -> float:
    """Return the bytes of the files that a job reads, if all exist and give their size; else an estimate."""
    sizes = sizes_of(tables)
    return float(sum(sizes)) if sizes else rule.read()


def sizes_of(paths: Iterable[str]) -> list[int] | None:
    """Return the bytes that files have in memory; None if there are none, or one is not there or does not say."""
    sizes = [read_bytes(path) for path in paths]
    known = [size for size in sizes if size is not None]
    return known if known and len(known) == len(sizes) else None


def read_bytes(path: str | os.PathLike[str]) -> int | None:
    """Return how many bytes a job reads of a file, see `Rule.seconds_per_mb`; None if it is not there, or does not say.

    Tables count as they lie in memory (`table_bytes`), packs and Parquet as they lie on disk.
    """
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
