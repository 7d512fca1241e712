"""Viewing: the server answers as viewers need it, keeps to its folders, and the state fits what is there."""

import copy
import gzip
import http.client
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.errors import ConfigError, SourceError
from connectomake.layers import read_box
from connectomake.objects import read_parquet, write_parquet
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.tables import ComponentTable
from connectomake.viewing import make_server, mounts, viewer_state
from connectomake.viewing.client import client_folder
from connectomake.viewing.folders import layer_file_in
from connectomake.viewing.ranges import parse_range
from connectomake.viewing.server import LayerServer
from tests.tiny_run import CONFIG, make_run, write_inputs


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    folder = tmp_path_factory.mktemp("viewing")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        yield make_run()


@pytest.fixture(scope="module")
def server(plan: Plan) -> Iterator[LayerServer]:
    with make_server("127.0.0.1", 0, mounts(plan)) as made:
        made.state = viewer_state(plan, made.base, (1, 2, 3))
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


def address_of(server: LayerServer | SimpleNamespace) -> tuple[str, int]:
    host, port = server.server_address[:2]
    return str(host), int(port)


def ask(
    server: LayerServer | SimpleNamespace, path: str, method: str = "GET", **headers: Any
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*address_of(server), timeout=600)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def first_shard(plan: Plan) -> str:
    return f"segmentation/{plan.layers['segmentation'].shard_name(0)}"


def test_whole_file_and_ranges(plan: Plan, server: LayerServer) -> None:
    path = first_shard(plan)
    data = (Path(plan.outdir) / path).read_bytes()
    status, headers, body = ask(server, f"/run/{path}")
    assert (status, body) == (200, data)
    assert headers["Accept-Ranges"] == "bytes"
    assert not any(name.startswith("Access-Control") for name in headers), "no other site may read it"
    for text, part in (("0-15", data[:16]), ("16-", data[16:]), ("-7", data[-7:]), (f"5-{len(data) + 99}", data[5:])):
        status, headers, body = ask(server, f"/run/{path}", Range=f"bytes={text}")
        assert (status, body) == (206, part)
        start = len(data) - 7 if text == "-7" else int(text.split("-")[0])
        assert headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(data)}"


def test_range_without_a_byte(plan: Plan, server: LayerServer) -> None:
    path = first_shard(plan)
    size = (Path(plan.outdir) / path).stat().st_size
    status, headers, _ = ask(server, f"/run/{path}", Range=f"bytes={size}-")
    assert status == 416
    assert headers["Content-Range"] == f"bytes */{size}"


