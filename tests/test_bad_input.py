"""Bad configs, images, model files and damaged results: each is one sentence with the way out, and nothing is written."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from connectomake.cli import main
from connectomake.config import load_config
from connectomake.errors import ConfigError, ConnectomakeError
from connectomake.planning.resolve import prepare_plan
from tests.bad_input_cases import CONFIGS, FILES, SHAPE
from tests.flow import Flow


def tree(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, byte for byte; Snakemake's own folder is left out."""
    paths = [p for p in folder.rglob("*") if ".snakemake" not in p.relative_to(folder).parts]
    return {p: p.read_bytes() if p.is_file() else None for p in paths}


def check_sentence(message: str, says: Sequence[str]) -> None:
    """A message must be one sentence of moderate length with certain pieces."""
    for piece in says:
        assert piece in message
    assert message.isprintable()
    assert len(message) < 400
    assert not re.search(r"\. [A-Z]", message), "more than one sentence"
    assert "Traceback" not in message


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A good run's folder before it is run, as working directory."""
    flow = Flow(tmp_path / "run", SHAPE).make()
    monkeypatch.chdir(flow.folder)
    return flow


def test_the_good_config_is_good(flow: Flow) -> None:
    assert prepare_plan(flow.config) is None


@pytest.mark.parametrize("name", CONFIGS)
def test_config(flow: Flow, name: str) -> None:
    case = CONFIGS[name]
    case.spoil(flow.folder)
    before = tree(flow.folder)
    with pytest.raises(ConnectomakeError) as caught:
        prepare_plan(case.config(copy.deepcopy(flow.config)))
    check_sentence(str(caught.value), case.says)
    assert tree(flow.folder) == before


@pytest.mark.parametrize("name", FILES)
def test_config_file(tmp_path: Path, name: str) -> None:
    content, *says = FILES[name]
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    check_sentence(str(caught.value), (str(path), *says))


ENTRIES = {name: CONFIGS[name] for name in (
    "unknown key", "threshold 1", "threshold NaN", "outdir a date", "outdir a file", "model missing", "HDF5 truncated",
    "dataset missing", "overlap as large as the patch",
)}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threshold 1", "threshold NaN", "outdir a date", "outdir a file", "HDF5 truncated"])
def test_dry_run(flow: Flow, name: str) -> None:
    case = ENTRIES[name]
    case.spoil(flow.folder)
    flow.write(case.config(copy.deepcopy(flow.config)))
    check_head(flow, case.says)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"outdir: x\nsource:\n\tpath: y\n", b"- outdir\n- source\n"], ids=["a tab", "a list"])
def test_dry_run_without_yaml(flow: Flow, content: bytes) -> None:
    """Snakemake reads the file before any of our code runs: its words, but nothing happens."""
    (flow.folder / "config.yaml").write_bytes(content)
    check_head(flow, ())


def check_head(flow: Flow, says: tuple[str, ...]) -> None:
    before = tree(flow.folder)
    code, printed = flow.run("-n", check=False)
    assert code == 1
    assert tree(flow.folder) == before
    assert "Traceback" not in printed
    assert "src/connectomake" not in printed
    (line,) = [line for line in printed.splitlines() if all(piece in line for piece in says)] if says else [""]
    check_sentence(line, says)


@pytest.mark.parametrize(
    ("name", "command"),
    [(n, c) for n in ENTRIES for c in ("check", "plan", "verify") if n != "outdir a file" or c == "check"],
)
def test_command(flow: Flow, capsys: pytest.CaptureFixture[str], name: str, command: str) -> None:
    case = ENTRIES[name]
    case.spoil(flow.folder)
    flow.write(case.config(copy.deepcopy(flow.config)))
    check_command(flow, capsys, command, case.says)


@pytest.mark.parametrize("name", FILES)
def test_command_without_yaml(flow: Flow, capsys: pytest.CaptureFixture[str], name: str) -> None:
    content, *says = FILES[name]
    if content is not None:
        (flow.folder / "config.yaml").write_bytes(content)
    check_command(flow, capsys, "check", says)


def check_command(flow: Flow, capsys: pytest.CaptureFixture[str], command: str, says: Sequence[str]) -> None:
    before = tree(flow.folder)
    with pytest.raises(SystemExit) as ended:
        main([command])
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    check_sentence(err.strip(), says)
    assert tree(flow.folder) == before
