"""Packs: the fragments of a group of blocks in one file, all levels of detail, in the order in which the mesh shards want them.

Layout, little-endian: eight bytes of magic; ``u8`` number of shards S and of fragments N; ``u8 [S + 1]`` first fragment of
each shard; ``u8 [S + 1]`` first byte of each shard's data; the index (`INDEX` [N]); the data; the record.
"""

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from connectomake.atomic import atomic_path
from connectomake.errors import LayerError
from connectomake.forking import last_file
from connectomake.layers.id_shards import IdSharding
from connectomake.layers.records import append_record, check_content, check_place, read_record
from connectomake.meshes.cells import Fragment
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.parents import Cells, new_parents
from connectomake.meshes.spool import INDEX, Spool

MAGIC = b"cmkMesh2"
_CHECKED_WHOLE = 64
"""Of so many shards, each reads the whole index, to compare its checksum; of more that would be more than the rest together."""
_HEAD = len(MAGIC) + 16


def _write_head(stream: BinaryIO, counts: np.ndarray, sizes: np.ndarray) -> None:
    """Write magic, numbers and tables from the number of fragments and of bytes per shard."""
    stream.write(MAGIC + np.array([len(counts), counts.sum()], "<u8").tobytes())
    for table in (counts, sizes):
        stream.write(np.concatenate([[0], np.cumsum(table)]).astype("<u8").tobytes())


class PackReader:
    """Read a pack shard by shard; use as a context manager.

    Raises
    ------
    LayerError
        If the file is missing, truncated or not a pack of so many shards.
    """

    def __init__(self, path: str | os.PathLike[str], sharding: IdSharding) -> None:
        self.path = Path(path)
        last_file.reading(self.path)
        check_place(read_record(self.path), self.path)
        self._sharding = sharding
        if sharding.count <= _CHECKED_WHOLE:
            check_content(self.path)
        self._stream = self.path.open("rb", buffering=0)
        try:
            self._read_head()
        except BaseException:
            self._stream.close()
            raise

    def _read_head(self) -> None:
        count = self._sharding.count
        size, width = os.fstat(self._stream.fileno()).st_size, 8 * (count + 1)
        self._index_start = _HEAD + 2 * width
        head = self._read(0, self._index_start)
        if head[: len(MAGIC)] != MAGIC or len(head) < self._index_start:
            raise self._unfit()
        shards, fragments = np.frombuffer(head[len(MAGIC) : _HEAD], "<u8").tolist()
        self._first = np.frombuffer(head[_HEAD : _HEAD + width], "<u8").astype(np.int64)
        self._bytes = np.frombuffer(head[_HEAD + width :], "<u8").astype(np.int64)
        self._data_start = self._index_start + INDEX.itemsize * fragments
        ends = self._data_start + int(self._bytes[-1])
        if shards != count or int(self._first[-1]) != fragments or not 0 <= ends <= size:
            raise self._unfit()
        if any(table[0] != 0 or (np.diff(table) < 0).any() for table in (self._first, self._bytes)):
            raise self._unfit()

    def _read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file, fewer where it ends. Not mapped: pages of all packs would count as memory of the job."""
        parts = []
        while size > 0 and (part := os.pread(self._stream.fileno(), size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unfit(self) -> LayerError:
        return LayerError(f"{self.path} is damaged or not a mesh pack of {self._sharding.count} shards; delete it and rerun")

    def __enter__(self) -> "PackReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    @property
    def counts(self) -> np.ndarray:
        """Number of fragments of each shard, (s,) int64."""
        return np.diff(self._first)

    @property
    def sizes(self) -> np.ndarray:
        """Number of bytes of fragments of each shard, (s,) int64."""
        return np.diff(self._bytes)

    def index(self, shard: int) -> np.ndarray:
        """Return the fragments of a shard by ascending id, level and code, (n,) of dtype `INDEX`.

        Raises
        ------
        LayerError
            If they are of another shard, out of order, or of other sizes than the pack says.
        """
        a, b = (self._index_start + INDEX.itemsize * int(i) for i in self._first[shard : shard + 2])
        index = np.frombuffer(self._read(a, b - a), INDEX)
        same, later = np.ones(max(len(index) - 1, 0), bool), np.zeros(max(len(index) - 1, 0), bool)
        for name in ("id", "lod", "code"):
            later |= same & (index[name][1:] > index[name][:-1])
            same &= index[name][1:] == index[name][:-1]
        size = int(index["size"].astype(np.int64).sum())
        if not later.all() or size != self.sizes[shard] or (self._sharding.shards(index["id"]) != shard).any():
            raise self._unfit()
        return index

    def offsets(self, shard: int) -> np.ndarray:
        """Return where in the file the fragments of a shard begin, (n,) int64."""
        sizes = self.index(shard)["size"].astype(np.int64)
        return self._data_start + self._bytes[shard] + np.cumsum(sizes) - sizes  # type: ignore[no-any-return]

    def data(self, offset: int, size: int, checksum: int) -> bytes:
        """Return the bytes of one fragment, checked."""
        last_file.reading(self.path)
        data = self._read(offset, size)
        if len(data) != size or zlib.crc32(data) != checksum:
            raise LayerError(f"a mesh fragment in {self.path} is corrupted; delete the file and rerun")
        return data


@contextlib.contextmanager
def open_packs(paths: Sequence[str | os.PathLike[str]], sharding: IdSharding) -> Iterator[list[PackReader]]:
    """Open packs, and close them at the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(PackReader(path, sharding)) for path in paths]


