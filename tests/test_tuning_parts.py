"""Each part of what is put in place of parts of Snakemake, by itself."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake import io
from snakemake.exceptions import WildcardError
from snakemake.io import AnnotatedString, IOFile, flag, is_flagged
from snakemake.iocontainers import ResourceList

from connectomake_snakemake.tuning import files, folders, graph, jobs, measures, resources

RULE = SimpleNamespace(name="any", pathvars=SimpleNamespace(apply=lambda text: text))


@pytest.fixture
def tuned_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake import rules
    from snakemake.io import _IOFile

    for name in ("apply_wildcards", "check", "__hash__", "__eq__", "flags", "is_flagged", "is_storage", "get_inventory_parent"):
        monkeypatch.setattr(_IOFile, name, getattr(_IOFile, name))
    monkeypatch.setattr(rules, "IOFile", rules.IOFile)
    files.replace()


@pytest.mark.usefixtures("tuned_files")
def test_a_plain_file_takes_flags_when_they_come() -> None:
    file = IOFile("a/{b}.h5", rule=RULE).apply_wildcards({"b": "7"})
    assert (str(file), type(file._file), dict(file.flags)) == ("a/7.h5", str, {})
    assert not is_flagged(file, "temp")
    assert not file.is_storage
    flag(file, "temp")
    assert is_flagged(file, "temp")
    assert file.flags == {"temp": True}
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda flags: flags.update(ancient=True),
        lambda flags: flags.setdefault("ancient", True),
    ]
    for change in changes:
        other = IOFile("a/7.h5", rule=RULE)
        change(other.flags)
        assert is_flagged(other, "ancient")
        assert other.is_ancient
    assert hash(file) == hash("a/7.h5")
    assert file == "a/7.h5"


@pytest.mark.usefixtures("tuned_files")
def test_a_flagged_file_keeps_its_flags() -> None:
    marked = AnnotatedString("a/{b}.h5")
    marked.flags["temp"] = True
    file = IOFile(marked, rule=RULE).apply_wildcards({"b": "7"})
    assert is_flagged(file, "temp")
    assert IOFile("x//y.txt", rule=RULE).get_inventory_parent() == os.path.dirname("x//y.txt")  # noqa: PTH120
    assert IOFile("y.txt", rule=RULE).get_inventory_parent() is None


@pytest.mark.parametrize("pattern", ["a/{b}.h5", "a/{b,[0-9]+}%s/{c}.{b}", "100%", "{c}", "no wildcard", "a/{ b }/x"])
def test_patterns_are_filled_in_as_ever(pattern: str) -> None:
    wildcards = {"b": "7", "c": "{b}"}
    assert files.filled(pattern, wildcards) == io.apply_wildcards(pattern, wildcards)


def test_a_wildcard_without_a_value_is_named() -> None:
    with pytest.raises(WildcardError, match="b"):
        files.filled("a/{b}", {"c": 1})


@pytest.mark.parametrize("name", ["", "./a", " a", "a ", "a\nb", "a//b", "a/{b c}", "a/", "<out>/a"])
def test_odd_names_are_left_to_snakemake(name: str) -> None:
    assert not files.is_ordinary(name)


@pytest.mark.parametrize("seed", range(5))
def test_jobs_are_layered_as_ever(seed: int) -> None:
    from snakemake import api  # noqa: F401  (the graph of jobs cannot be imported before it)
    from snakemake.dag import toposort

    random = Random(seed)
    every = [type("Job", (), {"pipe_group": None})() for _ in range(60)]
    needs: Any = {job: {other: set() for other in every[:n] if random.random() < 0.05} for n, job in enumerate(every)}
    readers = {job: [other for other in every if job in needs[other]] for job in every}
    dag = SimpleNamespace(jobs=every, _dependencies=needs, depending=readers)
    ours = graph.layered(lambda *_: pytest.fail("not needed"))
    for some in (None, set(every[10:40])):
        wanted = toposort({job: set(needs[job]) & set(some or every) for job in some or every})
        assert [set(layer) for layer in ours(dag, some)] == wanted


def test_jobs_that_wait_for_each_other_are_left_to_snakemake() -> None:
    one, two = (type("Job", (), {"pipe_group": None})() for _ in range(2))
    dag = SimpleNamespace(jobs=[one, two], _dependencies={one: {two: 0}, two: {one: 0}}, depending={one: [two], two: [one]})
    assert list(graph.layered(lambda *_: iter([["a cycle"]]))(dag)) == [["a cycle"]]


def resource(name: str, function: Callable[..., Any] | None = None) -> SimpleNamespace:
    return SimpleNamespace(name=name, raw=None, is_evaluable=lambda: function is not None, _evaluator=function)


def test_resources_are_worked_out_once_where_they_are_the_same(tmp_path: Path) -> None:
    made = []

    def expand(
        rule: SimpleNamespace, wildcards: str, read: list[str], attempt: int, skip_evaluation: None = None
    ) -> ResourceList:
        made.append(wildcards)
        return ResourceList(fromdict={"mem_mb": attempt, "n": len(made)})

    def rule(name: str, function: Callable[..., Any]) -> SimpleNamespace:
        return SimpleNamespace(name=name, resources={"mem_mb": resource("mem_mb", function), "disk": resource("disk")})

    known = resources.Known()
    look = known.expanding(expand)
    same, first, other = resources.same_for_all(lambda: 1), resources.same_at_first(lambda: 2), lambda: 3
    there, none = tmp_path / "there", tmp_path / "none"
    there.touch()
    for name, function, path, times in (
        ("same", same, there, 1),
        ("first, waits", first, none, 1),
        ("first, can start", first, there, 2),
        ("other", other, none, 2),
    ):
        before = len(made)
        for block in "ab":
            assert look(rule(name, function), block, [str(path)], 1).mem_mb == 1
        assert len(made) - before == times, name
    assert look(rule("same", same), "c", [str(there)], 2).mem_mb == 2
    job = SimpleNamespace(rule=rule("same", same))
    known.adding(lambda *_: None)(job, "mutex", 1)
    assert look(job.rule, "a", [], 1) is not look(job.rule, "b", [], 1)


def test_at_the_end_the_graph_is_not_taken_apart() -> None:
    text = """
