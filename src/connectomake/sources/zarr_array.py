"""Zarr arrays: through TensorStore, which is fast, or, with codecs that it lacks, through zarr-python."""

import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources.chunks import Found, Lost, LostError, Part, filled_chunks
from connectomake.sources.reasons import reason
from connectomake.sources.tensor import open_keys
from connectomake.sources.tensor_array import KeyOf, TensorArray, zarr2_keys, zarr3_keys

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

Metadata = dict[str, Any]


def zarr_array(path: str, name: str, metadata: Metadata) -> TensorArray:
    """Open the array `name` of a Zarr container.

    Raises
    ------
    SourceError
        If neither TensorStore nor zarr-python knows its codecs, or it cannot be opened; then both say why.
    """
    three = metadata.get("zarr_format") == 3
    driver, keys = ("zarr3", zarr3_keys) if three else ("zarr", zarr2_keys)
    try:
        return TensorArray(path, name, driver, keys)
    except SourceError as error:
        plain = _uncoded(metadata, three)
        if not _odd_codecs(metadata, three):
            raise
        try:
            return ZarrPythonArray(path, name, driver, keys, plain)
        except Exception as other:
            where = f"dataset {name} of {path}" if name else path
            codecs = ", ".join(_odd_codecs(metadata, three))
            raise SourceError(
                f"{where} is packed with {codecs}, which neither TensorStore nor zarr-python reads here ({reason(other)}); "
                "rewrite it with another codec, such as zstd or blosc"
            ) from error


def _odd_codecs(metadata: Metadata, three: bool) -> list[str]:
    """Return the names of the codecs."""
    if not three:
        found = [metadata.get("compressor"), *(metadata.get("filters") or ())]
        return [str(codec.get("id")) for codec in found if isinstance(codec, dict)]
    codecs = [codec for codec in metadata.get("codecs", ()) if isinstance(codec, dict)]
    inner = [c for codec in codecs for c in codec.get("configuration", {}).get("codecs", ())]
    return [str(codec.get("name")) for codec in (*codecs, *inner) if codec.get("name") not in ("bytes", "sharding_indexed")]


def _uncoded(metadata: Metadata, three: bool) -> Metadata:
    """Return the metadata without codecs: enough to tell where chunks are, and whether they are there."""
    if not three:
        keys = ("zarr_format", "shape", "chunks", "dtype", "order", "fill_value", "dimension_separator")
        return {k: metadata[k] for k in keys if k in metadata} | {"compressor": None, "filters": None}
    plain: list[Metadata] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    sharding = next((c for c in metadata["codecs"] if c.get("name") == "sharding_indexed"), None)
    if sharding is not None:
        plain = [{**sharding, "configuration": {**sharding["configuration"], "codecs": plain}}]
    keys = ("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value")
    return {**{k: metadata[k] for k in keys}, "codecs": plain}


class ZarrPythonArray(TensorArray):
    """An array that zarr-python decodes; where its chunks are is left to TensorStore, which need not decode for that.

    Parameters
    ----------
    path, name, driver, key_of
        As of `TensorArray`.
    plain
        The metadata without codecs.
    """

    decodes = False

    def __init__(self, path: str, name: str, driver: str, key_of: Callable[[Any], KeyOf | None], plain: Metadata):
        import zarr

        super().__init__(path, name, driver, key_of, metadata=plain, assume_metadata=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a codec is in no specification
            self._array = zarr.open_array(_store(open_keys(path, name)), mode="r")
        self.dtype = self._array.dtype.newbyteorder("=")

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        data = np.asarray(self._array[part]).astype(self.dtype, copy=False)
        lost = []
        for index in filled_chunks(data, part, self.grid, self.fill):
            if not self._stored(index):
                lost.append(Lost(index, self.name(index)))
                if not fill:
                    raise LostError(lost[0])
        return data, lost


def _store(keys: Any) -> "Store":
    """Return a store of zarr-python, for reading, that gets its bytes from a store of TensorStore."""
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

    class Keys(Store):
        supports_writes = supports_deletes = supports_listing = supports_partial_writes = False

        def __eq__(self, other: object) -> bool:
            return self is other

        __hash__ = Store.__hash__

        async def get(self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None) -> "Buffer | None":
            answer = await keys.read(key)
            if answer.state != "value":
                return None
            data = bytes(answer.value)
            if isinstance(byte_range, RangeByteRequest):
                data = data[byte_range.start : byte_range.end]
            elif isinstance(byte_range, OffsetByteRequest):
                data = data[byte_range.offset :]
            elif isinstance(byte_range, SuffixByteRequest):
                data = data[-byte_range.suffix :]
            return prototype.buffer.from_bytes(data)

        async def get_partial_values(
            self, prototype: "BufferPrototype", key_ranges: "Iterable[tuple[str, ByteRequest | None]]"
        ) -> "list[Buffer | None]":
            return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

        async def exists(self, key: str) -> bool:
            return bool((await keys.read(key)).state == "value")

        async def set(self, key: str, value: "Buffer") -> None:
            raise NotImplementedError

        async def delete(self, key: str) -> None:
            raise NotImplementedError

        def list(self) -> AsyncIterator[str]:
            raise NotImplementedError

        def list_prefix(self, prefix: str) -> AsyncIterator[str]:
            raise NotImplementedError

        def list_dir(self, prefix: str) -> AsyncIterator[str]:
            raise NotImplementedError

    return Keys(read_only=True)
