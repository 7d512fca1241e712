"""Runs whose results are objects in a bucket, seen from the head: few requests, fresh by their records, the same bits."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.flow import Flow, job_counts
from tests.s3_server import S3Server
from tests.stored_run import fill_bucket

pytestmark = pytest.mark.slow
POINTWISE = """import torch

torch.manual_seed(0)
InstantiatedModel = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.Sigmoid())
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with S3Server() as started:
        started.client().create_bucket(Bucket="lab")
        started.requests.clear()
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


def options(server: Any) -> Any:
    """What profiles/kubernetes says of storage; no local copies are kept."""
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://lab/run")
    return (*storage, "--storage-s3-endpoint-url", server.url, "--ignore-incomplete")


def thousand_blocks(folder: Path) -> Any:
    """A config of 10 x 10 x 10 blocks, of which nothing will be computed."""
    flow = Flow(folder)
    folder.mkdir()
    with h5py.File(folder / "raw.h5", "w") as file:
        file.create_dataset("raw", shape=(160, 160, 160), dtype="u1", chunks=(16, 16, 16), compression="gzip")
    (folder / "model.py").write_text(POINTWISE)
    small = {"block": [16, 16, 16], "chunk": [8, 8, 8], "meshes__cell": [8, 8, 8]}
    flow.config = flow.with_values(**small, inference={"model": "model.py", "patch": [8, 12, 12], "overlap": [2, 4, 4]})
    flow.write()
    return flow


def test_dry_run_of_a_thousand_blocks(server: Any, tmp_path: Path) -> None:
    """One listing tells all: a request per thousand objects, and one for the info of each layer."""
    flow = thousand_blocks(tmp_path / "run")
    plan = flow.plan()
    assert plan.grid.count == 1000
    known = fill_bucket("lab", "run", plan)
    remember(flow.folder, known)
    started = time.monotonic()
    assert "Nothing to be done" in flow.run("-n", *options(server))
    print(f"{len(known)} objects: {server.requests.total()} requests, {time.monotonic() - started:.1f} s")
    assert server.requests["list"] == -(-len(known) // 1000)
    assert server.requests.total() <= len(known) / 100, server.requests
    server.requests.clear()
    changed = job_counts(flow_with(flow, segmentation__threshold=0.6).run("-n", *options(server), config="changed.yaml"))
    assert changed["components"] == 1000
    assert "affinity" not in changed
    assert server.requests.total() <= len(known) / 100, server.requests
    shutil.rmtree(flow.folder / ".connectomake")
    share(server, known)
    server.requests.clear()
    assert "Nothing to be done" in flow.run("-n", *options(server))
    print(f"another head: {server.requests.total()} requests")
    assert server.requests.total() <= len(known) / 100, server.requests


def share(server: Any, known: Any) -> None:
    """Leave what a head leaves at the end of a run."""
    etags: dict[Any, Any] = {}
    for etag, fingerprint in known.items():
        etags.setdefault(fingerprint, []).append(etag)
    server.client().put_object(Bucket="lab", Key="run/out/logs/records.json", Body=json.dumps(etags).encode())


def remember(folder: Path, known: Any) -> None:
    """Note what a head notes that has read the records before."""
    name = hashlib.sha256(b"s3://lab/run/out").hexdigest()[:16]
    (folder / ".connectomake").mkdir(exist_ok=True)
    (folder / f".connectomake/records-{name}.json").write_text(json.dumps(known))


def test_a_head_without_notes_reads_each_record_once(server: Any, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.config = flow.with_values(block=[32, 32, 64], chunk=[16, 16, 32])
    flow.write()
    known = fill_bucket("lab", "run", flow.plan())
    assert "Nothing to be done" in flow.run("-n", *options(server))
    assert server.requests["list"] == 1
    assert len(known) / 2 < server.requests["get"] <= len(known)
    server.requests.clear()
    assert "Nothing to be done" in flow.run("-n", *options(server))
    infos = len(flow.plan().layers) + 1
    assert server.requests == {"list": 1, "get": infos}


def flow_with(flow: Flow, **values: Any) -> Any:
    flow.write(flow.with_values(**values), "changed.yaml")
    return flow


def test_dry_run_before_anything_is_made(server: Any, tmp_path: Path) -> None:
    flow = thousand_blocks(tmp_path / "run")
    assert job_counts(flow.run("-n", *options(server)))["affinity"] == 1000
    assert server.requests == {"list": 1}


def test_a_run_in_a_bucket(server: Any, tmp_path: Path) -> None:
    """Made here, kept there: the same bits; a second head without any notes finds all done, or what a change asks for."""
    flow = Flow(tmp_path / "run").make()
    flow.config = flow.with_values(block=[32, 32, 64], chunk=[16, 16, 32])
    flow.write()
    local = Flow(tmp_path / "local", config=flow.config).make()
    local.write()
    local.run()
    flow.run(*options(server))
    jobs = server.requests.total()
    assert not (flow.folder / "out").exists()
    download(server, tmp_path / "down")
    shutil.copy(flow.folder / "raw.h5", tmp_path / "down")
    shutil.copy(flow.folder / "model.py", tmp_path / "down")
    assert Flow(tmp_path / "down", config=flow.config).digests() == local.digests()
    server.requests.clear()
    assert "Nothing to be done" in flow.run("-n", *options(server))
    assert server.requests == {"list": 1}
    shutil.rmtree(flow.folder / ".snakemake")
    shutil.rmtree(flow.folder / ".connectomake")
    server.requests.clear()
    assert "Nothing to be done" in flow.run("-n", *options(server))
    assert server.requests == {"list": 1, "get": 1 + len(flow.plan().layers) + 1}, "no record is read: the run left all etags"
    changed = job_counts(flow_with(flow, segmentation__min_size=31).run("-n", *options(server), config="changed.yaml"))
    assert "merge" in changed
    assert "components" not in changed
    print(f"{jobs} requests for a run of {len(stored(server))} objects")
    assert jobs <= 4 * len(stored(server))


def stored(server: Any) -> list[Any]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket="lab")
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def download(server: Any, folder: Path) -> None:
    for key in stored(server):
        path = folder / key.removeprefix("run/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(server.client().get_object(Bucket="lab", Key=key)["Body"].read())


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        (
            {"PUT", "POST"},
            "the credentials for s3://lab/run/out/.* have expired .*renew them and rerun: finished files are kept",
        ),
        ({"HEAD"}, "refuses requests for s3://lab/run/out/.* credentials have expired; renew them and rerun"),
    ],
)
def test_credentials_that_expire_while_a_run_is_at_work(server: Any, tmp_path: Path, methods: set[str], says: str) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.config = flow.with_values(block=[32, 32, 64], chunk=[16, 16, 32], meshes__enabled=False)
    flow.write()
    server.refuse, server.refused = (400, "ExpiredToken"), methods
    code, text = flow.run(*options(server), "out/image/info", check=False)
    assert code != 0
    assert re.search(says, " ".join(text.split()))
    assert "Traceback" not in text
    server.refuse = None
    flow.run(*options(server), "out/image/info")
    assert "run/out/image/info" in stored(server)
