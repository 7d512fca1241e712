"""Runs in Google's storage, on a server that speaks its API: the same code path as S3, the same bits."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow import Flow, job_counts

pytestmark = pytest.mark.slow
PLUGINS = os.environ.get("CONNECTOMAKE_GCS", "")
STORAGE = ("--default-storage-provider", "gcs", "--default-storage-prefix", "gs://lab/run", "--storage-gcs-project", "lab")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if PLUGINS:
        monkeypatch.syspath_prepend(PLUGINS)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(f for f in (PLUGINS, os.environ.get("PYTHONPATH")) if f))
    pytest.importorskip("gcp_storage_emulator", reason="requirements-gcs.lock is not installed")
    from tests.gcs_server import GcsServer

    with GcsServer() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


def test_a_run_in_googles_storage(server: Any, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.config = flow.with_values(block=[32, 32, 64], chunk=[16, 16, 32])
    flow.write()
    local = Flow(tmp_path / "local", config=flow.config).make()
    local.write()
    local.run()
    flow.run(*STORAGE, "--ignore-incomplete")
    print(f"{server.requests.total()} requests for a run: {dict(server.requests)}")
    assert not (flow.folder / "out").exists()
    download(tmp_path / "down", flow)
    assert Flow(tmp_path / "down", config=flow.config).digests() == local.digests()
    server.requests.clear()
    assert "Nothing to be done" in flow.run("-n", *STORAGE)
    assert server.requests.total() <= 2, server.requests
    shutil.rmtree(flow.folder / ".snakemake")
    shutil.rmtree(flow.folder / ".connectomake")
    assert "Nothing to be done" in flow.run("-n", *STORAGE)
    flow.write(flow.with_values(segmentation__min_size=31), "changed.yaml")
    changed = job_counts(flow.run("-n", *STORAGE, config="changed.yaml"))
    assert "merge" in changed
    assert "components" not in changed


def download(folder: Path, flow: Flow) -> None:
    from google.cloud import storage

    for blob in storage.Client().list_blobs("lab"):
        path = folder / blob.name.removeprefix("run/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob.download_as_bytes())
    for name in ("raw.h5", "model.py"):
        shutil.copy(flow.folder / name, folder)


def test_a_bucket_that_is_not_there(server: Any, tmp_path: Path) -> None:
    flow = Flow(tmp_path / "run").make()
    flow.write()
    options = [word.replace("gs://lab/run", "gs://nobucket/run") for word in STORAGE]
    code, text = flow.run("-n", *options, check=False)
    assert code != 0
    assert "there is no bucket 'nobucket'" in text
