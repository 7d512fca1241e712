"""Files and runs in a bucket: read piece by piece, as they would be on a disk; freshness with few requests."""

import hashlib
import io
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomake.errors import ConfigError, SourceError
from connectomake.geometry import Box
from connectomake.layers.records import encode_record
from connectomake.planning.bucket_records import BucketRecords, unshipped
from connectomake.source_archive import unpack
from connectomake.sources import find_kind, open_source
from connectomake.storage.client import s3_client
from connectomake.storage.listing import list_gs, list_s3
from connectomake.storage.opening import open_url
from connectomake.storage.ranges import PAGES, RangedFile
from connectomake.storage.stores import Stored

pytest.importorskip("moto")


def ranged(data: bytes, page: int = 8, calls: list[Any] | None = None) -> RangedFile:
    def fetch(start: int, stop: int) -> bytes:
        if calls is not None:
            calls.append((start, stop))
        return data[start:stop]

    return RangedFile(len(data), fetch, page)


@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 420), st.integers(-1, 450)), max_size=12), st.integers(1, 64))
def test_any_reads_give_the_bytes(data: bytes, reads: list[tuple[int, int]], page: int) -> None:
    file, plain = ranged(data, page), io.BytesIO(data)
    for offset, length in reads:
        file.seek(offset)
        plain.seek(offset)
        assert file.read(length) == plain.read(length)
        assert file.tell() == plain.tell()


def test_seeking_from_all_ends() -> None:
    file = ranged(bytes(range(100)))
    assert file.seek(-10, io.SEEK_END) == 90
    assert file.read() == bytes(range(90, 100))
    assert file.seek(-20, io.SEEK_CUR) == 80
    assert file.read(1) == bytes([80])


def test_neighbouring_pages_come_in_one_request_and_stay() -> None:
    calls: list[Any] = []
    file = ranged(bytes(1000), page=8, calls=calls)
    file.read(100)
    file.seek(16)
    file.read(50)
    assert calls == [(0, 104)]


def test_large_reads_do_not_fill_the_pages() -> None:
    calls: list[Any] = []
    data = bytes(8 * PAGES * 4)
    file = ranged(data, page=8, calls=calls)
    assert file.read() == data
    assert len(file._pages) <= PAGES


def test_an_answer_that_is_too_short_is_an_error() -> None:
    file = RangedFile(100, lambda start, stop: b"x", 8)
    with pytest.raises(OSError, match="were asked for"):
        file.read(10)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = s3_client()
    client.create_bucket(Bucket="lab")
    return client


def test_hdf5_in_a_bucket_is_the_file_on_the_disk(bucket: Any, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 50), np.uint8)
    with h5py.File(tmp_path / "em.h5", "w") as file:
        file.create_dataset("raw", data=image, chunks=(8, 8, 8), compression="gzip")
    bucket.upload_file(str(tmp_path / "em.h5"), "lab", "data/em.h5")
    here = open_source(str(tmp_path / "em.h5"), "raw", (8, 8, 8))
    there = open_source("s3://lab/data/em.h5", "raw", (8, 8, 8))
    assert there.identity == here.identity
    box = Box((3, 5, 7), (29, 31, 50))
    np.testing.assert_array_equal(there.read(box), here.read(box))
    np.testing.assert_array_equal(there.read(box)[0], image[box.slices()])


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("s3://b/em.h5", "hdf5"), ("gs://b/em.HDF5", "hdf5"), ("s3://b/em.h5/layer", "precomputed"),
        ("https://host/a.zarr/0", "zarr"), ("s3://b/x.n5", "n5"), ("s3://b/em", "precomputed"),
    ],
)  # fmt: skip
def test_kinds_of_urls(url: str, kind: str) -> None:
    assert find_kind(url) == kind


def test_a_missing_object_is_named(bucket: Any) -> None:
    with pytest.raises(SourceError, match=r"s3://lab/none\.h5 cannot be opened"):
        open_url("s3://lab/none.h5")


FINGERPRINT = "f" * 16


def an_object(fingerprint: str = FINGERPRINT) -> bytes:
    return b"data" * 3000 + encode_record({"stage": "x", "fingerprint": fingerprint})


