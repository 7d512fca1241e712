"""Packs: the fragments of a group of blocks in one file, in the order in which the mesh shards want them.

Layout, little-endian: eight bytes of magic; ``u8`` number of shards S and of fragments N; ``u8 [S + 1]`` first fragment of
each shard; ``u8 [S + 1]`` first byte of each shard's data; the index (`INDEX` [N]); the data; the record.
"""

import contextlib
import mmap
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import LayerError
from connectomake.layers.records import append_record, read_record
from connectomake.meshes.cells import Fragment
from connectomake.meshes.sharding import MeshSharding

MAGIC = b"cmkMeshP"
INDEX = np.dtype([("id", "<u8"), ("code", "<u8"), ("size", "<u4"), ("checksum", "<u4"), ("triangles", "<u4")])
_HEAD = len(MAGIC) + 16


def _write_head(stream: BinaryIO, counts: np.ndarray, sizes: np.ndarray) -> None:
    """Write magic, numbers and tables from the number of fragments and of bytes per shard."""
    stream.write(MAGIC + np.array([len(counts), counts.sum()], "<u8").tobytes())
    for table in (counts, sizes):
        stream.write(np.concatenate([[0], np.cumsum(table)]).astype("<u8").tobytes())


def write_pack(
    path: str | os.PathLike[str], sharding: MeshSharding, fragments: Iterable[Fragment], record: dict[str, Any] | None = None
) -> None:
    """Write fragments, coming in any order, as a pack; whole or not at all.

    The data passes through an unnamed file, so that only the index is in memory.
    """
    with atomic_path(path) as temporary, tempfile.TemporaryFile(dir=temporary.parent) as spool:
        index = _spool(spool, fragments)
        offsets = np.concatenate([[0], np.cumsum(index["size"], dtype=np.int64)])
        shards = sharding.shards(index["id"])
        order = np.lexsort((index["code"], index["id"], shards))
        counts = np.bincount(shards, minlength=sharding.count)
        sizes = np.bincount(shards, weights=index["size"], minlength=sharding.count)
        with temporary.open("wb") as stream:
            _write_head(stream, counts, sizes.astype(np.int64))
            stream.write(index[order].tobytes())
            head = stream.tell()
            for i in order.tolist():
                spool.seek(offsets[i])
                stream.write(spool.read(int(index["size"][i])))
        append_record(temporary, record or {}, covered=head)


def _spool(spool: Any, fragments: Iterable[Fragment]) -> np.ndarray:
    rows = []
    for fragment in fragments:
        spool.write(fragment.data)
        checksum = zlib.crc32(fragment.data)
        rows.append((fragment.object_id, fragment.code, len(fragment.data), checksum, fragment.triangles))
    return np.array(rows, INDEX)


class PackReader:
    """Read a pack shard by shard; use as a context manager.

    Raises
    ------
    LayerError
        If the file is missing, truncated or not a pack of so many shards.
    """

    def __init__(self, path: str | os.PathLike[str], sharding: MeshSharding) -> None:
        self.path = Path(path)
        read_record(self.path)
        with self.path.open("rb") as stream:
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        shards, fragments = np.frombuffer(self._data[len(MAGIC) : _HEAD], "<u8").tolist()
        if self._data[: len(MAGIC)] != MAGIC or shards != sharding.count:
            raise LayerError(f"{self.path} is not a mesh pack of {sharding.count} shards; delete it and rerun")
        width = 8 * (shards + 1)
        self._first = np.frombuffer(self._data[_HEAD : _HEAD + width], "<u8").astype(np.int64)
        self._bytes = np.frombuffer(self._data[_HEAD + width : _HEAD + 2 * width], "<u8").astype(np.int64)
        self._index_start = _HEAD + 2 * width
        self._data_start = self._index_start + INDEX.itemsize * fragments

    def __enter__(self) -> "PackReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    @property
    def counts(self) -> np.ndarray:
        """Number of fragments of each shard, (s,) int64."""
        return np.diff(self._first)

    @property
    def sizes(self) -> np.ndarray:
        """Number of bytes of fragments of each shard, (s,) int64."""
        return np.diff(self._bytes)

    def index(self, shard: int) -> np.ndarray:
        """Return the fragments of a shard by ascending id and cell, (n,) of dtype `INDEX`."""
        a, b = (self._index_start + INDEX.itemsize * int(i) for i in self._first[shard : shard + 2])
        return np.frombuffer(self._data[a:b], INDEX)

    def offsets(self, shard: int) -> np.ndarray:
        """Return where in the file the fragments of a shard begin, (n,) int64."""
        sizes = self.index(shard)["size"].astype(np.int64)
        return self._data_start + self._bytes[shard] + np.cumsum(sizes) - sizes

    def data(self, offset: int, size: int, checksum: int) -> bytes:
        """Return the bytes of one fragment, checked."""
        data = self._data[offset : offset + size]
        if len(data) != size or zlib.crc32(data) != checksum:
            raise LayerError(f"a mesh fragment in {self.path} is corrupted; delete the file and rerun")
        return data


@contextlib.contextmanager
def open_packs(paths: Sequence[str | os.PathLike[str]], sharding: MeshSharding) -> Iterator[list[PackReader]]:
    """Open packs, and close them at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(PackReader(path, sharding)) for path in paths]


class Merged:
    """The fragments of one shard from several packs, by ascending id and cell.

    Raises
    ------
    LayerError
        If two packs hold the same cell of the same object.
    """

    def __init__(self, readers: Sequence[PackReader], shard: int) -> None:
        parts = [reader.index(shard) for reader in readers]
        index = np.concatenate([np.zeros(0, INDEX), *parts])
        order = np.lexsort((index["code"], index["id"]))
        self.index = index[order]
        self._readers = readers
        self._origin = np.repeat(np.arange(len(parts)), [len(p) for p in parts])[order]
        self._offsets = np.concatenate([np.zeros(0, np.int64), *(reader.offsets(shard) for reader in readers)])[order]
        twice = (np.diff(self.index["id"]) == 0) & (np.diff(self.index["code"]) == 0)
        if twice.any():
            names = ", ".join(str(r.path) for r in readers)
            object_id = self.index["id"][:-1][twice][0]
            raise LayerError(f"object {object_id} has one cell twice among {names}; delete them and rerun")

    def data(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a range of the fragments, one by one."""
        rows = zip(
            self._origin[start:stop].tolist(), self._offsets[start:stop].tolist(),
            self.index["size"][start:stop].tolist(), self.index["checksum"][start:stop].tolist(),
            strict=True,
        )  # fmt: skip
        for origin, offset, size, checksum in rows:
            yield self._readers[origin].data(offset, size, checksum)


def merge_packs(
    path: str | os.PathLike[str],
    sharding: MeshSharding,
    packs: Sequence[str | os.PathLike[str]],
    record: dict[str, Any] | None = None,
) -> None:
    """Merge packs into one, which is the pack of all their fragments; whole or not at all.

    Fragments are copied from file to file; in memory is the index of one shard.
    """
    with open_packs(packs, sharding) as readers, atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            counts, sizes = (np.sum([getattr(r, n) for r in readers], axis=0) for n in ("counts", "sizes"))
            _write_head(stream, counts, sizes)
            for shard in range(sharding.count):
                stream.write(Merged(readers, shard).index.tobytes())
            head = stream.tell()
            for shard in range(sharding.count):
                merged = Merged(readers, shard)
                stream.writelines(merged.data(0, len(merged.index)))
        append_record(temporary, record or {}, covered=head)
