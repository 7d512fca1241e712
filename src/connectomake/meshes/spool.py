"""Spool: the fragments that a job makes, in the order in which they come, until they are sorted into a pack."""

import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from connectomake.errors import LayerError
from connectomake.layers.id_shards import IdSharding
from connectomake.meshes.cells import Fragment

INDEX = np.dtype([("id", "<u8"), ("code", "<u8"), ("size", "<u4"), ("checksum", "<u4"), ("triangles", "<u4"), ("lod", "<u4")])
"""An entry of the index of fragments, in a spool as in a pack."""


class Spool:
    """Fragments that this job makes: index in memory, bytes in an unnamed file. Reads like a `PackReader`."""

    path = Path("fragments of this job")

    def __init__(self, folder: Path, sharding: IdSharding) -> None:
        self._sharding = sharding
        self._stream: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `__exit__`)
        self._rows: dict[int, list[tuple[int, ...]]] = {}
        self._shard_of: dict[int, int] = {}
        self._size = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, fragment: Fragment) -> None:
        """Take a fragment, in any order."""
        number, size = fragment.object_id, len(fragment.data)
        if number not in self._shard_of:
            self._shard_of[number] = int(self._sharding.shards(np.array([number], np.uint64))[0])
        row = (number, fragment.code, size, zlib.crc32(fragment.data), fragment.triangles, fragment.lod, self._size)
        self._rows.setdefault(self._shard_of[number], []).append(row)
        self._stream.seek(self._size)
        self._stream.write(fragment.data)
        self._size += size

    @property
    def counts(self) -> np.ndarray:
        """Number of fragments of each shard, (s,) int64."""
        return np.array([len(self._rows.get(s, ())) for s in range(self._sharding.count)], np.int64)

    @property
    def sizes(self) -> np.ndarray:
        """Number of bytes of fragments of each shard, (s,) int64."""
        return np.array([sum(r[2] for r in self._rows.get(s, ())) for s in range(self._sharding.count)], np.int64)

    def index(self, shard: int) -> np.ndarray:
        """Return the fragments of a shard in the order in which they came, (n,) of dtype `INDEX`."""
        return np.array([row[:-1] for row in self._rows.get(shard, ())], INDEX)

    def offsets(self, shard: int) -> np.ndarray:
        """Return where the fragments of a shard begin, (n,) int64."""
        return np.array([row[-1] for row in self._rows.get(shard, ())], np.int64)

    def data(self, offset: int, size: int, checksum: int) -> bytes:
        """Return the bytes of one fragment, checked."""
        self._stream.seek(offset)
        data = self._stream.read(size)
        if zlib.crc32(data) != checksum:
            raise LayerError(f"the disk did not return the bytes that were written next to {self._stream.name}; rerun")
        return data
