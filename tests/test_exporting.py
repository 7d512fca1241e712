"""Volumes for other programs: each format read back by another library than wrote it, and by our own sources."""

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from connectomake.cli.app import main
from connectomake.errors import ConfigError, SourceError
from connectomake.exporting import FORMATS, Options, export_volume, format_of, levels_of
from connectomake.exporting.copying import COPIES, boxes
from connectomake.geometry import Box
from connectomake.planning.plan import Plan
from connectomake.sources import Source, open_source

SIZE = (40.0, 4.0, 6.0)
START = (3, 20, 100)
OWN = ("hdf5", "zarr2", "zarr3", "ome4", "ome5", "n5", "precomputed")
"""Formats that carry the offset, and that our sources read."""
Voxels = NDArray[Any]


def volume(
    tmp_path: Path, dtype: str = "uint16", channels: int = 1, shape: tuple[int, ...] = (7, 33, 41)
) -> tuple[Source, Voxels]:
    """A source, and its voxels (c, z, y, x); some chunks are all 0."""
    rng = np.random.default_rng(shape[0] * channels)
    high = 1 if dtype == "float32" else np.iinfo(dtype).max
    values = (rng.random((channels, *shape)) * high).astype(dtype)
    if np.dtype(dtype).itemsize == 8:
        values[0, 0, 0, 0] = high  # no float holds it
    values[:, :, :16, :16] = 0
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("v", data=values)
        array.attrs["resolution"] = SIZE
        array.attrs["offset"] = np.multiply(START, SIZE)
    return open_source(str(tmp_path / "a.h5"), "v"), values


def written(tmp_path: Path, form: str, source: Source, box: Box | None = None, **options: Any) -> Path:
    """The destination, written in blocks as small as a bound of 1 MB and odd chunks make them."""
    path = tmp_path / f"out.{form}"
    options = {"chunk": (3, 16, 16)} | options
    export_volume(levels_of([source], box), str(path), FORMATS[form], Options(**options), memory_mb=1)
    return path


def by_another(form: str, path: Path) -> Voxels:
    """The voxels, as read by a library that did not write them or by the format's description."""
    if form == "tiff":
        return np.asarray(tifffile.imread(path))
    if form in ("png", "tiffs"):
        return np.stack([np.asarray(Image.open(p)) for p in sorted(path.iterdir())])
    if form == "hdf5":
        return np.asarray(h5py.File(path)["main"])
    if form in ("zarr2", "zarr3"):
        return np.asarray(zarr.open_array(path, mode="r")[...])
    if form in ("ome4", "ome5"):
        return np.asarray(zarr.open_array(path / "0", mode="r")[...])
    if form == "npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if form == "nrrd":
        return nrrd(path)[0]
    raise AssertionError(form)


def nrrd(path: Path) -> tuple[Voxels, dict[str, str]]:
    head, _, data = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    kind = {"float": "<f4"}.get(fields["type"], fields["type"])
    return np.frombuffer(data, kind).reshape([int(n) for n in fields["sizes"].split()][::-1]), fields


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint64", 1), ("float32", 3), ("int16", 2)])
@pytest.mark.parametrize("form", ["tiff", "hdf5", "zarr2", "zarr3", "ome4", "ome5", "npy", "nrrd"])
def test_another_library_reads_the_same(tmp_path: Path, form: str, dtype: str, channels: int) -> None:
    source, values = volume(tmp_path, dtype, channels)
    box = Box((4, 25, 101), (9, 52, 140))
    found = by_another(form, written(tmp_path, form, source, box))
    want = values[(..., *box.slices(START))]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, want[0] if channels == 1 else want)


@pytest.mark.parametrize("form", OWN)
@pytest.mark.parametrize(("dtype", "channels"), [("uint64", 1), ("uint8", 3)])
def test_our_sources_read_the_same_at_the_same_place(tmp_path: Path, form: str, dtype: str, channels: int) -> None:
    source, values = volume(tmp_path, dtype, channels)
    path = written(tmp_path, form, source)
    kind = form.rstrip("45").replace("ome", "zarr") if form.startswith("ome") else form.removesuffix("2").removesuffix("3")
    found = open_source(f"{kind}://{path}", "main" if form == "hdf5" else None)
    assert (found.bounds, found.voxel_size, found.dtype) == (source.bounds, SIZE, dtype)
    np.testing.assert_array_equal(found.read(found.bounds), values)


