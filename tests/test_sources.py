"""Every format gives back the voxels that numpy has, for any box."""

import importlib
import inspect
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tensorstore as ts
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomake.errors import SourceError
from connectomake.geometry import Box, as_vec
from connectomake.layers import LayerSpec, read_block, read_record, write_block
from connectomake.sources import Source, ingest_block, is_url, open_source, resolve_local
from connectomake.sources.formats import FORMATS, Format
from connectomake.storage import kvstore

SIZE = (40.0, 4.0, 8.0)
SHAPE = (13, 11, 9)
Made = tuple[str, dict[str, Any], np.ndarray]


def volume(dtype: str, channels: int = 1, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random((channels, *shape)) > 0.5
    if dtype.startswith("float"):
        return rng.random((channels, *shape)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (channels, *shape), dtype=dtype, endpoint=True)


def make_hdf5(folder: Path, array: np.ndarray) -> Made:
    path = folder / "v.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("g/raw", data=array[0] if len(array) == 1 else array, chunks=True)
    return str(path), {"dataset": "g/raw", "voxel_size": SIZE}, array


def make_tiff(folder: Path, array: np.ndarray, **options: Any) -> Made:
    path = folder / "v.tif"
    data = array[0] if len(array) == 1 else array
    axes = "ZYX" if len(array) == 1 else "CZYX"
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": axes}, **options)
    return str(path), {"voxel_size": SIZE}, array


def make_tiff_compressed(folder: Path, array: np.ndarray) -> Made:
    return make_tiff(folder, array, compression="zlib")


def make_tiff_appended(folder: Path, array: np.ndarray) -> Made:
    for section in array[0]:
        tifffile.imwrite(folder / "v.tif", section, append=True, photometric="minisblack", contiguous=False)
    return str(folder / "v.tif"), {"voxel_size": SIZE}, array[:1]


def make_tiff_big_endian(folder: Path, array: np.ndarray) -> Made:
    return make_tiff(folder, array, byteorder=">")


def make_tiff_folder(folder: Path, array: np.ndarray) -> Made:
    for z, section in enumerate(array[0]):
        tifffile.imwrite(folder / f"s{z}.tif", section, photometric="minisblack")
    return str(folder), {"voxel_size": SIZE}, array[:1]


def make_png(folder: Path, array: np.ndarray) -> Made:
    for z, section in enumerate(array[0]):
        (folder / f"s{z}.png").write_bytes(imagecodecs.png_encode(section))
    return str(folder), {"voxel_size": SIZE}, array[:1]


def _store(folder: Path, driver: str, data: np.ndarray, **metadata: Any) -> None:
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    if metadata:
        spec["metadata"] = metadata
    ts.open(spec, create=True, dtype=data.dtype.name, shape=data.shape).result().write(data).result()


def make_zarr(folder: Path, array: np.ndarray, driver: str = "zarr") -> Made:
    _store(folder / "v.zarr/raw", driver, array[0] if len(array) == 1 else array)
    return str(folder / "v.zarr"), {"dataset": "raw", "voxel_size": SIZE}, array


def make_zarr3(folder: Path, array: np.ndarray) -> Made:
    return make_zarr(folder, array, "zarr3")


def make_n5(folder: Path, array: np.ndarray) -> Made:
    data = (array[0] if len(array) == 1 else array).T
    block = [4, 5, 6, 1][: data.ndim]
    _store(
        folder / "v.n5/a/raw", "n5", np.ascontiguousarray(data), dimensions=list(data.shape), blockSize=block,
        dataType=array.dtype.name, compression={"type": "gzip"},
    )  # fmt: skip
    attributes = folder / "v.n5/a/raw/attributes.json"
    attributes.write_text(json.dumps(json.loads(attributes.read_text()) | {"resolution": [*SIZE[::-1], 1][: data.ndim]}))
    return str(folder / "v.n5"), {"dataset": "a/raw"}, array


def make_precomputed(folder: Path, array: np.ndarray, start: tuple[int, int, int] = (-5, 7, -11), sharded: bool = True) -> Made:
    spec = LayerSpec("image", array.dtype.name, len(array), Box.of_shape(array.shape[1:], start), (8,) * 3, (4,) * 3, SIZE)
    info = spec.info()
    if not sharded:
        del info["scales"][0]["sharding"]
    (folder / "info").write_text(json.dumps(info))
    if sharded:
        for block in spec.grid.ids:
            part = array[(slice(None), *spec.grid.box(block).slices(start))]
            write_block(folder / spec.shard_name(block), spec, block, part)
    else:
        store = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": f"{folder}/"}}
        ts.open(store).result().write(np.ascontiguousarray(array.T)).result()
    return f"file://{folder}", {}, array


def make_precomputed_unsharded(folder: Path, array: np.ndarray) -> Made:
    return make_precomputed(folder, array, sharded=False)


MAKERS: dict[str, tuple[Callable[[Path, np.ndarray], Made], tuple[str, ...], str]] = {
    "hdf5": (make_hdf5, ("uint8", "int16", "float32", "uint64", "int64", "bool", "float64"), "hdf5"),
    "tiff": (make_tiff, ("uint8", "uint16", "float32", "int8"), "tiff"),
    "tiff compressed": (make_tiff_compressed, ("uint8", "uint32"), "tiff"),
    "tiff appended": (make_tiff_appended, ("uint16",), "tiff"),
    "tiff big-endian": (make_tiff_big_endian, ("uint16", "float32"), "tiff"),
    "tiff folder": (make_tiff_folder, ("uint8", "uint16"), "tiff"),
    "png": (make_png, ("uint8", "uint16"), "png"),
    "zarr": (make_zarr, ("uint8", "float32", "bool", "uint64", "int64"), "zarr"),
    "zarr3": (make_zarr3, ("uint16", "float64", "int16"), "zarr"),
    "n5": (make_n5, ("uint8", "float32", "uint64"), "n5"),
    "precomputed": (make_precomputed, ("uint8", "uint16", "float32", "uint64"), "precomputed"),
    "precomputed unsharded": (make_precomputed_unsharded, ("uint8", "int16"), "precomputed"),
}
CASES = [(name, dtype, channels) for name, (_, dtypes, _) in MAKERS.items() for dtype in dtypes for channels in (1, 3)]


@pytest.mark.parametrize(("name", "dtype", "channels"), CASES)
def test_round_trip(tmp_path: Path, name: str, dtype: str, channels: int) -> None:
    make, _, kind = MAKERS[name]
    path, options, array = make(tmp_path, volume(dtype, channels))
    source = open_source(path, **options)
    expected = array.astype("uint8") * 255 if dtype == "bool" else array.astype("float32") if dtype == "float64" else array
    start = (-5, 7, -11) if kind == "precomputed" else (0, 0, 0)
    assert (source.kind, source.channels, source.dtype) == (kind, len(array), expected.dtype.name)
    assert source.bounds == Box.of_shape(SHAPE, start)
    assert source.voxel_size == SIZE
    check_boxes(source, expected)


def check_boxes(source: Source, expected: np.ndarray) -> None:
    @settings(max_examples=15)
    @given(st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SHAPE)))
    def check(ranges: tuple[tuple[int, int], ...]) -> None:
        local = Box(as_vec([a for a, _ in ranges]), as_vec([min(a + n, s) for (a, n), s in zip(ranges, SHAPE, strict=True)]))
        found = source.read(local.translate(source.bounds.start))
        assert found.flags.c_contiguous
        assert found.dtype == source.dtype
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected[(slice(None), *local.slices())])

    check()
    np.testing.assert_array_equal(source.read(source.bounds), expected)


