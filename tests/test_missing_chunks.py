"""A storage chunk that is not there is told before a run, stops it, or is filled and counted, whatever the blocks."""

import copy
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
import zarr
from typer.testing import CliRunner

from connectomake.cli.app import app
from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.layers import read_box, read_record
from connectomake.pipeline.targets import Targets
from connectomake.sources import SourceOptions, open_source
from connectomake.sources.labels import open_labels
from connectomake.sources.reasons import reason, way_out
from connectomake.storage import kvstore
from tests import chunk_writers
from tests.s3_server import S3Server
from tests.test_peer_files import IMAGE, LABELS, cloudvolume, cloudvolume_shards, h5py_virtual, without, zarr_python
from tests.tiny_run import CONFIG, SHAPE, make_run, write_inputs

LOST = Box((8, 8, 16), (16, 16, 24))
FILL = SourceOptions(missing="fill")


def told(result: Any) -> str:
    return " ".join(f"{result.output} {result.exception or ''}".split())


def lose_a_chunk(folder: Path) -> None:
    """Write the image of the tiny run anew, without the chunk `LOST`."""
    with h5py.File(folder / "raw.h5", "r+") as file:
        image = file["raw"][...]
        del file["raw"]
        made = file.create_dataset("raw", SHAPE, "u1", chunks=(8, 8, 8))
        for z, y, x in np.ndindex(3, 3, 5):
            box = Box.of_shape((8, 8, 8), (8 * z, 8 * y, 8 * x)).intersect(Box.of_shape(SHAPE))
            if box != LOST:
                made[box.slices()] = image[box.slices()]


