"""A password or token in a URL is used to read, and shown or written nowhere."""

import base64
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
import yaml

from connectomake import credentials
from connectomake.credentials import hidden, redacted, revealed
from connectomake.errors import SourceError
from connectomake.geometry import Box
from connectomake.jobs import run
from connectomake.pipeline.job import Job
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import plan_path, prepare_plan
from connectomake.sources import open_source
from connectomake_snakemake.report import before_report
from tests.flow import ROOT

SECRET = "s3cr3t%2Fw"


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(credentials, "_known", {})
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with ranges, to who knows the password or the token."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(b"ann:s3cr3t/w").decode()
        place = Path(self.directory, urlsplit(self.path).path.lstrip("/"))
        if self.headers.get("Authorization") != wanted and f"token={SECRET}" not in self.path:
            self.send_error(401)
        elif not place.is_file():
            self.send_error(404)
        else:
            data = place.read_bytes()
            asked = self.headers.get("Range")
            first, last = (int(v) if v else None for v in asked.removeprefix("bytes=").split("-")) if asked else (0, None)
            assert first is not None, "a range from the end is not served"
            last = len(data) - 1 if last is None else min(last, len(data) - 1)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            self.wfile.write(data[first : last + 1] if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, *args: str | int) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A folder with an image as HDF5 and as precomputed, behind a password; its address without it."""
    import tensorstore as ts

    data = np.arange(4096, dtype=np.uint8).reshape(16, 16, 16)
    folder = tmp_path / "served"
    folder.mkdir()
    with h5py.File(folder / "a.h5", "w") as file:
        file["raw"] = data
    spec = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{folder}/vol/", "create": True}
    scale = {"size": [16] * 3, "resolution": [8] * 3, "chunk_size": [16] * 3, "encoding": "raw", "key": "8"}
    store = ts.open(
        {**spec, "multiscale_metadata": {"data_type": "uint8", "num_channels": 1, "type": "image"}, "scale_metadata": scale}
    )
    store.result()[:].write(data.transpose(2, 1, 0)[..., None]).result()
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Guarded, directory=str(folder)))
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield f"127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


def addresses(host: str, name: str) -> dict[str, str]:
    return {
        "user": f"http://ann:{SECRET}@{host}/{name}",
        "query": f"http://{host}/{name}?part=1&token={SECRET}",
    }


@pytest.mark.parametrize("how", ["user", "query"])
@pytest.mark.parametrize(("name", "dataset"), [("a.h5", "raw"), ("vol", None)])
def test_sources_are_read_and_their_secret_is_kept(server: str, name: str, dataset: str | None, how: str) -> None:
    url = addresses(server, name)[how]
    source = open_source(url, dataset, (8, 8, 8))
    assert source.path == f"http://{server}/{name}"
    assert source.read(Box.of_shape((16, 16, 16))).max() == 255
    kind = "hdf5" if dataset else "precomputed"
    assert open_source(f"{kind}://{url}", dataset, (8, 8, 8)).read(Box.of_shape((1, 1, 2)))[0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize(("name", "dataset"), [("a.h5", "raw"), ("vol", None)])
def test_netrc(server: str, name: str, dataset: str | None, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"401|credentials"):
        open_source(f"http://{server}/{name}", dataset, (8, 8, 8))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password s3cr3t/w\n")
    assert open_source(f"http://{server}/{name}", dataset, (8, 8, 8)).read(Box.of_shape((1, 1, 2))).size == 2


def config_of(url: str, dataset: str | str | None) -> dict[str, Any]:
    return {
        "outdir": "out", "block": [16, 16, 16], "chunk": [8, 8, 8], "meshes": {"enabled": False, "cell": [8, 8, 8]},
        "source": {"path": url, "dataset": dataset, "voxel_size": [8, 8, 8]}, "keep": ["image"],
    }  # fmt: skip


def job_of_image(config: dict[str, Any]) -> SimpleNamespace:
    """What the script of the first block's job gets."""
    return SimpleNamespace(rule="image", log=[], input=[], output=[], wildcards=SimpleNamespace(block="0"), config=config)