@pytest.mark.parametrize("name", MAKERS)
def test_identity(tmp_path: Path, name: str) -> None:
    """The fingerprint follows the content, not path or time; another image of the same form has another.

    The second is a copy: TensorStore's gzip may pack the same chunk into other bytes when it is written again.
    """
    make, dtypes, _ = MAKERS[name]
    one, copy, other = (tmp_path / name for name in ("one", "copy", "other"))
    one.mkdir()
    path, options, _ = make(one, volume(dtypes[0], seed=0))
    shutil.copytree(one, copy, copy_function=shutil.copyfile)
    other.mkdir()
    different, _, _ = make(other, volume(dtypes[0], seed=1))
    identity = open_source(path, **options).identity
    assert open_source(path.replace(str(one), str(copy)), **options).identity == identity
    assert open_source(different, **options).identity != identity


def test_explicit_voxel_size_wins(tmp_path: Path) -> None:
    path, options, _ = make_n5(tmp_path, volume("uint8"))
    assert open_source(path, **options).voxel_size == SIZE
    assert open_source(path, **options, voxel_size=(1, 2, 3)).voxel_size == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("resolution_nm", [30, 5, 6], (30, 5, 6)), ("voxel_size", (1.5, 2, 2), (1.5, 2, 2)),
    ("resolution", [8, 8, 8], (8, 8, 8)), ("element_size_um", [0.05, 0.01, 0.01], (50, 10, 10)),
])  # fmt: skip
def test_hdf5_voxel_size(tmp_path: Path, name: str, value: object, expected: tuple[float, ...]) -> None:
    path, _, _ = make_hdf5(tmp_path, volume("uint8"))
    with h5py.File(path, "r+") as f:
        f["g/raw"].attrs[name] = value
    assert open_source(path, "g/raw").voxel_size == expected


