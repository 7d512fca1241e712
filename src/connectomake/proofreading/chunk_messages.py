"""The two messages of PyChunkedGraph's ingest, in the wire format of Protocol Buffers.

Source: the messages ``ChunkEdgesMsg`` and ``ChunkComponentsMsg`` of its folder ``io/protobuf``, version 2.21.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 3
"""Of zstd. Readers take any; 17, which the ingest itself writes with, took 80 of 110 s for 10⁷ edges."""
_SEVEN, _BYTES = np.uint64(7), 10


@dataclass(frozen=True, slots=True)
class ChunkEdges:
    """Edges of one kind, the first end of each within the chunk.

    Parameters
    ----------
    u, v
        (n,) uint64: ids of supervoxels.
    affinity
        (n,) float32: summed over the faces of the contact.
    area
        (n,) uint64: faces of the contact.
    """

    u: np.ndarray
    v: np.ndarray
    affinity: np.ndarray
    area: np.ndarray

    def message(self) -> bytes:
        """Return the edges as ``EdgesMsg``."""
        columns = ((self.u, "<u8"), (self.v, "<u8"), (self.affinity, "<f4"), (self.area, "<u8"))
        return b"".join(_field(i + 1, column.astype(dtype).tobytes()) for i, (column, dtype) in enumerate(columns))


def edges_message(within: ChunkEdges, cross: ChunkEdges, between: ChunkEdges) -> bytes:
    """Return the content of ``edges_X_Y_Z.proto.zst``."""
    import pyarrow as pa

    data = b"".join(_field(i + 1, edges.message()) for i, edges in enumerate((within, cross, between)))
    return bytes(pa.Codec("zstd", compression_level=LEVEL).compress(data, asbytes=True))


def components_message(components: Iterable[Sequence[int]]) -> bytes:
    """Return the content of ``components_X_Y_Z.proto``: of each component its size and its supervoxels."""
    parts = [np.array([len(part), *part], np.uint64) for part in components]
    return _field(1, _varints(np.concatenate(parts))) if parts else b""


def _field(number: int, data: bytes) -> bytes:
    """Return a field of bytes; an empty one is left out, as the format has it."""
    if not data:
        return b""
    return _varints(np.array([number << 3 | 2, len(data)], np.uint64)) + data


def _varints(values: np.ndarray) -> bytes:
    """Return numbers in groups of seven bits, lowest first, the highest bit of a byte set where more follow."""
    shifted = values[:, None] >> (np.arange(_BYTES, dtype=np.uint64) * _SEVEN)
    more = np.zeros(shifted.shape, bool)
    more[:, :-1] = shifted[:, 1:] > 0
    taken = shifted > 0
    taken[:, 0] = True
    groups = (shifted & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
    return bytes(groups[taken].tobytes())
