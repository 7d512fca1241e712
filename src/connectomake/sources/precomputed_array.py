"""The storage chunks of one scale of a precomputed layer, whoever wrote and compressed them.

TensorStore reads most layers, and those that it reads right it reads fastest. It does not know that CloudVolume names
the chunks of a local layer by their compression, nor some encodings, and takes a chunk that a shard lacks for zeros.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources.chunk_files import ChunkFiles, ChunkShards, chunk_name
from connectomake.sources.chunks import ChunkGrid, Found, Index, Lost, LostError, Part, filled_chunks, overlap, within
from connectomake.sources.codecs import DECODED_HERE
from connectomake.sources.decoder import DECODER
from connectomake.sources.reasons import reason
from connectomake.sources.tensor import READ_SECONDS, open_store
from connectomake.sources.tensor_array import LISTED, read_store

DRIVER = "neuroglancer_precomputed"
_AT_ONCE = 256


class PrecomputedArray:
    """One scale, axes x, y, z, c.

    Parameters
    ----------
    path
        Of the layer.
    info
        Its metadata.
    index
        Number of the scale.
    """

    def __init__(self, path: str, info: dict[str, Any], index: int):
        self._info, self._index, scale = info, index, info["scales"][index]
        self.dtype, self.fill = np.dtype(info["data_type"]), 0
        self.grid = _grid(scale, int(info["num_channels"]), path)
        self._encoding = str(scale["encoding"])
        sharding, key = scale.get("sharding"), str(scale["key"])
        self._keys: ChunkFiles | ChunkShards = (
            ChunkShards(path, key, sharding, self.grid) if sharding else ChunkFiles(path, key, self.grid)
        )
        self._by_hand = self._encoding in DECODED_HERE or self._keys.named_by_compression()
        self._store = None if self._by_hand else open_store(path, "", DRIVER, scale_index=index)

    @property
    def shape(self) -> Index:
        """Extent along x, y, z, c."""
        return self.grid.shape

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        if self._by_hand:
            return self._carried(part, fill)
        try:
            data = read_store(self._store, part, "F")
        except ValueError:
            if isinstance(self._keys, ChunkShards):
                raise
            found = self._carried(part, fill)
            self._by_hand = True
            return found
        if isinstance(self._keys, ChunkShards):
            constant = list(filled_chunks(data, part, self.grid, self.fill))
            here = self._keys.here(constant)
            return data, self._checked([i for i, there in zip(constant, here, strict=True) if not there], fill)
        return data, []

    def plain(self, part: Part) -> Any | None:
        """Return the store, if it is what `read` reads of a part; of shards, only if they have all chunks."""
        if self._by_hand or (isinstance(self._keys, ChunkShards) and not all(self._keys.here(list(self.grid.indices(part))))):
            return None
        return self._store

    def _checked(self, absent: list[Index], fill: bool) -> list[Lost]:
        lost = [Lost(index, self._keys.name(index)) for index in absent]
        if lost and not fill:
            raise LostError(lost[0])
        return lost

    def _carried(self, part: Part, fill: bool) -> Found:
        """Fetch the chunks' bytes here and decode them."""
        out = np.full([s.stop - s.start for s in part], self.fill, self.dtype, order="F")
        indices, lost = list(self.grid.indices(part)), []
        for first in range(0, len(indices), _AT_ONCE):
            some = indices[first : first + _AT_ONCE]
            found = dict(zip(some, self._keys.fetch(some, self._most_bytes), strict=True))
            lost += self._checked([index for index, data in found.items() if data is None], fill)
            self._decode({index: data for index, data in found.items() if data is not None}, part, out)
        return out, lost

    @property
    def _most_bytes(self) -> int:
        """No encoding makes a chunk much larger than it is."""
        return 4 * math.prod(self.grid.chunk) * int(self.dtype.itemsize) + (1 << 20)

    def _decode(self, found: dict[Index, bytes], part: Part, out: np.ndarray) -> None:
        store = None if self._encoding in DECODED_HERE else self._in_memory(found)
        started = {} if store is None else {i: store[overlap(self.grid.part(i), part)].read(order="F") for i in found}
        for index, data in found.items():
            place = self.grid.part(index)
            shared = overlap(place, part)
            try:
                if store is None:
                    shape = tuple(s.stop - s.start for s in place)
                    values = DECODER.decode(data, self._encoding, shape, self.dtype)[within(shared, place)]
                else:
                    values = started[index].result(timeout=READ_SECONDS)
            except Exception as error:
                text = f"the storage chunk {self._keys.name(index)} cannot be decoded as {self._encoding} ({reason(error)})"
                raise SourceError(f"{text}; copy it again") from error
            out[within(shared, part)] = values

    def _in_memory(self, found: dict[Index, bytes]) -> Any:
        """Return a store of TensorStore that holds these chunks."""
        import tensorstore as ts

        context, scale = ts.Context(), self._info["scales"][self._index]
        place = {"driver": "memory", "path": "layer/"}
        keys = ts.KvStore.open(place, context=context).result()
        keys["info"] = json.dumps({**self._info, "scales": [{**scale, "key": "scale"}]})
        for index, data in found.items():
            keys[f"scale/{chunk_name(self.grid.part(index))}"] = data
        return ts.open({"driver": DRIVER, "kvstore": place, "scale_index": 0}, open=True, read=True, context=context).result()

    def presence(self, total: int) -> tuple[int, Callable[[Index], bool]]:
        """See `Chunked`."""
        return self._keys.presence(total, LISTED)

    def name(self, index: Index) -> str:
        """Return the file or object of a chunk."""
        return self._keys.name(index)


def _grid(scale: dict[str, Any], channels: int, path: str) -> ChunkGrid:
    try:
        sizes = [[int(v) for v in size] for size in scale["chunk_sizes"]]
        ranks = {len(size) for size in (*sizes, scale["size"])}
        if ranks != {3} or any(v < 1 for size in sizes for v in size):
            raise ValueError(scale["chunk_sizes"])
    except (TypeError, ValueError) as error:
        text = f"the info file of {path} has the chunk sizes {scale.get('chunk_sizes')}; they must be [[x, y, z]]"
        raise SourceError(text) from error
    origin = (*(int(v) for v in scale.get("voxel_offset", (0, 0, 0))), 0)
    return ChunkGrid(origin, (*(int(v) for v in scale["size"]), channels), (*sizes[0], channels))
