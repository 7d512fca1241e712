"""NPY, NRRD and MRC as other programs write them: voxels, voxel size and place; and what is damaged or not read, by name."""

import gzip
import re
import struct
from pathlib import Path
from typing import Any

import mrcfile
import nrrd
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.sources import Source, SourceOptions, gzip_array, open_source
from connectomake.sources.labels import open_labels

Voxels = NDArray[Any]
SHAPE = (7, 11, 9)
SIZE = (40.0, 4.0, 6.0)
START = (-3, 20, 100)


def voxels(dtype: str, *shape: int) -> Voxels:
    """Random bits, the extremes among them."""
    kind = np.dtype(dtype)
    found = np.random.default_rng(7).integers(0, 2**16, shape or SHAPE).astype(kind)
    if kind.kind in "iu":
        found.flat[:2] = [np.iinfo(kind).max, np.iinfo(kind).min]
    elif kind.kind == "f":
        found = (found / 7).astype(kind)
    return found


def check(source: Source, values: Voxels, start: tuple[int, int, int] = (0, 0, 0)) -> None:
    """Every box is that of the array (c, z, y, x)."""
    exact = source.exact()
    assert source.bounds == Box.of_shape((values.shape[1], values.shape[2], values.shape[3]), start)
    np.testing.assert_array_equal(exact.read(source.bounds), values)
    rng = np.random.default_rng(3)
    for _ in range(8):
        low = [int(rng.integers(0, n)) for n in values.shape[1:]]
        high = [int(rng.integers(a + 1, n + 1)) for a, n in zip(low, values.shape[1:], strict=True)]
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        np.testing.assert_array_equal(exact.read(box.translate(start)), values[(slice(None), *box.slices())])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["bool", "u1", "<i2", ">u2", ">u4", "<i8", ">u8", "<f2", ">f4", ">f8"])
def test_npy(tmp_path: Path, dtype: str, order: Any) -> None:
    values = voxels(dtype, 3, *SHAPE)
    for array in (values, values[0]):
        np.save(tmp_path / "a", np.asarray(array, order=order))
        source = open_source(str(tmp_path / "a.npy"), voxel_size=SIZE, options=SourceOptions(offset=START))
        assert (source.kind, source.voxel_size) == ("npy", SIZE)
        check(source, array if array.ndim == 4 else array[None], START)


def test_npy_that_is_not_read(tmp_path: Path) -> None:
    there = str(tmp_path / "a.npy")

    def refused(match: str, error: type[Exception] = SourceError) -> None:
        with pytest.raises(error, match=match):
            open_source(there, voxel_size=SIZE)

    np.save(there, voxels("u2"))
    with pytest.raises(ConfigError, match=r"a\.npy has no voxel size; set source\.voxel_size"):
        open_source(there)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    refused(r"a\.npy is truncated: \[7, 11, 9\] voxels of uint16 need 1386 bytes from byte 128 on, and it has 1385")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:40])
    refused(r"a\.npy cannot be opened as NPY \(.*\); it may be truncated: copy it again")
    np.save(there, np.array([[[None]]]), allow_pickle=True)
    refused("holds Python objects, not numbers")
    np.save(there, np.zeros((2, 2, 2), [("a", "u1")]))
    refused("holds records, not numbers")
    np.save(there, np.zeros((2, 2, 2), "c8"))
    refused("has voxels of type complex64; convert it")
    np.save(there, np.zeros((2, 2)))
    refused("has 2 dimensions")
    np.save(there, np.zeros((0, 2, 2)))
    refused("is empty")