@pytest.mark.parametrize("form", ["png", "tiffs"])
def test_sections(tmp_path: Path, form: str) -> None:
    source, values = volume(tmp_path)
    path = written(tmp_path, form, source)
    np.testing.assert_array_equal(by_another(form, path), values[0])
    assert sorted(p.stem for p in path.iterdir())[0] == "00003"  # the section's own z


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "float32"])
def test_mrc_by_its_description(tmp_path: Path, dtype: str) -> None:
    source, values = volume(tmp_path, dtype)
    raw = written(tmp_path, "mrc", source).read_bytes()
    nx, ny, nz, mode, *start = struct.unpack("<7i", raw[:28])
    kind = {0: "<i1", 1: "<i2", 2: "<f4", 6: "<u2"}[mode]
    np.testing.assert_array_equal(np.frombuffer(raw, kind, offset=1024).reshape(nz, ny, nx), values[0])
    assert start == list(START[::-1])
    assert struct.unpack("<3f", raw[40:52]) == pytest.approx(
        [n * s * 10 for n, s in zip((nx, ny, nz), SIZE[::-1], strict=True)]
    )
    assert raw[208:212] == b"MAP "
    assert struct.unpack("<3i", raw[64:76]) == (1, 2, 3)


def test_voxel_size_of_tiff_and_nrrd(tmp_path: Path) -> None:
    source, _ = volume(tmp_path)
    assert open_source(f"tiff://{written(tmp_path, 'tiff', source)}").voxel_size == pytest.approx(SIZE)
    fields = nrrd(written(tmp_path, "nrrd", source))[1]
    assert fields["space directions"] == "(6.0,0,0) (0,4.0,0) (0,0,40.0)"
    assert fields["space origin"] == "(600.0,80.0,120.0)"


