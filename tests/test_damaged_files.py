"""Whatever happens to a file of a run, `verify` names that file and no other; nothing stops `summary`, `progress` or a run."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from connectomake.cli import main
from connectomake.layers import read_record, write_columns
from connectomake.layers.companions import check_companion, check_form, companion_checksums
from connectomake.layers.records import comment_of
from connectomake.pipeline.expected import Expected
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.targets import Targets
from connectomake.planning.freshness import ENDS, is_stale, is_text_stale
from connectomake.planning.infos import info_text
from connectomake.planning.plan import Plan
from connectomake.verify import verify
from tests.damage import WAYS
from tests.every_kind import every_kind, kinds
from tests.flow import Flow

ROOT = os.geteuid() == 0


@pytest.fixture
def run(copied_run: Plan) -> Plan:
    return copied_run


def damaged(way: str, files: Any) -> set[str]:
    """Damage files; return those paths whose damage can be seen: root reads what nobody may read."""
    for file in files:
        WAYS[way](Path(file.path))
    return set() if ROOT and way == "unreadable" else {file.path for file in files}


def check(plan: Plan, paths: set[str]) -> None:
    report = verify(plan, every_chunk=True)
    assert {fault.path for fault in report.faults} == paths
    assert all(p.isprintable() and re.search("rerun|makes it|run `", p) for p in report.problems)
    text = "\n".join(report.problems)
    assert all(path in text or re.search("all . files of the stage info are missing", text) for path in paths)


def there(plan: Plan) -> dict[str, Expected]:
    return {kind: file for kind, file in kinds(plan).items() if file.needed}


def restore(whole: Any, files: Any) -> None:
    for file in files:
        path = Path(file.path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        shutil.copy(whole / file.path, path)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_exactly_the_damaged_files_are_named(run: Plan, whole_run: Path, way: str) -> None:
    """First files with records, then those whose checksums stand in records."""
    for beside_ in (False, True):
        files = [f for f in there(run).values() if (f.beside is not None) == beside_]
        check(run, damaged(way, files))
        restore(whole_run, files)
    check(run, set())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_nothing_stops_the_commands(run: Plan, capfd: pytest.CaptureFixture[str], way: str) -> None:
    damaged(way, there(run).values())
    for command, code in (("progress", 0), ("summary", 0), ("verify", int(not (ROOT and way == "unreadable")))):
        with pytest.raises(SystemExit) as ended:
            main([command])
        assert ended.value.code == code
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err


@pytest.mark.parametrize("way", [w for w in WAYS if "flipped" not in w and w not in ("missing", "not UTF-8")])
def test_a_run_starts_and_takes_it_for_outdated(run: Plan, way: str) -> None:
    for file in there(run).values():
        seen = damaged(way, [file])
        path, fingerprint = file.path, Stages(run).fingerprint(file.stage) if file.stage != "info" else ""
        if file.stage == "info":
            stale = is_text_stale(path, info_text(run, os.path.relpath(Path(path).parent, run.outdir)))
        else:
            stale = is_stale(file.beside or path, fingerprint, [path] if file.beside else [])
        assert stale == bool(seen), path


def test_the_object_table_is_that_of_objects(run: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of merges is no object table, though it has the same ending."""
    Path(Targets(run).objects).unlink()
    write_columns("out/agglomeration/merges.parquet", {})
    check(run, {Targets(run).objects})


def test_an_unreadable_file_is_stale_and_named(run: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """What root cannot try: the system refuses to open the file."""
    path = Targets(run).objects

    def refuse(self: Path, *args: Any, **kwargs: Any) -> IO[Any]:
        if str(self) == path:
            raise PermissionError(13, "Permission denied", path)
        return opened(self, *args, **kwargs)

    opened: Callable[..., IO[Any]] = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    assert is_stale(path, Stages(run).fingerprint("objects"))
    (problem,) = (p for p in verify(run, stages={"objects"}).problems if path in p)
    assert "delete it and rerun" in problem


def test_results_without_checksums_beside_them_stay(run: Plan) -> None:
    """Those that were made before there were any."""
    targets, stages = Targets(run), Stages(run)
    results = targets.evaluation()
    record = {k: v for k, v in read_record(results["table"]).items() if k != "beside"}
    for name in ("scores", "worst"):
        check_companion(results["table"], record, results[name])
    assert not is_stale(results["table"], stages.fingerprint("evaluation"), [results["scores"], results["worst"]])
    Path(results["worst"]).write_bytes(Path(results["worst"]).read_bytes()[:-1])
    with pytest.raises(OSError, match=r"worst.csv is truncated or damaged; delete it and rerun"):
        check_form(results["worst"])
    assert is_stale(results["table"], stages.fingerprint("evaluation"), [results["scores"], results["worst"]])


def test_reports_of_before_stay(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    for suffix, end in ENDS.items():
        path = tmp_path / "report" / f"page{suffix}"
        path.write_bytes(b"something" + end)
        assert not is_stale(path, "today")
        path.write_bytes(path.read_bytes()[:-1])
        assert is_stale(path, "today")


def test_a_record_in_a_page(tmp_path: Path) -> None:
    path, other = tmp_path / "page.html", tmp_path / "data" / "table.csv"
    other.parent.mkdir()
    other.write_text("a\n1\n")
    record = {"fingerprint": "f", "note": "--> é", **companion_checksums(path, other)}
    path.write_text(f"<p>é</p>{comment_of(record)}")
    assert "-->" not in path.read_text()[:-4]
    assert read_record(path) == record
    assert not is_stale(path, "f", [other])
    other.write_text("a\n2\n")
    assert is_stale(path, "f", [other])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    flow = every_kind(tmp_path_factory.mktemp("every") / "run")
    flow.run()
    return flow


@pytest.fixture
def copied(whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    shutil.copytree(whole.folder, tmp_path / "run", symlinks=True)
    monkeypatch.chdir(tmp_path / "run")
    return Flow(tmp_path / "run", whole.shape, whole.config)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_of_every_kind(copied: Any, whole: Any, way: str) -> None:
    plan = copied.plan()
    for beside_ in (False, True):
        files = [f for f in kinds(plan).values() if (f.beside is not None) == beside_]
        check(plan, damaged(way, files))
        restore(whole.folder, files)
    check(plan, set())
