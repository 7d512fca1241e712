"""Chunked arrays that TensorStore reads: Zarr, N5 and precomputed."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources.chunks import ChunkGrid, Found, Index, Lost, LostError, Part, filled_chunks
from connectomake.sources.metadata_checks import check_chunk
from connectomake.sources.reasons import reason
from connectomake.sources.tensor import READ_SECONDS, open_keys, open_store

KeyOf = Callable[[Index], str]
LISTED = 2_000_000
SAMPLED = 2048
SAMPLED_BY_READING = 64
_NOT_THERE = re.compile(r"NOT_FOUND: chunk \{([-0-9, ]+)\} stored at (.*) is missing", re.DOTALL)


def read_store(store: Any, part: Part, memory: str) -> np.ndarray:
    """Read a part of a store of TensorStore; in memory the last (``C``) or the first axis (``F``) is the fastest."""
    return np.asarray(store[part].read(order=memory).result(timeout=READ_SECONDS))


def grid_of(store: Any) -> ChunkGrid:
    """Return the grid of the chunks that are read at once."""
    origin, shape = tuple(int(v) for v in store.domain.inclusive_min), tuple(int(v) for v in store.shape)
    chunk = store.chunk_layout.read_chunk.shape
    return ChunkGrid(origin, shape, tuple(int(c or n) for c, n in zip(chunk, shape, strict=True)))


class TensorArray:
    """An array that TensorStore reads and of which it reports every chunk that is not there.

    Parameters
    ----------
    path, below
        Where it lies.
    driver, options
        Of TensorStore.
    key_of
        Name of the file or object of a chunk below that place; None: chunks lie in shards.
    """

    decodes = True
    """Whether TensorStore decodes the chunks."""

    def __init__(self, path: str, below: str, driver: str, key_of: Callable[[Any], KeyOf | None], **options: Any):
        self.store = open_store(path, below, driver, **options)
        self._place, self._spec = (path, below), (driver, options)
        self.grid, self.dtype = grid_of(self.store), np.dtype(self.store.dtype.name)
        check_chunk(self.grid.chunk, self.dtype.itemsize, f"dataset {below} of {path}" if below else path)
        self.fill = 0 if self.store.fill_value is None else self.store.fill_value
        self._key_of = key_of(self.store)
        self._memory = "F" if driver == "n5" else "C"  # x, the fastest for the reader, comes first in N5
        self._filling: Any = None

    @property
    def shape(self) -> Index:
        """Extent along its own axes."""
        return self.grid.shape

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        try:
            return read_store(self.store, part, self._memory), []
        except ValueError as error:
            found = _NOT_THERE.search(str(error))
            if found is None:
                raise
            if not fill:
                raise LostError(self._lost(found, part)) from error
        if self._filling is None:
            self._filling = open_store(*self._place, self._spec[0], True, **self._spec[1])
        data = read_store(self._filling, part, self._memory)
        return data, self._which(filled_chunks(data, part, self.grid, self.fill))

    def plain(self, part: Part) -> Any | None:  # noqa: ARG002
        """Return the store, if it is what `read` reads of a part; it complains of chunks that are not there."""
        return self.store if self.decodes else None

    def _lost(self, found: re.Match[str], part: Part) -> Lost:
        """Return what TensorStore complains of; within a shard it counts chunks from the shard's start."""
        index = tuple(int(v) for v in found[1].split(","))
        name = " ".join(found[2].split())
        if self._key_of is None:
            ratio = [w // r for w, r in zip(self.store.chunk_layout.write_chunk.shape, self.grid.chunk, strict=True)]
            key = re.search(r'(\d+(?:[/.]\d+)*)"?$', name)
            shard = [int(v) for v in re.split("[/.]", key[1])][-len(index) :] if key else []
            if len(shard) != len(index):
                return self._which(self.grid.indices(part))[0]
            index = tuple(s * r + i for s, r, i in zip(shard, ratio, index, strict=True))
        return Lost(index, name.replace("local file ", "").replace('"', ""))

    def _which(self, indices: Iterable[Index]) -> list[Lost]:
        """Return those chunks that are not there; each is read, which is quick, as those that are there are constant."""
        started = [(index, self.store[self.grid.part(index)].read()) for index in indices]
        lost = []
        for index, reading in started:
            try:
                reading.result(timeout=READ_SECONDS)
            except ValueError as error:
                if not _NOT_THERE.search(str(error)):
                    raise
                lost.append(Lost(index, self.name(index)))
        return lost

    def presence(self, total: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`: a listing where there is one, else a sample."""
        if self._key_of is not None and total <= LISTED:
            try:
                names = keys_below(*self._place)
            except NotImplementedError:
                return SAMPLED_BY_READING, self._stored
            key_of = self._key_of
            return LISTED, lambda index: key_of(index) in names
        return SAMPLED, self._stored

    def _stored(self, index: Index) -> bool:
        answer = self.store[self.grid.part(index)].storage_statistics(query_not_stored=True)
        return not answer.result(timeout=READ_SECONDS).not_stored

    def name(self, index: Index) -> str:
        """Return the file or object of a chunk."""
        where = "/".join(p.strip("/") if i else p.rstrip("/") for i, p in enumerate(self._place) if p)
        if self._key_of is not None:
            return f"{where}/{self._key_of(index)}"
        return f"chunk {', '.join(map(str, index))} of {where}"


def keys_below(path: str, below: str = "", first: str = "") -> set[str]:
    """Return the names of all files or objects below a place that begin with `first`.

    Raises
    ------
    NotImplementedError
        If the place cannot be listed, as plain web servers.
    """
    import tensorstore as ts

    store = open_keys(path, below)
    span = ts.KvStore.KeyRange(first, first[:-1] + chr(ord(first[-1]) + 1)) if first else ts.KvStore.KeyRange()
    try:
        return {bytes(name).decode("utf-8", "replace") for name in store.list(span).result(timeout=READ_SECONDS)}
    except ValueError as error:
        if "support listing" in str(error):
            raise NotImplementedError from error
        raise SourceError(f"{path} cannot be listed ({reason(error)})") from error


def zarr2_keys(store: Any) -> KeyOf:
    """Return what names the chunks of a Zarr 2 array."""
    separator = store.spec().to_json()["metadata"].get("dimension_separator", ".")
    return lambda index: separator.join(map(str, index)) or "0"


def zarr3_keys(store: Any) -> KeyOf | None:
    """Return what names the chunks of a Zarr 3 array; None if they lie in shards."""
    metadata = store.spec().to_json()["metadata"]
    if any(codec["name"] == "sharding_indexed" for codec in metadata.get("codecs", ())):
        return None
    encoding = metadata.get("chunk_key_encoding", {"name": "default"})
    plain = encoding["name"] == "v2"
    separator = encoding.get("configuration", {}).get("separator", "." if plain else "/")
    return lambda index: separator.join([*([] if plain else ["c"]), *map(str, index)])


def n5_keys(_: Any) -> KeyOf:
    """Return what names the chunks of an N5 dataset."""
    return lambda index: "/".join(map(str, index))