def test_ome_has_every_scale(tmp_path: Path) -> None:
    from dataclasses import replace

    source, _ = volume(tmp_path)
    coarse = replace(source, voxel_size=(40.0, 8.0, 12.0), bounds=Box((3, 10, 50), (10, 27, 71)))
    levels = levels_of([source, coarse], Box((3, 21, 103), (6, 30, 120)))
    assert levels[1].box == Box((3, 10, 51), (6, 15, 60))
    export_volume(levels_of([source]), str(tmp_path / "o.ome.zarr"), format_of(None, "o.ome.zarr"), Options())
    said = json.loads((tmp_path / "o.ome.zarr/zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert [a["unit"] for a in said["axes"]] == ["nanometer"] * 3


def test_blocks_stay_within_the_bound(tmp_path: Path) -> None:
    source, _ = volume(tmp_path, shape=(70, 130, 150))
    (level,) = levels_of([source])
    found = list(boxes(level, (8, 32, 32), 1))
    assert max(b.volume for b in found) * level.voxel_bytes * COPIES <= 10**6
    assert sum(b.volume for b in found) == level.box.volume
    assert len(found) > 8
    with pytest.raises(ConfigError, match="needs --memory"):
        list(boxes(level, (70, 130, 150), 1))


@pytest.mark.parametrize(
    ("form", "dtype", "channels", "options", "said"),
    [
        ("mrc", "uint64", 1, {}, "not the uint64"),
        ("png", "uint32", 1, {}, "not the uint32"),
        ("png", "uint8", 2, {}, "choose one with --channel"),
        ("precomputed", "uint8", 1, {"encoding": "jpeg", "labels": True}, "changes values"),
        ("precomputed", "uint8", 1, {"encoding": "jxl"}, "cannot be written with --encoding jxl"),
        ("precomputed", "uint8", 1, {"encoding": "compressed_segmentation"}, "holds uint32 and uint64"),
    ],
)
def test_what_would_be_lost_is_refused(
    tmp_path: Path, form: str, dtype: str, channels: int, options: dict[str, Any], said: str
) -> None:
    source, _ = volume(tmp_path, dtype, channels)
    with pytest.raises(ConfigError, match=said):
        written(tmp_path, form, source, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupted_export_leaves_nothing(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = volume(tmp_path, "uint8", shape=(40, 100, 110))
    seen: list[Box] = []

    def read(self: Source, box: Box) -> Voxels:
        seen.append(box)
        if len(seen) > 1:
            raise SourceError("gone")
        return np.zeros((1, *box.shape), np.uint8)

    monkeypatch.setattr(Source, "read", read)
    with pytest.raises(SourceError, match="gone"):
        written(tmp_path, form, source)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_the_command_converts_refuses_and_replaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, values = volume(tmp_path)
    there = str(tmp_path / "b.zarr")
    call = ["convert", str(tmp_path / "a.h5"), there, "--dataset", "v"]
    for more, code, said in (
        ([], 0, ""), ([], 1, "exists; name another"), (["--overwrite", "--box", "3:5,20:30,100:120"], 0, ""),
        (["--overwrite", "--box", "3:5"], 1, "--box must be"), (["--overwrite", "--box", "0:5,20:30,100:120"], 1, "not within"),
        (["--overwrite", "--format", "xyz"], 1, "there is no --format xyz"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(call + more)
        assert ended.value.code in ({0, None} if code == 0 else {code})
        assert said in capsys.readouterr().err
    np.testing.assert_array_equal(zarr.open_array(there, mode="r")[...], values[0, :2, :10, :20])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.zarr"]


@pytest.mark.parametrize(
    ("dtype", "channels", "encoding"),
    [
        ("uint64", 1, "compressed_segmentation"),
        ("uint8", 1, "png"),
        ("float32", 3, "raw"),
        ("uint32", 1, "raw"),
    ],
)
def test_cloud_volume_reads_precomputed(tmp_path: Path, dtype: str, channels: int, encoding: str) -> None:
    from cloudvolume import CloudVolume

    source, values = volume(tmp_path, dtype, channels)
    path = written(tmp_path, "precomputed", source, encoding=encoding, labels=encoding.startswith("c"), chunk=(8, 16, 16))
    found = CloudVolume(f"precomputed://file://{path}", progress=False, fill_missing=False)
    assert tuple(found.resolution) == SIZE[::-1]
    assert tuple(found.voxel_offset) == START[::-1]
    np.testing.assert_array_equal(np.asarray(found[:]).T, values)


def test_pillow_reads_precomputed_png_of_16_bits(tmp_path: Path) -> None:
    source, values = volume(tmp_path)
    path = written(tmp_path, "precomputed", source, encoding="png", chunk=(8, 16, 16))
    found = np.zeros_like(values[0])
    for file in (path / "6_4_40").iterdir():
        x, y, z = (
            slice(*(int(v) - s for v in part.split("-"))) for part, s in zip(file.name.split("_"), START[::-1], strict=True)
        )
        found[z, y, x] = np.asarray(Image.open(file)).reshape(found[z, y, x].shape)
    np.testing.assert_array_equal(found, values[0])


@pytest.mark.parametrize("dtype", ["uint64", "int16"])
def test_n5_by_its_description(tmp_path: Path, dtype: str) -> None:
    import gzip

    source, values = volume(tmp_path, dtype)
    path = written(tmp_path, "n5", source)
    said = json.loads((path / "attributes.json").read_text())
    assert said["pixelResolution"] == {"dimensions": list(SIZE[::-1]), "unit": "nm"}
    found = np.zeros(said["dimensions"][::-1], said["dataType"])
    for file in (p for p in path.rglob("*") if p.is_file() and p.name != "attributes.json"):
        raw = file.read_bytes()
        _, count, *shape = struct.unpack(">HH3I", raw[:16])
        assert count == 3
        at = [int(i) * n for i, n in zip(file.relative_to(path).parts, said["blockSize"], strict=True)]
        block = np.frombuffer(gzip.decompress(raw[16:]), np.dtype(said["dataType"]).newbyteorder(">")).reshape(shape[::-1])
        x, y, z = at
        part = found[z : z + shape[2], y : y + shape[1], x : x + shape[0]]
        part[...] = block[: part.shape[0], : part.shape[1], : part.shape[2]]
    np.testing.assert_array_equal(found, values[0])


def test_layers_of_a_run(copied_run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    from connectomake.run import open_run

    assert copied_run.layers
    run = open_run("config.yaml")
    layers = [name for name in run.layers if (Path(run.outdir) / name / "info").exists()]
    assert {"affinity", "segmentation"} <= {*layers}
    for name in layers:
        for scale in range(len(run.scales(name))):
            target = f"{name}-{scale}.h5"
            with pytest.raises(SystemExit) as ended:
                main(["export", "config.yaml", name, target, "--scale", str(scale), "--memory", "1", "--chunk", "8", "8", "8"])
            assert not ended.value.code, capsys.readouterr().err
            want = np.asarray(run.array(name, scale).read().result())
            np.testing.assert_array_equal(h5py.File(target)["main"], want if len(want) > 1 else want[0])
    with pytest.raises(SystemExit) as ended:
        main(["export", "config.yaml", "nothing", "x.h5"])
    assert ended.value.code == 1
    assert "the run has no layer 'nothing'; there are:" in capsys.readouterr().err
