"""The bytes of a precomputed layer's storage chunks: a file each, perhaps named by its compression, or in shards."""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from connectomake.errors import SourceError
from connectomake.geometry import morton
from connectomake.sources.chunks import ChunkGrid, Index, Part
from connectomake.sources.compression import SUFFIXES, decompress
from connectomake.sources.paths import is_url
from connectomake.sources.reasons import reason
from connectomake.sources.tensor import READ_SECONDS, kvstore, open_keys, unreachable
from connectomake.sources.tensor_array import SAMPLED, SAMPLED_BY_READING, keys_below
from connectomake.storage.patience import TENSORSTORE

_SCANNED = 500_000
_TRIED = 32
_THREADS = min(8, os.cpu_count() or 1)


def chunk_name(part: Part) -> str:
    """Return the name of the file of a chunk: x, y, z."""
    return "_".join(f"{s.start}-{s.stop}" for s in part[:3])


class ChunkFiles:
    """One file or object per chunk.

    CloudVolume compresses them: in buckets and on web servers the answer's header tells how, which TensorStore follows;
    in a folder the name does, by a suffix.

    Parameters
    ----------
    path, key
        Of the layer, and of the scale within it.
    grid
        Of the chunks.
    """

    def __init__(self, path: str, key: str, grid: ChunkGrid):
        self._path, self._key, self._grid = path, key, grid
        self._keys: Any = None
        self._forms_seen, self._tries = False, 0

    def named_by_compression(self) -> bool:
        """Whether a folder holds chunks whose names tell their compression; of a place that is no folder: False."""
        folder = Path(self._path, self._key)
        if is_url(self._path) or not folder.is_dir():
            return False
        with os.scandir(folder) as entries:
            self._forms_seen = any(entry.name.endswith(SUFFIXES) for entry in itertools.islice(entries, _SCANNED))
        return self._forms_seen

    def name(self, index: Index) -> str:
        """Return the file or object of a chunk."""
        return f"{self._path.rstrip('/')}/{self._key}/{chunk_name(self._grid.part(index))}"

    def fetch(self, indices: Sequence[Index], most: int) -> list[bytes | None]:
        """Return the chunks' bytes, decompressed; None for those that are not there.

        Raises
        ------
        SourceError
            If one cannot be read, is there in two compressions with different content, or gives more than `most` bytes.
        """
        names = [chunk_name(self._grid.part(index)) for index in indices]
        forms = ("", *SUFFIXES) if self._forms_seen else ("",)
        found = self._read(names, forms)
        if not self._forms_seen and self._tries < _TRIED:
            absent = [name for name in names if not found[name]][: _TRIED - self._tries]
            self._tries += len(absent)
            self._forms_seen = any(self._read(absent, SUFFIXES).values())
            if self._forms_seen:
                return self.fetch(indices, most)
        if not self._forms_seen:
            return [self._one(name, found[name], most) for name in names]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda name: self._one(name, found[name], most), names))

    def _read(self, names: Sequence[str], forms: Sequence[str]) -> dict[str, dict[str, bytes]]:
        if self._keys is None:
            self._keys = open_keys(self._path, self._key)
        started = {(name, form): self._keys.read(name + form) for name in names for form in forms}
        found: dict[str, dict[str, bytes]] = {name: {} for name in names}
        for (name, form), reading in started.items():
            answer = _answer(reading, f"{self._path.rstrip('/')}/{self._key}/{name}{form}")
            if answer is not None:
                found[name][form] = answer
        return found

    def _one(self, name: str, forms: dict[str, bytes], most: int) -> bytes | None:
        plain = {form: decompress(data, form, most, f"{self._path}/{self._key}/{name}{form}") for form, data in forms.items()}
        if len(set(plain.values())) > 1:
            both = " and ".join(name + form for form in plain)
            raise SourceError(
                f"{self._path}/{self._key} holds one chunk with two contents, {both}; delete the one that is outdated"
            )
        return next(iter(plain.values()), None)

    def presence(self, total: int, listed: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`: a listing where there is one, else a sample that is read."""
        if total <= listed:
            try:
                names = keys_below(self._path, self._key)
            except NotImplementedError:
                pass
            else:
                bare = {name[: -len(s)] if (s := _suffix(name)) else name for name in names}
                return listed, lambda index: chunk_name(self._grid.part(index)) in bare
        most = SAMPLED_BY_READING if is_url(self._path) else SAMPLED
        return most, lambda index: self.fetch([index], 1 << 40)[0] is not None


def _suffix(name: str) -> str:
    return next((s for s in SUFFIXES if name.endswith(s)), "")


def _answer(reading: Any, where: str) -> bytes | None:
    try:
        answer = reading.result(timeout=READ_SECONDS)
    except (ValueError, OSError, TimeoutError) as error:
        raise unreachable(where, error) from error
    return bytes(answer.value) if answer.state == "value" else None


class ChunkShards:
    """Chunks in shards.

    Parameters
    ----------
    path, key
        Of the layer, and of the scale within it.
    sharding
        The scale's ``sharding``.
    grid
        Of the chunks.
    """

    def __init__(self, path: str, key: str, sharding: dict[str, Any], grid: ChunkGrid):
        self._path, self._key, self._sharding, self._grid = path, key, sharding, grid
        x, y, z = (morton.axis_bits(-(-n // c)) for n, c in zip(grid.shape[:3], grid.chunk[:3], strict=True))
        self._bits = (z, y, x)
        self._keys: Any = None

    def named_by_compression(self) -> bool:
        """Whether names tell a compression: never."""
        return False

    def _opened(self) -> Any:
        import tensorstore as ts

        if self._keys is None:
            base = kvstore(self._path, self._key)
            spec = {"driver": "neuroglancer_uint64_sharded", "base": base, "metadata": self._sharding}
            try:
                self._keys = ts.KvStore.open(spec, context=ts.Context(TENSORSTORE)).result(timeout=READ_SECONDS)
            except (ValueError, OSError, TimeoutError) as error:
                text = f"the shards of {self._path}/{self._key} cannot be opened ({reason(error)}); correct its info file"
                raise SourceError(text) from error
        return self._keys

    def _number(self, index: Index) -> int:
        x, y, z = index[:3]
        return morton.encode((z, y, x), self._bits)

    def _key_of(self, index: Index) -> bytes:
        return self._number(index).to_bytes(8, "big")

    def name(self, index: Index) -> str:
        """Return chunk and shard."""
        number = self._number(index)
        return f"chunk {number} in {self._path.rstrip('/')}/{self._key}/{self._shard(number)}"

    def _shard(self, number: int) -> str:
        if self._sharding.get("hash") != "identity":
            return "its shard"
        s = self._sharding
        shard_bits = int(s["shard_bits"])
        shard = (number >> (int(s["preshift_bits"]) + int(s["minishard_bits"]))) & ((1 << shard_bits) - 1)
        return f"{shard:0{-(-shard_bits // 4)}x}.shard"

    def fetch(self, indices: Sequence[Index], most: int) -> list[bytes | None]:  # noqa: ARG002
        """Return the chunks' bytes; None for those that are not there."""
        keys = self._opened()
        started = [keys.read(self._key_of(index)) for index in indices]
        return [_answer(reading, self.name(index)) for reading, index in zip(started, indices, strict=True)]

    def here(self, indices: Sequence[Index]) -> list[bool]:
        """Return which chunks are there."""
        return [data is not None for data in self.fetch(indices, 0)] if indices else []

    def presence(self, total: int, listed: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`: the indices of all shards where these are few and can be listed, else a sample that is read."""
        if total <= listed // 10:
            try:
                there = {bytes(key) for key in self._opened().list().result(timeout=READ_SECONDS)}
            except (ValueError, NotImplementedError):
                pass
            else:
                return listed, lambda index: self._key_of(index) in there
        return SAMPLED_BY_READING if is_url(self._path) else SAMPLED, lambda index: self.here([index])[0]
