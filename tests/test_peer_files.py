"""Layers as other programs write them: read right, or refused in one sentence. One line of `TABLE` is one case."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import zarr
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


def cloudvolume(folder: Path, array: np.ndarray, encoding: str = "raw", compress: object = "gzip", **info: object) -> str:
    """Write with CloudVolume; `info` goes to `create_new_info`."""
    values = array if array.ndim == 4 else array[None]
    size = list(array.shape[:-4:-1])
    kind = "segmentation" if array.dtype.itemsize == 8 else "image"
    made = CloudVolume.create_new_info(
        len(values), kind, array.dtype.name, encoding, VOXEL[::-1], [0, 0, 0], size, chunk_size=[16, 16, 16], **info
    )
    volume = CloudVolume(f"file://{folder}/layer", info=made, progress=False, compress=compress, bounded=True)
    volume.commit_info()
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


ZARR = {"dataset": "raw", "voxel_size": VOXEL}

# Add a line: Case(name, writer, array, how, opened, expected, within). Writers are functions above.
TABLE = [
    Case("cloudvolume-plain", cloudvolume, IMAGE, {"compress": False}),
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
