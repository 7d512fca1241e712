"""What is put in place of parts of Snakemake gives the answers of what it replaces."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake import __version__
from snakemake.exceptions import ChildIOException
from snakemake.io import AnnotatedString, IOFile, flag, is_flagged

from snakemake_tuning import TRIED, files, folders, graph, measures

# A small workflow with temporary, nested, named and aggregated files, and a rule that reads what it writes.
SNAKEFILE = """
from snakemake_tuning.graph import same_for_all
if config.get("tuned"):
    from snakemake_tuning import files, folders, graph, lists, measures
    known = folders.Folders()
    for part in (files, graph, lists, measures):
        part.replace()
    folders.replace(known)
rule all:
    input: [f"up/3/{n}.txt" for n in "ab"], "kept/all.txt"
rule first:
    output: data=temp("up/0/{node}.txt"), other="other/{node}.h5"
    log: "logs/first/{node}.log"
    benchmark: "benchmarks/first/{node}.tsv"
    params: what=lambda wildcards: f"of {wildcards.node}"
    resources: mem_mb=lambda wildcards, attempt: 100 * attempt + (wildcards.node == "b"), runtime=7
    shell: "echo {params.what} > {output.data}; cp {output.data} {output.other}"
rule up:
    input: down=lambda w: f"up/{int(w.level) - 1}/{w.node}.txt", others=lambda w: [f"other/{n}.h5" for n in "abc"]
    output: "up/{level,[1-9]}/{node}.txt"
    resources: mem_mb=same_for_all(lambda wildcards, attempt: 70 * attempt), disk_mb=3
    shell: "cat {input.down} {input.others[1]} > {output}"
rule collect:
    input: lambda w: [f"other/{n}.h5" for n in "abcd"] + ["up/2/c.txt"]
    output: protected("kept/all.txt")
    shell: "cat {input} > {output}"
"""


def run(folder, *options, tuned):
    words = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", f"tuned={int(tuned)}", "--nocolor", *options]
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def told(output):
    """What a dry run says of its jobs, whatever the order of jobs, lines and sets."""
    lines = [line.strip() for line in output.split("Building DAG")[1].splitlines() if "jobid" not in line]
    return sorted(sorted(re.split("[:,;] ", line)) for line in lines if not line.startswith("["))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    made = {}
    for tuned in (False, True):
        folder = tmp_path_factory.mktemp(f"tuned{int(tuned)}")
        (folder / "Snakefile").write_text(SNAKEFILE)
        before = run(folder, "-n", tuned=tuned)
        run(folder, tuned=tuned)
        after = run(folder, "-n", tuned=tuned)
        (folder / "up/3/a.txt").unlink()
        made[tuned] = folder, before, after, run(folder, "-n", tuned=tuned), run(folder, "-n", "--quiet", "rules", tuned=tuned)
    return made


def test_the_version_is_one_that_was_tried():
    assert __version__.startswith(TRIED), "look at each replacement in snakemake_tuning, then add the version"


@pytest.mark.parametrize("part", [1, 2, 3, 4], ids=["new", "finished", "one file lost", "quiet"])
def test_a_tuned_graph_has_the_same_jobs_for_the_same_reasons(both, part):
    assert told(both[True][part]) == told(both[False][part])
    assert ("Nothing to be done" in both[True][part]) == ("Nothing to be done" in both[False][part]) == (part == 2)


def test_a_tuned_run_leaves_the_same_files_and_notes(both):
    def left(folder):
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.txt")}

    def notes(folder):
        found = {path.name: json.loads(path.read_text()) for path in (folder / ".snakemake/metadata").iterdir()}
        return {n: {k: v for k, v in note.items() if not k.endswith("time") and k != "job_hash"} for n, note in found.items()}

    assert left(both[True][0]) == left(both[False][0])
    assert notes(both[True][0]) == notes(both[False][0])


RULE = SimpleNamespace(name="any", pathvars=SimpleNamespace(apply=lambda text: text))


@pytest.fixture
def tuned_files(monkeypatch):
    from snakemake import rules
    from snakemake.io import _IOFile

    for name in ("apply_wildcards", "flags", "is_flagged", "is_storage", "get_inventory_parent"):
        monkeypatch.setattr(_IOFile, name, getattr(_IOFile, name))
    monkeypatch.setattr(rules, "IOFile", rules.IOFile)
    files.replace()


@pytest.mark.usefixtures("tuned_files")
def test_a_plain_file_takes_flags_when_they_come():
    file = IOFile("a/{b}.h5", rule=RULE).apply_wildcards({"b": "7"})
    assert (str(file), type(file._file), dict(file.flags)) == ("a/7.h5", str, {})
    assert not is_flagged(file, "temp")
    assert not file.is_storage
    flag(file, "temp")
    assert is_flagged(file, "temp")
    assert file.flags == {"temp": True}
    for change in (lambda flags: flags.update(ancient=True), lambda flags: flags.setdefault("ancient", True)):
        other = IOFile("a/7.h5", rule=RULE)
        change(other.flags)
        assert is_flagged(other, "ancient")
        assert other.is_ancient
    assert hash(file) == hash("a/7.h5")
    assert file == "a/7.h5"


@pytest.mark.usefixtures("tuned_files")
def test_a_flagged_file_keeps_its_flags():
    marked = AnnotatedString("a/{b}.h5")
    marked.flags["temp"] = True
    file = IOFile(marked, rule=RULE).apply_wildcards({"b": "7"})
    assert is_flagged(file, "temp")
    assert IOFile("x//y.txt", rule=RULE).get_inventory_parent() == os.path.dirname("x//y.txt")  # noqa: PTH120
    assert IOFile("y.txt", rule=RULE).get_inventory_parent() is None


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
def test_outputs_in_outputs_are_looked_for_where_there_may_be_some(outputs, nested):
    seen = []
    look = graph.unless_nested(seen.append)
    look(SimpleNamespace(jobs=[SimpleNamespace(output=[name]) for name in outputs]))
    assert bool(seen) == nested or outputs == ["a", "a-b", "a/c"]


def test_an_output_in_an_output_is_still_refused(tmp_path):
    text = """
from snakemake_tuning import graph
graph.replace()
rule all:
    input: "a", "a/b"
rule one:
    output: directory("a")
    shell: "mkdir a"
rule two:
    output: "a/b"
    shell: "touch a/b"
"""
    (tmp_path / "Snakefile").write_text(text)
    done = subprocess.run([sys.executable, "-m", "snakemake", "-n"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ChildIOException.__name__ in done.stderr + done.stdout


def test_a_folder_tells_what_is_in_it_as_the_system_does(tmp_path, monkeypatch):
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


def test_a_folder_that_may_be_entered_but_not_listed(tmp_path, monkeypatch):
    (tmp_path / "there").touch()

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    known = folders.Folders()
    for _ in range(folders.ENOUGH + 1):
        assert known.has(f"{tmp_path}/there")
        assert not known.has(f"{tmp_path}/none")


class Measures:
    """The file of measurements of a job: on a disk, in a bucket, or nowhere."""

    def __init__(self, local=False, stored=False, is_storage=False):
        self.local, self.stored, self.is_storage = local, stored, is_storage

    async def exists_local(self):
        return self.local

    async def exists_in_storage(self):
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
def test_missing_measurements_are_waited_for_by_nobody(wanted, seen):
    asked = []

    async def finish(job, **others):
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