def nrrd_fields(**more: Any) -> dict[str, Any]:
    """Voxel size and place, x first."""
    directions = np.diag(SIZE[::-1])
    origin = np.multiply(SIZE, START)[::-1]
    return {"space dimension": 3, "space directions": directions, "space origin": origin, "space units": ["nm"] * 3} | more


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">u2", ">u4", "<i8", ">u8", ">f4", "<f8"])
def test_nrrd_of_pynrrd(tmp_path: Path, dtype: str, encoding: str, detached: bool) -> None:
    values = voxels(dtype)
    name = str(tmp_path / ("a.nhdr" if detached else "a.nrrd"))
    endian = "big" if dtype.startswith(">") else "little"
    nrrd.write(name, values, nrrd_fields(encoding=encoding, endian=endian), detached_header=detached, index_order="C")
    assert len([*tmp_path.iterdir()]) == 1 + detached
    source = open_source(name)
    assert (source.kind, source.voxel_size, source.place) == ("nrrd", SIZE, "named")
    check(source, values[None], START)
    assert any("one stream of gzip" in text for text in source.remarks) == (encoding == "gzip")


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_with_channels_spacings_and_labels(tmp_path: Path, encoding: str) -> None:
    values = voxels("<u2", 2, *SHAPE)
    nan = float("nan")
    said = {"encoding": encoding, "kinds": ["domain"] * 3 + ["list"]}
    fields = {"spacings": [6, 4, 40, nan], "units": ["nm", "nm", "nm", ""], "axis mins": [600, 80, -120, nan]}
    nrrd.write(str(tmp_path / "a.nrrd"), values, fields | said, index_order="C")
    source = open_source(str(tmp_path / "a.nrrd"))
    assert source.voxel_size == SIZE
    check(source, values, START)
    last = np.ascontiguousarray(np.moveaxis(values, 0, -1))  # channels fastest, as Teem has colours
    fields = {
        "kinds": ["vector", "domain", "domain", "domain"],
        "spacings": [nan, 0.006, 0.004, 0.04],
        "units": ["", *["um"] * 3],
    }
    nrrd.write(str(tmp_path / "b.nrrd"), last, fields | {"encoding": encoding}, index_order="C")
    source = open_source(str(tmp_path / "b.nrrd"))
    assert source.voxel_size == SIZE
    check(source, values)
    turned = np.ascontiguousarray(values[0].transpose(2, 1, 0))
    nrrd.write(str(tmp_path / "c.nrrd"), turned, {"labels": ["z", "y", "x"], "encoding": encoding}, index_order="C")
    check(open_source(str(tmp_path / "c.nrrd"), voxel_size=SIZE), values[:1])


def by_hand(path: Path, lines: str, data: bytes = b"", magic: str = "NRRD0004") -> str:
    path.write_bytes(f"{magic}\n{lines}\n\n".encode() + data)
    return str(path)


PLAIN = "type: uint16\ndimension: 3\nsizes: 9 11 7\nencoding: raw\nendian: little"


def test_nrrd_in_several_files_with_lines_and_bytes_before(tmp_path: Path) -> None:
    values = voxels("<u2")
    for i, part in enumerate(values):
        (tmp_path / f"s{i:02d}.raw").write_bytes(b"a line\nab" + part.tobytes())
    skips = f"{PLAIN}\nline skip: 1\nbyte skip: 2\n# a comment\nkey:=value: with colon"
    check(open_source(by_hand(tmp_path / "a.nhdr", f"{skips}\ndata file: s%02d.raw 0 6 1"), voxel_size=SIZE), values[None])
    listed = "\n".join(f"s{i:02d}.raw" for i in range(7))
    source = open_source(by_hand(tmp_path / "b.nhdr", f"{skips}\ndatafile: LIST\n{listed}"), voxel_size=SIZE)
    check(source, values[None])
    identity = source.identity
    assert len(getattr(identity, "items", ())) == 8, "its files are watched, too"
    whole = by_hand(tmp_path / "c.nrrd", f"{PLAIN}\nbyte skip: -1", b"anything" + values.tobytes())
    check(open_source(whole, voxel_size=SIZE), values[None])