def test_precomputed_scales(tmp_path: Path) -> None:
    path, _, array = make_precomputed(tmp_path, volume("uint8"), sharded=False)
    info = json.loads((tmp_path / "info").read_text())
    coarse = info["scales"][0] | {"key": "coarse", "size": [3, 4, 5], "resolution": [16, 8, 80], "voxel_offset": [-1, 2, 3]}
    info["scales"].append(coarse)
    (tmp_path / "info").write_text(json.dumps(info))
    for scale in (1, "coarse"):
        source = open_source(path, scale=scale)
        assert source.voxel_size == (80, 8, 16)
        assert source.bounds == Box((3, 2, -1), (8, 6, 2))
    assert open_source(path, scale=0).identity != source.identity
    np.testing.assert_array_equal(open_source(path, scale="8_4_40").read(Box.of_shape(SHAPE, (-5, 7, -11))), array)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["tczyx", "zyx", "czyx", "xyz"])
def test_ome_zarr(tmp_path: Path, version: int, axes: str) -> None:
    array = volume("uint8", 2)
    zyxc = {"c": 0, "z": 1, "y": 2, "x": 3}
    data = (array if "c" in axes else array[:1]).transpose([zyxc[a] for a in ("c" + axes.replace("c", "").replace("t", ""))])
    data = data if "c" in axes else data[0]
    data = data[None] if "t" in axes else data
    _store(tmp_path / "s0", "zarr" if version == 2 else "zarr3", np.ascontiguousarray(data))
    named = [{"name": a, "type": {"t": "time", "c": "channel"}.get(a, "space")} for a in axes]
    named = [a | ({"unit": "micrometer"} if a["type"] == "space" else {}) for a in named]
    size = {"t": 1, "c": 1, "z": 0.04, "y": 0.004, "x": 0.008}
    scales = [{"type": "scale", "scale": [size[a] for a in axes]}]
    multiscales = [{"axes": named, "datasets": [{"path": "s0", "coordinateTransformations": scales}]}]
    if version == 2:
        (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
        (tmp_path / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    else:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": multiscales}}}
        (tmp_path / "zarr.json").write_text(json.dumps(group))
    for options in ({}, {"scale": 0}, {"scale": "s0"}, {"dataset": "s0"}):
        source = open_source(str(tmp_path), **options)
        assert (source.kind, source.voxel_size, source.bounds.shape) == ("zarr", SIZE, SHAPE)
        np.testing.assert_array_equal(source.read(source.bounds), array if "c" in axes else array[:1])


@settings(max_examples=10)
@given(st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(5, 9)] * 3), st.sampled_from(["uint8", "float32"]))
def test_ingest(tmp_path_factory: pytest.TempPathFactory, start: tuple[Any, ...], shape: tuple[Any, ...], dtype: str) -> None:
    folder = tmp_path_factory.mktemp("ingest")
    path, options, array = make_hdf5(folder, volume(dtype, 2))
    roi = Box.of_shape(shape, start).intersect(Box.of_shape(SHAPE))
    spec = LayerSpec("image", dtype, 2, roi, (4, 8, 8), (2, 4, 4), SIZE)
    source = open_source(path, **options)
    for block in spec.grid.ids:
        shard = folder / spec.shard_name(block)
        ingest_block(source, spec, block, shard, {"stage": "image"})
        np.testing.assert_array_equal(read_block(shard, spec, block), array[(slice(None), *spec.grid.box(block).slices())])
        assert read_record(shard) == {"stage": "image"}


