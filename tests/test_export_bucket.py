"""Exports to buckets: the same objects as files on a disk, no volume before it is whole, nothing replaced unasked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from connectomake.cli.app import main
from connectomake.errors import ConfigError, SourceError, StorageError
from connectomake.exporting import FORMATS, Options, export_volume, levels_of
from connectomake.geometry import Box
from connectomake.planning.plan import Plan
from connectomake.sources import Source, open_source
from connectomake.storage import kvstore
from tests.s3_server import S3Server

START, SIZE = (-3, 20, 100), (40.0, 4.0, 6.0)
OBJECTS = [name for name, form in FORMATS.items() if form.objects]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        kvstore._s3_options.cache_clear()
        started.client().create_bucket(Bucket="lab")
        yield started
    kvstore._s3_options.cache_clear()


def memory(fail_at: int = 0) -> tuple[Source, NDArray[Any]]:
    values = np.random.default_rng(0).integers(0, 2**60, (1, 20, 30, 40), np.uint64)
    seen: list[Box] = []

    def read(box: Box) -> NDArray[Any]:
        seen.append(box)
        if len(seen) == fail_at:
            raise SourceError("gone")
        return values[(slice(None), *box.slices(START))]

    return Source("made", "hdf5", Box.of_shape((20, 30, 40), START), 1, "uint64", SIZE, "id", read), values


def objects(server: S3Server) -> dict[str, bytes]:
    client = server.client()
    listed = client.list_objects_v2(Bucket="lab").get("Contents", [])
    return {o["Key"]: client.get_object(Bucket="lab", Key=o["Key"])["Body"].read() for o in listed}


@pytest.mark.parametrize("shard", [None, 2])
@pytest.mark.parametrize("form", OBJECTS)
def test_the_same_as_on_a_disk(server: S3Server, tmp_path: Path, form: str, shard: int | None) -> None:
    if shard and form != "precomputed":
        return
    source, values = memory()
    options = Options(chunk=(8, 16, 16), shard=shard)
    for there in (str(tmp_path / "v"), "s3://lab/out/v"):
        export_volume(levels_of([source]), there, FORMATS[form], options, memory_mb=1)
    local = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in (tmp_path / "v").rglob("*") if p.is_file()}
    found = objects(server)
    assert {name.removeprefix("out/") for name in found} == set(local)
    kind = {"ome4": "zarr", "ome5": "zarr", "zarr2": "zarr", "zarr3": "zarr"}.get(form, form)
    read = open_source(f"{kind}://s3://lab/out/v")
    assert (read.bounds, read.voxel_size) == (source.bounds, SIZE)
    np.testing.assert_array_equal(read.read(read.bounds), values)


@pytest.mark.parametrize("form", OBJECTS)
def test_no_volume_before_it_is_whole(server: S3Server, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = memory(fail_at=2)
    options = Options(chunk=(8, 16, 16))
    with pytest.raises(SourceError, match="gone"):
        export_volume(levels_of([source]), "s3://lab/v", FORMATS[form], options, memory_mb=1)
    assert not objects(server)
    from connectomake.exporting import bucket

    with monkeypatch.context() as patch:  # as of one that is killed
        patch.setattr(bucket, "_delete", lambda keys: None)
        with pytest.raises(SourceError, match="gone"):
            export_volume(levels_of([memory(fail_at=2)[0]]), "s3://lab/v", FORMATS[form], options, memory_mb=1)
    left = objects(server)
    assert left
    assert not [name for name in left if bucket._is_metadata(name)]
    with pytest.raises(ConfigError, match=r"holds [0-9]+ objects, of a volume or of an export that was killed"):
        export_volume(levels_of([memory()[0]]), "s3://lab/v", FORMATS[form], options, memory_mb=1)
    export_volume(levels_of([memory()[0]]), "s3://lab/v", FORMATS[form], Options(), memory_mb=32, overwrite=True)
    again = objects(server)
    assert len(again) < 6, "one chunk and the metadata; nothing of the other"
    server.client().put_object(Bucket="lab", Key="v2/mine", Body=b"")
    export_volume(levels_of([memory()[0]]), "s3://lab/v", FORMATS[form], Options(), memory_mb=32, overwrite=True)
    assert "v2/mine" in objects(server)


@pytest.mark.parametrize(
    ("there", "form", "options", "said"),
    [
        (
            "s3://lab/v.tif",
            "tiff",
            {},
            r"TIFF is not written to a bucket in parts; export to a local path .* zarr2, zarr3, ome4",
        ),
        ("s3://lab/v", "png", {}, "is not written to a bucket in parts"),
        ("s3://lab", "zarr3", {}, "s3://lab names a whole bucket; name a folder in it"),
        ("https://host/v", "zarr3", {}, "https://host/v cannot be written to; name a local path"),
        ("s3://lab/v", "precomputed", {"encoding": "gzip"}, "chunks in gzip are not written to a bucket"),
    ],
)
def test_what_is_not_written_there(server: S3Server, there: str, form: str, options: dict[str, Any], said: str) -> None:
    source, _ = memory()
    written = FORMATS[form]
    if form == "png":
        levels = levels_of([source], written_as="uint64")
        levels = [type(levels[0])(source, Box.of_shape((1, 1, 1), START), (0,), "uint16")]
    else:
        levels = levels_of([source])
    with pytest.raises(ConfigError, match=said):
        export_volume(levels, there, written, Options(**options))
    assert not objects(server)


def test_no_bucket_and_no_right(server: S3Server) -> None:
    with pytest.raises(StorageError, match="s3://none/v cannot be written"):
        export_volume(levels_of([memory()[0]]), "s3://none/v", FORMATS["zarr3"], Options())
    server.refuse, server.refused = (403, "AccessDenied"), {"PUT"}
    with pytest.raises(StorageError, match=r"s3://lab/v cannot be written .* check your credentials"):
        export_volume(levels_of([memory()[0]]), "s3://lab/v", FORMATS["zarr3"], Options())


def test_the_command_from_bucket_to_bucket(server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, values = memory()
    export_volume(levels_of([source]), "s3://lab/a", FORMATS["precomputed"], Options(chunk=(8, 8, 8), labels=True))
    for call, code, said in (
        (["convert", "s3://lab/a", "s3://lab/b.zarr"], 0, ""),
        (["convert", "s3://lab/a", "s3://lab/a/b.zarr"], 1, "is, holds, or lies in what is read"),
        (["convert", "s3://lab/b.zarr", "s3://lab/b.zarr", "--overwrite"], 1, "is, holds, or lies in what is read"),
        (["convert", "s3://lab/b.zarr", f"file://{tmp_path}/c.npy"], 0, ""),
    ):
        with pytest.raises(SystemExit) as ended:
            main(call)
        assert (ended.value.code or 0) == code, capsys.readouterr().err
        assert said in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), values[0])


def test_layers_of_a_run_in_a_bucket(server: S3Server, copied_run: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    from connectomake.run import open_run

    run = open_run("config.yaml")
    want = {scale: np.asarray(run.array("segmentation", scale).read().result())[0] for scale in (0, 1)}
    folder = Path(run.outdir)
    for file in folder.rglob("*"):
        if file.is_file() and "segmentation" in file.parts:
            server.client().upload_file(str(file), "lab", f"run/7/{file}")
    (folder / "segmentation").rename("elsewhere")
    for scale, values in want.items():
        call = ["export", "config.yaml", "segmentation", "s3://lab/out.zarr", "--overwrite", "--storage", "s3://lab/run/7"]
        with pytest.raises(SystemExit) as ended:
            main([*call, "--scale", str(scale)])
        assert not ended.value.code, capsys.readouterr().err
        found = open_source("zarr://s3://lab/out.zarr")
        np.testing.assert_array_equal(found.read(found.bounds)[0], values)
    for where, said in (("s3://lab/run/8", "has no scale"), ("", "has no scale"), ("s3://none/x", "none")):
        with pytest.raises(SystemExit) as ended:
            main(["export", "config.yaml", "segmentation", "x.zarr", *(["--storage", where] if where else [])])
        assert ended.value.code == 1
        assert said in capsys.readouterr().err