@pytest.mark.parametrize("block", [[16, 16, 16], pytest.param([8, 8, 16], marks=pytest.mark.slow)])
def test_a_run_fills_and_counts_what_the_source_lacks(
    block: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(CONFIG) | {"block": block, "chunk": [8, 8, 8] if block[0] == 16 else [4, 4, 8]}
    config["source"]["missing"] = "fill"
    config["meshes"] = {"enabled": False}
    config["evaluation"] = None
    write_inputs(tmp_path, config)
    lose_a_chunk(tmp_path)
    plan = make_run(config)
    shards = [Targets(plan).shard("image", b) for b in plan.layers["image"].grid.ids]
    counted = [read_record(shard).get("filled", {}).get("voxels", 0) for shard in shards]
    assert sum(counted) == LOST.volume
    assert not read_box(Path("out/image"), plan.layers["image"], LOST).any()
    summary = CliRunner().invoke(app, ["summary", "config.yaml"])
    assert f"{LOST.volume} voxels in {sum(map(bool, counted))} block" in told(summary).replace(",", "")
    for shard in shards:  # as a temporary layer, of which the logs stay
        Path(shard).unlink()
    log = Path("out/logs/image", f"{Path(shards[0]).stem}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("filled: 77 voxels of this block, in 2 storage chunks that raw.h5 lacks\n")
    assert "77 voxels in 1 block" in told(CliRunner().invoke(app, ["summary", "config.yaml"]))


def test_a_run_stops_at_a_chunk_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    lose_a_chunk(tmp_path)
    with pytest.raises(SystemExit):
        make_run()


CHECKED: dict[str, tuple[Callable[..., str], dict[str, Any], str]] = {
    "precomputed": (without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz"), {}, "1 of the 18 … 4.0_4.0_40.0/0-16_0-16_0-16"),
    "shards": (without(cloudvolume_shards, "layer/4*/1.shard"), {}, "6 of the 18 … chunk 16 in … 1.shard"),
    "zarr": (without(zarr_python, "a.zarr/raw/0.0.0"), {"dataset": "raw"}, "1 of the 27 … a.zarr/raw/0.0.0"),
    "zarr 3": (
        lambda folder, array: without(zarr_python, "a.zarr/raw/c/0/0/0")(folder, array, zarr_format=3),
        {"dataset": "raw"}, "1 of the 27 … a.zarr/raw/c/0/0/0",
    ),
    "zarr shards": (
        lambda folder, array: without(zarr_python, "a.zarr/raw/c/0/0/0")(folder, array, zarr_format=3, shards=(8, 32, 32)),
        {"dataset": "raw"}, "4 of the 27 … chunk 0, 0, 0 of",
    ),
    "virtual": (without(h5py_virtual, "part2.h5"), {"dataset": "raw"}, "1 of the 4 … part2.h5 is lost"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_check_says_how_much_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer, keys, expected = CHECKED[name]
    path = writer(tmp_path, IMAGE)
    base = {"outdir": "out", "block": [16, 32, 32], "chunk": [8, 16, 16], "meshes": {"enabled": False}}
    source = {"path": path, "voxel_size": [40, 4, 4], **keys}
    Path("error.yaml").write_text(yaml.safe_dump(base | {"source": source}))
    Path("fill.yaml").write_text(yaml.safe_dump(base | {"source": source | {"missing": "fill"}}))
    stopped = CliRunner().invoke(app, ["check", "error.yaml"])
    assert isinstance(stopped.exception, SourceError)
    filled = CliRunner().invoke(app, ["check", "fill.yaml"])
    assert filled.exit_code == 0, filled.output
    for part in (*expected.split(" … "), "not there"):
        assert part in told(stopped), told(stopped)
        assert part in told(filled), told(filled)
    assert "or set source.missing: fill" in told(stopped)


def test_evaluate_names_its_own_options(tmp_path: Path) -> None:
    writer = without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz")
    path = str(tmp_path / writer(tmp_path, LABELS))
    stopped = CliRunner().invoke(app, ["evaluate", path, path])
    assert "--missing-gt fill" in told(stopped)
    stopped = CliRunner().invoke(app, ["evaluate", path, path, "--missing-gt", "fill"])
    assert "--missing-seg fill" in told(stopped)
    done = CliRunner().invoke(app, ["evaluate", path, path, "--missing-gt", "fill", "--missing-seg", "fill"])
    assert done.exit_code == 0
    assert "4,096 voxels of the ground truth" in told(done)
    assert "must be error or fill" in told(CliRunner().invoke(app, ["evaluate", path, path, "--missing-gt", "zero"]))


def test_labels_count_what_was_filled_at_their_place(tmp_path: Path) -> None:
    path = str(tmp_path / without(cloudvolume, "layer/4*/0-16_0-16_0-16.gz")(tmp_path, LABELS))
    labels = open_labels(path, offset=(100, 0, -5), options=FILL)
    assert not labels.read(Box((100, 0, -5), (116, 16, 11))).any()
    assert labels.filled(labels.bounds) == (1, 4096)
    assert labels.filled(Box((104, 0, -5), (108, 2, -4))) == (1, 8)


class _Server(http.server.ThreadingHTTPServer):
    """Serve a folder; counts what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[_Server]:
    server = _Server(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


def test_a_web_server_cannot_be_listed_so_a_sample_is_looked_at(served: _Server, tmp_path: Path) -> None:
    path = cloudvolume(tmp_path, np.tile(IMAGE, (2, 2, 2)), compress=False)
    gone = sorted(tmp_path.glob(f"{path}/4*/*_0-16_0-16"))
    for file in gone:
        file.unlink()
    source = open_source(f"{served.url}/{path}")
    assert source.chunks is not None
    found = source.chunks.absent(source.bounds)
    assert (found.total, found.looked) == (90, 64)
    assert 0 < found.absent <= len(gone)
    with pytest.raises(SourceError, match=r"0-16_0-16_0-16\): copy it again; .* set source.missing: fill"):
        source.read(Box((0, 0, 0), (1, 1, 1)))
    filled = open_source(f"{served.url}/{path}", options=FILL)
    assert not filled.read(Box((0, 0, 0), (1, 1, 1))).any()
    assert filled.filled(filled.bounds)[0] == 1


@pytest.mark.slow
def test_names_that_tell_the_compression_are_found_on_a_web_server(served: _Server, tmp_path: Path) -> None:
    path = cloudvolume(tmp_path, IMAGE, compress="br")
    source = open_source(f"{served.url}/{path}")
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
    asked = len(served.asked)
    source.read(Box((0, 0, 0), (16, 16, 16)))
    assert all("_" in name for name in served.asked[asked:])


def test_hdf5_on_a_server_without_ranges_is_fetched_whole(
    served: _Server, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = IMAGE
    keys: dict[str, Any] = {"dataset": "raw", "voxel_size": (40, 4, 4)}
    source = open_source(f"{served.url}/a.h5", **keys)
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
    assert "the server does not support range requests, so the whole file is fetched" in capfd.readouterr().err
    monkeypatch.setattr("connectomake.storage.http.WHOLE", 100)
    with pytest.raises(
        SourceError, match=r"does not support range requests, and the file has .* copy it to a disk or a bucket"
    ):
        open_source(f"{served.url}/a.h5", **keys)
    with pytest.raises(SourceError, match=r"does not exist \(HTTP 404\)"):
        open_source(f"{served.url}/b.h5", **keys)


def test_zarr_shards_on_a_server_without_ranges_are_refused_with_the_reason(served: _Server, tmp_path: Path) -> None:
    path = zarr_python(tmp_path, IMAGE, zarr_format=3, shards=(8, 32, 32))
    source = open_source(f"{served.url}/{path}", dataset="raw", voxel_size=(40, 4, 4))
    with pytest.raises(SourceError, match="does not support range requests: copy the source") as caught:
        source.read(source.bounds)
    assert "copy it again" not in str(caught.value)


PASTED: dict[str, dict[str, Any]] = {
    "precomputed://{url}/layer": {}, "precomputed://{url}/layer/": {}, "{url}/layer/|neuroglancer-precomputed:": {},
    "precomputed://file://{folder}/layer": {}, "file://{folder}/layer/|neuroglancer-precomputed:": {},
    "zarr://{url}/a.zarr": {"dataset": "raw"}, "zarr2://{url}/a.zarr/": {"dataset": "raw"},
    "zarr2://file://{folder}/a.zarr/raw": {},
    "{url}/a.zarr/|zarr2:raw": {}, "{url}/a.zarr/|zarr:raw/": {}, "file://{folder}/a.zarr/|zarr2:": {"dataset": "raw"},
    "zarr3://{url}/b.zarr/raw/": {}, "{url}/b.zarr/raw/|zarr3:": {},
    "n5://{url}/a.n5/raw/": {}, "{url}/a.n5/|n5:raw": {}, "n5://file://{folder}/a.n5": {"dataset": "raw"},
    "{folder}/a.zarr.zip|zip:|zarr2:raw": {}, "file://{folder}/a.zarr.zip|zip:raw/|zarr2:": {},
    "zarr://{folder}/a.zarr.zip/raw": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def neuroglancer_layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("layers")
    cloudvolume(folder, IMAGE, compress=False)
    chunk_writers.zarr_zip(folder, IMAGE)
    chunk_writers.n5(folder, IMAGE)
    zarr.create_array(f"{folder}/b.zarr", name="raw", data=IMAGE, chunks=(8, 16, 16))
    server = _Server(folder)
    yield folder, server.url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", PASTED)
def test_addresses_as_they_are_pasted_from_neuroglancer(address: str, neuroglancer_layers: tuple[Path, str]) -> None:
    folder, url = neuroglancer_layers
    path = address.format(folder=folder, url=url)
    source = open_source(path, voxel_size=(40, 4, 4), **PASTED[address])
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)


def test_an_unknown_adapter_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown adapter ocdbt: .* neuroglancer-precomputed:"):
        open_source("gs://bucket/x/|ocdbt:|zarr3:")


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Server]:
    pytest.importorskip("moto")
    from tests.s3_server import S3Server

    with S3Server() as server, pytest.MonkeyPatch.context() as patch:
        for key, value in server.environment.items():
            patch.setenv(key, value)
        kvstore._s3_options.cache_clear()
        server.client().create_bucket(Bucket="layers")
        yield server
    kvstore._s3_options.cache_clear()


@pytest.mark.parametrize(("suffix", "encoding"), [(".gz", "gzip"), (".br", "br"), (".zstd", "zstd")])
@pytest.mark.parametrize("named", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_compressed_objects_in_a_bucket(suffix: str, encoding: str, named: bool, bucket: S3Server, tmp_path: Path) -> None:
    """As CloudVolume writes them, with a header that tells the compression; or as a copied folder, with a suffix."""
    path = cloudvolume(tmp_path, IMAGE, compress=encoding)
    for file in (tmp_path / path).rglob("*"):
        if file.is_file():
            key = f"{encoding}{named}/{file.relative_to(tmp_path / path)}"
            header = {"ContentEncoding": encoding} if key.endswith(suffix) and not named else {}
            name = key.removesuffix(suffix) if header else key
            bucket.client().put_object(Bucket="layers", Key=name, Body=file.read_bytes(), **header)
    source = open_source(f"s3://layers/{encoding}{named}")
    np.testing.assert_array_equal(source.read(source.bounds)[0], IMAGE)
    assert source.chunks is not None
    assert source.chunks.absent(source.bounds).absent == 0
    gone = f"{encoding}{named}/4.0_4.0_40.0/16-32_0-16_0-16{suffix if named else ''}"
    bucket.client().delete_object(Bucket="layers", Key=gone)
    source = open_source(f"s3://layers/{encoding}{named}")
    with pytest.raises(SourceError, match=r"x 16:32 of s3://layers/.* is not there \(s3://layers/.*/16-32_0-16_0-16\)"):
        source.read(source.bounds)
    assert source.chunks is not None
    assert source.chunks.absent(source.bounds).absent == 1


def test_a_long_reason_keeps_its_end_and_a_dump_is_left_out() -> None:
    dump = " [tensorstore_spec='{}'] [source locations='x.cc:1']"
    assert reason(ValueError(f"axis [3] of file{dump}")) == "axis [3] of file"
    text = reason(ValueError("NOT_FOUND: " + "long " * 200 + 'the codec "magic" is not known'))
    assert len(text) <= 500
    assert text.endswith('the codec "magic" is not known')


WAYS = {
    "PERMISSION_DENIED: Error reading http://h/x: Forbidden [HTTP code 403]": "check your credentials",
    "Requested byte range [-132, ?) was ignored by server": "does not support range requests",
    "UNAVAILABLE: CURL error Couldn't connect to server": "check the address and the network",
    "[Errno 5] Input/output error": "the file system failed",
    "inflate failed": "copy it again",
}


@pytest.mark.parametrize("text", WAYS)
def test_each_cause_has_its_own_way_out(text: str) -> None:
    way = way_out(OSError(text))
    assert WAYS[text] in way
    assert ("copy it again" in way) == (text == "inflate failed")