def test_a_browser_that_is_gone_is_no_news_but_other_errors_are(
    server: LayerServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told, real = threading.Event(), server.handle_error

    def tell(*given: Any) -> None:
        real(*given)
        told.set()

    monkeypatch.setattr(server, "handle_error", tell)
    client = socket.create_connection(address_of(server))
    client.sendall(b"GET / HTTP/1.1")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that closing resets it
    client.close()
    assert told.wait(1800)
    assert capfd.readouterr().err == ""
    try:
        raise ValueError("a mistake of ours")
    except ValueError:
        real(None, ("127.0.0.1", 1))
    assert "a mistake of ours" in capfd.readouterr().err


def test_head_and_preflight(plan: Plan, server: LayerServer) -> None:
    path = first_shard(plan)
    size = (Path(plan.outdir) / path).stat().st_size
    status, headers, body = ask(server, f"/run/{path}", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(size))
    status, headers, body = ask(server, f"/run/{path}", "HEAD", Range="bytes=0-9")
    assert (status, headers["Content-Length"]) == (206, "10")
    status, headers, _ = preflight(server, f"/{server.guard.token}/run/{path}", PUBLIC)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == PUBLIC
    assert "GET" in headers["Access-Control-Allow-Methods"]
    assert "Range" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Allow-Private-Network"] == "true"


PUBLIC = "https://neuroglancer-demo.appspot.com"


def preflight(server: LayerServer, path: str, origin: str) -> tuple[int, dict[str, str], bytes]:
    return ask(
        server, path, "OPTIONS", Origin=origin, Access_Control_Request_Method="GET", Access_Control_Request_Headers="range",
        Access_Control_Request_Private_Network="true",
    )  # fmt: skip


@pytest.mark.parametrize("origin", [PUBLIC, "https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", ""])
def test_pages_of_other_sites_read_nothing(plan: Plan, server: LayerServer, origin: str) -> None:
    for path in ("/run/segmentation/info", "/state.json", "/", "/v/connectomake/", f"/run/{first_shard(plan)}", "/nothing"):
        for status, headers, body in (ask(server, path, Origin=origin), preflight(server, path, origin)):
            assert status == 403
            assert not any(name.startswith("Access-Control") for name in headers)
            assert b"--allow-origin" in body
    wrong = f"/{server.guard.token[:-1]}x/run/segmentation/info"
    assert ask(server, wrong, Origin=origin)[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_embed_nothing(server: LayerServer, site: str) -> None:
    """Browsers send no Origin for scripts and pictures, but say where the page is from."""
    asked = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": "no-cors"}
    assert ask(server, "/run/segmentation/info", **asked)[0] == 403
    assert ask(server, "/state.json", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == 200
    assert ask(server, "/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")[0] == 302, "a link to the viewer"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1", "a b"],
)
def test_only_our_own_names_are_answered(server: LayerServer, host: str) -> None:
    """A site may resolve its own name to 127.0.0.1: DNS rebinding."""
    for path in ("/run/segmentation/info", "/", "/state.json", f"/{server.guard.token}/run/segmentation/info"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert ask(server, path, method, Host=host)[0] == 421
    assert ask(server, "/run/segmentation/info", Host=host, Origin=f"http://{host}")[0] == 421


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "127.1.2.3"])
def test_the_state_is_of_the_pages_own_origin(server: LayerServer, host: str) -> None:
    """Through a tunnel the server has another port, and all it answers is of that origin."""
    status, headers, body = ask(server, "/state.json", Host=host, Origin=f"http://{host}")
    assert status == 200
    assert headers["Vary"] == "Origin"
    sources = [layer["source"] for layer in json.loads(body)["layers"]]
    assert f"precomputed://http://{host.lower()}/run/segmentation" in sources
    if client_folder() is not None:
        location = ask(server, "/", Host=host)[1]["Location"]
        assert location == f"/v/connectomake/#!http://{host.lower()}/state.json"


def test_allowed_origins(plan: Plan) -> None:
    with make_server("127.0.0.1", 0, mounts(plan), ["https://Example.org:443/", "http://localhost:3000"]) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        for origin, status in (
            ("https://example.org", 200), ("http://localhost:3000", 200), ("http://localhost:3001", 403),
            ("http://example.org", 403), ("https://example.org.evil", 403),
        ):  # fmt: skip
            found, headers, _ = ask(made, "/run/segmentation/info", Origin=origin)
            assert found == status
            assert headers.get("Access-Control-Allow-Origin") == (origin if status == 200 else None)
        assert preflight(made, "/run/segmentation/info", "https://example.org")[0] == 204
        made.shutdown()
    for wrong in ("example.org", "https://example.org/path", "javascript:x", "https://a b", ""):
        with pytest.raises(ConfigError, match="is not an origin"):
            make_server("127.0.0.1", 0, mounts(plan), [wrong])


def test_only_layers_are_served(plan: Plan, server: LayerServer) -> None:
    """Not logs, benchmarks, plans, tables or whatever else lies in outdir, nor what a layer's info does not name."""
    out = Path(plan.outdir)
    for name in ("logs/affinity/0.log", "benchmarks/x.tsv", "config.yaml", "segmentation/notes.txt", "segmentation/.hidden/x"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("secret")
    served = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and ask(server, f"/run/{path.relative_to(out).as_posix()}")[0] == 200
    }
    assert {name.split("/")[0] for name in served} == {"image", "affinity", "components", "segmentation", "ground_truth"}
    kinds = {name.rpartition("/")[2].rpartition(".")[2] for name in served}
    assert kinds == {"info", "shard", "png"} or kinds == {"info", "shard"}
    assert first_shard(plan) in served
    assert any(name.startswith("segmentation/mesh/") for name in served)
    assert "segmentation/properties/info" in served
    assert any("logs" in str(path) for path in out.rglob("*.log"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"scales": 3, "mesh": 5}',
        '{"scales": [{"key": "../.."}, {"key": ""}, {}, 1], "mesh": "/"}',
        "[" * 9999,
    ],
)
def test_a_strange_info_names_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "layer/x").mkdir(parents=True)
    (tmp_path / "layer/info").write_text(text)
    (tmp_path / "layer/x/y").write_text("secret")
    assert layer_file_in(tmp_path / "layer", ["x", "y"]) is None
    assert layer_file_in(tmp_path / "layer", ["info"]) is not None