class FakeStore:
    """Objects in a dictionary; counts what is read."""

    def __init__(self, **objects: Any) -> None:
        self.data = {name.replace("__", "/") + ".shard": data for name, data in objects.items()}
        self.reads: list[Any] = []

    def run(self, tmp_path: Path, noted: dict[str, float] | None = None, cache: str = "cache.json") -> BucketRecords:
        objects = {n: Stored(hashlib.md5(d).hexdigest(), len(d), 100.0) for n, d in self.data.items()}

        def fetch(path: str) -> Callable[..., Any]:
            def read(start: int, stop: int) -> bytes:
                self.reads.append(path)
                return bytes(self.data[path][start:stop])

            return read

        return BucketRecords(objects, fetch, (noted or {}).get, tmp_path / cache, "shared.json")


def test_objects_made_with_other_settings_are_stale(tmp_path: Path) -> None:
    store = FakeStore(a=an_object(), b=an_object("other"), c=b"no record at all")
    run = store.run(tmp_path)
    stale = {name: run.is_stale(f"{name}.shard", FINGERPRINT) for name in "abcd"}
    assert stale == {"a": False, "b": True, "c": True, "d": False}


def test_a_record_is_read_once_in_a_life(tmp_path: Path) -> None:
    store = FakeStore(a=an_object(), b=an_object("other"))
    for _ in range(3):
        run = store.run(tmp_path)
        assert [run.is_stale(f"{name}.shard", FINGERPRINT) for name in "aabb"] == [False, False, True, True]
    assert sorted(store.reads) == ["a.shard", "b.shard"]


def test_what_a_head_leaves_spares_another_head_the_records(tmp_path: Path) -> None:
    """New objects have the settings that were asked for; of older ones that only Snakemake's notes know, the record is read."""
    names = ("old", "noted", "same", "new")
    store = FakeStore(old=an_object("other"), noted=an_object("noted"), same=an_object())
    run = store.run(tmp_path, {"noted.shard": 100.0})
    assert [run.is_stale(f"{name}.shard", FINGERPRINT) for name in names] == [True, False, False, False]
    store.data |= FakeStore(new=an_object() + b"new").data
    store.reads.clear()
    text = run.summary(store.run(tmp_path).objects)
    assert store.reads == ["noted.shard"]
    store.data["shared.json"] = text
    store.reads.clear()
    other = store.run(tmp_path, cache="none.json")
    assert [other.is_stale(f"{name}.shard", FINGERPRINT) for name in names] == [True, True, False, False]
    assert store.reads == ["shared.json"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"x": 1}', b'{"x": ["y"]}'])
def test_a_broken_summary_does_no_harm(tmp_path: Path, text: bytes) -> None:
    store = FakeStore(a=an_object(), b=an_object("other"))
    store.data["shared.json"] = text
    run = store.run(tmp_path)
    assert [run.is_stale(f"{name}.shard", FINGERPRINT) for name in "ab"] == [False, True]


def test_what_snakemake_noted_is_not_read_unless_it_was_replaced(tmp_path: Path) -> None:
    store = FakeStore(a=an_object("other"), b=an_object("other"))
    run = store.run(tmp_path, {"a.shard": 100.4, "b.shard": 90.0})
    assert not run.is_stale("a.shard", FINGERPRINT)
    assert store.reads == []
    assert run.is_stale("b.shard", FINGERPRINT)
    assert store.reads == ["b.shard"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_a_broken_cache_does_no_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "cache.json").write_text(text)
    store = FakeStore(a=an_object())
    assert not store.run(tmp_path).is_stale("a.shard", FINGERPRINT)


def test_infos_are_compared_by_their_text(tmp_path: Path) -> None:
    store = FakeStore()
    store.data["out/info"] = b'{"a": 1}'
    run = store.run(tmp_path)
    assert not run.is_other_text("out/info", '{"a": 1}')
    assert run.is_other_text("out/info", '{"a": 2}')
    assert run.is_other_text("out/info", '{"a": 10}')
    assert not run.is_other_text("none/info", "x")


