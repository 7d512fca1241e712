"""Layers as other programs write them: read right, or refused in one sentence. One line of `TABLE` is one case."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli
import h5py
import hdf5plugin
import numpy as np
import pytest
import zarr
import zstandard
from cloudvolume import CloudVolume
from PIL import Image

from connectomake.errors import ConnectomakeError
from connectomake.sources import SourceOptions, open_source
from connectomake.sources.source import Source
from tests import chunk_writers as chunks
from tests import peer_pictures as pictures

SHAPE = (24, 40, 44)
VOXEL = (40.0, 4.0, 4.0)
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(20, 230, SHAPE, dtype=np.uint8)
SMOOTH = (100 + 50 * np.sin(np.indices(SHAPE).sum(axis=0) / 20)).astype(np.uint8)
LABELS = np.asarray(np.ravel_multi_index(np.indices(SHAPE) // 8, (8, 8, 8)) + 1, np.uint64)
FLOATS: np.ndarray = RNG.random(SHAPE).astype(np.float32)
AFFINITY = RNG.random((3, *SHAPE)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A file of a peer.

    Parameters
    ----------
    name
        Of the case; stands in the test's name.
    write
        Writes `array` into an empty folder, given also `how`; returns what is opened below that folder.
    array
        What is written: (z, y, x) or (c, z, y, x).
    how
        Further arguments of `write`.
    opened
        Arguments of `open_source` beside the path; ``options`` are keys of the config.
    expected
        The right array; None: `array`. A text: the error holds it (several, each parted by ``…``).
    within
        Largest difference allowed: lossy codecs.
    """

    name: str
    write: Callable[..., str]
    array: np.ndarray
    how: dict[str, Any] = field(default_factory=dict)
    opened: dict[str, Any] = field(default_factory=dict)
    expected: np.ndarray | str | None = None
    within: float = 0

    def open(self, folder: Path) -> Source:
        path = self.write(folder, self.array, **self.how)
        values = dict(self.opened)
        return open_source(f"{folder}/{path}", options=SourceOptions.of(values.pop("options", {})), **values)


def cloudvolume(
    folder: Path, array: np.ndarray, encoding: str = "raw", compress: object = "gzip", only_info: bool = False
) -> str:
    """Write with CloudVolume."""
    values = array if array.ndim == 4 else array[None]
    size = list(array.shape[:-4:-1])
    kind = "segmentation" if array.dtype.itemsize == 8 else "image"
    made = CloudVolume.create_new_info(
        len(values), kind, array.dtype.name, encoding, VOXEL[::-1], [0, 0, 0], size, chunk_size=[16, 16, 16]
    )
    volume = CloudVolume(f"file://{folder}/layer", info=made, progress=False, compress=compress, bounded=True)
    volume.commit_info()
    if not only_info:
        volume[:] = values.transpose(3, 2, 1, 0)
    return "layer"


def zarr_python(folder: Path, array: np.ndarray, zarr_format: Any = 2, **options: Any) -> str:
    """Write with zarr-python; `options` go to `create_array`."""
    made = zarr.create_array(
        f"{folder}/a.zarr", name="raw", shape=array.shape, dtype=array.dtype, zarr_format=zarr_format,
        chunks=(1,) * (array.ndim - 3) + (8, 16, 16), **options,
    )  # fmt: skip
    made[...] = array
    return "a.zarr"


def cloudvolume_shards(folder: Path, array: np.ndarray, encoding: str = "raw", data_encoding: str = "gzip") -> str:
    """Write with CloudVolume in two shards."""
    path = cloudvolume(folder, array, encoding, only_info=True)
    volume = CloudVolume(f"file://{folder}/{path}", progress=False)
    volume.scale["sharding"] = {
        "@type": "neuroglancer_uint64_sharded_v1", "hash": "identity", "preshift_bits": 2, "minishard_bits": 2,
        "shard_bits": 1, "minishard_index_encoding": "gzip", "data_encoding": data_encoding,
    }  # fmt: skip
    volume.commit_info()
    values = (array if array.ndim == 4 else array[None]).transpose(3, 2, 1, 0)
    volume[:, :32] = values[:, :32]
    volume[:, 32:] = values[:, 32:]
    return path