def test_nrrd_in_several_gzip_streams_is_read_from_kept_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_array, "_APART", 300)
    monkeypatch.setattr(gzip_array, "_OUT", 128)
    monkeypatch.setattr(gzip_array, "_READ", 64)
    values = voxels("<u2", 3, *SHAPE)
    data = b"xyz" + values.tobytes()
    packed = b"".join(gzip.compress(data[i : i + 1000]) for i in range(0, len(data), 1000))
    lines = PLAIN.replace("raw", "gzip").replace("3\n", "4\n", 1).replace("9 11 7", "9 11 7 3")
    check(open_source(by_hand(tmp_path / "a.nrrd", f"{lines}\nbyte skip: 3", packed), voxel_size=SIZE), values)
    cut = open_source(by_hand(tmp_path / "b.nrrd", f"{lines}\nbyte skip: 3", packed[:-40]), voxel_size=SIZE)
    with pytest.raises(SourceError, match=r"is truncated: its gzip stream ends within section 20 of voxels"):
        cut.read(cut.bounds)
    with pytest.raises(SourceError, match=r"is damaged: its gzip stream cannot be read"):
        open_source(by_hand(tmp_path / "c.nrrd", lines, b"no gzip" * 99), voxel_size=SIZE).read(Box((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("raw", "bzip2"), "in the encoding 'bzip2', which is not read; unu save -f nrrd -e raw"),
        (("raw", "ascii"), "in the encoding 'ascii', which is not read"),
        (("uint16", "block"), "type is 'block', which is not read"),
        (("endian: little", "content: x"), "endian is ''; for voxels of 2 bytes it must say little or big"),
        (("9 11 7", "9 11"), "sizes are '9 11', not 3 numbers from 1 on"),
        (("9 11 7", "9 11 -7"), "sizes are '9 11 -7'"),
        (("9 11 7", "9 11 8"), "is truncated: [8, 11, 9] voxels of uint16 need 1584 bytes"),
        (("dimension: 3\n", ""), "it has no field 'dimension'"),
        (("endian: little", "endian: little\nnonsense"), "has the line 'nonsense' in its NRRD header, which is not a field"),
        (("endian: little", "endian: little\ndata file: other.raw"), "names the data file other.raw, which is not there"),
        (("endian: little", "endian: little\nline skip: -1"), "line skip is -1"),
        (("endian: little", "endian: little\nspacings: a b c"), "spacings is 'a b c', which is not of numbers"),
        (("endian: little", "endian: little\nspace directions: (1,0,0) (0,1,0)"), "there are 2 space directions for 3 axes"),
        (("type: uint16", ""), "it has no field"),
    ],
)
def test_nrrd_that_is_not_understood(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = by_hand(tmp_path / "a.nrrd", PLAIN.replace(*change), voxels("<u2").tobytes())
    with pytest.raises(SourceError, match=re.escape(said)):
        open_source(path, voxel_size=SIZE)


def test_nrrd_of_doubtful_lengths(tmp_path: Path) -> None:
    data = voxels("<u2")
    path = by_hand(tmp_path / "a.nrrd", f"{PLAIN}\nspacings: 6 4 40\naxis mins: 600 80 -120", data.tobytes())
    with pytest.raises(ConfigError, match=r"has voxels of z 40 \(no unit\), .*; set source.voxel_size to"):
        open_source(path)
    check(open_source(path, voxel_size=SIZE), data[None], START)
    turned = 'space dimension: 3\nspace units: "nm" "nm" "nm"\nspace origin: (600,80,-120)\nspace directions: '
    for vectors, said in (
        ("(6,1,0) (0,4,0) (0,0,40)", "turned by its space directions"),
        ("(-6,0,0) (0,4,0) (0,0,40)", "is stored mirrored along x"),
    ):
        source = open_source(by_hand(tmp_path / "a.nrrd", f"{PLAIN}\n{turned}{vectors}", data.tobytes()))
        assert any(said in note for note in source.notes)
        check(source, data[None])
    permuted = f"{PLAIN}\n{turned}(0,0,40) (0,4,0) (6,0,0)"
    source = open_source(by_hand(tmp_path / "a.nrrd", permuted, data.tobytes()))
    assert source.voxel_size == SIZE
    check(source, data.transpose(2, 1, 0)[None], START)
    half = f"{PLAIN}\n{turned}(6,0,0) (0,4,0) (0,0,40)".replace("600", "602")
    source = open_source(by_hand(tmp_path / "a.nrrd", half, data.tobytes()))
    assert source.place == "unclear"


def test_a_detached_header_reads_no_other_files_of_this_machine(tmp_path: Path) -> None:
    values = voxels("<u2")
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "far" / "v.raw").write_bytes(values.tobytes())
    for name in ("../far/v.raw", str(tmp_path / "far/v.raw")):
        path = by_hand(tmp_path / "near" / "a.nhdr", f"{PLAIN}\ndata file: {name}")
        with pytest.raises(SourceError, match=r"outside its folder, .* set source.refers_to: \[.*far.\]"):
            open_source(path, voxel_size=SIZE)
        check(open_source(path, voxel_size=SIZE, options=SourceOptions(refers_to=(str(tmp_path / "far"),))), values[None])