import sys
from connectomake_snakemake.tuning import ending
class Part:
    def __del__(self): print("apart", flush=True)
parts = [Part()]
parts.append(parts)
if sys.argv[1:]: ending.leave_at_end(parts)
print("end")
"""
    said = [
        subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True, check=True)
        for words in ([], ["x"])
    ]
    assert [done.stdout.split() for done in said] == [["end", "apart"], ["end"]]


def test_a_log_or_measurements_of_an_odd_name_are_left_to_snakemake() -> None:
    asked: list[Any] = []
    check = jobs.valid(asked.append)
    log, odd = IOFile("logs/{node}.log", rule=RULE), IOFile("logs//{node}.log", rule=RULE)
    log._file, odd._file = str(log), str(odd)
    for patterns, benchmark, wildcards in (
        ([log], log, "a"),
        ([log], None, "a"),
        ([odd], None, "a"),
        ([], odd, "a"),
        ([log], None, " "),
    ):
        check(SimpleNamespace(rule=SimpleNamespace(log=patterns, benchmark=benchmark), wildcards_dict={"node": wildcards}))
    check(SimpleNamespace(rule=SimpleNamespace(log=[log], benchmark=None), wildcards_dict={}))
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("outputs", "nested"),
    [
        (["a", "a/b"], True),
        (["a", "a-b", "a/c"], False),
        (["a/b", "a/c", "d"], False),
        (["./a", "a/b"], True),
        (["a//b", "a/b/c"], True),
    ],
)
def test_outputs_in_outputs_are_looked_for_where_there_may_be_some(outputs: list[str], nested: bool) -> None:
    seen: list[Any] = []
    look = graph.unless_nested(seen.append)
    look(SimpleNamespace(jobs=[SimpleNamespace(output=[name]) for name in outputs]))
    assert bool(seen) == nested or outputs == ["a", "a-b", "a/c"]


def test_a_folder_tells_what_is_in_it_as_the_system_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/there").touch()
    (tmp_path / "d/link").symlink_to("there")
    (tmp_path / "d/lost").symlink_to("nothing")
    known = folders.Folders()
    assert [known.lists("d/there") for _ in range(folders.ENOUGH - 1)] == [None] * (folders.ENOUGH - 1)
    for name in ("there", "link", "lost", "none"):
        assert known.has(f"d/{name}") == os.path.lexists(f"d/{name}")
    assert (known.lists("d/there"), known.lists("d/none"), known.lists("d/link")) == (True, False, None)
    assert [known.has("no folder/x") for _ in range(folders.ENOUGH + 1)] == [False] * (folders.ENOUGH + 1)
    assert not known.has("top")


def test_a_folder_that_may_be_entered_but_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").touch()

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    known = folders.Folders()
    for _ in range(folders.ENOUGH + 1):
        assert known.has(f"{tmp_path}/there")
        assert not known.has(f"{tmp_path}/none")


class Measures:
    """The file of measurements of a job: on a disk, in a bucket, or nowhere."""

    def __init__(self, local: bool = False, stored: bool = False, is_storage: bool = False) -> None:
        self.local, self.stored, self.is_storage = local, stored, is_storage

    async def exists_local(self) -> bool:
        return self.local

    async def exists_in_storage(self) -> bool:
        return self.stored


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (Measures(local=True), True),
        (Measures(), False),
        (Measures(is_storage=True, stored=True), True),
        (Measures(is_storage=True, local=True), True),
        (Measures(is_storage=True), False),
    ],
)
def test_missing_measurements_are_waited_for_by_nobody(wanted: Measures, seen: bool) -> None:
    asked = []

    async def finish(job: Any, **others: Any) -> None:
        asked.append((bool(job.benchmark), others))
        if not others["error"]:
            raise OSError("full")

    class Job:
        _benchmark = wanted
        benchmark = property(lambda self: self._benchmark)

    job = Job()
    asyncio.run(measures.without_measures(finish)(job, error=True))
    with pytest.raises(OSError, match="full"):
        asyncio.run(measures.without_measures(finish)(job, error=False))
    assert asked == [(seen, {"error": True}), (seen, {"error": False})]
    assert job.benchmark is wanted


def test_edges_of_files_in_a_bucket_stay_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake joins them when it removes local copies."""
    monkeypatch.setattr(graph, "is_plain", lambda file: file == "plain")

    async def update(dag: SimpleNamespace, job: str, **others: Any) -> None:
        dag._dependencies[job] = {"a": {"plain"}, "b": {"stored"}, "c": {"plain", "stored"}}

    dag = SimpleNamespace(_dependencies={}, depending={name: {} for name in "abc"})
    asyncio.run(graph.sharing(update)(dag, "job"))
    assert dag._dependencies["job"] == {"a": ("plain",), "b": {"stored"}, "c": {"plain", "stored"}}
    assert all(dag.depending[name]["job"] is found for name, found in dag._dependencies["job"].items())