def cloudvolume_mixed(folder: Path, array: np.ndarray, encoding: str = "raw", stale: bool = False) -> str:
    """Chunks in every compression within one folder, some beside a plain copy (of other content if `stale`)."""
    path = cloudvolume(folder, array, encoding, compress=False)
    chunks = sorted(folder.glob(f"{path}/4*/*"))
    packers = (
        (".gz", gzip.compress), (".br", brotli.compress), (".zstd", zstandard.compress), (".xz", lzma.compress),
        (".bz2", bz2.compress), (".gz", gzip.compress),
    )  # fmt: skip
    for i, chunk in enumerate(chunks[1:]):
        suffix, pack = packers[i % len(packers)]
        Path(f"{chunk}{suffix}").write_bytes(pack(chunk.read_bytes()))
        if i % len(packers) < 5:
            chunk.unlink()
        elif stale:
            chunk.write_bytes(bytes(len(chunk.read_bytes())))
    return path


def h5py_chunks(folder: Path, array: np.ndarray, written: int = 16, **options: Any) -> str:
    """Write the first sections only."""
    with h5py.File(folder / "a.h5", "w") as file:
        made = file.create_dataset("raw", array.shape, array.dtype, **{"chunks": (8, 16, 16), **options})
        if written:
            made[:written] = array[:written]
    return "a.h5"


def h5py_filter(folder: Path, array: np.ndarray, **options: Any) -> str:
    """Write all, packed with a filter."""
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", data=array, chunks=(1,) * (array.ndim - 3) + (8, 16, 16), **options)
    return "a.h5"


def h5py_unknown_filter(folder: Path, array: np.ndarray) -> str:
    """Write one chunk, which the file says to be packed with a filter that nobody has."""
    with h5py.File(folder / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(array.shape)
        properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL, ())
        kind, space = h5py.h5t.py_create(array.dtype), h5py.h5s.create_simple(array.shape)
        h5py.h5d.create(file.id, b"raw", kind, space, properties).write_direct_chunk((0,) * array.ndim, array.tobytes())
    return "a.h5"


def h5py_virtual(folder: Path, array: np.ndarray, step: int = 1, link: bool = False, **chunks: Any) -> str:
    """Four files, and a virtual dataset of them: blocks of sections, or every fourth section (`step` 4); maybe linked to."""
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    n = len(array) // 4
    for i in range(4):
        part = slice(i, None, 4) if step == 4 else slice(n * i, n * i + n)
        with h5py.File(folder / f"part{i}.h5", "w") as file:
            file.create_dataset("d", data=array[part], **chunks)
        layout[part] = h5py.VirtualSource(f"part{i}.h5", "d", array[part].shape)
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    if link:
        with h5py.File(folder / "link.h5", "w") as file:
            file["raw"] = h5py.ExternalLink("virtual.h5", "raw")
    return "link.h5" if link else "virtual.h5"


def h5py_hole(folder: Path, array: np.ndarray) -> str:
    """A virtual dataset of which the last sections are mapped to nothing."""
    layout = h5py.VirtualLayout(array.shape, array.dtype)
    with h5py.File(folder / "part.h5", "w") as file:
        file["d"] = array[:16]
    layout[:16] = h5py.VirtualSource("part.h5", "d", array[:16].shape)
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    return "virtual.h5"


def h5py_external(folder: Path, array: np.ndarray, short: int = 0) -> str:
    """Voxels in a raw file, which may be too short."""
    with h5py.File(folder / "a.h5", "w") as file:
        made = file.create_dataset("raw", array.shape, array.dtype, external=[(str(folder / "a.bin"), 0, array.nbytes)])
        made[...] = array
    with (folder / "a.bin").open("r+b") as stream:
        stream.truncate(array.nbytes - short)
    return "a.h5"


def without(writer: Callable[..., str], *lost: str) -> Callable[..., str]:
    """Return a writer after which the first file that matches each of the patterns `lost` is deleted."""

    def write(folder: Path, array: np.ndarray, **how: Any) -> str:
        path = writer(folder, array, **how)
        for pattern in lost:
            min(folder.glob(pattern)).unlink()
        return path

    return write


def cut(array: np.ndarray, *stop: int) -> np.ndarray:
    """Return the array with zeros in its first voxels."""
    found = array.copy()
    found[..., : stop[0], : stop[1], : stop[2]] = 0
    return found