def test_one_connection_serves_many_requests(plan: Plan, server: LayerServer) -> None:
    connection = http.client.HTTPConnection(*address_of(server), timeout=600)
    for path, status in ((f"/run/{first_shard(plan)}", 200), ("/run/nothing", 404), ("/run/segmentation/info", 200)):
        for method in ("HEAD", "GET"):
            connection.request(method, path)
            answer = connection.getresponse()
            assert answer.status == status
            answer.read()
    connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/run/../raw.h5", "/run/%2e%2e/raw.h5", "/run/segmentation/../../raw.h5", "/run//etc/passwd", "/run/%2Fetc/passwd",
        "/../raw.h5", "/raw.h5", "//etc/passwd", "/run/..%2fraw.h5", "/run", "/run/", "/run/segmentation", "/nothing/info",
        "/run/link/raw.h5", "/run/%00", "/run/" + "x" * 5000, "/run/segmentation/",
        "/v/connectomake/../../../raw.h5", "/runx/info", "/run/link/",
    ],
)  # fmt: skip
def test_nothing_outside_the_folders_is_served(plan: Plan, server: LayerServer, path: str) -> None:
    link = Path(plan.outdir) / "link"
    if not link.is_symlink():
        link.symlink_to("..")
    assert Path("raw.h5").exists()
    status, _, body = ask(server, path)
    assert status == 404
    assert b"HDF" not in body
    assert b"root:" not in body


def test_info_is_json(server: LayerServer) -> None:
    status, headers, body = ask(server, "/run/segmentation/info")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["mesh"] == "mesh"


def test_files_stored_compressed(plan: Plan, server: LayerServer) -> None:
    import gzip

    folder = Path(plan.outdir) / "segmentation/10_10_20"
    (folder / "0-8_0-8_0-8.gz").write_bytes(gzip.compress(b"voxels"))
    status, headers, body = ask(server, "/run/segmentation/10_10_20/0-8_0-8_0-8")
    assert status == 200
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b"voxels"


@pytest.mark.parametrize("layer", ["image", "affinity", "components", "segmentation"])
def test_tensorstore_reads_the_served_layers(plan: Plan, server: LayerServer, layer: str) -> None:
    path = f"{server.base}/run/{layer}/"
    store = ts.open({"driver": "neuroglancer_precomputed", "kvstore": path}).result()
    spec = plan.layers[layer]
    found = np.asarray(store.read().result()).transpose(3, 2, 1, 0)
    assert tuple(store.domain.origin[:3])[::-1] == spec.roi.start
    assert np.array_equal(found, read_box(Path(plan.outdir) / layer, spec, spec.roi))


def test_cloudvolume_reads_meshes_that_are_served(plan: Plan, server: LayerServer) -> None:
    from cloudvolume import CloudVolume

    from connectomake.objects import read_parquet

    table = read_parquet(f"{plan.outdir}/objects/objects.parquet")
    row = int(np.argmax(table["voxels"]))
    volume = CloudVolume(f"precomputed://{server.base}/run/segmentation", progress=False, use_https=True)
    mesh = volume.mesh.get(int(table["id"][row]))[int(table["id"][row])]
    low = [table[f"start_{a}"][row] * v for a, v in zip("xyz", (10, 10, 20), strict=True)]
    high = [table[f"stop_{a}"][row] * v for a, v in zip("xyz", (10, 10, 20), strict=True)]
    assert len(mesh.faces)
    assert np.allclose(mesh.vertices.min(0), low, atol=10)
    assert np.allclose(mesh.vertices.max(0), high, atol=10)