def mrc(path: Path, values: Voxels, start: tuple[int, int, int] = START, **header: Any) -> str:
    with mrcfile.new(path, values, overwrite=True) as file:
        file.voxel_size = tuple(10 * v for v in SIZE[::-1])
        file.nstart = start[::-1]
        for name, value in header.items():
            file.header[name] = value
    return str(path)


@pytest.mark.parametrize("end", "<>")
@pytest.mark.parametrize(("dtype", "mode"), [("i1", 0), ("i2", 1), ("f4", 2), ("u2", 6), ("f2", 12)])
def test_mrc_of_mrcfile(tmp_path: Path, dtype: str, mode: int, end: str) -> None:
    values = voxels(f"{end}{dtype}")
    for name in ("a.mrc", "a.rec", "a.map"):
        path = mrc(tmp_path / name, values)
        assert int(mrcfile.open(path, header_only=True).header.mode) == mode
        source = open_source(path)
        assert (source.kind, source.voxel_size, source.place, len(source.notes)) == ("mrc", SIZE, "named", 1)
        check(source, values[None], START)


def test_mrc_with_axes_extended_header_and_origin(tmp_path: Path) -> None:
    values = voxels("<i2")
    path = mrc(tmp_path / "a.mrc", values, (2, 3, 4), mapc=3, mapr=1, maps=2)  # columns are z, rows x, sections y
    source = open_source(path)
    assert source.voxel_size == SIZE
    np.testing.assert_array_equal(source.read(source.bounds)[0], np.moveaxis(values, (0, 1, 2), (1, 2, 0)))
    assert source.bounds.start == (4, 2, 3)
    mrc(tmp_path / "a.mrc", values, (0, 0, 0))
    with mrcfile.open(path, "r+") as file:
        file.set_extended_header(np.zeros(300, "u1"))
        file.header.origin = tuple(10 * s * n for s, n in zip(SIZE[::-1], START[::-1], strict=True))
    check(open_source(path), values[None], START)
    with mrcfile.open(path, "r+") as file:
        file.nstart = (1, 1, 1)
    source = open_source(path)
    assert any("by its NSTART, which is taken, but its ORIGIN says [-120.0, 80.0, 600.0] nm" in note for note in source.notes)
    check(source, values[None], (1, 1, 1))


def test_bytes_and_origins_of_imod(tmp_path: Path) -> None:
    values = voxels("i1")
    path = Path(mrc(tmp_path / "a.mrc", values, (0, 0, 0)))
    raw = bytearray(path.read_bytes())
    raw[196:208] = struct.pack("<3f", 6000, 800, 1200)
    for flags, dtype in ((1, "int8"), (0, "uint8")):
        raw[152:160] = struct.pack("<2i", 1146047817, flags)
        path.write_bytes(raw)
        source = open_source(str(path))
        assert source.dtype == dtype
        assert any("an origin of IMOD's, [120.0, 80.0, 600.0] nm" in note for note in source.notes)
        check(source, values.view(dtype)[None])
    raw[152:160], raw[196:208], raw[108:112] = bytes(8), bytes(12), bytes(4)
    for (low, high), dtype, said in (
        ((0.0, 255.0), "uint8", "largest value is 255"),
        ((-5.0, 100.0), "int8", ""), ((0.0, -1.0), "int8", "whether its bytes are signed"),
    ):  # fmt: skip
        raw[76:84] = struct.pack("<2f", low, high)
        path.write_bytes(raw)
        source = open_source(str(path))
        assert (source.dtype, " ".join(source.notes).find(said) >= 0) == (dtype, True)
        assert bool(said) == bool(source.notes)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (12, 4, r"is an MRC file of mode 4 \(complex float32\); convert it to one of 0, 1, 2, 6, 12"),
        (12, 101, r"mode 101 \(4 bits\)"),
        (12, 99, "is an MRC file of mode 99; convert"),
        (12, -1, "make no sense in either byte order"),
        (0, -5, "make no sense in either byte order"),
        (0, 10, r"is truncated: \[7, 11, 10\] voxels of int16 need 1540 bytes from byte 1024 on, and it has 1386"),
        (92, -1, "extended header has -1 bytes"),
        (64, 7, r"has MAPC, MAPR, MAPS = \[7, 2, 3\], which must be 1, 2, 3 in some order"),
    ],
)
def test_mrc_that_is_not_understood(tmp_path: Path, at: int, value: int, said: str) -> None:
    path = Path(mrc(tmp_path / "a.mrc", voxels("<i2")))
    raw = bytearray(path.read_bytes())
    raw[at : at + 4] = struct.pack("<i", value)
    path.write_bytes(raw)
    with pytest.raises(SourceError, match=said):
        open_source(str(path))


