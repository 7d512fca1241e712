"""Whether a run could start at a site: buckets, profiles, Slurm; each fault in one sentence, soon."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from google.api_core import exceptions as google
from snakemake.exceptions import WorkflowError

import snakemake_executor_plugin_sbatch  # noqa: F401  as Snakemake does
from connectomake.cli import main
from connectomake.errors import ConfigError, ConnectomakeError, RunError
from connectomake.preflight import check_bucket, check_slurm, check_slurm_places, read_profile
from connectomake.storage.check import exercise
from connectomake.storage.google import GoogleStore
from connectomake.storage.s3 import S3Store
from connectomake_snakemake.cluster import check_cluster
from tests.flow import ROOT
from tests.s3_server import S3Server
from tests.tiny_run import write_inputs


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as started:
        started.client().create_bucket(Bucket="lab")
        yield started


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, with the environment that leads to it."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.refuse = None


def test_a_bucket_that_works_is_left_as_it_was(s3: S3Server) -> None:
    s3.requests.clear()
    assert check_bucket("s3://lab/run", s3.url).endswith("can be listed, written, read and deleted from")
    assert s3.requests == {"list": 1, "put": 1, "get": 1, "delete": 1}
    assert "Contents" not in s3.client().list_objects_v2(Bucket="lab")


def test_no_bucket(s3: S3Server) -> None:
    with pytest.raises(ConfigError, match=r"there is no bucket 'laboratory' at http.*make it, or correct the name"):
        check_bucket("s3://laboratory/run")


def test_no_name_of_a_bucket(s3: S3Server) -> None:
    with pytest.raises(ConfigError, match="'a b' is not a valid bucket name"):
        check_bucket("s3://a b/run")


@pytest.mark.parametrize("url", ["lab/run", "http://host/lab", "s3://", "/data/run"])
def test_no_url_of_a_bucket(url: str) -> None:
    with pytest.raises(ConfigError, match=r"names no bucket; write s3://BUCKET/PREFIX"):
        check_bucket(url)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "InvalidAccessKeyId", "does not accept the credentials .InvalidAccessKeyId.; export the right AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "does not accept the credentials"),
        (400, "ExpiredToken", "credentials for 'lab' have expired .ExpiredToken.; get new ones"),
        (403, "AccessDenied", "list is denied in s3://lab/run; the credentials need s3:ListBucket"),
        (503, "SlowDown", "list in s3://lab/run failed .SlowDown: refused by the test.; ask who runs the store"),
    ],
)
def test_refusals(s3: S3Server, status: int, code: str, message: str) -> None:
    s3.refuse = (status, code)
    with pytest.raises(ConnectomakeError, match=message):
        check_bucket("s3://lab/run")


def test_another_region() -> None:
    answer = {"Code": "AuthorizationHeaderMalformed", "Message": "expecting 'eu-west-1'"}
    error = S3Store("lab", "run", "http://store", None).explain(ClientError({"Error": answer}, "ListObjectsV2"), "list")
    assert str(error) == "the bucket 'lab' lies in another region (expecting 'eu-west-1'); export AWS_DEFAULT_REGION"


def test_no_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RunError, match="there are no credentials for S3; export AWS_ACCESS_KEY_ID"):
        check_bucket("s3://lab/run")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://no.such.host.invalid:9000"])
def test_no_server(s3: S3Server, endpoint: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=f"no S3 server answers at {endpoint} .*correct AWS_ENDPOINT_URL"):
        check_bucket("s3://lab/run", endpoint)
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_a_server_that_says_nothing(s3: S3Server) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(ConfigError, match="ReadTimeoutError"):
            check_bucket("s3://lab/run", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - started < 60


def test_endpoint_that_is_no_address(s3: S3Server) -> None:
    with pytest.raises(ConfigError, match="the endpoint 'somewhere' is not an address"):
        check_bucket("s3://lab/run", "somewhere")


class Blob:
    def __init__(self, objects: dict[str, bytes], key: str, denied: str) -> None:
        self.objects, self.key, self.denied = objects, key, denied

    def upload_from_string(self, data: bytes, **_: Any) -> None:
        self._ask("put")
        self.objects[self.key] = data

    def download_as_bytes(self, **_: Any) -> bytes:
        self._ask("get")
        return self.objects[self.key]

    def delete(self, **_: Any) -> None:
        self._ask("delete")
        del self.objects[self.key]

    def _ask(self, action: str) -> None:
        if action == self.denied:
            raise google.Forbidden("no")  # type: ignore[no-untyped-call]  # its package has no types


class Google:
    """As much of google.cloud.storage.Client as is used."""

    def __init__(self, denied: str = "", missing: bool = False) -> None:
        self.objects: dict[Any, Any]
        self.objects, self.denied, self.missing = {}, denied, missing

    def list_blobs(self, bucket: str, **_: Any) -> Any:
        if self.missing:
            raise google.NotFound("no bucket")  # type: ignore[no-untyped-call]  # its package has no types
        return iter(())

    def bucket(self, name: str) -> Google:
        return self

    def blob(self, key: str) -> Blob:
        return Blob(self.objects, key, self.denied)


def test_google() -> None:
    client = Google()
    exercise(GoogleStore("lab", "run", client))
    assert client.objects == {}
    with pytest.raises(ConfigError, match="there is no bucket 'lab'"):
        exercise(GoogleStore("lab", "run", Google(missing=True)))
    with pytest.raises(RunError, match=r"put is denied in gs://lab/run; the account needs roles/storage.objectAdmin"):
        exercise(GoogleStore("lab", "run", Google(denied="put")))
    denied = Google(denied="get")
    with pytest.raises(RunError, match="get is denied"):
        exercise(GoogleStore("lab", "run", denied))
    assert denied.objects == {}, "what was put is deleted although it could not be read"


def test_profiles_of_the_repository() -> None:
    slurm = read_profile(ROOT / "profiles/slurm")
    assert (slurm.executor, slurm.account, slurm.partition, slurm.storage) == ("sbatch", "default", "main", None)
    assert read_profile(ROOT / "profiles/kubernetes").storage == "s3://BUCKET/run"
    assert read_profile(ROOT / "profiles/local/config.yaml").executor is None


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_snakemake_finds_a_profile_by_its_bare_name_from_the_clone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake looks for ``--profile slurm`` in the working directory first."""
    from snakemake.cli import get_profile_dir

    monkeypatch.chdir(ROOT)
    _, file = get_profile_dir(name)
    assert file.resolve() == ROOT / "profiles" / name / "config.yaml"


