"""From any damage to a whole run in one round: `verify --repair` and the one command that it prints; the same bytes after."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectomake import lock
from connectomake.cli import main
from connectomake.forking import processes
from connectomake.layers import read_block, read_record, write_block
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.verify import carry_out, expected, plan_repair, verify
from tests.damage import WAYS
from tests.every_kind import every_kind, kinds
from tests.flow import ROOT, Flow
from tests.tiny_run import CONFIG

COMMAND = re.compile(r"^now run `(.*)`$", re.MULTILINE)


@pytest.fixture
def run(copied_run: Plan) -> Plan:
    return copied_run


def call(capfd: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code: str | int = 0
    try:
        main(list(args))
    except SystemExit as end:
        code = end.code or 0
    assert isinstance(code, int), code
    return code, *capfd.readouterr()


def first_line(pattern: re.Pattern[str], out: str) -> re.Match[str]:
    match = pattern.search(out)
    assert match is not None, out
    return match


def content(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_verify_itself_removes_nothing(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    WAYS["cut in half"](Path(Targets(run).objects))
    before = content("out")
    code, out, _ = call(capfd, "verify", "--deep")
    assert code == 1
    assert "connectomake verify --deep --repair` removes what is damaged" in out
    assert content("out") == before


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_only_the_damaged_file_goes(run: Plan, capfd: pytest.CaptureFixture[str], way: str) -> None:
    if way == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    path = Path(Targets(run).shard("segmentation", 1))
    before = content("out")
    WAYS[way](path)
    code, out, _ = call(capfd, "verify", "--deep", "--repair")
    assert code == 0
    assert not os.path.lexists(path)
    assert (
        way == "missing" or out.index(str(path)) < first_line(re.compile("^(removed|moved aside): ", re.MULTILINE), out).start()
    )
    assert first_line(COMMAND, out)[1].endswith("snakemake --profile profiles/local kept")
    aside = {f"{path}.aside/note.txt": b"of somebody"} if way == "a folder with a file" else {}
    assert content("out") == {name: data for name, data in before.items() if name != str(path)} | aside


def test_links_are_removed_not_what_they_lead_to(run: Plan, tmp_path: Path) -> None:
    path = Path(Targets(run).objects)
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    assert not verify(run).problems
    WAYS["cut in half"](tmp_path / "elsewhere.parquet")
    list(carry_out(plan_repair(run, verify(run))))
    assert not path.is_symlink()
    assert (tmp_path / "elsewhere.parquet").exists()


def test_results_of_another_config_are_never_removed(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor are damaged files among them, as far as anybody can tell whose they are."""
    results = Targets(run).evaluation()
    WAYS["cut in half"](Path(results["scores"]))
    changed = {**CONFIG, "segmentation": {"threshold": 0.6, "min_size": 5}, "meshes": {"enabled": False}}
    Path("config.yaml").write_text(yaml.safe_dump(changed))
    before = content("out")
    code, out, _ = call(capfd, "verify", "--deep", "--repair")
    assert code == 0
    assert "was made with other settings" in out
    assert "describes another layer" in out
    assert "removed" not in out
    assert content("out") == before


def test_a_file_that_is_not_of_the_run_stays(run: Plan) -> None:
    for name in ("out/objects/mine.parquet", "out/evaluation/notes.csv", "out/segmentation/10_10_20/ff.shard"):
        Path(name).write_bytes(b"")
    before = content("out")
    list(carry_out(plan_repair(run, verify(run, every_chunk=True))))
    assert content("out") == before


