"""What `convert` writes is what the file holds: no rounding, no stretching, no dropped place without a word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from connectomake.cli.app import main
from connectomake.errors import ConfigError, SourceError
from connectomake.exporting.casting import cast
from connectomake.exporting.volume import DTYPES
from connectomake.geometry import Box
from connectomake.sources import SourceOptions, open_source

Voxels = NDArray[Any]
SHAPE = (4, 6, 9)
SIZE = (40.0, 4.0, 6.0)


def numbers(dtype: str) -> Voxels:
    """Values that no narrower dtype holds, the extremes among them."""
    rng, kind = np.random.default_rng(5), np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(SHAPE) > 0.5
    if kind.kind == "f":
        found = rng.normal(size=SHAPE).astype(kind)
        found.flat[:3] = [1 / 3, np.finfo(kind).max, -0.0]
        return found
    found = rng.integers(-100 if kind.kind == "i" else 0, 100, SHAPE).astype(kind)
    found.flat[:2] = [np.iinfo(kind).max, np.iinfo(kind).min]
    return found


def as_hdf5(folder: Path, values: Voxels, offset: bool = False) -> list[str]:
    with h5py.File(folder / "a.h5", "w") as file:
        array = file.create_dataset("v", data=values, chunks=(2, 3, 4))
        array.attrs["resolution"] = SIZE
        if offset:
            array.attrs["offset"] = np.multiply((3, 20, 100), SIZE)
    return [str(folder / "a.h5"), "--dataset", "v"]


def as_zarr2(folder: Path, values: Voxels) -> list[str]:
    found = zarr.create_array(folder / "a.zarr", shape=values.shape, dtype=values.dtype, chunks=(2, 3, 4), zarr_format=2)
    found[...] = values
    return [str(folder / "a.zarr"), "--voxel-size", "40", "4", "6"]


def as_zarr3(folder: Path, values: Voxels) -> list[str]:
    found = zarr.create_array(folder / "a.zarr", shape=values.shape, dtype=values.dtype, chunks=(2, 3, 4), zarr_format=3)
    found[...] = values
    return [str(folder / "a.zarr"), "--voxel-size", "40", "4", "6"]


def as_tiff(folder: Path, values: Voxels) -> list[str]:
    tifffile.imwrite(
        folder / "a.tif", values, photometric="minisblack", byteorder=">" if values.dtype.byteorder == ">" else "<"
    )
    return [str(folder / "a.tif"), "--voxel-size", "40", "4", "6"]


def as_pages(folder: Path, values: Voxels) -> list[str]:
    """A folder of compressed sections."""
    (folder / "a").mkdir()
    for i, section in enumerate(values):
        tifffile.imwrite(folder / "a" / f"{i}.tif", section, photometric="minisblack", compression="zlib")
    return [f"tiff://{folder / 'a'}", "--voxel-size", "40", "4", "6"]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    return int(ended.value.code or 0)


WRITERS: list[Callable[[Path, Voxels], list[str]]] = [as_hdf5, as_zarr2, as_zarr3, as_tiff, as_pages]
STORED = ("bool", "int8", ">u2", ">i4", "uint32", "int64", ">u8", "float16", ">f4", "float64", ">f8")


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("write", WRITERS)
def test_every_bit_of_every_stored_dtype(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path, Voxels], list[str]], dtype: str
) -> None:
    if write is as_zarr3 and dtype.startswith(">"):
        dtype = dtype[1:]
    values = numbers(dtype)
    assert run("convert", *write(tmp_path, values), str(tmp_path / "b.npy")) == 0, capsys.readouterr().err
    found = np.load(tmp_path / "b.npy")
    assert found.dtype == {"bool": "uint8", "float16": "float32"}.get(dtype, np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(found, values)
    assert (f"holds {dtype}, which becomes" in capsys.readouterr().err) == (dtype in ("bool", "float16"))


@pytest.mark.parametrize("form", ["tiff", "tiffs", "hdf5", "zarr2", "zarr3", "ome4", "ome5", "n5", "npy", "nrrd"])
def test_float64_stays_where_the_format_holds_it(tmp_path: Path, form: str) -> None:
    values = numbers("float64")
    there = tmp_path / "b"
    assert run("convert", *as_hdf5(tmp_path, values), str(there), "--format", form) == 0
    if form == "nrrd":
        found = np.frombuffer(there.read_bytes()[-values.nbytes :], "<f8").reshape(SHAPE)
        assert b"type: double\n" in there.read_bytes()
    elif form == "tiff":
        found = tifffile.imread(there)
    elif form == "npy":
        found = np.load(there)
    else:
        kind = {"tiffs": "tiff", "ome4": "zarr", "ome5": "zarr", "zarr2": "zarr", "zarr3": "zarr"}.get(form, form)
        source = open_source(f"{kind}://{there}", "main" if form == "hdf5" else None, SIZE).exact()
        found = source.read(source.bounds)[0]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(("form", "dtype"), [("mrc", "float64"), ("precomputed", "float64"), ("precomputed", "int64")])
def test_what_a_format_does_not_hold_is_refused_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, dtype: str
) -> None:
    values = numbers(dtype)
    if dtype == "float64":
        values.flat[1] = 1.0
    call = ["convert", *as_hdf5(tmp_path, values), str(tmp_path / "b"), "--format", form]
    assert run(*call) == 1
    said = capsys.readouterr().err
    assert f"not the {dtype}" in said
    assert "or another --dtype, such as float32 for float64" in said
    if dtype == "float64":
        assert run(*call, "--dtype", "float32") == 0
    else:
        assert run(*call, "--dtype", "uint64") == 1
        assert "z, y, x = 0, 0, 1 of channel 0" in capsys.readouterr().err  # the least int64
    assert (tmp_path / "b").exists() == (dtype == "float64")


def test_dtype_of_a_layer_of_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.arange(np.prod(SHAPE), dtype=np.uint64).reshape(SHAPE)
    call = ["convert", *as_hdf5(tmp_path, values, True), str(tmp_path / "b.tif")]
    assert run(*call) == 0
    assert "ImageJ does not read TIFF of uint64; choose --dtype uint32" in capsys.readouterr().err
    assert run(*call, "--overwrite", "--dtype", "uint32") == 0
    found = tifffile.imread(tmp_path / "b.tif")
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, values)
    assert run(*call, "--overwrite", "--dtype", "uint8") == 0
    assert run(*call, "--overwrite", "--dtype", "int8") == 1
    assert "the voxel z, y, x = 5, 22, 102 of channel 0" in capsys.readouterr().err  # 128 of 54 in a section, 9 in a row
    assert run(*call, "--overwrite", "--dtype", "string") == 1
    assert "there is no --dtype string" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("tiff", ["no place for the offset in z, y, x; the first voxel is z, y, x = 3, 20, 100"]),
        ("npy", ["voxel size in z, y, x, which is z 40 nm, y 4 nm, x 6 nm", "offset in z, y, x"]),
        ("png", ["voxel size in z, y, x", "offset in y, x;"]),
        ("tiffs", ["voxel size in z, which is z 40 nm", "offset in y, x;"]),
        ("mrc", ["written as uint16"]),
        ("nrrd", []), ("hdf5", []), ("zarr2", []), ("zarr3", []), ("ome4", []), ("ome5", []), ("n5", []), ("precomputed", []),
    ],
)  # fmt: skip
def test_what_is_not_carried_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, said: list[str]) -> None:
    call = as_hdf5(tmp_path, numbers("uint8"), True)
    assert run("convert", *call, str(tmp_path / "b"), "--format", form) == 0
    first, *notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert first.endswith("begins at voxel [3, 20, 100]; --offset 0 0 0 counts from the array's first voxel")
    assert len(notes) == len(said), notes
    assert all(text in note for text, note in zip(said, notes, strict=True)), notes


def test_axes_of_the_user_round_nothing(tmp_path: Path) -> None:
    values = numbers("float64")
    assert run("convert", *as_tiff(tmp_path, values), str(tmp_path / "b.npy"), "--axes", "xyz") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), values.T)


def test_notes_about_the_source_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", numbers("uint8"), photometric="minisblack", extratags=[(274, 3, 1, 3, True)])
    assert run("convert", str(tmp_path / "a.tif"), str(tmp_path / "b.nrrd"), "--voxel-size", "40", "4", "6") == 0
    assert "is stored turned or mirrored" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--dataset is missing"),
        (["--dataset", "v"], "set --voxel-size to [z, y, x] in nm"),
        (["--dataset", "v", "--voxel-size", "40", "4", "6", "--axes", "qqq"], "--axes"),
        (["--missing-sections", "no"], "--missing-sections must be error or blank, got 'no'"),
    ],
)
def test_errors_name_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = numbers("uint8")
    assert run("convert", str(tmp_path / "a.h5"), str(tmp_path / "b.zarr"), *more) == 1
    found = capsys.readouterr().err
    assert said in found
    assert "source." not in found


def test_a_lost_chunk_is_named_with_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["convert", *as_zarr2(tmp_path, numbers("float64")), str(tmp_path / "b.npy")]
    (tmp_path / "a.zarr" / "0.0.0").unlink()
    assert run(*call) == 1
    assert "set --fill to read it as 0" in capsys.readouterr().err
    assert run(*call, "--fill") == 0
    assert "1 storage chunks of" in capsys.readouterr().err
    assert not np.load(tmp_path / "b.npy")[:2, :3, :4].any()


def test_an_exact_source_refuses_a_reader_that_rounds(tmp_path: Path) -> None:
    from dataclasses import replace

    path, _, name = as_hdf5(tmp_path, numbers("float64"))
    source = open_source(path, name, options=SourceOptions(range=(0.0, 1.0)))
    assert (source.dtype, source.exact().dtype, source.stored().dtype) == ("float32", "float64", "float32")
    wrong = replace(source, _reader=lambda box: np.zeros((1, *box.shape), np.float32)).exact()
    with pytest.raises(SourceError, match="is read as float32, not as float64"):
        wrong.read(Box((0, 0, 0), (1, 1, 1)))


@st.composite
def castings(draw: st.DrawFn) -> tuple[Voxels, str]:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    return draw(arrays(dtype, 3)), draw(st.sampled_from(DTYPES))


@given(castings())
def test_a_cast_changes_no_whole_number(given: tuple[Voxels, str]) -> None:
    values, dtype = given
    exact = [v.item() for v in values]
    if not all(holds(v, dtype) for v in exact):
        with pytest.raises(ConfigError, match=f"which {dtype} does not hold"):
            cast(values, np.dtype(dtype), str)
        return
    found = cast(values, np.dtype(dtype), str)
    assert found.dtype == dtype
    if values.dtype.kind == "f" and np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(found, values.astype(dtype))
        return
    assert [int(v) for v in found] == exact


def holds(value: float, dtype: str) -> bool:
    """Whether a dtype holds a number, or one near it if both are floats, and all smaller whole numbers."""
    if np.dtype(dtype).kind == "f":
        if isinstance(value, int):
            return abs(value) <= (2**24 if dtype == "float32" else 2**53)
        return not np.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    if isinstance(value, float) and not value.is_integer():
        return False
    return int(np.iinfo(dtype).min) <= value <= int(np.iinfo(dtype).max)
