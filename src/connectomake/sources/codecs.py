"""Encodings of precomputed chunks that TensorStore does not know."""

from typing import Any

import numpy as np

DECODED_HERE = frozenset({"jxl", "fpzip", "kempressed", "zfpc", "crackle", "compresso"})


def decode_chunk(data: bytes, encoding: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Decode one chunk to an array of axes x, y, z, c.

    Parameters
    ----------
    data
        Encoded chunk.
    encoding
        Of `DECODED_HERE`.
    shape, dtype
        What the chunk must hold.

    Raises
    ------
    ValueError
        If it holds something else, or is damaged; other errors come from the libraries.
    """
    values = np.asarray(_DECODERS[encoding](data))
    if values.dtype != dtype or values.size != np.prod(shape):
        raise ValueError(f"it holds {values.size} voxels of {values.dtype}, not {list(shape)} of {dtype}")
    if encoding == "jxl":
        return values.reshape(shape[2], shape[1], shape[0], shape[3]).transpose(2, 1, 0, 3)
    if values.shape not in (shape, shape[:3]):
        raise ValueError(f"its shape is {values.shape}, not {shape}")
    return values.reshape(shape)


def _jxl(data: bytes) -> np.ndarray:
    import imagecodecs

    found: np.ndarray = imagecodecs.jpegxl_decode(data, numthreads=1)
    return found


def _fpzip(data: bytes) -> np.ndarray:
    import fpzip

    found: np.ndarray = fpzip.decompress(data, order="F")
    return found


def _kempressed(data: bytes) -> np.ndarray:
    """Undo what makes affinities easier to compress: channels before z, values from 2 to 3."""
    return _fpzip(data).swapaxes(2, 3) - np.float32(2)


def _zfpc(data: bytes) -> np.ndarray:
    import zfpc

    found: np.ndarray = zfpc.decompress(data)
    return found


def _crackle(data: bytes) -> np.ndarray:
    import crackle

    found: np.ndarray = crackle.decompress(data, parallel=1)
    return found


def _compresso(data: bytes) -> np.ndarray:
    import compresso

    found: np.ndarray = compresso.decompress(data)
    return found


_DECODERS = {
    "jxl": _jxl, "fpzip": _fpzip, "kempressed": _kempressed, "zfpc": _zfpc, "crackle": _crackle, "compresso": _compresso,
}  # fmt: skip