def test_what_cannot_be_read_today_stays(run: Plan, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: str, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("h5py.File", refuse)
    before = content("out")
    code, out, _ = call(capfd, "verify", "--repair")
    assert code == 1
    assert "could not be read this time and were left as they are" in out
    assert content("out") == before


def test_not_while_a_run_is_at_work(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    Path(Targets(run).objects).write_bytes(b"")
    holder = replace(lock.Holder.here(), process=os.getppid(), ticks=processes.ticks(os.getppid()))
    Path("out", lock.NAME).write_text(json.dumps(asdict(holder)))
    code, out, err = call(capfd, "verify", "--repair")
    assert (code, out) == (1, "")
    assert re.search(rf"error: another run, process {os.getppid()} .* works on out: wait until it ends", err)
    assert Path(Targets(run).objects).exists()


def test_dates_in_the_future(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    targets = Targets(run)
    late, later = targets.pack(0, 0), targets.objects
    os.utime(late, (2.0e9, 2.0e9))
    os.utime(later, (2.1e9, 2.1e9))
    code, out, _ = call(capfd, "verify")
    assert code == 1
    assert re.search(
        r"2 file\(s\) are dated in the future, such as out/.* \(20\d\d-.*connectomake verify --repair` dates them", out
    )
    assert call(capfd, "verify", "--repair")[0] == 0
    assert time.time() - 60 < Path(late).stat().st_mtime < Path(later).stat().st_mtime <= time.time()
    assert not verify(run).problems


def test_a_segmentation_and_a_table_that_differ_both_go(run: Plan) -> None:
    """Nobody can tell which of both is right."""
    path, spec = Targets(run).shard("segmentation", 0), run.layers["segmentation"]
    array = read_block(path, spec, 0).copy()
    array[:, 1:, 1:, 1:][array[:, 1:, 1:, 1:] == array.max()] = array[array > 0].min()
    write_block(path, spec, 0, array, read_record(path))
    gone = plan_repair(run, verify(run, every_chunk=True)).remove
    assert set(gone) == {Targets(run).objects, *(Targets(run).shard("segmentation", b) for b in run.grid.ids)}


def test_the_command_names_the_config(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").rename("my config.yaml")
    Path(Targets(run).objects).write_bytes(b"")
    out = call(capfd, "verify", "my config.yaml", "--repair")[1]
    assert shlex.split(first_line(COMMAND, out)[1])[-2:] == ["--configfile", "my config.yaml"]


def test_run_goes_with_repair(run: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capfd, "verify", "--run")
    assert code == 1
    assert err.startswith("error: --run goes with --repair")
    assert call(capfd, "verify", "--repair", "--run")[0] == 0, "nothing to repair, nothing to run"


def test_reports_that_were_asked_for(run: Plan) -> None:
    Path("out/report").mkdir()
    Path("out/report/run.html").write_bytes(b"cut")
    assert plan_repair(run, verify(run)).targets == "kept reports"


KEPT: dict[str, Any] = {"kept": {}, "not kept": {"keep": []}}


@pytest.fixture(scope="module", params=KEPT)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    flow = every_kind(tmp_path_factory.mktemp("repair") / "run", **KEPT[request.param])
    flow.run()
    return flow


@pytest.fixture
def copied(whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    shutil.copytree(whole.folder, tmp_path / "run", symlinks=True)
    (tmp_path / "run" / "profiles").symlink_to(ROOT / "profiles")
    for name in ("Snakefile", "workflow", "scripts"):
        (tmp_path / "run" / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return Flow(tmp_path / "run", whole.shape, whole.config)


def results(flow: Any) -> dict[str, Any]:
    """All files of a run but pages with times."""
    files = (file for file in expected(flow.plan()) if file.stage != "report")
    return {file.path: (flow.folder / file.path).read_bytes() for file in files}


def check_whole(flow: Any, whole: Any) -> None:
    report = verify(flow.plan(), every_chunk=True)
    assert (report.problems, report.notes) == ([], [])
    assert results(flow) == results(whole)
    assert "Nothing to be done" in flow.run("-n")


ROUNDS = {
    "missing": ("components h5",),
    "flipped in the middle": ("agglomeration up.h5", "affinity shard"),
    "a folder with a file": ("objects parquet",),
}
"""One of each sort, for each takes a run of its own; all kinds at once follow."""


@pytest.mark.slow
@pytest.mark.parametrize(("way", "kind"), [(way, kind) for way, names in ROUNDS.items() for kind in names])
def test_one_round(copied: Any, whole: Any, capfd: pytest.CaptureFixture[str], way: str, kind: str) -> None:
    if kind not in kinds(copied.plan()):
        pytest.skip("not kept")
    WAYS[way](copied.folder / kinds(copied.plan())[kind].path)
    code, out, _ = call(capfd, "verify", "--deep", "--repair")
    assert code == 0
    done = subprocess.run(shlex.split(first_line(COMMAND, out)[1]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(f"{kinds(copied.plan())[kind].path}.aside", ignore_errors=True)
    check_whole(copied, whole)


@pytest.mark.slow
def test_all_at_once_and_run(copied: Any, whole: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for i, file in enumerate(kinds(copied.plan()).values()):
        WAYS[["emptied", "missing", "cut in half", "not UTF-8", "an empty folder", "a link to nowhere"][i % 6]](Path(file.path))
    assert call(capfd, "verify", "--deep", "--repair", "--run")[0] == 0
    check_whole(copied, whole)


@pytest.mark.slow
def test_a_plain_run_starts_and_remakes_what_it_can_see(copied: Any, whole: Any) -> None:
    """Whatever lies there: what a start can see of the damage is remade without any repair."""
    files = list(kinds(copied.plan()).values())
    seen = ["emptied", "cut in half", "other text", "last byte cut", "flipped at the tail", "an empty folder"]
    for i, file in enumerate(files):
        WAYS[seen[i % 6]](Path(file.path))
    copied.run()
    assert not [f.path for f in files if f.path in {fault.path for fault in verify(copied.plan(), every_chunk=True).faults}]
    assert results(copied) == results(whole)