def late(array: np.ndarray, z: int, value: float = 0) -> np.ndarray:
    """Return the array with `value` from a section on."""
    return between(array, slice(z, None), value)


def between(array: np.ndarray, sections: slice, value: float = 0) -> np.ndarray:
    """Return the array with `value` in some sections."""
    found = array.copy()
    found[sections] = value
    return found


def first(array: np.ndarray, value: float) -> np.ndarray:
    """Return the array with `value` in its first chunk."""
    found = array.copy()
    found[:8, :16, :16] = value
    return found


RAW: dict[str, Any] = {"dataset": "raw", "voxel_size": VOXEL}
FILL: dict[str, Any] = {"options": {"missing": "fill"}}
LOST = "z 0:16, y 0:16, x 0:16 of … is not there … source.missing: fill"
COMPRESSIONS = (False, "gzip", "br", "zstd", "xz", "bz2")
LOSSLESS: dict[str, np.ndarray] = {  # encoding: what it holds
    "raw": IMAGE, "png": IMAGE, "compressed_segmentation": LABELS, "compresso": LABELS, "crackle": LABELS, "fpzip": FLOATS,
    "zfpc": FLOATS,
}  # fmt: skip
LOSSY = {"jpeg": (SMOOTH, 6), "jxl": (SMOOTH, 8), "kempressed": (FLOATS, 1e-6)}
ZARR = RAW
HDF5_FILTERS: dict[str, tuple[np.ndarray, Any]] = {
    "zstd": (IMAGE, hdf5plugin.Zstd()), "blosc": (LABELS, hdf5plugin.Blosc()), "blosc2": (IMAGE, hdf5plugin.Blosc2()),
    "blosc-zstd": (AFFINITY, hdf5plugin.Blosc("zstd", 3, hdf5plugin.Blosc.BITSHUFFLE)),
    "bitshuffle": (LABELS, hdf5plugin.Bitshuffle()), "bitshuffle-zstd": (IMAGE, hdf5plugin.Bitshuffle(cname="zstd")),
    "lz4": (FLOATS, hdf5plugin.LZ4()), "bzip2": (IMAGE, hdf5plugin.BZip2()), "lzf": (IMAGE, {"compression": "lzf"}),
    "zfp": (FLOATS, hdf5plugin.Zfp(reversible=True)),
    "gzip": (LABELS, {"compression": "gzip", "shuffle": True, "fletcher32": True}),
}  # fmt: skip
SIZED = {"voxel_size": VOXEL}
DEEP = IMAGE.astype(np.uint16) * 250 + 7
GREY_PALETTE = np.stack([np.arange(256, dtype=np.uint16)] * 3, 1)
ODD_PALETTE = np.where(np.arange(256)[:, None] < 20, [[1, 2, 3]], GREY_PALETTE)  # colours where the image has no value

