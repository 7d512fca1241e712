"""The one module that knows x, y, z: between our arrays and Neuroglancer's *precomputed* format.

Source: the specifications "precomputed volume" and "sharded format" in Neuroglancer's documentation.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from connectomake.errors import LayerError

T = TypeVar("T")
SEGMENTATION_BLOCK = (8, 8, 8)


def xyz(zyx: Sequence[T]) -> list[T]:
    """Turn z, y, x into x, y, z; or back, for it is the same reversal."""
    return list(zyx)[::-1]


def scale_key(voxel_size: Sequence[float]) -> str:
    """Name a scale after its voxel size (z, y, x in nm), as is the custom: ``x_y_z``."""
    return "_".join(f"{v:g}" for v in xyz(voxel_size))


def number(value: float) -> float:
    """Write whole numbers as integers, so that JSON reads 16 and not 16.0."""
    return int(value) if float(value).is_integer() else float(value)


def scale_info(spec: Any) -> dict[str, Any]:
    """Return the entry of one scale in ``info`` for a `LayerSpec`."""
    scale: dict[str, Any] = {
        "key": spec.scale_key,
        "size": xyz(spec.roi.shape),
        "voxel_offset": xyz(spec.roi.start),
        "resolution": [number(v) for v in xyz(spec.voxel_size)],
        "chunk_sizes": [xyz(spec.chunk)],
        "encoding": spec.encoding,
        "sharding": {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "identity",
            "preshift_bits": spec.preshift_bits,
            "minishard_bits": spec.minishard_bits,
            "shard_bits": spec.grid.id_bits,
            "minishard_index_encoding": "gzip",
            "data_encoding": "gzip",
        },
    }
    if spec.encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = xyz(SEGMENTATION_BLOCK)
    return scale


def volume_info(spec: Any) -> dict[str, Any]:
    """Return the ``info`` of a layer with one scale."""
    return {
        "@type": "neuroglancer_multiscale_volume",
        "type": spec.kind,
        "data_type": spec.dtype,
        "num_channels": spec.channels,
        "scales": [scale_info(spec)],
    }


def encode_chunk(array: np.ndarray, encoding: str) -> bytes:
    """Encode a storage chunk, shape (c, z, y, x); our C order is precomputed's Fortran order of x, y, z, c."""
    if encoding == "raw":
        return np.ascontiguousarray(array).tobytes()
    from connectomake.layers import segmentation_codec  # here, for it loads numba

    return segmentation_codec.encode(array)


def most_bytes(encoding: str, dtype: np.dtype, shape: tuple[int, int, int, int]) -> int:
    """Return how many bytes a storage chunk of shape (c, z, y, x) takes at most, encoded."""
    if encoding == "raw":
        return int(np.prod(shape)) * dtype.itemsize
    from connectomake.layers import segmentation_codec  # here, for it loads numba

    return segmentation_codec.most_bytes(shape, dtype.itemsize)


def decode_chunk(data: bytes | bytearray, encoding: str, dtype: np.dtype, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Decode a storage chunk into an array of shape (c, z, y, x).

    Raises
    ------
    LayerError
        If the bytes do not make a chunk of this shape.
    """
    if encoding == "raw":
        wanted = int(np.prod(shape)) * dtype.itemsize
        if len(data) != wanted:
            raise LayerError(f"a storage chunk of shape {shape} and {dtype} has {len(data)} bytes, not {wanted}")
        return np.frombuffer(data, dtype).reshape(shape)
    import compressed_segmentation

    from connectomake.layers import segmentation_codec  # here, for it loads numba

    try:
        segmentation_codec.check(data, shape, dtype.itemsize)  # for the decoder follows any offset
        flat = compressed_segmentation.decompress(
            bytes(data), volume_size=shape[:0:-1] + shape[:1], dtype=dtype, block_size=SEGMENTATION_BLOCK, order="F"
        )
    except (ValueError, IndexError, RuntimeError) as error:
        raise LayerError(f"a storage chunk of shape {shape} cannot be decoded as compressed_segmentation") from error
    return np.asarray(flat).T