class Merged:
    """The fragments of one shard from several packs, by ascending id, level and code.

    Raises
    ------
    LayerError
        If two packs hold the same cell of the same object.
    """

    def __init__(self, readers: Sequence[PackReader | Spool], shard: int) -> None:
        parts = [reader.index(shard) for reader in readers]
        index = np.concatenate([np.zeros(0, INDEX), *parts])
        order = np.lexsort((index["code"], index["lod"], index["id"]))
        self.index = index[order]
        self._readers = readers
        self._origin = np.repeat(np.arange(len(parts)), [len(p) for p in parts])[order]
        self._offsets = np.concatenate([np.zeros(0, np.int64), *(reader.offsets(shard) for reader in readers)])[order]
        twice = np.ones(max(len(index) - 1, 0), bool)
        for name in ("id", "lod", "code"):
            twice &= self.index[name][1:] == self.index[name][:-1]
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


def add_parents(readers: Sequence["PackReader | Spool"], spool: Spool, spec: MeshSpec, cells: Cells | None, shard: int) -> None:
    """Make the coarser fragments of a shard whose children are all among the readers, level by level, into the spool."""
    for lod in range(1, spec.lods):
        for fragment in new_parents(spec, lod, Merged(readers, shard), cells):
            spool.add(fragment)


def write_pack(
    path: str | os.PathLike[str],
    spec: MeshSpec,
    fragments: Iterable[Fragment],
    cells: Cells,
    record: dict[str, Any] | None = None,
) -> None:
    """Atomically write fragments of level 0, coming in any order, and what coarser ones follow from them.

    The data passes through an unnamed file, so that only the index is in memory.

    Parameters
    ----------
    path
        The pack.
    spec
        The meshes.
    fragments
        All fragments of a box of cells.
    cells
        Positions of its first cell and of that after its last.
    record
        What to note at the end of the file.
    """
    with atomic_path(path) as temporary, Spool(temporary.parent, spec.sharding) as spool:
        for fragment in fragments:
            spool.add(fragment)
        for shard in range(spec.sharding.count):
            add_parents([spool], spool, spec, cells, shard)
        _write(temporary, [spool], spec.sharding, record)


def merge_packs(
    path: str | os.PathLike[str],
    spec: MeshSpec,
    packs: Sequence[str | os.PathLike[str]],
    cells: Cells,
    record: dict[str, Any] | None = None,
) -> None:
    """Atomically merge packs into one, with the coarser fragments whose children lay in several.

    Fragments are copied from file to file; in memory are the index of one shard, and that of the new fragments.

    Parameters
    ----------
    path
        The pack.
    spec
        The meshes.
    packs
        Packs that together hold all fragments of a box of cells.
    cells
        Positions of its first cell and of that after its last.
    record
        What to note at the end of the file.
    """
    with (
        open_packs(packs, spec.sharding) as readers,
        atomic_path(path) as temporary,
        Spool(temporary.parent, spec.sharding) as spool,
    ):
        both: list[PackReader | Spool] = [*readers, spool]
        for shard in range(spec.sharding.count):
            add_parents(both, spool, spec, cells, shard)
        _write(temporary, both, spec.sharding, record)


def _write(path: Path, readers: Sequence["PackReader | Spool"], sharding: IdSharding, record: dict[str, Any] | None) -> None:
    """Write all fragments of the readers as one pack."""
    with path.open("wb") as stream:
        counts, sizes = (np.sum([getattr(r, n) for r in readers], axis=0) for n in ("counts", "sizes"))
        _write_head(stream, counts, sizes)
        for shard in range(sharding.count):
            stream.write(Merged(readers, shard).index.tobytes())
        head = stream.tell()
        for shard in range(sharding.count):
            merged = Merged(readers, shard)
            stream.writelines(merged.data(0, len(merged.index)))
    append_record(path, record or {}, covered=head)