def test_sections_only_as_needed(tmp_path: Path) -> None:
    """A damaged section is met only by the boxes that need it."""
    path, options, array = make_png(tmp_path, volume("uint8"))
    source = open_source(path, **options)
    (tmp_path / "s12.png").unlink()
    np.testing.assert_array_equal(source.read(Box((0, 0, 0), (12, 11, 9))), array[:, :12])


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    values = {"AWS_ENDPOINT_URL": f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}", "AWS_ACCESS_KEY_ID": "a",
              "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    kvstore._s3_options.cache_clear()
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    kvstore._s3_options.cache_clear()
    server.stop()


def test_s3(bucket: object, tmp_path: Path) -> None:
    """Precomputed, Zarr and N5 in a bucket behind AWS_ENDPOINT_URL."""
    for make, name in ((make_precomputed, "p"), (make_zarr, "v.zarr"), (make_n5, "v.n5")):
        folder = tmp_path / name[-1]
        folder.mkdir()
        _, options, array = make(folder, volume("uint8", 2))
        root = folder if name == "p" else folder / name
        for file in root.rglob("*"):
            if file.is_file():
                bucket.upload_file(str(file), "bucket", f"{name}/{file.relative_to(root)}")  # type: ignore[attr-defined]
        source = open_source(f"s3://bucket/{name}", **options)
        np.testing.assert_array_equal(source.read(source.bounds), array)
    with pytest.raises(SourceError, match="no info file"):
        open_source("s3://bucket/nothing")


@pytest.mark.parametrize(("path", "url"), [
    ("s3://b/k", True), ("gs://b/k", True), ("https://h/k", True), ("http://h/k", True), ("precomputed://gs://b/k", True),
    ("zarr://s3://b/k", True), ("file:///a/b", False), ("/a/b", False), ("a/b.h5", False), ("zarr:///a", False),
])  # fmt: skip
def test_is_url(path: str, url: bool) -> None:
    assert is_url(path) is url
    if url:
        assert resolve_local(path, "/base") == path


def test_resolve_local() -> None:
    assert resolve_local("a/b.h5", "/base") == "/base/a/b.h5"
    assert resolve_local("/a/b.h5", "/base") == "/a/b.h5"
    assert resolve_local("file:///a/b%20c", "/base") == "/a/b c"
    assert resolve_local("zarr://a.zarr", "/base") == "zarr:///base/a.zarr"


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_each_format_has_what_opens_it(form: Format) -> None:
    opener = getattr(importlib.import_module(f"connectomake.sources.{form.module}"), f"open_{form.name}")
    keys = [key for key, has in (("dataset", form.dataset), ("scale", form.scale)) if has]
    inspect.signature(opener).bind("place", **dict.fromkeys(keys), voxel_size=None, options=None)