def test_state(plan: Plan, server: LayerServer) -> None:
    status, _, body = ask(server, "/state.json")
    state = json.loads(body)
    assert status == 200
    assert state["dimensions"] == {"x": [1e-8, "m"], "y": [1e-8, "m"], "z": [2e-8, "m"]}
    assert state["position"] == [3.5, 2.5, 1.5]
    layers = {layer["name"]: layer for layer in state["layers"]}
    assert list(layers) == ["image", "affinity", "components", "segmentation", "ground truth"]
    assert layers["segmentation"]["source"] == f"precomputed://{server.base}/run/segmentation"
    assert 1 <= len(layers["segmentation"]["segments"]) <= 24
    assert "emitGrayscale" in layers["affinity"]["shader"]


def test_root_leads_to_the_viewer(server: LayerServer) -> None:
    if client_folder() is None:
        pytest.skip("no bundled client")
    status, headers, _ = ask(server, "/")
    assert status == 302
    assert headers["Location"].startswith("/v/connectomake/#!http://127.0.0.1:")
    status, headers, body = ask(server, "/v/connectomake/")
    assert status == 200
    assert headers["Content-Type"] == "text/html"
    assert b"<script" in body
    folder = client_folder()
    assert folder is not None
    script = next(p.name for p in folder.glob("main*.js"))
    _, headers, plain = ask(server, f"/v/connectomake/{script}")
    assert headers["Content-Type"] == "text/javascript"
    assert "immutable" in headers["Cache-Control"]
    _, headers, body = ask(server, f"/v/connectomake/{script}", Accept_Encoding="gzip, br")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 2
    assert "immutable" not in ask(server, "/v/connectomake/")[1]["Cache-Control"]


