"""Layers as other programs write them: read right, or refused in one sentence. One line of `TABLE` is one case."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import brotli
import numpy as np
import pytest
import zarr
import zstandard
from cloudvolume import CloudVolume

from connectomake.errors import ConnectomakeError
from connectomake.sources import SourceOptions, open_source

SHAPE = (24, 40, 44)
VOXEL = (40.0, 4.0, 4.0)
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(20, 230, SHAPE, dtype=np.uint8)
SMOOTH = (100 + 50 * np.sin(np.indices(SHAPE).sum(axis=0) / 20)).astype(np.uint8)
LABELS = (np.ravel_multi_index(np.indices(SHAPE) // 8, (8, 8, 8)) + 1).astype(np.uint64)
FLOATS = RNG.random(SHAPE).astype(np.float32)
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
    how: dict = field(default_factory=dict)
    opened: dict = field(default_factory=dict)
    expected: np.ndarray | str | None = None
    within: float = 0

    def open(self, folder: Path):
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


def zarr_python(folder: Path, array: np.ndarray, zarr_format: int = 2, **options: object) -> str:
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


def without(writer: Callable[..., str], *lost: str) -> Callable[..., str]:
    """Return a writer after which the first file that matches each of the patterns `lost` is deleted."""

    def write(folder: Path, array: np.ndarray, **how: object) -> str:
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


FILL = {"options": {"missing": "fill"}}
LOST = "z 0:16, y 0:16, x 0:16 of … is not there … source.missing: fill"
COMPRESSIONS = (False, "gzip", "br", "zstd", "xz", "bz2")
LOSSLESS = {  # encoding: what it holds
    "raw": IMAGE, "png": IMAGE, "compressed_segmentation": LABELS, "compresso": LABELS, "crackle": LABELS, "fpzip": FLOATS,
    "zfpc": FLOATS,
}  # fmt: skip
LOSSY = {"jpeg": (SMOOTH, 6), "jxl": (SMOOTH, 8), "kempressed": (FLOATS, 1e-6)}
ZARR = {"dataset": "raw", "voxel_size": VOXEL}

# Add a line: Case(name, writer, array, how, opened, expected, within). Writers are functions above.
TABLE = [
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
    Case(
        "cloudvolume-lost-fill",
        without(cloudvolume, "layer/4*/0-16_0-16_0-16"),
        IMAGE,
        {"compress": False},
        FILL,
        cut(IMAGE, 16, 16, 16),
    ),
    Case(
        "cloudvolume-lost-gzip-fill",
        without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz"),
        IMAGE,
        {},
        FILL,
        cut(IMAGE, 16, 16, 16),
    ),
    Case(
        "cloudvolume-lost-jxl-fill",
        without(cloudvolume, "layer/4*/0-16_0-16_0-16"),
        SMOOTH,
        {"encoding": "jxl", "compress": False},
        FILL,
        cut(SMOOTH, 16, 16, 16),
        8,
    ),
    Case(
        "cloudvolume-lost-shard-fill", without(cloudvolume_shards, "layer/4*/0.shard"), IMAGE, {}, FILL, cut(IMAGE, 24, 32, 44)
    ),
    Case("zarr-v2", zarr_python, IMAGE, {}, ZARR),
    Case("zarr-v3", zarr_python, IMAGE, {"zarr_format": 3}, ZARR),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_peers_file_is_read_right_or_refused(case, tmp_path):
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


def read(source) -> np.ndarray:
    """Read all, in two unequal boxes."""
    from connectomake.geometry import Box

    (z, y, x), stop = source.bounds.start, source.bounds.stop
    middle = z + max(1, (stop[0] - z) // 3)
    parts = [source.read(Box((z, y, x), (middle, *stop[1:]))), source.read(Box((middle, y, x), stop))]
    return np.concatenate(parts, axis=1)