def test_pods_without_their_packages_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake_interface_common.exceptions import WorkflowError

    from snakemake_executor_plugin_pods import Executor
    from snakemake_executor_plugin_pods.run import Run

    def start(_: Any) -> None:
        raise ModuleNotFoundError("No module named 'kubernetes'", name="kubernetes")

    monkeypatch.setattr(Run, "start", start)
    with pytest.raises(WorkflowError, match=r"the package kubernetes is not in this environment.*make cluster"):
        Executor.__post_init__(object.__new__(Executor))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no profile"), ("a: [", "cannot be read"), ("- a", "holds no names and values")],
)
def test_wrong_profiles(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path)


def test_resources_of_a_profile_as_a_list(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("default-resources: [slurm_partition=main, mem_mb=10]\n")
    assert read_profile(tmp_path).partition == "main"


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Commands of Slurm that print what a test wants."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def command(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    command("sbatch", "")
    command("sinfo", "printf 'main* 2\\ngpu 1\\n'")
    command("sacctmgr", "printf 'default\\nlab\\n'")
    return command


def test_slurm_that_is_well(fake_slurm: Callable[..., Any]) -> None:
    assert check_slurm("lab", "gpu") == "Slurm answers: partition gpu with 1 node(s), account lab"
    assert check_slurm(None, None) == "Slurm answers: partition (default) with 3 node(s), account (default)"


def test_slurm_account_and_partition(fake_slurm: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="no partition 'short'; set slurm_partition in the profile to one of gpu, main"):
        check_slurm("lab", "short")
    with pytest.raises(ConfigError, match="has no account 'other'; set slurm_account in the profile to one of default, lab"):
        check_slurm("other", "main")
    fake_slurm("sacctmgr", "exit 1")
    assert "account other" in check_slurm("other", "main"), "a cluster without accounting takes any"


def test_slurm_is_asked_once_for_all_accounts_and_partitions(fake_slurm: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("sinfo", "sacctmgr"):
        fake_slurm(name, f"echo {name} >> {tmp_path}/calls; {(tmp_path / name).read_text().splitlines()[-1]}")
    places = [("default", "main"), ("lab", "gpu"), ("LAB", None), (None, "main")]
    assert len(check_slurm_places(places)) == len(places)
    assert (tmp_path / "calls").read_text().split() == ["sinfo", "sacctmgr"]
    with pytest.raises(ConfigError, match="no account 'other'"):
        check_slurm_places([*places, ("other", "main")])


def test_accounts_of_several_slurm_clusters(fake_slurm: Callable[..., Any]) -> None:
    fake_slurm("sacctmgr", "printf 'default|big\\nlab|small\\ndefault|small\\n'")
    fake_slurm("scontrol", "printf 'CheckpointType = none\\nClusterName             = Big\\n'")
    assert "account default" in check_slurm("default", "main")
    with pytest.raises(ConfigError, match=r"the account 'lab' on Slurm cluster small, not on big.*one of default, or start"):
        check_slurm("lab", "main")
    with pytest.raises(ConfigError, match="has no account 'other'; set slurm_account in the profile to one of default"):
        check_slurm("other", "main")
    fake_slurm("scontrol", "exit 1")
    assert "account lab" in check_slurm("lab", "main"), "which cluster is this one? then nothing is said against it"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"SLURM_CLUSTERS": "big,small"}, "SLURM_CLUSTERS=big,small in the environment names several Slurm clusters"),
        ({"SBATCH_CLUSTERS": "all"}, "SBATCH_CLUSTERS=all in the environment names several"),
        ({"SBATCH_CLUSTERS": "small"}, "SBATCH_CLUSTERS=small .* than the one that squeue asks, big; unset it"),
        ({"SBATCH_CLUSTERS": "big", "SLURM_CLUSTERS": "small"}, "SBATCH_CLUSTERS=big .* squeue asks, small;"),
    ],
)
def test_an_environment_that_sends_jobs_to_other_clusters(
    fake_slurm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, values: dict[str, str], words: str
) -> None:
    fake_slurm("scontrol", "echo 'ClusterName = big'")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=words):
        check_slurm("default", "main")


