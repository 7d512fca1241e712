"""Bad sources: each failure is one sentence that names the value and the way out."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from connectomake.errors import ConfigError, ConnectomakeError, SourceError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec
from connectomake.sources import SourceOptions, ingest_block, open_source, tensor
from connectomake.storage import kvstore

SIZE = (8.0, 8.0, 8.0)
VOLUME: np.ndarray = np.random.default_rng(0).integers(0, 255, (6, 20, 20), dtype=np.uint8)
COLOURED = np.stack([VOLUME, VOLUME, VOLUME ^ 1], -1)
Case = tuple[str, dict[str, Any]]


def h5(folder: Path, **options: Any) -> str:
    path = folder / "v.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("raw", data=VOLUME)
        f.create_dataset("flat", data=VOLUME[0])
        f.create_dataset("empty", shape=(0, 3, 3), dtype="u1")
        f.create_dataset("complex", data=VOLUME.astype(complex))
        f.create_dataset("text", data=[b"a"])
    return str(path)


def cut(path: str, keep: float) -> str:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * keep)])
    return path


def png(folder: Path) -> str:
    for z, section in enumerate(VOLUME):
        (folder / f"{z}.png").write_bytes(imagecodecs.png_encode(section))
    return str(folder)


def tif(folder: Path, array: np.ndarray = VOLUME, **options: Any) -> str:
    tifffile.imwrite(folder / "v.tif", array, **({"photometric": "minisblack"} | options))
    return str(folder / "v.tif")


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def replaced(folder: Path, save: Callable[[Path], None] | Callable[[Path], int]) -> str:
    png(folder)
    save(folder / "3.png")
    return str(folder)


def precomputed(folder: Path, **changes: Any) -> str:
    spec = LayerSpec("image", "uint8", 1, Box.of_shape((6, 20, 20)), (8, 8, 8), (4, 4, 4), SIZE)
    write(folder / "info", json.dumps(spec.info() | changes))
    return str(folder)


def n5(folder: Path, **changes: Any) -> str:
    metadata = {"dimensions": [4, 5, 6], "blockSize": [2, 2, 2], "dataType": "uint8", "compression": {"type": "raw"}}
    write(folder / "v.n5/raw/attributes.json", json.dumps(metadata | changes))
    return str(folder / "v.n5")


def zarr(folder: Path, **changes: Any) -> str:
    metadata = {"zarr_format": 2, "shape": [4, 5, 6], "chunks": [2, 2, 2], "dtype": "|u1", "compressor": None,
                "fill_value": 0, "order": "C", "filters": None}  # fmt: skip
    write(folder / "v.zarr/.zgroup", '{"zarr_format": 2}')
    write(folder / "v.zarr/g/raw/.zarray", json.dumps(metadata | changes))
    return str(folder / "v.zarr")


def rgb(path: Path) -> None:
    Image.fromarray(np.arange(1200, dtype=np.uint32).astype(np.uint8).reshape(20, 20, 3)).save(path)


V: dict[str, Any] = {"voxel_size": SIZE}
R: dict[str, Any] = {"dataset": "raw", **V}
OPENING: dict[str, tuple[Callable[[Path], Case], type[ConnectomakeError], str]] = {
    "empty path": (lambda d: ("", V), ConfigError, "source.path is empty"),
    "missing path": (lambda d: (str(d / "nope.h5"), V), SourceError, "nope.h5 does not exist"),
    "missing folder": (lambda d: (f"file://{d}/nope", V), SourceError, "nope does not exist"),
    "unknown scheme": (lambda d: ("ftp://host/x", V), ConfigError, "unknown scheme ftp"),
    "unknown file": (lambda d: (write(d / "a.txt", "hello"), V), SourceError, "an unknown format"),
    "empty file": (lambda d: (write(d / "a.h5", ""), V), SourceError, "is empty"),
    "wrongly named": (lambda d: (write(d / "a.h5", "hello world"), V), SourceError, "named like hdf5"),
    "the info file": (lambda d: (precomputed(d) + "/info", V), SourceError, "name the folder"),
    "empty folder": (lambda d: (str(d), V), SourceError, "an unknown format"),
    "mixed folder": (lambda d: (str(Path(tif(d)).parent) + png(d)[:0], V), SourceError, "both TIFF and PNG"),
    "spare dataset": (lambda d: (png(d), R), ConfigError, "does not apply to"),
    "spare scale": (lambda d: (h5(d), {**R, "scale": 1}), ConfigError, "does not apply to"),
    "hdf5 dataset absent": (lambda d: (h5(d), V), ConfigError, r"holds .*raw \(6, 20, 20\) uint8"),
    "hdf5 dataset missing": (lambda d: (h5(d), {**V, "dataset": "image"}), ConfigError, "image is not in .* holds .*raw"),
    "hdf5 flat": (lambda d: (h5(d), {**V, "dataset": "flat"}), SourceError, "2 dimensions"),
    "hdf5 empty": (lambda d: (h5(d), {**V, "dataset": "empty"}), SourceError, "is empty"),
    "hdf5 complex": (lambda d: (h5(d), {**V, "dataset": "complex"}), SourceError, "complex128"),
    "hdf5 truncated": (lambda d: (cut(h5(d), 0.5), R), SourceError, "truncated"),
    "hdf5 stump": (lambda d: (cut(h5(d), 0.003), R), SourceError, "truncated"),
    "voxel size absent": (lambda d: (h5(d), {"dataset": "raw"}), ConfigError, "source.voxel_size"),
    "voxel size zero": (lambda d: (h5(d), {**R, "voxel_size": (8, 0, 8)}), ConfigError, "three positive numbers"),
    "voxel size nan": (lambda d: (h5(d), {**R, "voxel_size": (8, float("nan"), 8)}), ConfigError, "three positive numbers"),
    "voxel size short": (lambda d: (h5(d), {**R, "voxel_size": (8, 8)}), ConfigError, "three positive numbers"),
    "voxel size text": (lambda d: (h5(d), {**R, "voxel_size": "big"}), ConfigError, "three positive numbers"),
    "png voxel size": (lambda d: (png(d), {}), ConfigError, "source.voxel_size"),
    "png stump": (lambda d: (replaced(d, lambda p: p.write_bytes(p.read_bytes()[:20])), V), SourceError, "3.png"),
    "png colour": (lambda d: (replaced(d, rgb), V), SourceError, "3.png has a colour at .0, 0."),
    "png dtype": (lambda d: (replaced(d, lambda p: p.write_bytes(imagecodecs.png_encode(np.zeros((20, 20), "u2")))), V),
                  SourceError, "3.png is .*uint16"),
    "png shape": (lambda d: (replaced(d, lambda p: p.write_bytes(imagecodecs.png_encode(np.zeros((20, 21), "u1")))), V),
                  SourceError, r"3.png is \(20, 21\)"),
    "tiff truncated": (lambda d: (cut(tif(d), 0.5), V), SourceError, "truncated"),
    "tiff stump": (lambda d: (cut(tif(d), 0.02), V), SourceError, "truncated"),
    "tiff colour": (lambda d: (tif(d, COLOURED, photometric="rgb"), V), SourceError, "colour"),
    "tiff five axes": (lambda d: (tif(d, np.zeros((2, 3, 4, 20, 20), "u1")), V), SourceError, "axes"),
    "tiff folder of stacks": (lambda d: (str(Path(tif(d)).parent), V), SourceError, "one grey section"),
    "precomputed garbled": (lambda d: (write(d / "info", "{")[:-5], V), SourceError, "not JSON"),
    "precomputed lacking": (lambda d: (write(d / "info", '{"@type": "x"}')[:-5], V), SourceError, "scales"),
    "precomputed no scales": (lambda d: (precomputed(d, scales=[]), V), SourceError, "info"),
    "precomputed scale index": (lambda d: (precomputed(d), {"scale": 3}), ConfigError, "scales are 0: 8_8_8"),
    "precomputed scale negative": (lambda d: (precomputed(d), {"scale": -1}), ConfigError, "scales are 0: 8_8_8"),
    "precomputed scale key": (lambda d: (precomputed(d), {"scale": "4_4_4"}), ConfigError, "4_4_4 is not in"),
    "precomputed without voxel size": (
        lambda d: (precomputed(d, scales=[{"key": "a", "size": [4, 4, 4], "chunk_sizes": [[4, 4, 4]], "encoding": "raw"}]), V),
        SourceError, "scale a of .* has no voxel size .*; write .* into its info file",
    ),
    "precomputed voxel size of two": (
        lambda d: (precomputed(d, scales=[{"key": "a", "size": [4, 4, 4], "resolution": [4, 4]}]), V), SourceError,
        r"has no voxel size \(resolution: \[4, 4\]\)",
    ),
    "precomputed dtype": (lambda d: (precomputed(d, data_type="complex64"), V), SourceError, "complex64"),
    "zarr dataset absent": (lambda d: (zarr(d), V), ConfigError, "holds g/raw"),
    "zarr dataset missing": (lambda d: (zarr(d), R), ConfigError, "raw is not in .* holds g/raw"),
    "zarr group": (lambda d: (zarr(d), {**V, "dataset": "g"}), ConfigError, "g"),
    "zarr voxel size": (lambda d: (zarr(d), {"dataset": "g/raw"}), ConfigError, "source.voxel_size"),
    "zarr dimensions": (lambda d: (zarr(d, shape=[4] * 5, chunks=[2] * 5), {**V, "dataset": "g/raw"}), SourceError, "5 dim"),
    "zarr dtype": (lambda d: (zarr(d, dtype="<c8", fill_value=None), {**V, "dataset": "g/raw"}), SourceError, "complex64"),
    "zarr codec": (lambda d: (zarr(d, compressor={"id": "magic"}), {**V, "dataset": "g/raw"}), SourceError,
                   "packed with magic, .* rewrite it"),
    "n5 dataset absent": (lambda d: (n5(d), V), ConfigError, "holds raw"),
    "n5 dataset missing": (lambda d: (n5(d), {**V, "dataset": "x"}), ConfigError, "x is not in .* holds raw"),
    "n5 dimensions": (lambda d: (n5(d, dimensions=[4, 5], blockSize=[2, 2]), R), SourceError, "2 dimensions"),
    "n5 dtype": (lambda d: (n5(d, dataType="complex64"), R), SourceError, "complex64"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPENING)
def test_opening(tmp_path: Path, name: str) -> None:
    make, kind, pattern = OPENING[name]
    path, options = make(tmp_path)
    with pytest.raises(kind, match=pattern) as caught:
        open_source(path, **options)
    one_sentence(caught.value)


def one_sentence(error: BaseException) -> None:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    assert "Traceback" not in text


def damaged_png(folder: Path) -> Case:
    return replaced(folder, lambda p: p.write_bytes(p.read_bytes()[:200])), V


def late_png(folder: Path) -> Case:
    return png(folder), V


def damaged_tiff(folder: Path) -> Case:
    return cut(tif(folder, compression="zlib", metadata=None), 1), V


READING: dict[str, tuple[Callable[[Path], Case], Callable[[Path], object], str]] = {
    "outside": (late_png, lambda d: None, "not within"),
    "png truncated": (damaged_png, lambda d: None, "3.png .*truncated"),
    "png changed": (late_png, lambda d: (d / "4.png").write_bytes(imagecodecs.png_encode(np.zeros((9, 9), "u1"))), "4.png"),
    "png lost": (late_png, lambda d: (d / "4.png").unlink(), "4.png"),
    "precomputed truncated": (lambda d: (precomputed(d), {}), lambda d: write(d / "8_8_8/0.shard", "abc"), "cannot be read"),
    "zarr truncated": (lambda d: (zarr(d, shape=[2, 2, 2]), {**V, "dataset": "g/raw"}),
                       lambda d: write(d / "v.zarr/g/raw/0.0.0", "abc"), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", READING)
def test_reading(tmp_path: Path, name: str) -> None:
    make, spoil, pattern = READING[name]
    path, options = make(tmp_path)
    source = open_source(path, **options)
    spoil(tmp_path)
    box = source.bounds.translate((0, 0, 1)) if name == "outside" else source.bounds
    with pytest.raises(SourceError, match=pattern) as caught:
        source.read(box)
    one_sentence(caught.value)


def test_ingest_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path, options = damaged_png(tmp_path / "in")
    source = open_source(path, **options)
    spec = LayerSpec("image", "uint8", 1, source.bounds, (8, 32, 32), (2, 8, 8), SIZE)
    with pytest.raises(SourceError, match=r"3\.png"):
        ingest_block(source, spec, 0, tmp_path / "out/0.shard", {})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("change", "pattern"), [
    ({"dtype": "uint16"}, "planned with 1 of uint16"), ({"channels": 2}, "planned with 2"),
    ({"roi": Box((0, 0, 0), (7, 20, 20))}, "region of interest"),
])  # fmt: skip
def test_ingest_fit(tmp_path: Path, change: dict[str, Any], pattern: str) -> None:
    (tmp_path / "in").mkdir()
    source = open_source(png(tmp_path / "in"), **V)
    values: dict[str, Any] = {
        "name": "image",
        "dtype": "uint8",
        "channels": 1,
        "roi": source.bounds,
        "block": (8, 8, 8),
        "chunk": (4, 4, 4),
    }
    spec = LayerSpec(**(values | change), voxel_size=SIZE)
    with pytest.raises(SourceError, match=pattern):
        ingest_block(source, spec, 0, tmp_path / "0.shard", {})
    assert not (tmp_path / "0.shard").exists()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_no_answer(silent_server: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that cannot be reached is an error after a while, not a hang."""
    monkeypatch.setattr(tensor, "OPEN_SECONDS", 1.0)
    for key, value in {"AWS_ENDPOINT_URL": f"http://{silent_server}", "AWS_ACCESS_KEY_ID": "a"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    kvstore._s3_options.cache_clear()
    began = time.monotonic()
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        open_source(f"{scheme}://{silent_server}/x" if scheme == "http" else "s3://bucket/x")
    kvstore._s3_options.cache_clear()
    one_sentence(caught.value)
    assert time.monotonic() - began < 5


def test_refused(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor, "OPEN_SECONDS", 3.0)
    with pytest.raises(SourceError, match="cannot be reached"):
        open_source("http://127.0.0.1:1/x")


def test_http(tmp_path: Path) -> None:
    """A precomputed layer on a web server is read; a place without info is named."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    precomputed(tmp_path / "layer")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        source = open_source(f"{base}/layer", options=SourceOptions(missing="fill"))
        assert source.bounds.shape == (6, 20, 20)
        assert not source.read(source.bounds).any()
        with pytest.raises(SourceError, match="is not there"):
            open_source(f"{base}/layer").read(source.bounds)
        with pytest.raises(SourceError, match="no info file"):
            open_source(f"{base}/other")
    finally:
        server.shutdown()
        server.server_close()
