"""Precomputed anew: every encoding, in chunks, gzip and shards, as CloudVolume and our own reader find it."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from connectomake.cli.app import main
from connectomake.errors import ConfigError
from connectomake.exporting import FORMATS, Options, export_volume, levels_of
from connectomake.geometry import Box
from connectomake.sources import Source, open_source

SHAPE, START, SIZE = (37, 70, 53), (-9, 4, -20), (40.0, 4.0, 6.0)
Voxels = NDArray[Any]


def memory(dtype: str, channels: int = 1, shape: tuple[int, int, int] = SHAPE) -> tuple[Source, Voxels]:
    """A source of smooth voxels, ids beyond 2^53 among them."""
    grid = np.indices(shape).sum(axis=0) // 7
    values = np.stack([(grid * (c + 1)).astype(dtype) for c in range(channels)])
    if dtype == "uint64":
        values[:, :3] += np.uint64(2**53 + 1)
    bounds = Box.of_shape(shape, START)
    made = Source("made", "hdf5", bounds, channels, dtype, SIZE, "id", lambda box: values[(slice(None), *box.slices(START))])
    return made, values


CASES = [
    ("raw", "uint64", 1), ("raw", "float32", 2), ("gzip", "uint64", 1), ("gzip", "uint8", 3),
    ("png", "uint8", 1), ("jpeg", "uint8", 1),
    ("compressed_segmentation", "uint64", 1), ("compressed_segmentation+gzip", "uint64", 1),
    ("compressed_segmentation+gzip", "uint32", 1),
]  # fmt: skip


@pytest.mark.parametrize("shard", [None, 1, 2, 4])
@pytest.mark.parametrize(("encoding", "dtype", "channels"), CASES)
def test_cloud_volume_and_we_read_every_encoding(
    tmp_path: Path, encoding: str, dtype: str, channels: int, shard: int | None
) -> None:
    from cloudvolume import CloudVolume

    source, values = memory(dtype, channels)
    there = tmp_path / "p"
    options = Options(chunk=(8, 16, 8), encoding=encoding, shard=shard, labels=dtype in ("uint32", "uint64"))
    export_volume(levels_of([source]), str(there), FORMATS["precomputed"], options, memory_mb=8)
    found = open_source(str(there))
    assert (found.bounds, found.voxel_size, found.dtype) == (source.bounds, SIZE, dtype)
    theirs = CloudVolume(f"precomputed://file://{there}", progress=False, fill_missing=False)
    assert tuple(theirs.chunk_size) == (8, 16, 8)
    assert tuple(theirs.voxel_offset) == START[::-1]
    for got in (found.read(found.bounds), np.asarray(theirs[:]).T):
        if encoding == "jpeg":
            np.testing.assert_allclose(got.astype(int), values, atol=6)
        else:
            np.testing.assert_array_equal(got, values)
    files = [p for p in there.rglob("*") if p.is_file() and p.name != "info"]
    assert {p.suffix == ".shard" for p in files} == {shard is not None}
    if shard is None:
        assert {p.suffix == ".gz" for p in files} == {"gzip" in encoding}
        if encoding == "gzip":
            first = next(p for p in files if p.name.startswith("-20--12_4-20_-9--1"))
            np.testing.assert_array_equal(
                np.frombuffer(gzip.decompress(first.read_bytes()), dtype).reshape(channels, 8, 16, 8), values[:, :8, :16, :8]
            )


def test_a_flat_volume_in_shards(tmp_path: Path) -> None:
    source, values = memory("uint32", shape=(5, 120, 130))
    export_volume(
        levels_of([source]), str(tmp_path / "p"), FORMATS["precomputed"], Options(chunk=(8, 8, 8), shard=2), memory_mb=8
    )
    found = open_source(str(tmp_path / "p"))
    np.testing.assert_array_equal(found.read(found.bounds), values)
    assert len([*(tmp_path / "p").rglob("*.shard")]) > 20, "a shard has 8 of the 255 chunks"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoding": "jxl"}, "cannot be written with --encoding jxl, which TensorStore does not write"),
        ({"encoding": "jpeg+gzip"}, "there are: raw, compressed_segmentation, png, jpeg, gzip"),
        ({"encoding": "bz2"}, "cannot be written with --encoding bz2"),
        ({"shard": 3}, "--shard must be a power of 2 from 1 to 1024"),
        ({"shard": 0}, "--shard must be a power of 2"),
        ({"shard": 16, "chunk": (64, 64, 64)}, ""),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    source, _ = memory("uint64")
    if not said:
        export_volume(levels_of([source]), str(tmp_path / "p"), FORMATS["precomputed"], Options(**options))
        assert len([*(tmp_path / "p").rglob("*.shard")]) == 1
        return
    with pytest.raises(ConfigError, match=said):
        export_volume(levels_of([source]), str(tmp_path / "p"), FORMATS["precomputed"], Options(**options))


def test_the_command_rewrites_shards_as_chunks_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, values = memory("uint64")
    export_volume(levels_of([source]), str(tmp_path / "a"), FORMATS["precomputed"], Options(chunk=(8, 8, 8), shard=2))
    call = [
        "convert",
        str(tmp_path / "a"),
        str(tmp_path / "b"),
        "--format",
        "precomputed",
        "--encoding",
        "compressed_segmentation+gzip",
    ]
    for more, code, said in (
        (["--chunk", "16", "8", "32"], 0, ""), (["--overwrite", "--shard", "4", "--chunk", "4", "8", "4"], 0, ""),
        (["--overwrite", "--shard", "5"], 1, "--shard must be a power of 2"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main([*call, *more])
        assert (ended.value.code or 0) == code
        assert said in capsys.readouterr().err
    found = open_source(str(tmp_path / "b"))
    np.testing.assert_array_equal(found.read(found.bounds), values)
    with pytest.raises(SystemExit):
        main(["convert", str(tmp_path / "a"), str(tmp_path / "c.zarr"), "--shard", "2"])
    assert "--shard 2 is of precomputed, not of Zarr 3; leave it out" in capsys.readouterr().err
