"""N5 datasets: through TensorStore, or, with compressions that it lacks, decoded here.

Layout of a chunk: the format's specification at github.com/saalfeldlab/n5; of lz4: Java's LZ4BlockOutputStream.
"""

import struct
from typing import Any

import numpy as np

from connectomake.errors import SourceError
from connectomake.sources.chunks import Found, Lost, LostError, Part, overlap, within
from connectomake.sources.reasons import reason
from connectomake.sources.tensor import READ_SECONDS, open_keys
from connectomake.sources.tensor_array import TensorArray, n5_keys

Metadata = dict[str, Any]
_TENSORSTORE = ("raw", "gzip", "bzip2", "xz", "blosc", "zstd")
_LZ4 = struct.Struct("<8sBiiI")


def n5_array(path: str, name: str, metadata: Metadata) -> TensorArray:
    """Open the dataset `name` of an N5 container.

    Raises
    ------
    SourceError
        If its compression is not known, or it cannot be opened.
    """
    compression = metadata.get("compression", metadata.get("compressionType"))
    if isinstance(compression, str):  # as N5 1.x wrote it
        compression = {"type": compression}
    kind = compression.get("type") if isinstance(compression, dict) else None
    if kind == "lz4":
        return Lz4Array(path, name, _described(metadata, {"type": "raw"}))
    if kind not in _TENSORSTORE:
        where = f"dataset {name} of {path}" if name else path
        known = ", ".join((*_TENSORSTORE, "lz4"))
        raise SourceError(
            f"{where} is packed with the N5 compression {kind}, which is not known; rewrite it with one of {known}"
        )
    if isinstance(metadata.get("compression"), dict) and not {"axes", "units"} & set(metadata):  # it is strict about these
        return TensorArray(path, name, "n5", n5_keys)
    return TensorArray(path, name, "n5", n5_keys, metadata=_described(metadata, compression), assume_metadata=True)


def _described(metadata: Metadata, compression: Metadata | None) -> Metadata:
    return {k: metadata[k] for k in ("dimensions", "blockSize", "dataType")} | {"compression": compression}


class Lz4Array(TensorArray):
    """A dataset of lz4 chunks; where they are is left to TensorStore.

    Parameters
    ----------
    path, name
        Container and dataset.
    plain
        Metadata that name no compression.
    """

    decodes = False

    def __init__(self, path: str, name: str, plain: Metadata):
        super().__init__(path, name, "n5", n5_keys, metadata=plain, assume_metadata=True)
        self._keys = open_keys(path, name)

    def read(self, part: Part, fill: bool) -> Found:
        """Read a part; see `Chunked`."""
        out = np.zeros([s.stop - s.start for s in part], self.dtype, order="F")
        key_of, lost = n5_keys(None), []
        started = [(index, self._keys.read(key_of(index))) for index in self.grid.indices(part)]
        for index, reading in started:
            answer = reading.result(timeout=READ_SECONDS)
            if answer.state != "value":
                lost.append(Lost(index, self.name(index)))
                if not fill:
                    raise LostError(lost[0])
                continue
            place = self.grid.part(index)
            shared = overlap(place, part)
            try:
                values = decode_block(bytes(answer.value), self.dtype, self.grid.chunk)
                out[within(shared, part)] = values[within(shared, place)]
            except Exception as error:
                raise SourceError(f"{self.name(index)} cannot be decoded as lz4 ({reason(error)}); copy it again") from error
        return out, lost


def decode_block(data: bytes, dtype: np.dtype[Any], chunk: tuple[int, ...]) -> np.ndarray:
    """Decode an lz4 chunk of N5 to an array, the first axis fastest.

    Parameters
    ----------
    data
        Header and compressed voxels, big-endian.
    dtype
        Of the voxels.
    chunk
        Largest shape it may have.

    Raises
    ------
    ValueError, struct.error
        If it is damaged or holds too much.
    """
    mode, rank = struct.unpack_from(">HH", data)
    shape = struct.unpack_from(f">{rank}I", data, 4)
    if mode > 1 or rank != len(chunk) or any(n > c for n, c in zip(shape, chunk, strict=True)):
        raise ValueError(f"mode {mode}, shape {list(shape)} in chunks of {list(chunk)}")
    size = int(np.prod(shape)) * dtype.itemsize
    plain = _lz4(data[4 + 4 * rank + (4 if mode == 1 else 0) :], size)
    return np.frombuffer(plain, dtype.newbyteorder(">")).reshape(shape, order="F").astype(dtype, order="F")


def _lz4(data: bytes, size: int) -> bytes:
    """Decode the frames of Java's LZ4BlockOutputStream, which must give `size` bytes."""
    import imagecodecs

    out, at = [], 0
    while at < len(data):
        magic, token, packed, plain, _ = _LZ4.unpack_from(data, at)
        at += _LZ4.size
        if magic != b"LZ4Block" or packed < 0 or plain < 0 or at + packed > len(data) or plain > size:
            raise ValueError("a frame is damaged")
        if plain:
            piece = data[at : at + packed]
            out.append(piece if token & 0xF0 == 0x10 else bytes(imagecodecs.lz4_decode(piece, out=plain)))
        at += packed
    found = b"".join(out)
    if len(found) != size:
        raise ValueError(f"it holds {len(found)} bytes, not {size}")
    return found