@pytest.mark.parametrize("values", [{"SLURM_CLUSTERS": "small"}, {"SBATCH_CLUSTERS": "big"}, {"SLURM_CLUSTERS": ""}])
def test_an_environment_that_names_one_cluster(
    fake_slurm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    fake_slurm("scontrol", "echo 'ClusterName = big'")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert "account default" in check_slurm("default", "main")


def workflow_of(*resources: dict[str, Any]) -> SimpleNamespace:
    """A workflow on Slurm with a job of each of these resources, as `check_cluster` sees it."""
    jobs = [
        SimpleNamespace(rule=SimpleNamespace(name=str(i)), is_local=False, resources=values)
        for i, values in enumerate(resources)
    ]
    dag = SimpleNamespace(needrun_jobs=lambda: jobs)
    return SimpleNamespace(executor_plugin=SimpleNamespace(name="sbatch"), dag=dag)


def test_a_run_asks_for_its_accounts_once_and_for_one_cluster(fake_slurm: Callable[..., Any], tmp_path: Path) -> None:
    fake_slurm("sacctmgr", f"echo x >> {tmp_path}/calls; printf 'default\\nlab\\n'")
    places = [{"slurm_account": a, "slurm_partition": p} for a in ("default", "lab,other", None) for p in ("main", "gpu")]
    check_cluster(workflow_of(*places))
    assert (tmp_path / "calls").read_text().split() == ["x"]
    with pytest.raises(WorkflowError, match="clusters=a,b is not supported: a run has one Slurm cluster"):
        check_cluster(workflow_of(*places, {"clusters": "a,b"}))
    with pytest.raises(WorkflowError, match="no account 'nobody'"):
        check_cluster(workflow_of(*places, {"slurm_account": "nobody"}))


def test_slurm_out_of_reach(fake_slurm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_slurm("sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(RunError, match=r"does not answer .slurm_load_partitions: Unable to contact slurm controller.; see"):
        check_slurm(None, "main")
    fake_slurm("sinfo", "exec sleep 60")
    with pytest.raises(RunError, match="does not answer within 1 s"):
        check_slurm(None, "main", seconds=1)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunError, match="sbatch is not found"):
        check_slurm(None, "main")


@pytest.mark.slow
def test_check_command(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    main_or_exit(["check", "config.yaml", "--fast", "--storage", "s3://lab/run", "--endpoint", s3.url])
    assert "✓ s3://lab/run at http" in capsys.readouterr().out
    (tmp_path / "config.yaml.profile").write_text("default-storage-prefix: s3://laboratory/run\n")
    assert main_or_exit(["check", "config.yaml", "--fast", "--profile", "config.yaml.profile"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: there is no bucket 'laboratory'")
    assert error.count("\n") == 1


def main_or_exit(args: Any) -> Any:
    try:
        main(args)
    except SystemExit as end:
        return end.code
    return 0
