"""NRRD and MRC as pynrrd and mrcfile read them, with voxel size and place; one voxel and negative places in all formats."""

from pathlib import Path
from typing import Any

import mrcfile
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from connectomake.exporting import FORMATS, Options, export_volume, levels_of
from connectomake.geometry import Box
from connectomake.sources import Source, open_source

SIZE, START = (40.0, 4.0, 6.0), (-7, -20, 100)
Voxels = NDArray[Any]


def memory(dtype: str, channels: int = 1, shape: tuple[int, int, int] = (5, 9, 11)) -> tuple[Source, Voxels]:
    values = np.random.default_rng(1).integers(0, 120, (channels, *shape)).astype(dtype)
    if dtype == "uint64":
        values.flat[0] = 2**64 - 1
    bounds = Box.of_shape(shape, START)
    return Source(
        "made", "hdf5", bounds, channels, dtype, SIZE, "id", lambda b: values[(slice(None), *b.slices(START))]
    ), values


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("int64", 1), ("uint64", 3), ("float64", 2)])
def test_pynrrd(tmp_path: Path, dtype: str, channels: int) -> None:
    source, values = memory(dtype, channels)
    export_volume(levels_of([source]), str(tmp_path / "a.nrrd"), FORMATS["nrrd"], Options())
    found, header = nrrd.read(str(tmp_path / "a.nrrd"), index_order="C")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values if channels > 1 else values[0])
    np.testing.assert_array_equal(header["space directions"][:3], np.diag(SIZE[::-1]))
    np.testing.assert_array_equal(header["space origin"], np.multiply(SIZE, START)[::-1])
    assert header["space units"] == ["nm"] * 3


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "float32"])
def test_mrcfile(tmp_path: Path, dtype: str) -> None:
    source, values = memory(dtype)
    export_volume(levels_of([source]), str(tmp_path / "a.mrc"), FORMATS["mrc"], Options())
    with mrcfile.open(tmp_path / "a.mrc") as file:
        np.testing.assert_array_equal(file.data, values[0])
        assert [round(float(file.voxel_size[a]), 3) for a in "zyx"] == [10 * v for v in SIZE]
        assert [int(file.nstart[a]) for a in "zyx"] == list(START)
        assert [float(file.header.origin[a]) for a in "zyx"] == [10 * s * n for s, n in zip(SIZE, START, strict=True)]


READ = {"tiffs": None, "png": None, "tiff": (0, 0, 0), "npy": (0, 0, 0)}
"""Formats that have no place for the offset; sections cannot begin below 0."""


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 9, 11), (1, 1, 9), (3, 1, 1)])
@pytest.mark.parametrize("form", [name for name in FORMATS if READ.get(name, START) is not None])
def test_we_read_it_again_at_its_place(tmp_path: Path, form: str, shape: tuple[int, int, int]) -> None:
    source, values = memory("int16", 1, shape)
    export_volume(levels_of([source]), str(tmp_path / "a"), FORMATS[form], Options(chunk=(4, 4, 4)))
    kind = "zarr" if form.startswith(("zarr", "ome")) else form
    size = SIZE if form == "npy" else None
    dataset = "main" if form == "hdf5" else None
    if form == "tiff":
        size = SIZE
    found = open_source(f"{kind}://{tmp_path / 'a'}", dataset, size)
    assert found.bounds == Box.of_shape(shape, READ.get(form) or START)
    assert found.voxel_size == pytest.approx(SIZE)
    np.testing.assert_array_equal(found.read(found.bounds), values)
