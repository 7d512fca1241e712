"""Writers of Zarr and N5 chunks as zarr-python and z5 write them, for the table of peers' files."""

import bz2
import gzip
import json
import lzma
import struct
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import zarr

N5_CHUNK = (16, 16, 8)


def zarr2(
    folder: Path, array: np.ndarray, codec: dict[str, Any] | None = None, filters: tuple[Any, ...] = (), **options: Any
) -> str:
    """Write Zarr 2 with a compressor and filters of numcodecs."""
    made = zarr.create_array(
        f"{folder}/a.zarr", name="raw", shape=array.shape, dtype=array.dtype, zarr_format=2, chunks=(8, 16, 16),
        compressors=numcodecs.get_codec(codec) if codec else None, filters=[numcodecs.get_codec(f) for f in filters] or None,
        **options,
    )  # fmt: skip
    made[...] = array
    return "a.zarr"


def zarr3(folder: Path, array: np.ndarray, codec: str, sharded: bool = False) -> str:
    """Write Zarr 3 with a codec of numcodecs that bears no name of the specification."""
    import numcodecs.zarr3

    made = zarr.create_array(
        f"{folder}/a.zarr", name="raw", shape=array.shape, dtype=array.dtype, zarr_format=3, chunks=(8, 16, 16),
        shards=(8, 32, 32) if sharded else None, compressors=getattr(numcodecs.zarr3, codec)(),
    )  # fmt: skip
    made[...] = array
    return "a.zarr"


def zarr_changed(folder: Path, array: np.ndarray, **changes: Any) -> str:
    """Write Zarr 2 and change its metadata; the first chunk is taken away."""
    path = zarr2(folder, array)
    file = folder / path / "raw/.zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    (folder / path / "raw/0.0.0").unlink()
    return path


def zarr_zip(folder: Path, array: np.ndarray, within: str = "", three: bool = False) -> str:
    """Write a Zarr container into a zip file, perhaps in a folder there."""
    made = zarr.create_array(
        f"{folder}/a.zarr", name="raw", shape=array.shape, dtype=array.dtype, zarr_format=3 if three else 2, chunks=(8, 16, 16)
    )
    made[...] = array
    with zipfile.ZipFile(folder / "a.zarr.zip", "w") as archive:
        for file in sorted((folder / "a.zarr").rglob("*")):
            if file.is_file():
                archive.write(file, f"{within}{file.relative_to(folder / 'a.zarr')}")
    return "a.zarr.zip"


def java_lz4(data: bytes, block: int = 1 << 10) -> bytes:
    """Compress as Java's LZ4BlockOutputStream; every third frame is stored raw."""
    frames = []
    for i in range(0, len(data), block):
        plain = data[i : i + block]
        raw = (i // block) % 3 == 2
        packed = plain if raw else bytes(imagecodecs.lz4_encode(plain))
        frames.append(struct.pack("<8sBiiI", b"LZ4Block", 0x10 if raw else 0x20, len(packed), len(plain), 0) + packed)
    return b"".join(frames) + struct.pack("<8sBiiI", b"LZ4Block", 0x10, 0, 0, 0)


_PACK: dict[str, Any] = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "lz4": java_lz4}


def n5(
    folder: Path,
    array: np.ndarray,
    compression: str = "gzip",
    old: bool = False,
    lost: tuple[Any, ...] = (),
    more: dict[str, Any] | None = None,
) -> str:
    """Write N5 as z5 does: chunks cut off at the end, big-endian, x fastest.

    `old`: attributes of N5 1.x; `lost`: chunks that are left out.
    """
    place = folder / "a.n5/raw"
    place.mkdir(parents=True)
    (folder / "a.n5/attributes.json").write_text('{"n5": "2.0.0"}')
    kind = {"compressionType": compression} if old else {"compression": {"type": compression, **(more or {})}}
    values = array.T
    meta = {"dimensions": list(values.shape), "blockSize": list(N5_CHUNK), "dataType": array.dtype.name, **kind}
    (place / "attributes.json").write_text(json.dumps(meta))
    for index in np.ndindex(*(-(-n // c) for n, c in zip(values.shape, N5_CHUNK, strict=True))):
        part = values[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, N5_CHUNK, strict=True))]
        header = struct.pack(f">HH{part.ndim}I", 0, part.ndim, *part.shape)
        data = part.astype(part.dtype.newbyteorder(">")).tobytes(order="F")
        file = place / "/".join(map(str, index))
        file.parent.mkdir(parents=True, exist_ok=True)
        if index not in lost:
            file.write_bytes(header + _PACK[compression if compression in _PACK else "raw"](data))
    return "a.n5"