def test_a_thousand_objects_are_listed_in_one_request(bucket: Any) -> None:
    requests = []
    bucket.meta.events.register("before-send.s3.*", lambda request, **_: requests.append(request.url))
    for number in range(3):
        bucket.put_object(Bucket="lab", Key=f"run/results/x/a/{number}.shard", Body=an_object())
    bucket.put_object(Bucket="lab", Key="run/results/xyz/0.shard", Body=b"")
    requests.clear()
    objects, fetch = list_s3(bucket, "s3://lab/run", "results/x")
    assert len(requests) == 1
    assert sorted(objects) == [f"results/x/a/{number}.shard" for number in range(3)]
    first = objects["results/x/a/0.shard"]
    assert fetch("results/x/a/0.shard")(0, first.size) == an_object()
    at_the_root = list_s3(bucket, "s3://lab", "run/results/x")[0]
    assert sorted(at_the_root)[0] == "run/results/x/a/0.shard"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("ExpiredToken", SourceError, "renew them"),
        ("InvalidAccessKeyId", SourceError, "renew them"),
        ("AccessDenied", SourceError, "permit s3:ListBucket"),
        ("NoSuchBucket", ConfigError, "there is no bucket 'lab'"),
    ],
)
def test_refusals_say_what_to_do(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception], words: str
) -> None:
    from botocore.exceptions import ClientError

    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "as told"}}, "ListObjectsV2")

    client = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: (refuse() for _ in range(1))))
    with pytest.raises(kind, match=words):
        list_s3(client, "s3://lab/run", "results/x")


def test_a_missing_bucket(bucket: Any) -> None:
    with pytest.raises(ConfigError, match="there is no bucket 'nobucket'"):
        list_s3(bucket, "s3://nobucket/run", "results/x")


def test_googles_store_is_listed_alike() -> None:
    time = SimpleNamespace(timestamp=lambda: 5.0)
    blob = SimpleNamespace(name="run/out/a.shard", etag="e", size=4, updated=time)
    reader = SimpleNamespace(download_as_bytes=lambda start, end: b"abcd"[start : end + 1])
    client = SimpleNamespace(
        list_blobs=lambda bucket, prefix: [blob], bucket=lambda name: SimpleNamespace(blob=lambda key: reader)
    )
    objects, fetch = list_gs(client, "gcs://lab/run", "out")
    assert objects == {"out/a.shard": Stored("e", 4, 5.0)}
    assert fetch("out/a.shard")(1, 3) == b"bc"


def test_models_that_pods_would_not_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    for name in ("known.py", "unknown.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "large.pt").write_bytes(bytes(10_000_001))
    subprocess.run(["git", "add", "known.py", "large.pt"], check=True)

    def plan_of(inference: dict[str, str | None] | None) -> Any:
        source = SimpleNamespace(options=SimpleNamespace(filters=()))
        return SimpleNamespace(config={"inference": inference}, source=source, modules={}, table=None)

    def problems(model: str, weights: str | None = None) -> list[str]:
        return unshipped(plan_of({"model": model, "weights": weights}))

    assert problems("known.py") == []
    assert "git add unknown.py" in problems("unknown.py")[0]
    assert "larger than the 10 MB" in problems("known.py", "large.pt")[0]
    assert "outside the working directory" in problems("/models/x.py")[0]
    assert unshipped(plan_of(None)) == []


def packed_sources(name: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"rules"))
    return lzma.compress(packed.getvalue())


@pytest.mark.parametrize("filters", [True, False], ids=["Python with filters", "Python before 3.11.4"])
@pytest.mark.parametrize("name", ["../Snakefile", "workflow/../../Snakefile"])
def test_sources_beside_the_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool, name: str
) -> None:
    if filters and not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filters")
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    data, folder = packed_sources(name), tmp_path / "below"
    folder.mkdir()
    with pytest.raises((ValueError, tarfile.TarError)):
        unpack(data, hashlib.sha256(data).hexdigest(), str(folder))
    assert not (tmp_path / "Snakefile").exists()


@pytest.mark.parametrize("filters", [True, False], ids=["Python with filters", "Python before 3.11.4"])
def test_sources_are_unpacked_only_if_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool) -> None:
    if filters and not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filters")
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    data = packed_sources("workflow/Snakefile")
    with pytest.raises(ValueError, match="SHA-256"):
        unpack(data, "0" * 64, str(tmp_path))
    unpack(data, hashlib.sha256(data).hexdigest(), str(tmp_path))
    assert (tmp_path / "workflow/Snakefile").read_text() == "rules"
