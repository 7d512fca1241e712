"""Object storage has one home: one client with one patience, one class per kind of bucket, few requests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectomake.errors import ConfigError, ConnectomakeError
from connectomake.storage.address import Address
from connectomake.storage.client import region, s3_client
from connectomake.storage.kvstore import describe
from connectomake.storage.patience import BRIEF, PATIENT, Patience
from connectomake.storage.s3 import S3Store
from tests.s3_server import S3Server

ROOT = Path(__file__).parents[1]
CLIENTS = {"boto3", "botocore", "cloudfiles", "requests", "google.cloud"}
QUEUES = {"queueing/queues.py", "queueing/sqs_queue.py"}
"""Of SQS, which is no storage."""


def clients_of(text: str) -> set[str]:
    names = [n for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for n in (a.name for a in node.names)]
    names += [n.module or "" for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
    return {client for client in CLIENTS for name in names if name == client or name.startswith(f"{client}.")}


def test_only_the_storage_package_talks_to_stores() -> None:
    sources = ROOT / "src/connectomake"
    found = {p.relative_to(sources).as_posix(): clients_of(p.read_text()) for p in sources.rglob("*.py")}
    assert {"boto3", "botocore"} <= found["storage/client.py"]
    others = {name: clients for name, clients in found.items() if clients and not name.startswith("storage/")}
    assert set(others) == QUEUES
    for rules in (ROOT / "workflow").rglob("*.smk"):
        assert not re.findall(r"^\s*(?:import|from) (boto3|botocore|cloudfiles|requests|google)\b", rules.read_text(), re.M)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://lab/run/7/", ("s3", "lab", "run/7")),
        ("gs://lab", ("gs", "lab", "")),
        ("S3://lab//run", ("s3", "lab", "run")),
        ("lab/run", ("", "", "")),
        ("/data/run", ("", "", "")),
    ],
)
def test_addresses(url: str, parts: tuple[str, str, str]) -> None:
    address = Address.of(url)
    assert (address.scheme, address.bucket, address.prefix) == parts


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        started.client().create_bucket(Bucket="lab")
        started.requests.clear()
        yield started


@pytest.mark.parametrize("patience", [PATIENT, BRIEF])
def test_one_client_with_the_patience_that_is_asked_for(server: S3Server, patience: Patience) -> None:
    config = s3_client(patience=patience).meta.config
    assert (config.connect_timeout, config.read_timeout) == (patience.connect_s, patience.read_s)
    assert config.retries == {"mode": "standard", "total_max_attempts": patience.retries + 1}
    assert config.request_checksum_calculation == "when_required"


def test_without_credentials_only_readers_of_public_buckets_are_anonymous(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore import UNSIGNED

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert s3_client(public=True).meta.config.signature_version is UNSIGNED
    assert s3_client().meta.config.signature_version is not UNSIGNED


def test_the_region_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert region() == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert region() == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert region() == "eu-north-1"


def test_an_endpoint_of_the_environment_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "somewhere")
    with pytest.raises(ConfigError, match=r"the endpoint 'somewhere' is not an address .*; write http://HOST:PORT"):
        s3_client()


@pytest.mark.parametrize("prefix", ["", "run", "run/7"])
def test_each_question_is_one_request(server: S3Server, prefix: str) -> None:
    store = S3Store.open(f"s3://lab/{prefix}".rstrip("/"), server.url)
    store.put("out/a", b"0123456789")
    assert server.requests == {"put": 1}
    assert (
        server.client().get_object(Bucket="lab", Key="/".join(filter(None, (prefix, "out/a"))))["Body"].read() == b"0123456789"
    )
    server.requests.clear()
    found = store.head("out/a")
    assert found is not None
    assert (found.size, store.head("out/b"), store.mtime("out/a")) == (10, None, found.time)
    assert server.requests == {"head": 3}
    assert (store.get("out/a"), store.tail("out/a", 3), store.fetch("out/a")(2, 5)) == (b"0123456789", b"789", b"234")
    assert server.requests == {"head": 3, "get": 3}
    assert store.list("out") == {"out/a": found}
    assert server.requests["list"] == 1
    store.delete("out/a")
    assert store.list("out") == {}


def test_what_is_refused_is_no_missing_object(server: S3Server) -> None:
    store = S3Store.open("s3://lab/run", server.url)
    server.refuse = (403, "AccessDenied")
    with pytest.raises(Exception, match="403") as caught:
        store.head("out/a")
    assert not isinstance(caught.value, ConnectomakeError)


def test_tensorstore_is_told_the_same_places(server: S3Server) -> None:
    assert describe("/data/em/") == {"driver": "file", "path": "/data/em/"}
    assert describe("gs://lab/em/") == {"driver": "gcs", "bucket": "lab", "path": "em/"}
    assert describe("https://host/em/") == {"driver": "http", "base_url": "https://host/em/"}
    assert {"driver": "s3", "bucket": "lab", "path": "em/"}.items() <= describe("s3://lab/em/").items()