@pytest.mark.parametrize("how", ["user", "query"])
def test_the_plan_holds_no_secret_and_jobs_read_all_the_same(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(addresses(server, "a.h5")[how], "raw")
    prepare_plan(config)
    stored = json.loads(Path(plan_path(config)).read_text())
    everything = "".join(path.read_text(errors="replace") for path in Path(".connectomake").rglob("*") if path.is_file())
    assert "s3cr3t" not in everything
    assert f"http://{server}/a.h5" in everything
    credentials._known.clear()  # a job is another process
    seen = []
    job = job_of_image({**config, **stored})
    run(job, lambda made: seen.append(made.open_source().read(Box.of_shape((16, 16, 16))).max()))
    assert seen == [255]
    assert Plan.from_json(stored["plan"]).to_json()["source"]["path"] == f"http://{server}/a.h5"


@pytest.mark.slow
def test_nothing_that_is_printed_holds_a_secret(server: str, tmp_path: Path) -> None:
    for name, dataset in (("a.h5", "raw"), ("absent.h5", "raw"), ("absent", None), ("vol", None)):
        for how, url in addresses(server, name).items():
            folder = tmp_path / f"{name}-{how}"
            folder.mkdir()
            (folder / "config.yaml").write_text(yaml.safe_dump(config_of(url, dataset)))
            for command in (["check"], ["plan"], ["view", "--print-only"]):
                call = [sys.executable, "-c", "from connectomake.cli import main; main()", *command]
                environment = os.environ | {"NETRC": "/dev/null"}
                done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False, env=environment)
                assert server in done.stdout + done.stderr or command != ["check"], "the place is named"
                assert "s3cr3t" not in done.stdout + done.stderr
            left = [path for path in folder.rglob("*") if path.is_file() and path.name != "config.yaml"]
            assert not [path for path in left if b"s3cr3t" in path.read_bytes()]


def test_a_traceback_in_a_log(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(addresses(server, "a.h5")["user"], "raw")
    prepare_plan(config)
    stored = json.loads(Path(plan_path(config)).read_text())

    def fails(made: Job) -> None:
        raise ValueError(f"cannot reach http://ann:{SECRET}@{server}/a.h5?token={SECRET}&x=1")

    with pytest.raises(SystemExit):
        run(job_of_image({**config, **stored}), fails)
    log = capsys.readouterr().err
    assert f"cannot reach http://***@{server}/a.h5?token=***&x=1" in log
    assert SECRET not in log


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/a@b.h5", "s3://bucket/a@b.h5"),
        ("http://host:80/a?b=1", "http://host:80/a?b=1"),
        ("zarr://https://t0ken@host/x.", "zarr://https://***@host/x."),
        ("https://a:b@c@host/x", "https://***@host/x"),
        ("'https://a:b@host' and \"https://c:d@host2\"", "'https://***@host' and \"https://***@host2\""),
        ("https://h/x?X-Amz-Algorithm=A&X-Amz-Signature=B,", "https://h/x?X-Amz-Algorithm=***&X-Amz-Signature=***,"),
        ("https://h/x?sv=1&sig=abc%3D&se=2)", "https://h/x?sv=1&sig=***&se=2)"),
        ("https://h/x?AWSAccessKeyId=a&Signature=b&Expires=1", "https://h/x?AWSAccessKeyId=***&Signature=***&Expires=1"),
        ("mail ann@host about x?token=1", "mail ann@host about x?token=1"),
    ],
)
def test_redacted(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert str(SourceError(text)) == shown


@pytest.mark.parametrize("kind", ["", "zarr://", "precomputed://"])
def test_hidden_and_revealed(kind: str) -> None:
    url = "https://ann:a%40b@host:81/x.zarr"
    assert hidden(f"{kind}{url}") == f"{kind}https://host:81/x.zarr"
    for below in ("", "/", "/0/.zarray"):
        assert revealed(f"https://host:81/x.zarr{below}") == f"{url}{below}"
    assert hidden(f"{kind}https://host/y.zarr?sig=1&se=2|zarr2:a") == f"{kind}https://host/y.zarr|zarr2:a"
    assert revealed("https://host/y.zarr/a/0/") == "https://host/y.zarr/a/0/?sig=1&se=2"
    for other in ("https://host:81/x.zarrs", "https://host/x.zarr", "http://host:81/x.zarr", "s3://host:81/x.zarr"):
        assert revealed(other) == other


def test_a_report_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake shows the config files in its report."""
    from snakemake.report import ConfigfileRecord

    monkeypatch.setattr(ConfigfileRecord, "__post_init__", ConfigfileRecord.__post_init__)
    assert "before_report(targets, " in (ROOT / "workflow/rules/reporting.smk").read_text()
    targets: Any = SimpleNamespace(plan=SimpleNamespace(outdir="out"), reported=list, reports={})
    monkeypatch.setattr("sys.argv", ["snakemake", "--report=page.html"])
    before_report(targets, pytest.fail)
    (tmp_path / "a.yaml").write_text(f"source: {{path: 'https://ann:{SECRET}@host/x'}}")
    assert ConfigfileRecord(tmp_path / "a.yaml").source == "source: {path: 'https://***@host/x'}"