def test_mrc_without_size_with_more_bytes_or_as_a_stack(tmp_path: Path) -> None:
    path = Path(mrc(tmp_path / "a.mrc", voxels("<i2"), (0, 0, 0), cella=(0, 0, 0)))
    with pytest.raises(ConfigError, match="has no voxel size"):
        open_source(str(path))
    check(open_source(str(path), voxel_size=SIZE), voxels("<i2")[None])
    path.write_bytes(path.read_bytes() + b"more")
    assert "has 4 bytes after its last section" in " ".join(open_source(str(path), voxel_size=SIZE).notes)
    mrc(path, voxels("<i2"), ispg=401, mz=1)
    with pytest.raises(SourceError, match="is a stack of 7 volumes of 1 sections each"):
        open_source(str(path))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SourceError, match="it has 500 bytes and its header alone 1024"):
        open_source(str(path))
    raw = bytearray(Path(mrc(tmp_path / "old.mrc", voxels("<i2"), (0, 0, 0))).read_bytes())
    raw[208:216] = bytes(8)  # older programs wrote neither MAP nor the byte order
    (tmp_path / "old.mrc").write_bytes(raw)
    with pytest.raises(SourceError, match="or say that it is one with mrc:// in front"):
        open_source(str(tmp_path / "old.mrc"))
    check(open_source(f"mrc://{tmp_path / 'old.mrc'}"), voxels("<i2")[None])


def few_bits(path: Path, section: Voxels, bits: int) -> None:
    """Write a TIFF of 2 or 4 bits, by TIFF 6.0."""
    height, width = section.shape
    rows = section.reshape(height, width // (8 // bits), 8 // bits)
    data = sum(rows[..., k].astype("u1") << (8 - bits * (k + 1)) for k in range(8 // bits)).tobytes()  # type: ignore[union-attr]
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4))


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_brightness_in_images_and_ids_in_labels(tmp_path: Path, bits: int) -> None:
    """Pillow shows them from black to white; tifffile gives the samples."""
    values = np.random.default_rng(0).integers(0, 2**bits, (3, 5, 8)).astype("u1")
    (tmp_path / "v").mkdir()
    for i, section in enumerate(values):
        few_bits(tmp_path / "v" / f"{i}.tif", section, bits)
    first = tmp_path / "v" / "0.tif"
    source = open_source(str(tmp_path / "v"), voxel_size=SIZE)
    found = source.read(source.bounds)[0]
    np.testing.assert_array_equal(found[0], np.asarray(Image.open(first)))
    np.testing.assert_array_equal(source.exact().read(source.bounds)[0], values)
    np.testing.assert_array_equal(open_labels(str(tmp_path / "v")).read(source.bounds), values)
    np.testing.assert_array_equal(tifffile.imread(first), values[0])
    single = open_source(str(first), voxel_size=SIZE)
    np.testing.assert_array_equal(single.exact().read(single.bounds)[0, 0], values[0])