def test_client_finds_its_event_stream(server: LayerServer) -> None:
    with socket.create_connection(address_of(server), timeout=600) as connection:
        connection.sendall(b"GET /events/connectomake?c=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"\n\n" not in answer:
            answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"text/event-stream" in answer
    assert b": nothing new" in answer


@given(st.binary(min_size=1, max_size=40), st.integers(0, 50), st.integers(0, 50))
def test_ranges_as_the_rfc_has_them(data: bytes, first: int, last: int) -> None:
    found = parse_range(f"bytes={first}-", len(data))
    assert found is not None
    start, stop = found
    assert data[start:stop] == data[first:]
    found = parse_range(f"bytes=-{last}", len(data))
    assert found is not None
    start, stop = found
    assert data[start:stop] == (data[-last:] if last else b"")
    assert (start < stop) == (last > 0)
    found = parse_range(f"bytes={first}-{last}", len(data))
    assert (found is None) == (last < first)
    if found:
        assert data[found[0] : max(found)] == data[first : last + 1]
        assert (found[0] < found[1]) == (first < len(data))


@pytest.mark.parametrize("header", [None, "", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=5-2"])
def test_headers_that_ask_for_the_whole(header: str | None) -> None:
    assert parse_range(header, 100) is None


def test_state_of_what_is_there(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plan.outdir, tmp_path / "out", symlinks=True)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree("out/affinity")
    shutil.rmtree("out/segmentation/properties")
    state = viewer_state(plan, "http://h:1", (0, 0, 0), [7])
    assert [layer["name"] for layer in state["layers"]] == ["image", "components", "segmentation", "ground truth"]
    assert state["layers"][-2]["segments"] == ["7"]
    assert viewer_state(plan, "http://h:1", (0, 0, 0))["layers"][-2]["segments"] == []
    shutil.rmtree("out/segmentation")
    assert "selectedLayer" not in viewer_state(plan, "http://h:1", (0, 0, 0))


@pytest.mark.parametrize("path", ["vol", "precomputed://vol", "precomputed://file://{}/vol", "file://{}/vol"])
def test_source_in_place_is_a_layer(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    shutil.copytree(Path(plan.outdir) / "image", tmp_path / "vol")
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    source = {"path": path.format(tmp_path)}
    other = resolve({"outdir": "out", "source": source, "block": [16, 16, 16], "meshes": {"enabled": False}})
    assert set(mounts(other)) == {"run", "source"}
    assert mounts(other)["source"] == tmp_path / "vol"
    (layer,) = viewer_state(other, "http://h:1", (0, 0, 0))["layers"]
    assert layer["source"] == "precomputed://http://h:1/source"


def test_port_in_use(plan: Plan, server: LayerServer, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="in use; choose another with --port"):
        make_server("127.0.0.1", server.server_address[1], mounts(plan))
    with pytest.raises(SystemExit) as end:
        main(["view", "--port", str(server.server_address[1])])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: port {server.server_address[1]} is in use")


def test_no_layer_to_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["view"])
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: there is no layer in out to view; run snakemake first\n"


def test_nothing_to_view(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has the workflow run"):
        make_server("127.0.0.1", 0, {"run": tmp_path / "out"})


def test_print_only(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    middle, voxel = ((), [20.5, 12.5, 10.5]), (("--at", "1", "2", "3"), [3.5, 2.5, 1.5])
    table = read_parquet(f"{plan.outdir}/objects/objects.parquet")
    inside = [float(table[f"inside_{a}"][0]) + 0.5 for a in "xyz"]
    for args, position in (middle, voxel, (("--id", str(table["id"][0])), inside)):
        with pytest.raises(SystemExit) as end:
            main(["view", "--print-only", *args])
        assert end.value.code == 0
        out = capsys.readouterr().out
        link = next(line for line in out.splitlines() if "#!" in line)
        state = json.loads(unquote(link.partition("#!")[2]))
        assert link.partition(": ")[2].startswith("https://neuroglancer-demo.appspot.com/#!%7B")
        assert state["position"] == position


@pytest.mark.parametrize("args", [("--at", "-1", "0", "0"), ("--id", "0"), ("--id", "99999999")])
def test_nowhere_to_look(plan: Plan, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["view", "--print-only", *args])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_unknown_objects_are_named(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    known = int(read_parquet(f"{plan.outdir}/objects/objects.parquet")["id"][0])
    with pytest.raises(SystemExit) as end:
        main(["view", "--print-only", "--id", str(known), "--id", str(known + 1)])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: object {known + 1} does not exist; `connectomake summary` names")


def test_an_empty_segmentation_is_said(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "objects.parquet"
    write_parquet(path, ComponentTable.empty(), plan.roi, plan.source.voxel_size)
    monkeypatch.setattr("connectomake.pipeline.targets.Targets.objects", path)
    with pytest.raises(SystemExit) as end:
        main(["view", "--print-only"])
    assert end.value.code == 0
    assert capsys.readouterr().err.startswith("note: the segmentation holds no object")


@pytest.mark.parametrize("fails", [False, True])
def test_no_browser_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    import webbrowser

    from connectomake.cli.view import _open

    def answer(link: str) -> bool:
        if fails:
            raise webbrowser.Error("could not locate runnable browser")
        return False

    monkeypatch.setattr(webbrowser, "open", answer)
    _open("http://127.0.0.1:9000/")
    assert capsys.readouterr().err == "note: no browser was found here; open http://127.0.0.1:9000/ in one\n"


def test_a_source_without_voxel_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(CONFIG)
    del config["source"]["voxel_size"]
    write_inputs(tmp_path, config)
    with pytest.raises(SystemExit) as end:
        main(["view"])
    error = capsys.readouterr().err
    assert end.value.code == 1
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "source.voxel_size" in error


def heed_interrupts() -> None:
    """A shell's background jobs are started deaf to SIGINT, and so is what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_served_until_interrupted(plan: Plan) -> None:
    command = [sys.executable, "-c", "from connectomake.cli import main; main()", "view", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)  # noqa: PLW1509
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("serving"):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    base = lines[-2].split(": ", 1)[1].strip().removesuffix("/run/")
    host, port = base.removeprefix("http://").split(":")
    assert ask(SimpleNamespace(server_address=(host, int(port))), "/run/segmentation/info")[0] == 200
    public = next(line for line in lines if line.startswith("public viewer: "))
    (layer,) = [e for e in json.loads(unquote(public.partition("#!")[2]))["layers"] if e["name"] == "segmentation"]
    path = layer["source"].removeprefix(f"precomputed://{base}")
    for end in ("info", "mesh/info"):
        status, headers, _ = ask(SimpleNamespace(server_address=(host, int(port))), f"{path}/{end}", Origin=PUBLIC)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, PUBLIC)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=1800)
    assert (process.returncode, err) == (0, "")