# Add a line: Case(name, writer, array, how, opened, expected, within). Writers are functions above.
TABLE = [
    *(Case(f"hdf5-{name}", h5py_filter, array, dict(how), RAW) for name, (array, how) in HDF5_FILTERS.items()),
    Case("hdf5-unknown-filter", h5py_unknown_filter, IMAGE, {}, RAW, "HDF5 filter 511 … h5repack"),
    *(
        Case(f"cloudvolume-{e}-{c}", cloudvolume, a, {"encoding": e, "compress": c})
        for e, a in LOSSLESS.items()
        for c in COMPRESSIONS
   ),
    *(
        Case(f"cloudvolume-{e}-{c}", cloudvolume, a, {"encoding": e, "compress": c}, within=w)
        for e, (a, w) in LOSSY.items()
        for c in (False, "gzip")
   ),
    *(
        Case(f"cloudvolume-{e}-shards-{d}", cloudvolume_shards, a, {"encoding": e, "data_encoding": d})
        for e, a in LOSSLESS.items()
        for d in ("raw", "gzip")
   ),
    *(Case(f"cloudvolume-{e}-shards", cloudvolume_shards, a, {"encoding": e}, within=w) for e, (a, w) in LOSSY.items()),
    Case("cloudvolume-channels-gzip", cloudvolume, AFFINITY),
    Case("cloudvolume-channels-shards", cloudvolume_shards, AFFINITY),
    Case("cloudvolume-channels-kempressed", cloudvolume, AFFINITY, {"encoding": "kempressed"}, within=1e-6),
    Case("cloudvolume-channels-fpzip", cloudvolume_shards, AFFINITY, {"encoding": "fpzip"}),
    Case("cloudvolume-mixed", cloudvolume_mixed, IMAGE),
    Case("cloudvolume-mixed-segmentation", cloudvolume_mixed, LABELS, {"encoding": "compressed_segmentation"}),
    Case("cloudvolume-mixed-stale", cloudvolume_mixed, IMAGE, {"stale": True}, expected="two contents … delete the one"),
    Case("cloudvolume-lost", without(cloudvolume, "layer/4*/0-16_0-16_0-16"), IMAGE, {"compress": False}, expected=LOST),
    Case("cloudvolume-lost-gzip", without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz"), IMAGE, expected=LOST),
    Case("cloudvolume-lost-shard", without(cloudvolume_shards, "layer/4*/0.shard"), IMAGE, expected=f"{LOST} … 0.shard"),
    Case("cloudvolume-lost-fill", without(cloudvolume, "layer/4*/0-16_0-16_0-16"), IMAGE, {"compress": False}, FILL, cut(IMAGE,
         16, 16, 16)),
    Case("cloudvolume-lost-gzip-fill", without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz"), IMAGE, {}, FILL, cut(IMAGE, 16, 16,
         16)),
    Case("cloudvolume-lost-jxl-fill", without(cloudvolume, "layer/4*/0-16_0-16_0-16"), SMOOTH, {"encoding": "jxl",
         "compress": False}, FILL, cut(SMOOTH, 16, 16, 16), 8),
    Case("cloudvolume-lost-shard-fill", without(cloudvolume_shards, "layer/4*/0.shard"), IMAGE, {}, FILL, cut(IMAGE, 24, 32,
         44)),
    Case("tiff-white-is-0", pictures.tiff_white, IMAGE, {}, SIZED),
    Case("tiff-white-is-0-uint16", pictures.tiff_white, DEEP, {}, SIZED),
    Case("tiff-white-is-0-uint32", pictures.tiff_white, DEEP.astype(np.uint32) << 12, {}, SIZED),
    Case("tiff-white-is-0-int16", pictures.tiff_white, DEEP.view(np.int16), {}, SIZED),
    Case("tiff-white-is-0-big-endian", pictures.tiff_white, DEEP, {"byteorder": ">"}, SIZED),
    Case("tiff-white-is-0-bigtiff", pictures.tiff_white, IMAGE, {"bigtiff": True}, SIZED),
    Case("tiff-white-is-0-lzw", pictures.tiff_white, DEEP, {"compression": "lzw", "predictor": True}, SIZED),
    Case("tiff-white-is-0-tiled", pictures.tiff_white, IMAGE, {"tile": (16, 16), "compression": "zlib"}, SIZED),
    Case("tiff-white-is-0-one-bit", pictures.tiff_white, IMAGE > 99, {}, SIZED, (IMAGE > 99) * np.uint8(255)),
    Case("tiff-white-is-0-folder", pictures.tiff_folder, IMAGE, {"white": True}, SIZED),
    Case("tiff-white-is-0-ome", pictures.tiff_white, AFFINITY[:, :4].view(np.uint32),
         {"ome": True, "metadata": {"axes": "CZYX"}}, SIZED),
    Case("tiff-white-is-0-float", pictures.tiff, FLOATS, {"photometric": "miniswhite"}, SIZED,
         "MINISWHITE … float32 … MINISBLACK"),
    Case("tiff-white-is-0-some-pages", pictures.tiff_pages, IMAGE, {"white": (2, 3)}, SIZED),
    Case("tiff-white-is-0-some-early-pages", pictures.tiff_pages, IMAGE, {"white": (1, 3)}, SIZED),
    Case("tiff-white-is-0-some-of-few-pages", pictures.tiff_pages, IMAGE[:5], {"white": (3,)}, SIZED),
    Case("tiff-pages-packed-unlike", pictures.tiff_pages, IMAGE, {"packed": (2, 7)}, SIZED),
    Case("tiff-pages-packed-unlike-late", pictures.tiff_pages, IMAGE, {"packed": (12,)}, SIZED),
    Case("tiff-group4", pictures.tiff_pil, IMAGE, {"mode": "1", "compression": "group4"}, SIZED,
         np.stack([np.asarray(Image.fromarray(s).convert("1").convert("L")) for s in IMAGE])),
    Case("tiff-rgb-equal", pictures.tiff_rgb, IMAGE, {}, SIZED),
    Case("tiff-rgb-equal-planes", pictures.tiff_rgb, DEEP, {"axis": 1, "planarconfig": "separate"}, SIZED),
    Case("tiff-rgb-equal-zstd", pictures.tiff_rgb, IMAGE, {"compression": "zstd", "predictor": True}, SIZED),
    Case("tiff-rgb-opaque", pictures.tiff_rgb, IMAGE, {"alpha": 255}, SIZED),
    Case("tiff-rgb-not-opaque", pictures.tiff_rgb, IMAGE, {"alpha": 254}, SIZED, "opacity that is not full at … convert"),
    Case("tiff-rgb-colours", pictures.tiff_coloured, IMAGE, {}, SIZED, "has a colour at (0, 0, 0, 0) … convert it to grey"),
    Case("tiff-rgb-jpeg", pictures.tiff_rgb, SMOOTH[:, :32, :32], {"compression": "jpeg"}, SIZED, None, 3),
    Case("tiff-channels-as-samples", pictures.tiff, IMAGE[..., :3], {"planarconfig": "contig"}, SIZED, "3 samples per voxel"),
    Case("tiff-palette-of-greys", pictures.tiff_palette, IMAGE, {"colours": GREY_PALETTE * 257}, SIZED),
    Case("tiff-palette-of-greys-high-bytes", pictures.tiff_palette, IMAGE, {"colours": GREY_PALETTE * 256}, SIZED),
    Case("tiff-palette-of-greys-turned", pictures.tiff_palette, IMAGE, {"colours": GREY_PALETTE[::-1] * 257}, SIZED,
         255 - IMAGE),
    Case("tiff-palette-colours-unused", pictures.tiff_palette, IMAGE, {"colours": (ODD_PALETTE * 257).astype("u2")}, SIZED),
    Case("tiff-palette-colours", pictures.tiff_palette, IMAGE - 10, {"colours": (ODD_PALETTE * 257).astype("u2")}, SIZED,
         "s0.tif has a colour of its palette at … convert it to grey"),
    Case("tiff-4-bit", pictures.tiff, IMAGE & 15, {"bitspersample": 4}, SIZED, (IMAGE & 15) * np.uint8(17)),
    Case("tiff-2-bit-white-is-0", pictures.tiff, IMAGE & 3, {"bitspersample": 2, "photometric": "miniswhite"}, SIZED,
         (3 - (IMAGE & 3)) * np.uint8(85)),
    Case("tiff-12-bit", pictures.tiff, DEEP >> 4, {"bitspersample": 12}, SIZED),
    Case("tiff-12-bit-range", pictures.tiff, DEEP >> 4, {"bitspersample": 12}, {**SIZED, "options": {"range": [0, 4095]}},
         ((DEEP >> 4) / 4095).astype(np.float32)),
    Case("tiff-cfa", pictures.tiff_tag, IMAGE, {"tag": 262, "value": 32803}, SIZED, "photometric CFA, which is not grey"),
    Case("tiff-cielab", pictures.tiff_tag, IMAGE, {"tag": 262, "value": 8}, SIZED, "photometric CIELAB, which is not grey"),
    Case("tiff-no-photometric", pictures.tiff_tag, IMAGE, {"tag": 262, "value": -1}, SIZED),
    Case("tiff-imagej", pictures.tiff, DEEP, {"imagej": True, "photometric": None, "metadata": {"axes": "ZYX"}}, SIZED),
    Case("tiff-imagej-hyperstack", pictures.tiff, AFFINITY.transpose(1, 0, 2, 3),
         {"imagej": True, "photometric": None, "metadata": {"axes": "ZCYX"}}, SIZED, AFFINITY),
    Case("png-rgb-equal", pictures.png, IMAGE, {"mode": "RGB"}, SIZED),
    Case("png-opaque", pictures.png, IMAGE, {"mode": "RGBA"}, SIZED),
    Case("png-grey-opaque", pictures.png, IMAGE, {"mode": "LA"}, SIZED),
    Case("png-16-bit-opaque", pictures.png_deep, DEEP, {}, SIZED),
    Case("png-one-grey-transparent", pictures.png_keyed, IMAGE, {}, SIZED, "an opacity that is not full at (0, 0)"),
    Case("png-palette-of-greys", pictures.png_palette, IMAGE, {"colours": GREY_PALETTE}, SIZED),
    Case("png-palette-of-greys-turned", pictures.png_palette, IMAGE, {"colours": GREY_PALETTE[::-1]}, SIZED, 255 - IMAGE),
    Case("png-palette-colours", pictures.png_palette, IMAGE - 10, {"colours": ODD_PALETTE}, SIZED,
         "s0.png has a colour at … convert it to grey"),
    Case("png-4-bit", pictures.png_bits, IMAGE & 15, {"bits": 4}, SIZED, (IMAGE & 15) * np.uint8(17)),
    Case("png-2-bit", pictures.png_bits, IMAGE & 3, {"bits": 2}, SIZED, (IMAGE & 3) * np.uint8(85)),
    Case("png-1-bit", pictures.png_bits, IMAGE & 1, {"bits": 1}, SIZED, (IMAGE & 1) * np.uint8(255)),
    Case("jpeg", pictures.jpeg, SMOOTH, {}, SIZED, None, 2),
    Case("jpeg-progressive", pictures.jpeg, SMOOTH, {"progressive": True}, SIZED, None, 2),
    Case("jpeg-grey-in-colours", pictures.jpeg, SMOOTH, {"mode": "RGB"}, SIZED, None, 3),
    Case("jpeg-colours", pictures.jpeg_coloured, SMOOTH, {}, SIZED, "s00.jpeg has a colour at … convert it to grey"),
    Case("jpeg-cmyk", pictures.jpeg, SMOOTH, {"mode": "CMYK"}, SIZED, "4 components … 8 bit grey"),
    Case("range-of-floats", zarr_python, IMAGE.astype(np.float32), {}, {**ZARR, "options": {"range": [0, 255]}},
         (IMAGE / 255).astype(np.float32)),
    Case("range-of-bits", zarr_python, IMAGE & 1, {}, {**ZARR, "options": {"range": [0, 1]}}, (IMAGE & 1).astype(np.float32)),
    Case("range-downwards", zarr_python, IMAGE, {}, {**ZARR, "options": {"range": [255, 0]}},
         (1 - IMAGE / 255).astype(np.float32)),
    Case("logits", zarr_python, np.log(FLOATS + 1e-3), {}, {**ZARR, "options": {"activation": "sigmoid"}},
         (1 / (1 + np.exp(-np.log(FLOATS + np.float32(1e-3)).astype(float)))).astype(np.float32)),
    Case("hdf5-chunks", h5py_chunks, IMAGE, {"written": 24}, RAW),
    Case("hdf5-unwritten", h5py_chunks, IMAGE, {}, RAW, "z 16:24, y 0:16, x 0:16 of … never written … source.missing: fill"),
    Case("hdf5-unwritten-fill", h5py_chunks, IMAGE, {"fillvalue": 7}, RAW | FILL, late(IMAGE, 16, 7)),
    Case("hdf5-unwritten-zstd", h5py_chunks, IMAGE, {"compression": "gzip"}, RAW, "never written … source.missing: fill"),
    Case("hdf5-zeros-written", h5py_chunks, cut(IMAGE, 16, 16, 16), {"written": 24}, RAW),
    Case("hdf5-contiguous-unwritten", h5py_chunks, IMAGE, {"chunks": None, "written": 0}, RAW,
         "z 0:24, y 0:40, x 0:44 of … was never written"),
    Case("hdf5-contiguous-unwritten-fill", h5py_chunks, IMAGE, {"chunks": None, "written": 0}, RAW | FILL,
         np.zeros_like(IMAGE)),
    Case("hdf5-virtual", h5py_virtual, IMAGE, {}, RAW),
    Case("hdf5-virtual-lost", without(h5py_virtual, "part2.h5"), IMAGE, {}, RAW,
         "z 12:18, y 0:40, x 0:44 of … part2.h5 is lost … source.missing"),
    Case("hdf5-virtual-lost-fill", without(h5py_virtual, "part2.h5"), IMAGE, {}, RAW | FILL, between(IMAGE, slice(12, 18))),
    Case("hdf5-virtual-interleaved", h5py_virtual, IMAGE, {"step": 4}, RAW),
    Case("hdf5-virtual-interleaved-lost", without(h5py_virtual, "part2.h5"), IMAGE, {"step": 4}, RAW,
         "z 2:3, y 0:40, x 0:44 of … part2.h5 is lost"),
    Case("hdf5-virtual-interleaved-fill", without(h5py_virtual, "part2.h5"), IMAGE, {"step": 4}, RAW | FILL, between(IMAGE,
         slice(2, None, 4))),
    Case("hdf5-virtual-hole", h5py_hole, IMAGE, {}, RAW, "z 16:24, y 0:40, x 0:44 of … no file is mapped"),
    Case("hdf5-virtual-hole-fill", h5py_hole, IMAGE, {}, RAW | FILL, late(IMAGE, 16)),
    Case("hdf5-link", h5py_virtual, IMAGE, {"link": True}, RAW),
    Case("hdf5-link-lost", without(h5py_virtual, "virtual.h5"), IMAGE, {"link": True}, RAW,
         "link to raw of virtual.h5, which is not there"),
    Case("hdf5-link-part-lost", without(h5py_virtual, "part2.h5"), IMAGE, {"link": True}, RAW, "part2.h5 is lost"),
    Case("hdf5-external", h5py_external, IMAGE, {}, RAW),
    Case("hdf5-external-short", h5py_external, IMAGE, {"short": 100}, RAW, "a.bin ends after"),
    Case("hdf5-external-lost", without(h5py_external, "a.bin"), IMAGE, {}, RAW, "a.bin"),
    Case("zarr-v2", zarr_python, IMAGE, {}, RAW),
    Case("zarr-v3", zarr_python, IMAGE, {"zarr_format": 3}, RAW),
    *(Case(f"zarr-v2-{c}", chunks.zarr2, IMAGE, {"codec": {"id": c}}, RAW) for c in
      ("zlib", "gzip", "bz2", "lzma", "lz4", "zstd", "blosc")),
    Case("zarr-v2-uncompressed", chunks.zarr2, IMAGE, {}, RAW),
    Case("zarr-v2-big-endian", chunks.zarr2, LABELS.astype(">u8"), {"codec": {"id": "lz4"}}, RAW, LABELS),
    Case("zarr-v2-columns-first", chunks.zarr2, LABELS, {"codec": {"id": "lz4"}, "order": "F"}, RAW),
    Case("zarr-v2-slashes", chunks.zarr2, IMAGE, {"codec": {"id": "lz4"},
         "chunk_key_encoding": {"name": "v2", "separator": "/"}}, RAW),
    Case("zarr-v2-delta", chunks.zarr2, LABELS, {"codec": {"id": "lz4"}, "filters": ({"id": "delta", "dtype": "<u8"},)}, RAW),
    Case("zarr-v2-shuffle", chunks.zarr2, LABELS, {"codec": {"id": "zlib"}, "filters": ({"id": "shuffle", "elementsize": 8},)},
         RAW),
    Case("zarr-v2-bits", chunks.zarr2, IMAGE > 99, {"codec": {"id": "zlib"}, "filters": ({"id": "packbits"},)}, RAW,
         (IMAGE > 99) * np.uint8(255)),
    Case("zarr-v2-lz4-lost", without(chunks.zarr2, "a.zarr/raw/0.0.0"), IMAGE, {"codec": {"id": "lz4"}}, RAW,
         "z 0:8, y 0:16, x 0:16 of … is not there … zarr-python leaves out … source.missing: fill"),
    Case("zarr-v2-lz4-lost-fill", without(chunks.zarr2, "a.zarr/raw/0.0.0"), IMAGE, {"codec": {"id": "lz4"}}, RAW | FILL,
         cut(IMAGE, 8, 16, 16)),
    Case("zarr-v2-zeros-left-out", chunks.zarr2, cut(IMAGE, 8, 16, 16), {}, RAW, "zarr-python leaves out chunks"),
    Case("zarr-v2-zeros-left-out-fill", chunks.zarr2, cut(IMAGE, 8, 16, 16), {}, RAW | FILL),
    Case("zarr-v2-fill-null", chunks.zarr_changed, IMAGE, {"fill_value": None}, RAW | FILL, cut(IMAGE, 8, 16, 16)),
    Case("zarr-v2-fill-null-lost", chunks.zarr_changed, IMAGE, {"fill_value": None}, RAW, "z 0:8, y 0:16, x 0:16 of"),
    Case("zarr-v2-fill-nan", chunks.zarr_changed, FLOATS, {"fill_value": "NaN"}, RAW | FILL, first(FLOATS, np.nan)),
    Case("zarr-v2-unknown-codec", chunks.zarr_changed, IMAGE, {"compressor": {"id": "ffmpeg"}}, RAW,
         "packed with ffmpeg … rewrite it"),
    *(Case(f"zarr-v3-{c.lower()}", chunks.zarr3, IMAGE, {"codec": c}, RAW) for c in ("LZ4", "LZMA", "BZ2", "Zlib")),
    Case("zarr-v3-lz4-shards", chunks.zarr3, IMAGE, {"codec": "LZ4", "sharded": True}, RAW),
    Case("zarr-v3-lz4-shards-zeros-left-out", chunks.zarr3, cut(IMAGE, 8, 16, 16), {"codec": "LZ4", "sharded": True}, RAW,
         "z 0:8, y 0:16, x 0:16 of … is not there"),
    Case("zarr-v3-shards-zeros-left-out", zarr_python, cut(IMAGE, 8, 16, 16), {"zarr_format": 3, "shards": (8, 32, 32)}, RAW,
         "z 0:8, y 0:16, x 0:16 of … is not there"),
    Case("zarr-v3-shards-zeros-left-out-fill", zarr_python, cut(IMAGE, 8, 16, 16), {"zarr_format": 3, "shards": (8, 32, 32)},
         RAW | FILL),
    Case("zarr-zip", chunks.zarr_zip, IMAGE, {}, RAW),
    Case("zarr-zip-folder", chunks.zarr_zip, IMAGE, {"within": "a.zarr/"}, RAW),
    Case("zarr-zip-v3", chunks.zarr_zip, IMAGE, {"three": True}, RAW),
    Case("zarr-zip-zeros-left-out", chunks.zarr_zip, cut(IMAGE, 8, 16, 16), {}, RAW,
         "z 0:8, y 0:16, x 0:16 of … is not there"),
    *(Case(f"n5-{c}", chunks.n5, LABELS, {"compression": c}, RAW) for c in ("raw", "gzip", "bzip2", "xz", "lz4")),
    *(Case(f"n5-old-{c}", chunks.n5, LABELS, {"compression": c, "old": True}, RAW) for c in
      ("raw", "gzip", "bzip2", "xz", "lz4")),
    *(Case(f"n5-{c}-lost", chunks.n5, IMAGE, {"compression": c, "lost": ((1, 0, 0),)}, RAW,
           "z 0:8, y 0:16, x 16:32 of … is not there … a.n5/raw/1/0/0") for c in ("gzip", "lz4")),
    *(Case(f"n5-{c}-lost-fill", chunks.n5, IMAGE, {"compression": c, "lost": ((0, 0, 0),)}, RAW | FILL, cut(IMAGE, 8, 16, 16))
      for c in ("gzip", "lz4")),
    Case("n5-unknown-compression", chunks.n5, IMAGE, {"compression": "jpeg"}, RAW, "N5 compression jpeg … rewrite it"),
]  # fmt: skip


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_peers_file_is_read_right_or_refused(case: Case, tmp_path: Path) -> None:
    if isinstance(case.expected, str):
        with pytest.raises(ConnectomakeError) as caught:
            read(case.open(tmp_path))
        assert all(part.strip() in str(caught.value) for part in case.expected.split("…")), caught.value
        return
    expected = case.array if case.expected is None else case.expected
    found = read(case.open(tmp_path))
    assert found.dtype == expected.dtype
    if case.within:
        assert np.abs(found.astype(float) - expected).max() <= case.within
    else:
        np.testing.assert_array_equal(found, expected if expected.ndim == 4 else expected[None])


def read(source: Source) -> np.ndarray:
    """Read all, in two unequal boxes."""
    from connectomake.geometry import Box

    (z, y, x), stop = source.bounds.start, source.bounds.stop
    middle = z + max(1, (stop[0] - z) // 3)
    parts = [source.read(Box((z, y, x), (middle, *stop[1:]))), source.read(Box((middle, y, x), stop))]
    return np.concatenate(parts, axis=1)
